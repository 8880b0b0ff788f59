"""The HTTP API for operators and for the site's backend, on a port of its own."""
