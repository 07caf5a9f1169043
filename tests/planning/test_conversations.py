"""Conversations in a plan: which turn is sent next, what they may cost, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import ExecutionConfig, LoadConfig, ThinkConfig
from evalharness.errors import ConfigError
from evalharness.planning.conversation_rows import ConversationRows
from evalharness.planning.estimate.pilot import choose_pilot
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.estimate.worst_case import worst_case
from evalharness.planning.plan import Plan
from evalharness.records import Prompt, Trial
from tests.planning.small_plan import plan

ROWS: list[dict[str, Any]] = [
    {"id": "a", "turns": ["a1", "a2", "a3"]},
    {"id": "s", "prompt": "alone"},
    {"id": "b", "turns": ["b1", "b2"]},
]


def a_plan(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> Plan:
    path = folder / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return plan(path, **changes)


def names(trials: Any) -> list[str]:
    return [f"{t.prompt.prompt_id}/{t.setting.label}/{t.repeat}" for t in trials]


def test_first_turns_open_what_is_not_all_done(tmp_path: Path) -> None:
    made = a_plan(tmp_path)
    openings = list(made.first_trials())
    assert {t.prompt.prompt_id for t in openings} == {"a.1", "s", "b.1"}
    assert len(openings) == 3 * 2 * 3
    order = {t.position: t for t in made.trials()}
    assert all(order[t.position].trial_id == t.trial_id for t in openings)
    done = np.zeros(len(made), np.bool_).reshape(3, 6, 2)
    done[0, [0, 1, 2, 3], 0] = True  # all of a, and s, in the first repeat of the first setting
    done[0, 4, 0] = True  # the first turn of b
    left = names(made.first_trials(done.reshape(-1)))
    label = made.settings[0].label
    assert set(names(openings)) - set(left) == {f"a.1/{label}/0", f"s/{label}/0"}
    row = [p.prompt_id for p in made.prompts].index("b.1")
    assert made.answered_turns(done.reshape(-1)) == [made.trial_id(row, made.settings[0], 0)]


def test_a_turn_follows_with_the_answers(tmp_path: Path) -> None:
    made = a_plan(tmp_path)
    first = next(t for t in made.first_trials() if t.prompt.prompt_id == "a.1")
    second = made.next_turn(first, "A.")
    assert second is not None
    third = made.next_turn(second, "B.")
    assert third is not None
    contents = [m["content"] for m in json.loads(made.body(third))["messages"]]
    assert contents == ["a1", "A.", "a2", "B.", "a3"]
    assert made.next_turn(third, "C.") is None
    planned = {t.trial_id: t for t in made.trials()}  # other answers make no other trial
    assert planned[third.trial_id].prompt.prompt_id == "a.3"
    assert (third.setting, third.repeat) == (first.setting, first.repeat)
    single = next(t for t in made.first_trials() if t.prompt.prompt_id == "s")
    assert made.next_turn(single, "x") is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_what_is_open_is_what_lacks_a_turn(sizes: list[int], data: st.DataObject) -> None:
    """A conversation is open, by its first turn alone, exactly where a turn is not done."""
    prompts = [
        Prompt(prompt_id=f"{c}.{k}", conversation=str(c), turn=k)
        for c, size in enumerate(sizes)
        for k in range(1, size + 1)
    ]
    rows, shape = ConversationRows(prompts), (2, len(prompts), 3)
    cells = 2 * len(prompts) * 3
    done = np.array(data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells)))
    opening = rows.opening_map(done, shape).reshape(shape)
    unfinished = set(rows.unfinished_turns(done, shape))
    begin = 0
    for size in sizes:
        turns = done.reshape(shape)[:, begin : begin + size]
        assert np.array_equal(opening[:, begin], turns.all(axis=1))
        assert opening[:, begin + 1 : begin + size].all()
        for repeat in range(2):
            for column in range(3):
                flags = turns[repeat, :, column]
                expected = set() if flags.all() else set(np.flatnonzero(flags) + begin)
                found = {r for k, r, c in unfinished if (k, c) == (repeat, column)}
                assert found & set(range(begin, begin + size)) == expected
        begin += size


def test_a_pilot_takes_conversations_as_wholes(tmp_path: Path) -> None:
    made = a_plan(tmp_path)
    skip = choose_pilot(made, np.zeros(len(made), np.bool_), 4).reshape(3, 6, 2)
    for repeat in range(3):
        for column in range(2):
            assert len(set(skip[repeat, :3, column].tolist())) == 1
            assert len(set(skip[repeat, 4:, column].tolist())) == 1
    assert (~skip).sum(axis=(0, 1)).min() >= 4


def test_the_worst_case_holds_answers_of_full_length(tmp_path: Path) -> None:
    """No conversation can be dearer: each answer of max_tokens is paid again by every later turn."""
    from tests.planning.estimate.test_estimate import PRICE, priced

    made = a_plan(tmp_path, params={"max_tokens": 4})
    shapes = RequestShapes(made)
    remaining = np.full((6, 2), 3.0)
    bound = worst_case(made, remaining, priced)
    assert bound is not None
    expected = sum(
        3 * (PRICE.worst_case(length + 4 * ((prompt.turn or 1) - 1), 4) or 0)
        for column in range(2)
        for prompt, length in zip(made.prompts, shapes.lengths(column), strict=True)
    )
    assert bound == expected
    empty = Trial("", made.prompts[2], made.settings[0], 0, 0, ("", ""))
    assert shapes.lengths(0)[2] == len(made.body(empty))
    assert worst_case(a_plan(tmp_path, params={"max_tokens": None}), remaining, priced) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"execution": ExecutionConfig(engine="ray")}, "execution=ray"),
        ({"execution": ExecutionConfig(engine="batch")}, "execution=batch"),
        ({"load": LoadConfig(requests=5)}, "load.requests"),
        ({"load": LoadConfig(warmup_requests=5)}, "load.warmup_requests"),
        (
            {"load": LoadConfig(think_s=ThinkConfig(mean_s=1, cv=2, distribution="exponential"))},
            "load.think_s.cv",
        ),
    ],
)
def test_what_conversations_cannot_have_is_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        a_plan(tmp_path, **changes)
    assert problem in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("load", [LoadConfig(sessions=5), LoadConfig(think_s=1.0)])
def test_loads_of_conversations_need_some(tmp_path: Path, load: LoadConfig) -> None:
    with pytest.raises(ConfigError, match="no row of the dataset has turns"):
        a_plan(tmp_path, ROWS[1:2], load=load)


def test_a_conversation_is_no_background(tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "c", "turns": ["c1", "c2"], "background": True}]
    with pytest.raises(ConfigError, match=r"d.jsonl:4.*background"):
        a_plan(tmp_path, rows, load=LoadConfig(concurrency=2, background=1))
