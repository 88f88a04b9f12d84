"""What happens to the monitor when things around it go wrong; see docs/reliability.md."""
