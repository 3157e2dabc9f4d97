"""Waiting for SMS without I/O: one wait, the poll that all waits share, webhooks that came early."""
