"""Rate limits without I/O: options, the limiter of a group, slots, limits shared by processes."""
