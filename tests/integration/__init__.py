"""Tests with real sockets, real processes and recorded traffic."""
