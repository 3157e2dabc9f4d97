"""Waiting for SMS without I/O: one wait, the poll that all waits share, and webhooks that arrive early."""
