"""The packages in dist/, installed into a Debian that its own systemd boots.

``python -m tests.packages`` plays it: it needs root, mmdebstrap and systemd-nspawn, and what
``make deb`` and ``make rpm`` have made.
"""
