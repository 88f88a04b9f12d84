"""Followers' tokens: JSON Web Tokens (RFC 7519) that say which channels they may follow.

PyJWT checks them. Which algorithm a token must have is a matter of the key, never of the token.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from recodex_monitor.settings.schema import Access, ConfigError

AUDIENCE = "recodex-monitor"
"""What the claim ``aud`` must have, if there is one."""

SECRET_SIZE = 32
"""Bytes of a secret, at least (RFC 7518, section 3.2)."""

RSA_SIZE = 2048
"""Bits of an RSA key, at least (RFC 7518, section 3.3)."""


class TokenRefused(Exception):
    """A token is not accepted.

    Attributes:
        detail: why; one of the texts in docs/protocol.md.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Token(NamedTuple):
    """What a valid token says.

    Attributes:
        channels: ids of channels; one that ends with ``*`` stands for all that begin so.
        expires: the Unix time at which it expires.
    """

    channels: tuple[str, ...]
    expires: float

    def covers(self, channel_id: str) -> bool:
        """Whether a channel may be followed with it."""
        return any(
            channel_id.startswith(one[:-1]) if one.endswith("*") else channel_id == one
            for one in self.channels
        )


class Key(NamedTuple):
    """A key with which tokens are checked.

    Attributes:
        algorithm: by its name in RFC 7518 or RFC 8037.
        key: a secret, or a public key of the package cryptography.
    """

    algorithm: str
    key: Any


def read_keys(access: Access) -> tuple[Key, ...]:
    """Read the keys from their files.

    Raises:
        ConfigError: one of them cannot be used, or a package is missing.
    """
    if not access.key_file:
        if access.required:
            raise ConfigError(["access.required: needs access.key_file"])
        return ()
    try:
        import jwt  # noqa: F401
        from cryptography.hazmat.primitives import serialization  # noqa: F401
    except ImportError as error:
        text = f"access: {error}; install what recodex-monitor[access] does"
        raise ConfigError([text]) from None
    return tuple(map(_read_key, access.key_file))


def _read_key(file: str) -> Key:
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError as error:
        raise ConfigError([f"access.key_file: cannot read {file}: {error.strerror}"]) from None
    if b"-----BEGIN" in content:
        return _public_key(file, content)
    # A line break at the end is an editor's.
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(secret) < SECRET_SIZE:
        text = f"{file} is neither a public key in PEM nor a secret of {SECRET_SIZE} bytes or more"
        raise ConfigError([f"access.key_file: {text}"])
    return Key("HS256", secret)


def _public_key(file: str, content: bytes) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    problem = f"access.key_file: {file}"
    if b"PRIVATE KEY" in content:
        raise ConfigError([f"{problem} is a private key; the monitor needs the public one alone"])
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError([f"{problem} is not a public key in PEM (BEGIN PUBLIC KEY)"]) from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_SIZE:
        return Key("RS256", key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return Key("ES256", key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Key("EdDSA", key)
    text = f"must be RSA of {RSA_SIZE} bits or more, EC on the curve P-256, or Ed25519"
    raise ConfigError([f"{problem}: the key {text}"])


def decode(text: str, keys: Iterable[Key]) -> Token:
    """Check a token, and read what it says.

    Args:
        text: of the token.
        keys: it is signed with one of them.

    Raises:
        TokenRefused: it is not accepted.
    """
    import jwt

    refused = "signature"
    for key in keys:
        try:
            return _decoded(text, key)
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
            continue
        except jwt.ExpiredSignatureError:
            refused = "expired"
        except jwt.ImmatureSignatureError:
            refused = "early"
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            refused = "malformed"
        break
    raise TokenRefused(refused)


def _decoded(text: str, key: Key) -> Token:
    import jwt

    options: Any = {
        "require": ["exp"],
        **dict.fromkeys(("verify_aud", "verify_iat", "verify_sub", "verify_jti"), False),
    }
    claims = jwt.decode(text, key.key, algorithms=[key.algorithm], options=options)
    times = [claims[name] for name in ("exp", "nbf") if name in claims]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in times):
        raise TypeError("exp or nbf is no number")
    channels, audience = claims.get("channels"), claims.get("aud", AUDIENCE)
    if not isinstance(channels, list) or not all(isinstance(one, str) for one in channels):
        raise TypeError("channels is no list of texts")
    if audience != AUDIENCE and not (isinstance(audience, list) and AUDIENCE in audience):
        raise TokenRefused("audience")
    return Token(tuple(channels), float(claims["exp"]))
