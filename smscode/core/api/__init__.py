"""The endpoints, described once, and what a call to one is made of."""
