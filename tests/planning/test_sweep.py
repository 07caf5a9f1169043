"""Axes → settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.records import Setting


def config(sweep: dict[str, Any], params: dict[str, Any] | None = None) -> RunConfig:
    return RunConfig(
        name="x",
        provider=ProviderConfig(kind="local", name="local", model="m"),
        dataset=DatasetConfig(path="d.jsonl"),
        params=params or {},
        sweep=sweep,
        providers={"other": ProviderConfig(kind="remote", name="other", model="m2", base_url="u")},
    )


def settings(sweep: dict[str, Any], params: dict[str, Any] | None = None) -> list[Setting]:
    identities = {"local": "local:1", "other": "https://other"}
    return label_settings(expand_sweep(config(sweep, params), identities))


def test_a_grid_is_every_combination_and_labels_say_what_varies() -> None:
    """Two axes of two values give four settings, named by the axes alone."""
    found = settings({"temperature": [0, 0.7], "seed": [None, 1]}, {"max_tokens": 5})
    assert [s.label for s in found] == [
        "T=0, seed=none",
        "T=0, seed=1",
        "T=0.7, seed=none",
        "T=0.7, seed=1",
    ]
    assert found[0].params == {"max_tokens": 5, "temperature": 0}
    assert found[3].axes == {"temperature": 0.7, "seed": 1}


def test_no_axis_is_one_setting_named_by_its_model() -> None:
    """sweep=none asks one setting."""
    assert [s.label for s in settings({})] == ["m"]


def test_model_provider_system_and_template_are_axes() -> None:
    """Everything that shapes a request can be swept, under either spelling."""
    found = settings({"provider": ["local", "other"], "dataset": {"system": ["a", "b"]}})
    assert [(s.provider, s.model, s.system) for s in found] == [
        ("local", "m", "a"), ("local", "m", "b"), ("other", "m2", "a"), ("other", "m2", "b"),
    ]  # fmt: skip
    found = settings({"model": ["x", "y"], "extra": {"top_k": [1, 2]}})
    assert [s.params for s in found[:2]] == [{"extra": {"top_k": 1}}, {"extra": {"top_k": 2}}]
    assert found[0].label == "model=x, extra.top_k=1"


def test_equal_numbers_are_one_setting() -> None:
    """0 and 0.0 hash alike, so that a run is not bought again for a spelling."""
    assert (
        settings({"temperature": [0]})[0].setting_id
        == settings({}, {"temperature": 0.0})[0].setting_id
    )


def test_the_identity_covers_what_shapes_a_request() -> None:
    """Another endpoint, model, parameter or system prompt is another setting."""
    shapes: list[dict[str, Any]] = [
        {}, {"temperature": [0]}, {"model": ["z"]}, {"provider": ["other"]}, {"system": ["s"]},
        {"template": ["t"]}, {"seed": [1]},
    ]  # fmt: skip
    ids = [settings(shape)[0].setting_id for shape in shapes]
    assert len(set(ids)) == len(ids)


def test_zip_pairs_values() -> None:
    """method=zip walks the axes together."""
    found = settings({"method": "zip", "temperature": [0, 1], "top_p": [0.5, 1]})
    assert [(s.params["temperature"], s.params["top_p"]) for s in found] == [(0, 0.5), (1, 1)]


@pytest.mark.parametrize("method", ["random", "sobol", "lhs"])
def test_sampling_stays_in_range_and_is_seeded(method: str) -> None:
    """Ranges are sampled inside their bounds, the same for the same seed."""
    sweep: dict[str, Any] = {
        "method": method, "samples": 12, "temperature": {"min": 0, "max": 2},
        "seed": {"min": 1, "max": 1000}, "max_tokens": {"min": 1, "max": 1024, "scale": "log"},
        "top_p": [0.5, 1],
    }  # fmt: skip
    found = settings(dict(sweep))
    assert 1 < len(found) <= 12
    assert all(0 <= s.params["temperature"] <= 2 for s in found)
    assert all(isinstance(s.params["seed"], int) for s in found)
    assert {s.params["top_p"] for s in found} <= {0.5, 1}
    assert [s.setting_id for s in found] == [s.setting_id for s in settings(dict(sweep))]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"temperature": []}, r"`sweep.temperature` has no values"),
        ({"temperatur": [1]}, r"unknown sweep axis `sweep.temperatur`\n.*sweep.temperature"),
        ({"temperature": 1}, r"must be a list of values, or an object that names them, got 1"),
        ({"temperature": [1, 1.0]}, r"1 and 1.0 are the same value"),
        ({"temperature": {"min": 0, "max": 1}}, r"is a range, which method grid cannot visit"),
        ({"temperature": {"min": 1, "max": 0}, "method": "sobol", "samples": 2}, "min must be"),
        ({"temperature": [0], "method": "spiral"}, "`sweep.method` must be one of"),
        ({"temperature": [0], "method": "random"}, "`sweep.samples` must be"),
        ({"temperature": [0], "top_p": [1, 2], "method": "zip"}, "temperature: 1, top_p: 2"),
        ({"provider": ["nobody"]}, "`sweep.provider` names `nobody`"),
    ],
)
def test_a_sweep_that_cannot_be_understood_is_refused(sweep: dict[str, Any], message: str) -> None:
    """Each mistake is named with its key."""
    with pytest.raises(ConfigError, match=message):
        settings(sweep)


@given(st.lists(st.floats(0, 2).map(lambda x: round(x, 3)), min_size=1, max_size=8, unique=True))
def test_a_new_value_leaves_the_other_settings_alone(values: list[float]) -> None:
    """Adding a value to an axis adds one setting; the ids of the others do not move."""
    before = {s.setting_id for s in settings({"temperature": values})}
    after = {s.setting_id for s in settings({"temperature": [*values, 1.99999]})}
    assert before < after
    assert len(after - before) == 1
