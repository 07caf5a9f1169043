"""``evalharness check RUN``: a gate for CI. Exit 1 when something does not hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalharness.analysis.summary import summarise
from evalharness.cli.junit import junit_xml
from evalharness.errors import EXIT_FAILED, EXIT_OK, ConfigError
from evalharness.report.build.open_run import RunData, open_run
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.words.sanitize import printable
from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably
from evalharness.store.folder.run import Run

Row = dict[str, Any]


class Gate(msgspec.Struct, frozen=True):
    """One limit that a run can be checked against.

    ``value`` and ``bounds`` read a setting of the report's JSON; ``least`` says whether the limit
    is the least allowed (else the most). A ``share`` lies in 0..1. ``per_run`` gates are summed
    over settings, and a sum has no interval. ``unknown`` says why there may be no value.
    """

    flag: str
    what: str
    value: Callable[[Row], float | None]
    bounds: Callable[[Row], Sequence[float | None] | None]
    least: bool
    unknown: str
    share: bool = False
    per_run: bool = False


def _get(value: Row | None, key: str) -> Any:
    """A key of an object that may be null as a whole."""
    return None if value is None else value.get(key)


def _percentile(name: str) -> Callable[[Row], Sequence[float | None] | None]:
    return lambda r: _get(_get(r["latency_s"], "ci95"), name)


def _score_bounds(row: Row) -> Sequence[float | None] | None:
    """The interval of the mean score; by clusters, where prompts name them."""
    score = row["score"]
    return _get(score, "ci95_clusters" if score and "ci95_clusters" in score else "ci95")


def _known_cost(row: Row) -> float | None:
    """What a setting cost: the larger of what was computed and what the provider says it billed.

    None where neither is known for every delivered answer: a sum over some of them is only a lower
    bound.
    """
    cost = row["cost_usd"]
    pairs = ((cost["total"], cost["unknown"]), (cost["billed_total"], cost["billed_unknown"]))
    known = [total or 0.0 for total, unknown in pairs if not unknown]
    return max(known) if known else None


# A mean that equals the limit may differ from it in the last bit of a float.
_ROUNDING = 1e-9
_ONE_REPEAT = "no prompt has two usable repeats; repeats=3 would give it"
_NO_LATENCY = "no delivered answer has a latency"

GATES: tuple[Gate, ...] = (
    Gate(
        "min_agreement",
        "pairwise agreement of raw text",
        lambda r: r["agreement"]["raw"]["pairwise"],
        lambda r: r["agreement"]["raw"]["ci95"],
        least=True,
        unknown=_ONE_REPEAT,
        share=True,
    ),
    Gate(
        "min_answer_agreement",
        "pairwise agreement of answers",
        lambda r: r["agreement"]["answer"]["pairwise"],
        lambda r: r["agreement"]["answer"]["ci95"],
        least=True,
        unknown=f"no answers are defined (answer=…), or {_ONE_REPEAT}",
        share=True,
    ),
    Gate(
        "min_score",
        "mean score",
        lambda r: _get(r["score"], "mean"),
        _score_bounds,
        least=True,
        unknown="no record has a score",
        share=True,
    ),
    Gate(
        "max_error_share",
        "share of failed trials",
        lambda r: r["status_share"]["error"],
        lambda r: _complement(r["availability_ci95"]),
        least=False,
        unknown="no trial is recorded",
        share=True,
    ),
    Gate(
        "max_latency_p50_s",
        "median latency in seconds",
        lambda r: _get(r["latency_s"], "p50"),
        _percentile("p50"),
        least=False,
        unknown=_NO_LATENCY,
    ),
    Gate(
        "max_latency_p95_s",
        "95th percentile of latency in seconds",
        lambda r: _get(r["latency_s"], "p95"),
        _percentile("p95"),
        least=False,
        unknown=_NO_LATENCY,
    ),
    Gate(
        "max_cost_usd",
        "cost in US dollars",
        _known_cost,
        lambda _r: None,
        least=False,
        unknown="not every record has a known cost; --pricing FILE gives prices",
        per_run=True,
    ),
)


class Verdict(NamedTuple):
    """Whether one gate held for one setting (or the whole run).

    ``value`` None: not known; ``bound`` None: not asked for, or not known. ``reason`` says why
    the gate fails although no measured figure breaks it.
    """

    gate: Gate
    label: str
    limit: float
    value: float | None
    bound: float | None
    holds: bool
    reason: str = ""

    @property
    def name(self) -> str:
        """What was checked, and of which setting."""
        return f"{self.label}: {self.gate.what}"

    @property
    def sentence(self) -> str:
        """The verdict in words, beginning with ``ok`` or ``FAIL``."""
        sign = "≥" if self.gate.least else "≤"
        shown = "unknown" if self.value is None else f"{self.value:.4g}"
        bound = "" if self.bound is None else f" (95 % bound {self.bound:.4g})"
        verdict = "ok  " if self.holds else "FAIL"
        reason = f": {self.reason}" if self.reason else ""
        return (
            f"{verdict} {self.label}: {self.gate.what} {shown}{bound}, "
            f"needed {sign} {self.limit:g}{reason}"
        )


class CheckOptions(NamedTuple):
    """The flags of ``evalharness check``.

    ``settings`` are labels or ids, empty for all; ``overrides`` are ``scoring=…`` and ``answer=…``;
    ``partial`` also checks a run that is not complete.
    """

    confident: bool = False
    junit: str | None = None
    settings: Sequence[str] = ()
    overrides: Sequence[str] = ()
    pricing: str | None = None
    partial: bool = False


def check(run: str, limits: dict[str, float], options: CheckOptions) -> int:
    """Hold a run to its gates; with ``confident`` the interval's worse bound must hold.

    What is unknown does not hold: a gate on a score fails for a run without scores, and a run
    that is not complete fails as a whole, whatever its figures so far.

    Raises:
        ConfigError: no gate, a limit that no figure could meet or miss, an unknown setting.
    """
    _check_limits(limits)
    pricing = None if options.pricing is None else Path(options.pricing)
    source = open_run(Run.open(run), parse_overrides(options.overrides, pricing=pricing))
    rows = _select_settings(summarise(source.frame)["settings"], options.settings)
    verdicts = list(_verdicts(rows, limits, options))
    for verdict in verdicts:
        print(printable(verdict.sentence))
    incomplete = None if options.partial else _incomplete_reason(source)
    if incomplete is not None:
        print(f"FAIL the run: {printable(incomplete)}")
    if options.junit is not None:
        page = junit_xml(source.run.name, verdicts, incomplete)
        write_bytes_durably(Path(options.junit), page, mode=USER_FILE_MODE)
    failed = [v for v in verdicts if not v.holds]
    print(f"{len(verdicts) - len(failed)} of {len(verdicts)} checks hold", file=sys.stderr)
    return EXIT_FAILED if failed or incomplete else EXIT_OK


def _check_limits(limits: dict[str, float]) -> None:
    if not limits:
        raise ConfigError("check needs a gate", hint="evalharness check RUN --min-agreement 0.9")
    for gate in GATES:
        limit = limits.get(gate.flag)
        if limit is None:
            continue
        flag = f"--{gate.flag.replace('_', '-')}"
        if gate.share and not 0 <= limit <= 1:
            hint = f"{flag} {limit / 100:g}" if 1 < limit <= 100 else None
            raise ConfigError(f"{flag} {limit:g}: a share lies between 0 and 1", hint=hint)
        if not (math.isfinite(limit) and limit >= 0):
            raise ConfigError(f"{flag} {limit:g}: must be a number, not below 0")


def _select_settings(rows: list[Row], names: Sequence[str]) -> list[Row]:
    for name in names:
        if not any(name in (row["label"], row["setting_id"]) for row in rows):
            raise ConfigError(
                f"--setting {name}: no setting is called so",
                hint="one of: " + " · ".join(row["label"] for row in rows[:20]),
            )
    if not names:
        return rows
    return [row for row in rows if row["label"] in names or row["setting_id"] in names]


def _incomplete_reason(source: RunData) -> str | None:
    manifest = source.run.manifest
    if manifest.status in ("complete", "imported"):
        return None
    planned = "" if manifest.planned is None else f" of {manifest.planned} planned trials"
    recorded = f"{len(source.records)}{planned} recorded"
    return f"it is {manifest.status}, with {recorded}; --partial checks it as it is"


def _verdicts(
    rows: list[Row], limits: dict[str, float], options: CheckOptions
) -> Iterator[Verdict]:
    for gate in GATES:
        limit = limits.get(gate.flag)
        if limit is None:
            continue
        if gate.per_run:
            values = [gate.value(row) for row in rows]
            known = [v for v in values if v is not None]
            total = math.fsum(known) if len(known) == len(values) else None
            label = "the run" if not options.settings else "these settings together"
            yield _verdict(gate, label, limit, total, None, confident=False)
            continue
        for row in rows:
            bounds = gate.bounds(row)
            yield _verdict(
                gate, row["label"], limit, gate.value(row), bounds, confident=options.confident
            )


def _verdict(
    gate: Gate,
    label: str,
    limit: float,
    value: float | None,
    bounds: Sequence[float | None] | None,
    *,
    confident: bool,
) -> Verdict:
    if value is None:
        return Verdict(gate, label, limit, None, None, holds=False, reason=gate.unknown)
    bound = None
    checked = value
    if confident:
        bound = None if bounds is None else bounds[0 if gate.least else 1]
        if bound is None:  # an interval that is undefined proves nothing
            reason = "too few values for a 95 % interval"
            return Verdict(gate, label, limit, value, None, holds=False, reason=reason)
        # A t interval of few prompts may reach beyond what a share can be.
        checked = bound = min(1.0, max(0.0, bound)) if gate.share else bound
    margin = checked - limit if gate.least else limit - checked
    holds = margin >= -_ROUNDING * (1.0 if gate.share else limit)
    return Verdict(gate, label, limit, value, bound, holds)


def _complement(bounds: list[float] | None) -> list[float] | None:
    return None if bounds is None else [1 - bounds[1], 1 - bounds[0]]
