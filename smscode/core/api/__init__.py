"""The endpoints, each described once, and the calls to them."""
