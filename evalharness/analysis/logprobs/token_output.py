"""Outputs as tokens with their log probabilities, as a server gives them."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import read_texts

_UNKNOWN_FROM = -9_999.0  # OpenAI's API reference: "very unlikely", no value


class TokenOutput(NamedTuple):
    """One output.

    Attributes:
        tokens: its tokens.
        logprobs: the natural logarithm of the probability of each; NaN unknown.
        top: the likeliest tokens at each place with theirs, as the server lists them, the chosen
            one included; empty where it lists none.
    """

    tokens: list[str]
    logprobs: Floats
    top: list[dict[str, float]]


class _Candidate(msgspec.Struct):
    token: str
    logprob: float


class _Place(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Candidate] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Place] | None = None


def read_outputs(frame: RunFrame, rows: Ints) -> list[TokenOutput | None]:
    """The outputs of some records; None of those without readable log probabilities.

    Args:
        frame: the run.
        rows: positions in the frame.
    """
    return [_parse(text) for text in read_texts(frame, rows, "logprobs_json")]


def has_logprobs(frame: RunFrame) -> bool:
    """Whether the run has a column of log probabilities that is not empty throughout."""
    if frame.lazy_columns is None and "logprobs_json" not in frame.records.column_names:
        return False
    return bool(frame.rows.size)


def _parse(logprobs: str | None) -> TokenOutput | None:
    if logprobs is None:
        return None
    try:
        content = msgspec.json.decode(logprobs, type=_Logprobs).content
    except msgspec.MsgspecError:
        return None
    if not content:
        return None
    return TokenOutput(
        [place.token for place in content],
        np.array([_known(place.logprob) for place in content], np.float64),
        [_listed(place) for place in content],
    )


def _known(logprob: float) -> float:
    return logprob if logprob > _UNKNOWN_FROM else math.nan


def _listed(place: _Place) -> dict[str, float]:
    """The tokens of a place; the chosen one is among them where any are listed."""
    candidates = place.top_logprobs or []
    listed = {c.token: c.logprob for c in candidates if c.logprob > _UNKNOWN_FROM}
    if listed and place.logprob > _UNKNOWN_FROM:
        listed.setdefault(place.token, place.logprob)
    return listed
