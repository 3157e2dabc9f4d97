"""The seam to HTTP: connections, translation, failures, and what the environment says."""
