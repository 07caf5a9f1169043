"""The protocol of the card: the shipped requests, their version and hash."""

from __future__ import annotations

import json
from functools import cache

import msgspec

from evalharness.config.models import DatasetConfig
from evalharness.config.package_data import package_data_dir
from evalharness.datasets import read_prompts
from evalharness.records import Prompt, canonical_json, digest

DATASET = "card.jsonl"
#: Repeats of each request, as ``configs/experiment/card.yaml`` has them.
REPEATS = 4
VERSION = 1
TOP_LOGPROBS = 3
CHOICES = 3
STOP = "e"
MAX_TOKENS = 16
NAMED_TOOL = "get_time"

SCHEMA_COLOURS = ("red", "green", "blue")


class RowFields(msgspec.Struct, frozen=True):
    """The columns of a row of the protocol.

    Attributes:
        protocol: its version.
        arm: which requests it belongs to: ``temperature-0``, ``stop``, ….
        topic: what it asks about; the same prompt in other arms has the same topic.
    """

    protocol: int
    arm: str
    topic: str


def row_fields(prompt: Prompt) -> RowFields | None:
    """The fields of a row of the protocol; None of any other row."""
    try:
        return msgspec.convert(prompt.fields, RowFields)
    except msgspec.ValidationError:
        return None


@cache
def shipped_rows() -> tuple[Prompt, ...]:
    """The rows of the protocol as this version of the package has them."""
    folder = package_data_dir("datasets")
    return tuple(read_prompts(DatasetConfig(path=str(folder / DATASET)), root=folder))


def protocol_hash() -> str:
    """A hash of the shipped rows and of how often each is sent, 32 hex digits."""
    rows = [[p.prompt_id, p.messages, p.params, p.fields] for p in shipped_rows()]
    return digest(canonical_json([VERSION, REPEATS, json.loads(canonical_json(rows))]))
