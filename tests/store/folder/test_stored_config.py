"""The configuration stored with a run, as reports and the reconciliation read it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.errors import ConfigError
from evalharness.reconcile import find_log_sources
from evalharness.store.folder.run import Run
from tests.store.sample_run import open_store

ONE = """provider: {kind: remote, name: a, model: m, base_url: "https://a.example/v1"}
pricing: {free: [a]}
unknown_to_a_report: 1
"""
TWO = """provider: {kind: remote, name: b, model: m, base_url: "https://b.example/v1",
  profile: {price_source: dashscope}}
providers: {a: {kind: remote, name: a, model: m, base_url: "https://a.example/v1"}}
"""


def run_with(root: Path, config: str | None) -> Run:
    """A run with that ``config.yaml``; None for an imported run, which has none."""
    open_store(root).close()
    if config is None:
        (root / "config.yaml").unlink()
    else:
        (root / "config.yaml").write_text(config)
    return Run.open(root)


def test_each_job_of_a_multirun_has_its_configuration(tmp_path: Path) -> None:
    """A report reads that of the first job; the logs of all of them are asked."""
    run = run_with(tmp_path / "run", f"# Resolved.\n--- # job 0\n{ONE}--- # job 1\n{TWO}")
    first, second = run.configs()
    assert first.pricing == {"free": ["a"]}
    assert first.price_aliases() == {}
    assert second.price_aliases() == {"b": "dashscope"}
    sources = find_log_sources(run.configs(), ["a", "b"])
    assert [source.provider for source in sources] == ["a", "b"]


def test_an_imported_run_has_the_defaults(tmp_path: Path) -> None:
    """It was not configured here, and no provider can be asked for its log."""
    run = run_with(tmp_path / "run", None)
    (config,) = run.configs()
    assert (config.scoring, config.pricing, config.load) == ([], {}, None)
    with pytest.raises(ConfigError, match="an imported run has no provider to ask"):
        find_log_sources(run.configs(), ["a"])


@pytest.mark.parametrize("text", ["provider: {kind: [", "scoring: 3\n", "provider: {kind: 3}\n"])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    """The message says which file cannot be read."""
    run = run_with(tmp_path / "run", text)
    with pytest.raises(ConfigError, match=r"the run's config\.yaml cannot be read") as refused:
        find_log_sources(run.configs(), ["a"])
    assert "Expected" not in refused.value.message  # the words are not the decoder's
    assert "put a copy of it back" in (refused.value.hint or "")
