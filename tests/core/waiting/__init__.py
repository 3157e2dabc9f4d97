"""Tests of smscode/core/waiting."""
