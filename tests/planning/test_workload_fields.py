"""What a synthetic workload may ask of its providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalharness.config.models import parse_run_config
from evalharness.errors import DatasetError
from evalharness.planning.build import build_plan
from evalharness.planning.plan import Plan
from evalharness.planning.workload_fields import exact_outputs


def build(provider: dict[str, Any], params: dict[str, Any] | None = None, **workload: Any) -> Plan:
    config = parse_run_config(
        {
            "params": params or {},
            "name": "w",
            "provider": {"name": "p", "model": "m", **provider},
            "dataset": {"path": "workload:w", "workload": {"requests": 3, **workload}},
        }
    )
    return build_plan([config], {"p": "p"}, root=Path())


def test_a_local_model_has_a_context() -> None:
    """Its own is the bound where none is set; of a remote one nothing is known."""
    local = {"kind": "local", "context_tokens": 1000}
    build(local, prompt_tokens=900, output_tokens=100)
    with pytest.raises(DatasetError, match="900 prompt tokens and 101 of output are more than the"):
        build(local, prompt_tokens=900, output_tokens=101)
    build(local, prompt_tokens=900, output_tokens=101, max_context=1001)
    build({"kind": "remote", "base_url": "https://h/v1"}, prompt_tokens=900, output_tokens=101)


def test_outputs_of_an_exact_length_are_known_before() -> None:
    """But for those that a stop sequence may end."""
    remote = {
        "kind": "remote",
        "base_url": "https://h/v1",
        "profile": {"exact_output": ["ignore_eos"]},
    }
    keys: dict[str, Any] = {"prompt_tokens": 90, "output_tokens": 10}
    assert exact_outputs(build(remote, exact_output=True, **keys)).all()
    assert not exact_outputs(build(remote, {"stop": ["x"]}, exact_output=True, **keys)).any()
    assert not exact_outputs(build(remote, **keys)).any()


def test_every_trial_of_a_row_has_a_salt_of_its_own() -> None:
    """In each repeat and run; without salts a row is sent as it is."""
    remote = {"kind": "remote", "base_url": "https://h/v1"}
    (salted, plain) = (build(remote, salt=salt, prompt_tokens=90) for salt in (True, False))
    (setting,) = salted.settings
    bodies = [
        salted.body(trial)
        for repeat in range(3)
        for trial in salted.round_trials([setting], repeat)
    ]
    assert len({body[:160] for body in bodies}) == len(bodies) == 9
    bodies = [plain.body(trial) for n in range(3) for trial in plain.round_trials([setting], n)]
    assert len(set(bodies)) == 3
