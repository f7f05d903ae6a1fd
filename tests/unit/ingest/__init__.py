"""Sinks, and the way to them: real manifests, real files, a real HTTP server."""
