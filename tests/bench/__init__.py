"""Speed lives here and not in the tests: what these programs print is read by people."""
