"""HTTP: the API, probes, metrics, the live feed and the page. Thin: it asks the service, and says what it answers."""
