"""How a run was made, from what its manifest holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evalharness.errors import StorageError
from evalharness.report.build.provenance import EndpointThrottle, provenance
from evalharness.report.build_report import Report
from evalharness.report.section import PageContext
from evalharness.report.sections.provenance import PROVENANCE, concurrency_lines
from evalharness.store.folder.run import Run

CHANGE = {"at": "2026-11-30T10:00:00.000+00:00"}


def _throttle(adaptive: bool, *changes: tuple[int, str]) -> EndpointThrottle:
    entry = {
        "endpoint": "e", "adaptive": adaptive, "rpm": None, "tpm": None, "omitted": 0,
        "changes": [{**CHANGE, "limit": limit, "reason": reason} for limit, reason in changes],
    }  # fmt: skip
    return msgspec.convert(entry, EndpointThrottle)


def test_adaptive_concurrency_is_told_by_endpoint() -> None:
    """First, lowest to highest and last limit with reasons; nothing where it was off."""
    entries = [
        _throttle(False, (8, "fixed")),
        _throttle(True, (20, "start"), (10, "429"), (11, "raised"), (12, "raised")),
        _throttle(True, (20, "start")),
    ]
    assert concurrency_lines(entries) == [
        "e: 20 at first, 10 to 20, 12 at last (2× raised, 1× 429)", "e: 20 throughout",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sessions", "seconds"), [([{"seconds": 2, "sent": 3}], 2.0), ([{"later": 1}], None)]
)
def test_what_a_manifest_does_not_have_is_null(
    sweep: Report, sessions: list[dict[str, Any]], seconds: float | None
) -> None:
    """Manifests of other versions can be read: absent keys are null, unknown ones ignored."""
    manifest = msgspec.structs.replace(sweep.run.manifest, sessions=sessions, environment={})
    run = Run(sweep.run.root, manifest)
    read = provenance(run, run.table("settings"))
    assert read.sessions[0].seconds == seconds
    assert read.sessions[0].loop_lag_s is None
    assert read.environment.python is None


def test_a_manifest_with_another_kind_of_value_is_called_damaged(sweep: Report) -> None:
    """The file and the field are named; there is no traceback."""
    sessions: list[dict[str, Any]] = [{"seconds": "long"}]
    run = Run(sweep.run.root, msgspec.structs.replace(sweep.run.manifest, sessions=sessions))
    with pytest.raises(StorageError, match=r"run\.json is damaged: .*seconds"):
        provenance(run, run.table("settings"))


def test_page_says_what_ran_and_with_which_prices(sweep: Report) -> None:
    """Facts that are not known are left out; an import has no configuration."""
    assert PROVENANCE.page is not None
    view = PROVENANCE.page.view(PageContext(sweep.data, {}, 0))
    facts = dict(view.facts)
    assert facts["Run"].endswith(", imported")
    assert "CPUs, Python" in facts["Machine"]
    assert "Adaptive concurrency" not in facts
    assert view.config is None
    assert all(price.origin for price in view.prices)
