"""The JSON Schema of configurations: valid, complete, and true to what is shipped and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from evalharness.cli import main
from evalharness.cli.project.config_schema import config_schema
from evalharness.cli.project.key_descriptions import Group
from evalharness.config.package_data import package_data_dir
from evalharness.config.strict_yaml import parse_yaml

SHIPPED = sorted(package_data_dir("configs").rglob("*.yaml"))
GROUPS: tuple[Any, ...] = get_args(Group)


def errors_in(group: Any, config: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(config_schema(group))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(config)]


@pytest.mark.parametrize("group", GROUPS)
def test_a_schema_is_valid(group: Any) -> None:
    """By the meta-schema, with every reference found."""
    schema = config_schema(group)
    jsonschema.Draft202012Validator.check_schema(schema)
    names = {ref.removeprefix("#/$defs/") for ref in references(schema)}
    assert names <= schema["$defs"].keys()


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_is_valid(path: Path) -> None:
    """A file of a group by the schema of its group, a global one by that of a configuration."""
    text = path.read_text("utf-8")
    whole = "# @package _global_" in text or path.parent.name not in GROUPS
    assert errors_in("experiment" if whole else path.parent.name, parse_yaml(text)) == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_has_a_description(group: Any) -> None:
    """An editor explains each key: those of the structs, parameters, axes and scorers."""
    schema = config_schema(group)
    silent = [
        f"{name}.{key}"
        for name, part in {"": schema, **schema["$defs"]}.items()
        for key, value in part.get("properties", {}).items()
        if name != "scorer" and not value.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("group", "wrong", "where"),
    [
        ("experiment", "repeats: many", "$.repeats"),
        ("experiment", "repeets: 3", "repeets"),
        ("experiment", "params: {temprature: 1}", "temprature"),
        ("experiment", "limits: {rpm: 0}", "$.limits.rpm"),
        ("experiment", "scoring: [{name: exact, ignore_cas: true}]", "$.scoring[0]"),
        ("experiment", "load: {arrival: poison}", "$.load"),
        ("provider", "{kind: remot}", "$.kind"),
        ("sweep", "temperature: [hot]", "$.temperature"),
        ("sweep", "temprature: [1]", "temprature"),
        ("pricing", "price: []", "price"),
    ],
)
def test_what_the_command_refuses_is_marked(group: Any, wrong: str, where: str) -> None:
    """A misspelt key, a wrong type, a value out of range."""
    found = errors_in(group, yaml.safe_load(wrong))
    assert found
    assert any(where in error for error in found), found


def test_what_hydra_composes_is_accepted() -> None:
    """Interpolations, missing values, named axes, presets and scorers of plugins."""
    config = """
    defaults: [{override /provider: local}]
    name: mine
    repeats: ${oc.env:REPEATS}
    provider: {name: mine, kind: remote, model: "???"}
    limits: {max_cost_usd: 1.5, rpm: "${rpm}"}
    sweep: {system: {terse: "@prompts/terse.txt", none: null}, temperature: [0, null], extra.k: [1],
            top_p: {min: 0.1, max: 1}, method: lhs, samples: 4}
    scoring: [exact, {name: numeric, tolerance: 0.1, label: near}, {name: of_a_plugin, x: 1}]
    answer: {choice: ["yes", "no"]}
    """
    assert errors_in("experiment", yaml.safe_load(config)) == []


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`evalharness schema config` for the whole, `--group` for the files of a group."""
    assert main(["schema", "config", "--group", "limits"]) == 0
    assert json.loads(capsys.readouterr().out) == config_schema("limits")
    assert main(["schema", "provider"]) == 2
    assert "schema config --group provider" in capsys.readouterr().err
