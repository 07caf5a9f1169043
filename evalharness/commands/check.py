"""``evalharness check RUN``: a gate for CI. Exit 1 when something does not hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import msgspec

from evalharness.errors import EXIT_FAILED, EXIT_OK, ConfigError
from evalharness.report.build import Options, build
from evalharness.report.text import printable
from evalharness.store.files import publish_bytes
from evalharness.store.run import Run

Row = dict[str, Any]


class Gate(msgspec.Struct, frozen=True):
    """One promise a run can be held to.

    ``value`` and ``bounds`` read a setting of the report's JSON; ``least`` says whether the limit
    is the least allowed (else the most). ``per_run`` gates are summed over settings.
    """

    flag: str
    what: str
    value: Callable[[Row], float | None]
    bounds: Callable[[Row], list[float] | None]
    least: bool
    per_run: bool = False


def _part(value: Row | None, key: str) -> Any:
    """A key of a part of the JSON that may be null altogether."""
    return None if value is None else value.get(key)


def _no_bounds(_row: Row) -> None:
    return None


GATES: tuple[Gate, ...] = (
    Gate(
        "min_agreement",
        "pairwise agreement of raw text",
        lambda r: r["agreement"]["raw"]["pairwise"],
        lambda r: r["agreement"]["raw"]["ci95"],
        least=True,
    ),
    Gate(
        "min_answer_agreement",
        "pairwise agreement of answers",
        lambda r: r["agreement"]["answer"]["pairwise"],
        lambda r: r["agreement"]["answer"]["ci95"],
        least=True,
    ),
    Gate(
        "min_score",
        "mean score",
        lambda r: _part(r["score"], "mean"),
        lambda r: _part(r["score"], "ci95"),
        least=True,
    ),
    Gate(
        "max_error_share",
        "share of failed trials",
        lambda r: None if r["availability"] is None else 1 - r["availability"],
        lambda r: _complement(r["availability_ci95"]),
        least=False,
    ),
    Gate(
        "max_latency_p50_s",
        "median latency in seconds",
        lambda r: _part(r["latency_s"], "p50"),
        _no_bounds,
        least=False,
    ),
    Gate(
        "max_latency_p95_s",
        "95th percentile of latency in seconds",
        lambda r: _part(r["latency_s"], "p95"),
        _no_bounds,
        least=False,
    ),
    Gate(
        "max_cost_usd",
        "cost of the run in US dollars",
        lambda r: _part(r["cost_usd"], "total"),
        _no_bounds,
        least=False,
        per_run=True,
    ),
)


class Verdict(NamedTuple):
    """Whether one gate held for one setting (or the whole run). ``value`` None: not known."""

    gate: Gate
    label: str
    limit: float
    value: float | None
    bound: float | None
    holds: bool

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        sign = "≥" if self.gate.least else "≤"
        shown = "unknown" if self.value is None else f"{self.value:.4g}"
        bound = "" if self.bound is None else f" (95 % bound {self.bound:.4g})"
        verdict = "ok  " if self.holds else "FAIL"
        return (
            f"{verdict} {self.label}: {self.gate.what} {shown}{bound}, wanted {sign} {self.limit:g}"
        )


def check(run: str, limits: dict[str, float], *, confident: bool, junit: str | None) -> int:
    """Hold a run to its gates; with ``confident`` the interval's worse bound must hold.

    What is unknown does not hold: a gate on a score fails for a run without scores.
    """
    if not limits:
        raise ConfigError("check needs a gate", hint="evalharness check RUN --min-agreement 0.9")
    built = build(Run.open(run), Options())
    verdicts = list(_verdicts(built.data["settings"], limits, confident=confident))
    for verdict in verdicts:
        print(printable(verdict.sentence))
    if junit is not None:
        publish_bytes(Path(junit), _junit(built.run.name, verdicts))
    failed = [v for v in verdicts if not v.holds]
    print(
        f"{len(verdicts) - len(failed)} of {len(verdicts)} checks hold",
        file=sys.stderr,
    )
    return EXIT_FAILED if failed else EXIT_OK


def _verdicts(rows: list[Row], limits: dict[str, float], *, confident: bool) -> Iterator[Verdict]:
    for gate in GATES:
        limit = limits.get(gate.flag)
        if limit is None:
            continue
        if gate.per_run:
            values = [gate.value(row) for row in rows]
            known = [v for v in values if v is not None]
            total = sum(known) if len(known) == len(values) else None
            yield _verdict(gate, "the run", limit, total, None, confident=False)
            continue
        for row in rows:
            bounds = gate.bounds(row)
            yield _verdict(gate, row["label"], limit, gate.value(row), bounds, confident=confident)


def _verdict(
    gate: Gate,
    label: str,
    limit: float,
    value: float | None,
    bounds: list[float] | None,
    *,
    confident: bool,
) -> Verdict:
    bound = None
    if confident and gate.bounds is not _no_bounds:
        bound = None if bounds is None else bounds[0 if gate.least else 1]
        judged = bound  # an interval that is undefined proves nothing
    else:
        judged = value
    holds = judged is not None and (judged >= limit if gate.least else judged <= limit)
    return Verdict(gate, label, limit, value, bound, holds)


def _complement(bounds: list[float] | None) -> list[float] | None:
    return None if bounds is None else [1 - bounds[1], 1 - bounds[0]]


def _junit(run: str, verdicts: list[Verdict]) -> bytes:
    failures = sum(1 for v in verdicts if not v.holds)
    suite = ET.Element(
        "testsuite", name=f"evalharness {run}", tests=str(len(verdicts)), failures=str(failures)
    )
    for verdict in verdicts:
        name = f"{_xml(verdict.label)}: {verdict.gate.what}"
        case = ET.SubElement(suite, "testcase", classname=_xml(run), name=name)
        if not verdict.holds:
            ET.SubElement(case, "failure", message=_xml(verdict.sentence.removeprefix("FAIL ")))
    return ET.tostring(suite, encoding="utf-8", xml_declaration=True)


def _xml(text: str) -> str:
    """Text that XML can hold: it has no way to write control characters."""
    return "".join(c for c in printable(text) if c >= " " or c in "\n\t")
