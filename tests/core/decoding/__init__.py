"""Tests of smscode/core/decoding."""
