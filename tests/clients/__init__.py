"""Tests of recodex_monitor.clients."""
