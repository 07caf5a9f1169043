"""A server that ignores or refuses fields of a request, or counts wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from evalharness.emulator import EmulatorOptions
from evalharness.errors import ConfigError

Launch = Callable[..., AbstractContextManager[Any]]


def test_ignored_fields_do_nothing_and_refused_ones_are_named(launch: Launch) -> None:
    with launch("--ignore", "max_tokens", "--ignore", "n", "--refuse", "logprobs") as server:
        answer = server.post(max_tokens=2, n=3).json()
        assert len(answer["choices"]) == 1
        assert answer["usage"]["completion_tokens"] > 2
        refused = server.post(logprobs=True)
        assert refused.status_code == 400
        assert "'logprobs' is not supported" in refused.text


def test_usage_noise_changes_the_counts_of_equal_requests(launch: Launch) -> None:
    with launch("--usage-noise", "1") as server:
        counts = {server.post().json()["usage"]["prompt_tokens"] for _ in range(4)}
    assert len(counts) > 1


def test_stream_noise_spares_what_is_not_streamed(launch: Launch) -> None:
    with launch("--stream-noise", "1") as server:
        assert len({server.text(temperature=0) for _ in range(4)}) == 1
        streams = [server.post(temperature=0, stream=True).text for _ in range(4)]
    assert len({tuple(re.findall(r'"content":"[^"]*"', stream)) for stream in streams}) > 1


def test_a_field_that_an_answer_needs_cannot_be_ignored() -> None:
    with pytest.raises(ConfigError, match="no answer without `messages`"):
        EmulatorOptions.from_mapping({"ignores": ["seed", "messages"]})
