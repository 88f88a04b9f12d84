"""Tests of recodex_monitor.broker."""
