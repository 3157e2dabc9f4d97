"""The demonstration that ``python -m smscode demo`` runs."""
