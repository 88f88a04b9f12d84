"""Tests of recodex_monitor.system."""
