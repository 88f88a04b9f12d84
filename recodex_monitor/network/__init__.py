"""Listening, for whatever is served.

``addresses`` resolves host names and prepares the files of Unix sockets. ``listener`` binds them
and listens. ``eager`` makes connections that send at once what the kernel takes. ``tls`` encrypts
them, and renews the certificate while they stay open; ``hello`` has TLS's first bytes. ``tokens``
checks those that followers show. ``static`` reads the files of pages; ``common/`` has those that
both ports serve.

It may know ``settings``.
"""
