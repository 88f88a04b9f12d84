"""Tests of recodex_monitor.status."""
