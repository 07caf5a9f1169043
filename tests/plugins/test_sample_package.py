"""The templates of ``docs/extending.md``, installed and used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import evalharness
from evalharness.cli import main
from evalharness.errors import ConfigError
from evalharness.report.json_schema import json_schema

from .conftest import SAMPLE

PAGE = Path(evalharness.__file__).parents[1] / "docs" / "extending.md"
SCORING = "scoring=[{name: acme_words, most: 3}, {name: acme_polite, word: '2'}, {name: includes}]"


@pytest.fixture(autouse=True)
def installed(sample_site: Path, on_path: Callable[[Path], None], work: Path) -> None:
    """The sample is installed, and the folder is empty."""
    on_path(sample_site)


def test_the_page_shows_the_files() -> None:
    """Each template on the page is the file that these tests install."""
    if not PAGE.exists():
        pytest.skip("the pages are only in a checkout")
    blocks = re.findall(
        r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    files = {str(path.relative_to(SAMPLE)) for path in SAMPLE.rglob("*.*") if path.stat().st_size}
    files = {name for name in files if name.endswith((".py", ".toml"))}
    assert {name for name, _ in blocks} == files
    for name, text in blocks:
        assert text == (SAMPLE / name).read_text(), name


def test_all_are_listed_with_their_origin(capsys: pytest.CaptureFixture[str]) -> None:
    """As on the page; nothing fails."""
    assert main(["plugins"]) == 0
    listed = capsys.readouterr().out
    assert listed in PAGE.read_text()
    assert main(["plugins", "--json"]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert entries[-1] == {
        "kind": "report_sections", "name": "acme_lengths", "reference": "acme_eval.sections:lengths",
        "distribution": "acme-eval", "version": "1.2", "problem": None,
    }  # fmt: skip


def test_a_run_uses_all_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, answers, scores and the section of one run come from the package."""
    assert main([
        "run", "name=one", "provider=acme_echo", "dataset.path=acme_sums:4", SCORING, "repeats=2",
    ]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "Longest outputs (acme-eval 1.2)" in printed
    assert "8 records were measured." in printed
    assert "<h3><bdi>Longest outputs (acme-eval 1.2)" in Path("results/one/report.html").read_text()
    report = json.loads(Path("results/one/summary.json").read_text())
    jsonschema.validate(report, json_schema())
    (section,) = report["extensions"]
    assert section["rows"] == [[report["settings"][0]["label"], len("0 + 2 = Please.")]]
    assert section["problem"] is None
    scores = {**report["settings"][0]["scores"], "acme_words": report["settings"][0]["score"]}
    means = {name: score["mean"] for name, score in scores.items()}
    # "0 + 2 = Please." has five words, and a 2; the target is in that of 0 + 2 alone.
    assert means == {"acme_words": 0.0, "acme_polite": 1.0, "includes": 0.25}
    capsys.readouterr()
    assert main(["report", "one", "--markdown", "scoring=acme_words"]) == 0
    assert "**Longest outputs (acme-eval 1.2)**" in capsys.readouterr().out


def test_a_mapping_is_a_provider(capsys: pytest.CaptureFixture[str]) -> None:
    """Its keys are those of a shipped file: model, range, key; also as an axis."""
    assert main(["plan", "provider=acme", "dataset.path=acme_sums:2", "name=x"]) == 0
    assert "acme-small" in capsys.readouterr().out
    given = ["plan", "dataset.path=acme_sums:2", "name=x", "sweep.provider=[acme_echo,acme]"]
    assert main([*given, "provider=acme_echo"]) == 0
    assert "provider=acme, model=acme-small" in capsys.readouterr().out
    assert (
        main(["plan", "provider=acme", "dataset.path=acme_sums:2", "params.temperature=1.5"]) == 2
    )
    assert "from 0.0 to 1.0" in capsys.readouterr().err
    assert main(["run", "provider=acme", "dataset.path=acme_sums:2", "name=x"]) == 2
    assert "ACME_API_KEY" in capsys.readouterr().err


def test_from_python() -> None:
    """The keywords of ``evalharness.run`` take the same names."""
    run = evalharness.run(
        provider="acme_echo", dataset="acme_sums:3", scoring=["acme_polite"], repeats=1,
        name="py", progress=False,
    )  # fmt: skip
    assert run.scores()["scorer"].tolist() == ["acme_polite"]
    assert run.scores()["mean"].tolist() == [1.0]
    (endpoint,) = run.settings()["endpoint"]
    assert endpoint.startswith("python:acme_eval.providers:echo:")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("provider=acme_eco", "did you mean provider=acme_echo?"),
        ("scoring=[{name: acme_polit}]", "did you mean `acme_polite`?"),
        ("scoring=[{name: acme_words, most: 0}]", "`scoring[0].most`: must be a whole number >= 1"),
        ("scoring=[{name: acme_polite, words: x}]", "it takes word"),
        ("dataset.path=acme_sum:4", "did you mean acme_sums:4?"),
        ("dataset.path=acme_sums:x", "acme_sums` of acme-eval 1.2 failed: ValueError: invalid"),
    ],
)
def test_mistakes_are_named(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name, argument or path of a plugin: exit 2, and what to type."""
    assert main(["plan", "provider=acme_echo", "dataset.path=acme_sums:4", given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_plugin_errors_are_exceptions_in_python() -> None:
    """As those of the command."""
    with pytest.raises(ConfigError, match="acme_sums:-1: the dataset has no rows"):
        evalharness.run(provider="acme_echo", dataset="acme_sums:-1", name="no", progress=False)
