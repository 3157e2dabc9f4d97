"""Purchases without I/O: intents, what is stored of them, their states and the rules between these."""
