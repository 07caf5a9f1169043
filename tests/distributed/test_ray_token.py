"""A Ray of our own asks for a token, whatever the installed version does by itself."""

from __future__ import annotations

import os

import pytest

from evalharness.distributed.ray_token import require_token


@pytest.mark.parametrize(
    ("before", "mode", "token"),
    [
        ({}, "token", None),
        ({"RAY_AUTH_MODE": "token"}, "token", None),
        ({"RAY_AUTH_TOKEN": "mine"}, "token", "mine"),
        ({"RAY_AUTH_TOKEN_PATH": "/f"}, "token", ""),
        ({"RAY_AUTH_MODE": "disabled"}, "disabled", ""),
    ],
)
def test_a_token_is_made_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], mode: str, token: str | None
) -> None:
    """None: a new one of 256 bits. What a person has set is left as it is."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    require_token()
    assert os.environ["RAY_AUTH_MODE"] == mode
    made = os.environ.get("RAY_AUTH_TOKEN", "")
    assert len(made) == 64 if token is None else made == token
