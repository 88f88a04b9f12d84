"""A follower's token for the trial, made where this machine has the secret."""

import time

from recodex_monitor.channels.trials import PREFIX
from recodex_monitor.network import tokens
from recodex_monitor.settings.schema import ConfigError, Settings

LIFE = 3600
"""Seconds for which the token is valid."""


def make_token(settings: Settings) -> str:
    """A token for the doctor's jobs; empty where none is needed, or none can be made."""
    if not settings.access.required:
        return ""
    try:
        keys = tokens.read_keys(settings.access)
    except ConfigError:
        return ""
    for algorithm, key in keys:
        if algorithm == "HS256":
            import jwt

            claims = {"channels": [f"{PREFIX}*"], "exp": int(time.time()) + LIFE}
            return jwt.encode(claims, key, algorithm)
    return ""
