"""The protocol without any I/O: no sockets, no clock, nothing that waits."""
