"""A judging's own configuration, `judge.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.errors import ConfigError
from evalharness.judging.config import CONFIG_FILE, read_judge_config


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("just text", "it holds no keys"),
        ("mode: grade", "configuration key `provider` is missing"),
        ("provider: {kind: local, name: x, model: m}\nrepeats: many", "`repeats`: must be a whole"),
        ("provider: {kind: local, name: x, model: m}\nscale: [5, 1]", "the worst grade must be below"),
        ("provider: {kind: local, name: x, model: m}\nrubrik: r", "unknown configuration key `rubrik`"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_in_words(tmp_path: Path, content: str, problem: str) -> None:
    """The file, the key, and what to do; not the words of the decoder."""
    (tmp_path / CONFIG_FILE).write_text(content)
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        read_judge_config(tmp_path)
    assert str(tmp_path / CONFIG_FILE) in refused.value.message
    assert problem in refused.value.message
    assert "Expected `" not in refused.value.message
    assert "another --name" in (refused.value.hint or "")
