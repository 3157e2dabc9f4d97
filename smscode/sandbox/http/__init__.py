"""The service over HTTP, on plain values."""
