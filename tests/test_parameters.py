"""One row of the table of parameters is all that a parameter needs."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.chat_api.params import check_params
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.importing.columns import ColumnReaders
from evalharness.parameters import (
    KNOWN_PARAMS,
    PARAMETERS,
    Parameter,
    markdown,
    merge_params,
    output_limit,
)
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.schema import RECORDS
from evalharness.store.parts.setting_columns import SentParams
from tests.planning.test_sweep import config

SIMPLE = [p for p in PARAMETERS if p.form != "json"]
NUMERIC = [p for p in SIMPLE if p.form in ("integer", "number")]


def valid(parameter: Parameter) -> Any:
    if parameter.form == "boolean":
        return True
    if parameter.form == "text":
        return "low"
    low, high = parameter.range
    return int(low if low is not None else high if high is not None else 7)


def name(parameter: Parameter) -> str:
    return parameter.name


@pytest.mark.parametrize("parameter", SIMPLE, ids=name)
def test_a_row_is_a_checked_parameter(parameter: Parameter) -> None:
    """A valid value passes and a text is refused by name."""
    value = valid(parameter)
    needs = {"logprobs": True} if parameter.name == "top_logprobs" else {}
    assert check_params({**needs, parameter.name: value}, Profile())[parameter.name] == value
    with pytest.raises(ConfigError, match=rf"params\.{parameter.name}"):
        check_params({parameter.name: 1 if parameter.form == "text" else "text"}, Profile())


@pytest.mark.parametrize("parameter", NUMERIC, ids=name)
def test_a_profile_narrows_a_range(parameter: Parameter) -> None:
    """The profile's range holds for the body, and a range of anything else is refused."""
    narrow = Profile(ranges={parameter.name: (0, 0)})
    with pytest.raises(ConfigError, match=parameter.name):
        check_params({"logprobs": True, parameter.name: 1}, narrow)
    with pytest.raises(ValueError, match="not a numeric parameter: did you mean `temperature`"):
        Profile(ranges={"temperatur": (0, 1)})


@pytest.mark.parametrize("parameter", PARAMETERS, ids=name)
def test_a_row_is_an_axis_a_label_a_column_and_an_import(parameter: Parameter) -> None:
    """It is swept, named in labels, stored where it has a column, and read from files."""
    run = config({parameter.name: [None, valid(parameter)]})
    settings = expand_sweep(run, {"local": "local:1", "other": "https://other"})
    labels = [setting.label for setting in label_settings(settings)]
    assert labels[0] == f"{parameter.label or parameter.name}=none"
    columns = {column.name for column in RECORDS}
    # A parameter may share its name with a column of the response.
    assert (parameter.name in columns) == (parameter.column or parameter.name == "service_tier")
    assert (parameter.name in SentParams.__struct_fields__) == parameter.column
    assert (parameter.name in ColumnReaders().params) == parameter.in_imports
    assert parameter.name in KNOWN_PARAMS
    assert f"| `{parameter.name}` |" in markdown()


@pytest.mark.parametrize("parameter", [p for p in NUMERIC if p.form == "integer"], ids=name)
def test_a_range_of_whole_numbers_is_sampled_in_whole_numbers(parameter: Parameter) -> None:
    """Every sampling method gives values that the parameter takes."""
    low = int(parameter.range[0] or 1)
    sweep = {"method": "lhs", "samples": 3, parameter.name: {"min": low, "max": low + 9}}
    needs = {"logprobs": True} if parameter.name == "top_logprobs" else {}
    identities = {"local": "local:1", "other": "https://other"}
    for setting in expand_sweep(config(sweep=sweep, params=needs), identities):
        assert isinstance(setting.params[parameter.name], int)


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 9),
        ({"extra": {"max_completion_tokens": 7}}, 7),
        ({"max_completion_tokens": None}, None),
    ],
)
def test_either_limit_bounds_an_answer(params: dict[str, Any], limit: int | None) -> None:
    """Of two limits a server may know only one, so the larger one is the bound."""
    assert output_limit(params) == limit


def test_a_prompt_may_take_a_limit_away_or_add_one() -> None:
    """A prompt's null removes a parameter, and its `extra` is merged key by key."""
    base = {"max_tokens": 5, "extra": {"max_completion_tokens": 7, "a": 1}}
    assert merge_params(base, {"max_tokens": None})["extra"] == base["extra"]
    merged = merge_params(base, {"max_tokens": None, "extra": {"max_completion_tokens": None}})
    assert output_limit(merged) is None
    assert output_limit(merge_params(base, {"extra": {"b": 2}})) == 7
