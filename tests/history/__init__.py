"""Tests of recodex_monitor.history."""
