"""Tests of recodex_monitor.network."""
