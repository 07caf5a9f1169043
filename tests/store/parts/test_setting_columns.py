"""Columns that come from the setting are those that its bodies would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from evalharness.chat_api.request_body import build_body
from evalharness.config.models import Profile
from evalharness.parameters import COLUMN_PARAMS, column_values, merge_params
from evalharness.records import AttemptResult, Prompt, Setting
from evalharness.store.parts.seal_process import SealRequest
from evalharness.store.parts.setting_columns import (
    SettingColumns,
    columns_by_setting,
    with_unique_labels,
)
from evalharness.store.parts.to_arrow import record_table
from tests.runner.benchmark.virtual_benchmark import VirtualBenchmark
from tests.store.sample_run import SETTING, result

COLUMNS = ["provider", "model", *(p.name for p in COLUMN_PARAMS)]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(0, 1) | st.floats(0, 1),  # YAML has whole numbers, too
    "integer": st.integers(1, 2**63 - 1),
    "boolean": st.booleans(),
    "text": st.text(),
}
# Known parameters with a column, null where not sent, and some without one.
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        **{p.name: st.none() | VALUES[p.form] for p in COLUMN_PARAMS},
        "stop": st.just(['"seed":9']),
        "extra": st.just({"thinking": {"n": 3, "seed": 5}, "zzz": None}),
    },
)


def settings_of(*params: dict[str, Any]) -> list[Setting]:
    return [
        structs.replace(SETTING, setting_id=f"{n:016}", model=f'm"{n}', params=values)
        for n, values in enumerate(params)
    ]


def final(number: int, setting: Setting, own: dict[str, Any]) -> AttemptResult:
    """The record of a prompt with parameters of its own, as the runner makes it."""
    prompt = Prompt(prompt_id=f"p{number}", params=own)
    body = build_body(setting, prompt, [{"role": "user", "content": '"n":7'}], Profile())
    value = result(number)
    return structs.replace(
        value,
        intent=structs.replace(value.intent, setting_id=setting.setting_id),
        body=body,
        params_of_setting=not own,
        merged_params=column_values(merge_params(setting.params, own)) if own else None,
    )


def read_from_bodies(finals: list[AttemptResult]) -> list[AttemptResult]:
    unknown: dict[str, Any] = {"params_of_setting": False, "merged_params": None}
    return [structs.replace(value, **unknown) for value in finals]


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.select(COLUMNS).to_pylist()


@given(st.lists(PARAMS, min_size=1, max_size=3), st.lists(PARAMS, max_size=3))
def test_columns_equal_those_read_from_bodies(
    params: list[dict[str, Any]], own: list[dict[str, Any]]
) -> None:
    """Prompts with parameters of their own beside others: the same values, of the same types."""
    settings = settings_of(*params)
    finals = [
        final(n, setting, prompt_params)
        for setting in settings
        for n, prompt_params in enumerate([{}, *own])
    ]
    columns = columns_by_setting(settings)
    table = record_table(finals, columns)
    assert table.equals(record_table(read_from_bodies(finals), columns))
    for row, value in zip(rows(table), finals, strict=True):
        body = msgspec.json.decode(value.body or b"")
        assert {name: row[name] for name in COLUMNS[1:]} == {n: body.get(n) for n in COLUMNS[1:]}


@given(PARAMS)
def test_columns_reach_the_helper_process(params: dict[str, Any]) -> None:
    """Its pipe changes no value and no type."""
    columns = columns_by_setting(settings_of(params))
    request = SealRequest("root", "journal", 1, 9, columns)
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=SealRequest)
    assert copy == request
    before, after = (request.settings["0" * 16].sent, copy.settings["0" * 16].sent)
    assert [type(value) for value in after] == [type(value) for value in before]


def test_a_body_is_not_read_without_need() -> None:
    """What was asked is known without it, also under a protocol that has other names for it."""
    (setting,) = settings_of({"temperature": 1})
    columns = columns_by_setting([setting])
    finals = [final(0, setting, {}), final(1, setting, {"max_tokens": 5, "temperature": None})]
    unreadable = [structs.replace(value, body=b"{") for value in finals]
    found = rows(record_table(unreadable, columns))
    assert [(row["model"], row["temperature"], row["max_tokens"]) for row in found] == [
        ('m"0', 1.0, None), ('m"0', None, 5),
    ]  # fmt: skip
    with pytest.raises(msgspec.DecodeError):
        record_table(read_from_bodies(unreadable[:1]), columns)


@pytest.mark.parametrize("known", [False, True])
def test_without_setting_or_body(known: bool) -> None:
    """The body says what an unknown setting sent; without a body nothing is known to be sent."""
    (setting,) = settings_of({"seed": 5})
    columns: dict[str, SettingColumns] = columns_by_setting([setting] if known else [])
    value = final(0, setting, {})
    table = record_table([value, structs.replace(value, body=None)], columns)
    assert [row["seed"] for row in rows(table)] == [5, None]
    assert [row["provider"] for row in rows(table)] == ["local" if known else None] * 2


async def test_the_runner_marks_prompts_with_parameters_of_their_own(tmp_path: Path) -> None:
    """Records of a run with both kinds of prompts say what their bodies asked for."""
    lines: list[dict[str, Any]] = [{"id": f"p{i}", "prompt": f"Say {i}."} for i in range(4)]
    lines[1]["params"] = {"seed": 5, "temperature": None}
    lines[3]["params"] = {"extra": {"thinking": True}}
    load = {"arrival": "constant", "rate": 10.0, "requests": 8}
    params = {"temperature": 1, "stream": True}
    bench = VirtualBenchmark(tmp_path, load, lines, params=params)
    await bench.run(bench.server(0.2))
    finals = [value for value in bench.disk.results if value.final]
    assert {(v.intent.prompt_id, v.params_of_setting) for v in finals} == {
        ("p0", True), ("p1", False), ("p2", True), ("p3", False),
    }  # fmt: skip
    columns = columns_by_setting(bench.plan.settings)
    table = record_table(finals, columns)
    assert table.equals(record_table(read_from_bodies(finals), columns))
    seeds = {row["prompt_id"]: row["seed"] for row in table.to_pylist()}
    assert seeds == {"p0": None, "p1": 5, "p2": None, "p3": None}


_LABELS = st.sampled_from(["a", "b", "a #2", "a #3", "a #2 #2"])


@given(st.lists(_LABELS, max_size=12))
def test_no_two_labels_are_the_same(labels: list[str]) -> None:
    """The first setting of a label keeps it; what is unique already stays as it is."""
    table = pa.table({"setting_id": [str(i) for i in range(len(labels))], "label": labels})
    read = with_unique_labels(table)
    unique = read["label"].to_pylist()
    assert len(set(unique)) == len(unique) == len(labels)
    assert read["setting_id"] == table["setting_id"]
    for index, label in enumerate(labels):
        assert str(unique[index]).startswith(label)
        if label not in labels[:index]:
            assert unique[index] == label
    assert with_unique_labels(read) == read
