"""Rows that are left out where a provider cannot be sent them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.config.models import Profile, ProviderConfig
from evalharness.errors import ConfigError, DatasetError
from evalharness.planning.plan import Plan
from tests.planning.small_plan import plan

ROWS = (
    {"id": "plain", "prompt": "p", "leave_out_if_refused": True},
    {"id": "seed", "prompt": "p", "params": {"seed": 7}, "leave_out_if_refused": True},
)


def planned(folder: Path, *rows: dict[str, object], **profile: object) -> Plan:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    rules = Profile(**profile)  # pyright: ignore[reportArgumentType]
    provider = ProviderConfig(kind="local", name="local", model="m", profile=rules)
    return plan(path, provider=provider)


def test_what_the_profile_refuses_is_left_out_with_its_reason(tmp_path: Path) -> None:
    made = planned(tmp_path, *ROWS, refuses={"seed": None})
    assert [prompt.prompt_id for prompt in made.prompts] == ["plain"]
    ((prompt, reason),) = made.left_out
    assert prompt.prompt_id == "seed"
    assert reason == "`seed` is refused by m, as its profile says"


def test_a_parameter_of_another_name_is_sent_under_that(tmp_path: Path) -> None:
    made = planned(tmp_path, *ROWS, refuses={"seed": "extra.random_seed"})
    assert made.prompts[1].params == {"extra": {"random_seed": 7}}
    assert not made.left_out


def test_any_other_row_is_still_an_error(tmp_path: Path) -> None:
    row = {**ROWS[1], "leave_out_if_refused": False}
    with pytest.raises(DatasetError, match="is refused by"):
        planned(tmp_path, ROWS[0], row, refuses={"seed": None})


def test_a_dataset_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no row of the dataset can be sent: `seed`"):
        planned(tmp_path, ROWS[1], refuses={"seed": None})


def test_a_null_of_a_row_does_not_undo_a_renamed_parameter(tmp_path: Path) -> None:
    row = {**ROWS[0], "params": {"max_tokens": 5, "max_completion_tokens": None}}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    rules = Profile(refuses={"max_tokens": "max_completion_tokens"})
    provider = ProviderConfig(kind="local", name="local", model="m", profile=rules)
    made = plan(path, provider=provider, params={"max_completion_tokens": 99})
    assert made.prompts[0].params == {"max_completion_tokens": 5}
