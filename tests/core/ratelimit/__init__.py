"""Tests of smscode/core/ratelimit."""
