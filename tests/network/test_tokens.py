"""Followers' tokens, and the keys with which they are checked."""

import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.tokens import Key, Token, TokenRefused, decode, read_keys
from recodex_monitor.settings.schema import Access, ConfigError

SECRET = b"a secret of thirty-two bytes ..."
LATER = int(time.time()) + 3600


def public_pem(private: Any) -> bytes:
    """The public key of a private one."""
    made: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def private_pem(private: Any) -> bytes:
    """A private key."""
    made: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made


RSA = rsa.generate_private_key(65537, 2048)
PRIVATE = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token for the channel ``job``, valid for an hour unless the claims say otherwise."""
    named = {"channels": ["job"], "exp": LATER} | claims
    kept = {name: value for name, value in named.items() if value is not None}
    return jwt.encode(kept, key, algorithm)


class KeysTestCase(SynchronousTestCase):
    """Keys in files."""

    def file(self, content: bytes) -> str:
        """A file with this content."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    def keys(self, *contents: bytes) -> tuple[Key, ...]:
        """The keys of files with these contents."""
        return read_keys(Access(tuple(map(self.file, contents))))

    def problem(self, content: bytes) -> str:
        """What is wrong with a file of this content."""
        (problem,) = self.assertRaises(ConfigError, self.keys, content).problems
        self.assertTrue(problem.startswith("access.key_file: "), problem)
        return str(problem)


class ReadTests(KeysTestCase):
    """What is in a key file gives the algorithm."""

    def test_kinds(self) -> None:
        """A secret, or a public key of a kind that is known."""
        (key,) = self.keys(SECRET + b"\n")
        self.assertEqual(key, Key("HS256", SECRET))
        for algorithm, private in PRIVATE.items():
            (key,) = self.keys(public_pem(private))
            self.assertEqual(key.algorithm, algorithm)

    def test_none(self) -> None:
        """Without files there are no keys; but to require tokens needs some."""
        self.assertEqual(read_keys(Access()), ())
        error: ConfigError = self.assertRaises(ConfigError, read_keys, Access(required=True))
        self.assertEqual(error.problems, ["access.required: needs access.key_file"])

    def test_mistakes(self) -> None:
        """Everything else is a mistake that is named."""
        weak, other = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())
        for content, text in (
            (b"", "neither a public key in PEM nor a secret of 32 bytes or more"),
            (SECRET[:-1] + b"\n", "nor a secret of 32 bytes"),
            (private_pem(RSA), "is a private key"),
            (b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", "is not a public key"),
            (public_pem(weak), "must be RSA of 2048 bits or more"),
            (public_pem(other), "on the curve P-256"),
        ):
            self.assertIn(text, self.problem(content))
        error: ConfigError = self.assertRaises(ConfigError, read_keys, Access(("/none",)))
        self.assertEqual(
            error.problems, ["access.key_file: cannot read /none: No such file or directory"]
        )


class DecodeTests(KeysTestCase):
    """Which tokens are accepted."""

    def detail(self, text: str, *keys: Key) -> str:
        """Why a token is refused."""
        refused: TokenRefused = self.assertRaises(
            TokenRefused, decode, text, keys or (Key("HS256", SECRET),)
        )
        return refused.detail

    def test_accepted(self) -> None:
        """A token that is signed with the key, of every kind."""
        for algorithm, private in PRIVATE.items():
            found = decode(token(private, algorithm), self.keys(public_pem(private)))
            self.assertEqual(found, Token(("job",), LATER))
        for claims in ({"aud": "recodex-monitor"}, {"aud": ["x", "recodex-monitor"]}, {"sub": 7}):
            self.assertEqual(decode(token(**claims), self.keys(SECRET)).channels, ("job",))

    def test_two_keys(self) -> None:
        """With two keys either will do, so that one can be replaced."""
        keys = self.keys(SECRET, public_pem(RSA))
        for text in (token(), token(RSA, "RS256")):
            self.assertEqual(decode(text, keys).channels, ("job",))
        self.assertEqual(self.detail(token(b"x" * 32), *keys), "signature")
        self.assertEqual(self.detail(token(RSA, "RS256", exp=1), *keys), "expired")

    def test_refused(self) -> None:
        """Every other token, each with its reason."""
        for claims, detail in (
            ({"exp": None}, "malformed"),
            ({"exp": "soon"}, "malformed"),
            ({"exp": str(LATER)}, "malformed"),
            ({"nbf": True}, "malformed"),
            ({"nbf": "1"}, "malformed"),
            ({"channels": None}, "malformed"),
            ({"channels": "job"}, "malformed"),
            ({"channels": [1]}, "malformed"),
            ({"exp": 1}, "expired"),
            ({"nbf": LATER}, "early"),
            ({"aud": "other"}, "audience"),
            ({"aud": ["other"]}, "audience"),
            ({"aud": None, "exp": LATER, "nbf": 1, "iat": LATER}, None),
        ):
            if detail is None:
                decode(token(**claims), self.keys(SECRET))
            else:
                self.assertEqual(self.detail(token(**claims)), detail, claims)
        self.assertEqual(self.detail(token(b"x" * 32)), "signature")

    def test_algorithm_is_the_keys(self) -> None:
        """A token cannot choose: neither none, nor a public key as a secret."""
        (key,) = self.keys(public_pem(RSA))
        body = token().split(".")[1]
        head = urlsafe_b64encode(b'{"alg": "none", "typ": "JWT"}').rstrip(b"=").decode()
        self.assertEqual(self.detail(f"{head}.{body}.", key), "signature")
        self.assertEqual(self.detail(f"{head}.{body}."), "signature")
        self.assertEqual(self.detail(token(), key), "signature")
        self.assertEqual(self.detail(token(RSA, "RS512"), key), "signature")

    @given(st.text() | st.binary().map(lambda each: urlsafe_b64encode(each).decode() + ".e30.x"))
    def test_any_text(self, text: str) -> None:
        """No text is accepted, or raises anything else."""
        self.assertIn(self.detail(text), ("malformed", "signature"))

    def test_hostile(self) -> None:
        """Nor do heads that are nested deeply, or much too long."""
        for head in (b"[" * 10_000, b'{"alg":' * 2000, b'"' + b"x" * 16_000):
            text = urlsafe_b64encode(head).rstrip(b"=").decode()
            self.assertIn(self.detail(f"{text}.{text}.{text}"), ("malformed", "signature"))

    def test_covers(self) -> None:
        """An id is covered by itself, and by a prefix with an asterisk."""
        found = Token(("job", "student_*"), LATER)
        for channel_id, covered in (
            ("job", True),
            ("job2", False),
            ("student_", True),
            ("student_1", True),
            ("student", False),
            ("", False),
        ):
            self.assertEqual(found.covers(channel_id), covered, channel_id)
        self.assertTrue(Token(("*",), LATER).covers("x"))
