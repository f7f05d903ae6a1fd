"""Tells sinks of every stored file and of what became of its original: at least once, in order, from where it stopped.

`base` is what a sink is, `delivery` brings the manifest's changes to one, `sinks` opens those of the settings.
"""
