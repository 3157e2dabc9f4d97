"""The sandbox's own routes, its history and its audit."""
