"""The token that a local Ray requires. Set it before Ray is imported, which reads it only once."""

from __future__ import annotations

import os
import secrets

_MODE = "RAY_AUTH_MODE"
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def require_token() -> None:
    """Let a Ray that is started by this process require a token of everybody who connects.

    Ray listens on the network, and by default accepts every connection. The token is made here and
    ends with this process. A token or a mode that the environment sets is used instead.
    """
    if os.environ.setdefault(_MODE, "token") == "token" and not any(
        os.environ.get(name) for name in _TOKENS
    ):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
