"""The token that a Ray of our own asks for. Ray must not be imported before: it looks only once."""

from __future__ import annotations

import os
import secrets

_MODE = "RAY_AUTH_MODE"


_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def ask_for_token() -> None:
    """Have a Ray that is started by this process ask whoever connects for a token.

    Ray listens on the network, and takes whoever connects unless it is told otherwise. The token
    is made here and ends with us; one that the environment names is used, and so is a mode.
    """
    if os.environ.setdefault(_MODE, "token") == "token" and not any(
        os.environ.get(name) for name in _TOKENS
    ):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
