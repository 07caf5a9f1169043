"""Parquet maps and structs reach templates as objects; a very wide table costs what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalharness.config.models import DatasetConfig
from evalharness.datasets import Renderer, read_prompts
from evalharness.datasets.strict_json import first_repeated
from evalharness.errors import DatasetError
from evalharness.records import Prompt

MAP = pa.map_(pa.string(), pa.string())


def _prompts(folder: Path, columns: dict[str, Any], template: str) -> list[Prompt]:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return read_prompts(DatasetConfig(path="a.parquet", template=template), root=folder)


def test_maps_are_objects_at_every_depth(tmp_path: Path) -> None:
    """In lists, in structs, as values of maps; a null map stays null, a number key is a text."""
    columns = {
        "m": pa.array([[("city", "Rome")], None], MAP),
        "deep": pa.array(
            [{"l": [[(1, [("k", "v")])]]}, {"l": [None]}],
            pa.struct([("l", pa.list_(pa.map_(pa.int32(), MAP)))]),
        ),
    }
    template = "{{ m.city }} {{ deep.l[0]['1'].k }}"
    first, second = _prompts(tmp_path, columns, template)
    assert first.fields == {"m": {"city": "Rome"}, "deep": {"l": [{"1": {"k": "v"}}]}}
    assert second.fields == {"m": None, "deep": {"l": [None]}}
    assert Renderer(template, None).messages(first)[0]["content"] == "Rome v"


def test_a_key_twice_in_a_map_is_refused(tmp_path: Path) -> None:
    """Which of them was meant cannot be known: row, column and key are named."""
    columns = {"m": pa.array([[("a", "1")], [("a", "1"), ("a", "2")]], MAP)}
    with pytest.raises(DatasetError, match=r"a\.parquet:row 2: m: key 'a' appears twice"):
        _prompts(tmp_path, columns, "{{ m.a }}")


class _Counted(str):
    """A name that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        _Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_names_are_not_compared_each_with_each() -> None:
    """20,000 columns would take 400 million comparisons."""
    names = [_Counted(f"c{i}") for i in range(2_000)]
    assert first_repeated(names) is None
    assert _Counted.compared < 10 * len(names)
    assert first_repeated([*names, "c7"]) == "c7"


def test_a_message_does_not_list_thousands_of_columns(tmp_path: Path) -> None:
    """Twenty thousand columns and no prompt: the first ones, and how many more."""
    names = [f"c{i}" for i in range(20_000)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join(names) + "\n")
    with pytest.raises(DatasetError, match=r"c0, c1, .* and 19950 more\)"):
        read_prompts(DatasetConfig(path="a.csv"), root=tmp_path)
