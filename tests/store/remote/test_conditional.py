"""Where the keys for conditional writes come from, which obstore does not read by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.store.remote import conditional


def test_the_keys_of_a_profile_are_used_unless_the_environment_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS's own tools find them, and pyarrow, which writes everything else."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert conditional._profile_keys() == {}
    file.write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b%c\n"
        "[work]\naws_access_key_id = d\naws_secret_access_key = e\naws_session_token = f\n"
    )
    assert conditional._profile_keys() == {"access_key_id": "a", "secret_access_key": "b%c"}
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert conditional._profile_keys() == {
        "access_key_id": "d", "secret_access_key": "e", "session_token": "f",
    }  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "g")
    assert conditional._profile_keys() == {}
