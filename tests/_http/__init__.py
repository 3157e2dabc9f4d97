"""Tests of smscode/_http."""
