"""The monitor's tests; run them with ``python -m twisted.trial tests``."""
