"""Tests of recodex_monitor.settings."""
