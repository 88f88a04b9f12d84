"""The first bytes of TLS, recognised and answered without OpenSSL."""

HANDSHAKE_RECORD = 0x16
"""The first byte of a TLS connection: a record with a handshake (RFC 8446, section 5.1)."""

SSL_2 = 0x80
"""The first byte of very old clients' handshakes, for which OpenSSL has an alert."""

ALERT = b"\x15\x03\x01\x00\x02\x02\x28"
"""A record that ends a client's handshake: fatal, handshake_failure (RFC 8446, section 6)."""


def is_tls(received: bytes) -> bool:
    """Whether the first bytes of a connection are TLS's."""
    return received[:1] == bytes([HANDSHAKE_RECORD])
