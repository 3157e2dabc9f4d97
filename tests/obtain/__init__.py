"""Runs of `orders.obtain` against a service with faults, judged by the service's ledger."""
