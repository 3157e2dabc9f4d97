"""Tests of smscode/core/purchases."""
