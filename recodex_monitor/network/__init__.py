"""Listening, for whatever is served.

``addresses`` resolves host names and prepares the files of Unix sockets. ``eager`` listens, and
makes connections that send at once what the kernel takes. ``tls`` encrypts them, and renews the
certificate while they stay open.
"""
