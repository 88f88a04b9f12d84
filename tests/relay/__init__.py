"""Tests of several nodes over one engine."""
