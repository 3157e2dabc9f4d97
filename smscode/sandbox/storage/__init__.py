"""A sandbox stored in a file."""
