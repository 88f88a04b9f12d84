"""Tests of recodex_monitor.channels."""
