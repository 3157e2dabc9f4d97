"""A fault server with its own ledger, its judge, and the scenarios of `nox -s faults`."""
