"""Purchases without I/O: intents, the records that a journal stores, and the states of a purchase."""
