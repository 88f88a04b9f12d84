"""Tests of recodex_monitor.tools."""
