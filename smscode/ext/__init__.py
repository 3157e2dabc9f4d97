"""Adapters for other packages; each module needs the extra that its docstring names."""
