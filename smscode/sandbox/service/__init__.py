"""The service as a state machine: no clock, no I/O, no threads."""
