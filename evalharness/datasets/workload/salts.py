"""Salts: words of its own at the beginning of every request, so that no prefix cache serves it."""

from __future__ import annotations

import random
from typing import Any

from evalharness.config.models import DatasetConfig
from evalharness.config.workload import RUN_ROWS, TRACE_DUE
from evalharness.datasets.workload.words import draw_words
from evalharness.records import Prompt, Trial

#: How the location of a made row begins.
SOURCE = "workload:"
#: Column of a row with the salt that it was made with; every request has another in its place.
SALT = "salt"
SALT_WORDS = 6  # of hundreds each: no two requests have the same


def row_salt(config: DatasetConfig, prompt: Prompt) -> str | None:
    """The salt that a row was made with; None where it has none."""
    again = config.path == RUN_ROWS and (prompt.source or "").startswith(SOURCE)
    if again or (config.workload is not None and config.workload.salt):
        return prompt.fields.get(SALT)
    return None


def salted_together(trial: Trial) -> str:
    """What has the same salt: a request alone, or the requests of a trace in one load point.

    Those share beginnings with each other, as the trace has them, and with no load point before.
    """
    if TRACE_DUE in trial.prompt.fields:
        return f"{trial.setting.setting_id} {trial.repeat}"
    return trial.trial_id


def with_salt(messages: list[dict[str, Any]], salt: str, request: str) -> list[dict[str, Any]]:
    """The messages with the request's own salt in place of the row's, of as many words.

    A row is sent again in every repeat, load point and warm-up. With the same salt a cache would
    serve it from the second time on.

    Args:
        messages: as the row has them.
        salt: of the row.
        request: what has a salt of its own; the same gives the same salt.
    """
    own = draw_words(random.Random(f"evalharness salt {request}"), len(salt.split())).rstrip()
    return [
        {**message, "content": message["content"].replace(salt, own, 1)}
        if isinstance(message.get("content"), str)
        else message
        for message in messages
    ]
