"""What is needed to repeat a run, and to know what ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evalharness.config.limit_changes import value_text
from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.build.provenance import (
    EndpointThrottle,
    Provenance,
    RunEnvironment,
    Session,
    StoredPart,
    provenance,
)
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.money.price_text import price_origin
from evalharness.report.sections.money.section import PRICES
from evalharness.report.sections.run import RUN
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import duration, instant, percent
from evalharness.report.words.sanitize import printable
from evalharness.store.folder.control import ControlChange

_CONSOLE_SESSIONS = 3  # the newest ones, whose concurrency is shown; the JSON has all
_PAGE_SESSIONS = 6
_CONSOLE_CHANGES = 6
_MAX_NAMES = 12  # served models or fingerprints listed


def _build(context: BuildContext) -> Provenance:
    return provenance(context.run_data.run, context.run_data.settings)


# ── concurrency ──────────────────────────────────────────────────────────────────────────────────


def concurrency_lines(throttle: Iterable[EndpointThrottle]) -> list[str]:
    """How adaptive concurrency changed the limits: one line for each endpoint and session.

    There is none where it was off.
    """
    return [_concurrency(entry) for entry in throttle if entry.adaptive]


def _concurrency(entry: EndpointThrottle) -> str:
    limits = [change.limit for change in entry.changes]
    reasons = Counter(change.reason for change in entry.changes[1:])
    why = ", ".join(f"{count}× {reason}" for reason, count in reasons.most_common())
    course = f"{limits[0]} at first, {min(limits)} to {max(limits)}, {limits[-1]} at last"
    return f"{entry.endpoint}: {course if why else f'{limits[0]} throughout'}" + (
        f" ({why})" if why else ""
    )


# ── changes while it ran ─────────────────────────────────────────────────────────────────────────


def change_lines(changes: Iterable[ControlChange]) -> list[str]:
    """What users changed while the run went on, one line for each change."""
    return [_change(change) for change in changes]


def _change(change: ControlChange) -> str:
    if change.command == "set":
        what = f"limits.{change.key} {value_text(change.old)} → {value_text(change.new)}"
    elif change.command == "restart":
        what = "started again, with the limits of the configuration"
    else:
        what = "paused" if change.command == "pause" else "resumed"
    reason = f" ({change.reason})" if change.reason else ""
    at = change.at[:19].replace("T", " ")
    return f"{at} UTC {what} by {change.who}{reason}"


def _console(report: ReportData, _: int) -> ConsolePart:
    lines = concurrency_lines(report[PROVENANCE].throttle)[-_CONSOLE_SESSIONS:]
    changes = change_lines(report[PROVENANCE].control)
    shown = [f"adaptive concurrency, {line}" for line in lines]
    shown += [f"changed while it ran: {line}" for line in changes[-_CONSOLE_CHANGES:]]
    if len(changes) > _CONSOLE_CHANGES:
        shown.append(f"and {len(changes) - _CONSOLE_CHANGES} earlier changes (--json has all)")
    return ConsolePart([], [printable(line) for line in shown])


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


class PriceOrigin(NamedTuple):
    """Where a price comes from: its model and provider, whether it is free, table and source."""

    model: str
    provider: str
    free: bool
    origin: str


class ProvenanceView(NamedTuple):
    """What the page shows: facts by name, prices, the resolved YAML, and whether limits changed."""

    facts: list[tuple[str, str]]
    prices: list[PriceOrigin]
    config: str | None
    changed: bool


def _view(context: PageContext) -> ProvenanceView:
    prices = [
        PriceOrigin(
            p.model,
            f"{p.provider or 'any provider'}{', in batches' if p.batch_basis else ''}",
            p.free,
            price_origin(p),
        )
        for p in context.report[PRICES].used
    ]
    made_by = context.report[PROVENANCE]
    changed = any(change.command == "set" for change in made_by.control)
    return ProvenanceView(_facts(context.report), prices, made_by.config, changed)


def _facts(report: ReportData) -> list[tuple[str, str]]:
    run, settings, made_by = report[RUN], report[SETTINGS], report[PROVENANCE]
    environment = made_by.environment
    concurrency = concurrency_lines(made_by.throttle)[-_PAGE_SESSIONS:]
    versions = environment.packages.items()
    facts = [
        ("Run", f"{run.name}, {run.status}"),
        ("Created", instant(run.created_at)),
        ("Last change", instant(run.updated_at)),
        ("evalharness", f"{run.code_version}, storage schema {run.schema_version}"),
        ("Machine", _machine(environment)),
        ("Client", _client(made_by.sessions)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in versions)),
        ("Endpoints", ", ".join(made_by.endpoints)),
        ("Certificates not checked", ", ".join(made_by.unverified)),
        ("Served models", _names_with_counts(row.response_models for row in settings)),
        ("System fingerprints", _names_with_counts(row.system_fingerprints for row in settings)),
        ("Adaptive concurrency", "; ".join(concurrency)),
        ("Limits changed while it ran", "; ".join(change_lines(made_by.control))),
        ("Files", _files(made_by.files)),
    ]
    return [(name, value) for name, value in facts if value]


def _machine(environment: RunEnvironment) -> str:
    if environment == RunEnvironment():
        return ""
    cpus, python = f"{environment.cpus} CPUs", f"Python {environment.python}"
    return ", ".join(part for part in (environment.platform, cpus, python) if part)


def _client(sessions: Sequence[Session]) -> str:
    """How busy the client was while it sent; empty where it was not recorded."""
    sending_s = sum(session.seconds or 0.0 for session in sessions)
    if not sending_s:
        return ""
    cpu_s = sum(session.cpu_s or 0.0 for session in sessions)
    times = plural(len(sessions), "session")
    return (
        f"{percent(cpu_s / sending_s)} of a core while sending for {duration(sending_s)}, {times}"
    )


def _names_with_counts(by_setting: Iterable[Mapping[str, int]]) -> str:
    total: Counter[str] = Counter()
    for counts in by_setting:
        total.update(counts)
    rest = len(total) - _MAX_NAMES
    names = [f"{name} ({count:,}×)" for name, count in total.most_common(_MAX_NAMES)]
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def _files(parts: Sequence[StoredPart]) -> str:
    if not parts:
        return ""
    size = sum(part.bytes for part in parts) / 1e6
    return f"{plural(len(parts), 'Parquet part')}, {size:,.1f} MB"


_TEMPLATE = """\
<dl class="list">{% for name, value in view.facts %}<dt>{{ name }}</dt><dd><bdi>{{ value }}</bdi></dd>{% endfor %}
{% for p in view.prices %}<dt>Price</dt><dd><bdi>{{ p.model }}</bdi> ({{ p.provider }}): {% if p.free %}free, {% endif %}<bdi>{{ p.origin }}</bdi></dd>{% endfor %}
<dt>The same as data</dt><dd><code>evalharness report {{ run_argument }} --json</code></dd></dl>
{% if view.config %}<details><summary>Resolved configuration{% if view.changed %}, as the run began; limits were changed while it ran (above){% endif %}</summary><pre class="config">{{ view.config }}</pre></details>{% endif %}
"""  # noqa: E501 — an entry is one line of the page

PROVENANCE: Section[Provenance] = Section(
    "provenance",
    Provenance,
    _build,
    title="how the run was made: configuration, versions, sessions, limits, files",
    console=_console,
    page=PagePart(
        anchor="provenance",
        link="Provenance",
        heading="Provenance",
        template=_TEMPLATE,
        view=_view,
    ),
)
