"""Installs the packages in dist/ into a Debian that its own systemd boots, and tests them there.

Run it by ``python -m tests.packages``. It needs root, mmdebstrap, systemd-nspawn, and the packages
that ``make deb`` and ``make rpm`` make.
"""
