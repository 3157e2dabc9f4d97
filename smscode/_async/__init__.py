"""The asynchronous shell, written by hand."""
