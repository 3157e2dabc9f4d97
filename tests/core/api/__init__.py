"""Tests of smscode/core/api."""
