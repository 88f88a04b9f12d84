"""Listening, for whatever is served.

``addresses`` resolves host names and prepares the files of Unix sockets. ``listener`` binds them
and listens. ``eager`` makes connections that send at once what the kernel takes. ``tls`` encrypts
them, and renews the certificate while they stay open. ``static`` reads the files of pages.
"""
