"""Tests of recodex_monitor.timing."""
