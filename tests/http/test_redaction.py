"""A secret never prints, and is found in every form it comes back in."""

from __future__ import annotations

import base64
import json
import pickle
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.http.redaction import Redactor, Secret

KEY = "sk-canary/+=: 0123456789abcdef"
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


def test_never_printed() -> None:
    """repr, str, format, an exception's text and pickle do not show the secret."""
    secret = Secret(KEY)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr([secret])):
        assert "canary" not in shown
    with pytest.raises(TypeError) as caught:
        pickle.dumps(secret)
    assert "canary" not in str(caught.value)
    assert secret.reveal() == KEY


@given(key=keys, before=st.binary(max_size=4), after=st.binary(max_size=4))
def test_every_form_is_removed(key: str, before: bytes, after: bytes) -> None:
    """Raw, URL-encoded and base64 (at any alignment, either alphabet) forms are all removed."""
    redactor = Redactor([Secret(key)])
    whole = before + key.encode() + after
    escaped = json.dumps(f"a{key}")[1:-1]
    url = quote(key, safe="")
    lower = re.sub("%..", lambda match: match[0].lower(), url)
    for form in (key, escaped, url, lower, base64.b64encode(whole).decode()):
        masked = redactor.redact(f"<{form}>")
        assert masked != f"<{form}>"
        assert key not in masked
        assert redactor.redact_bytes(f"<{form}>".encode()) == masked.encode()
    # Of a longer encoded value only the neighbours' characters are left.
    left = redactor.redact(base64.urlsafe_b64encode(whole).decode()).split("[redacted]")
    assert len(left) > 1
    assert max(map(len, left)) <= 12


def test_other_text_is_untouched() -> None:
    """A text without the secret is the very same object."""
    text = "nothing of the kind"
    assert Redactor([Secret(KEY)]).redact(text) is text
    assert Redactor([Secret("")]).redact(text) is text
