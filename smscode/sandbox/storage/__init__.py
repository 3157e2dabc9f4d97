"""A sandbox that is kept in a file."""
