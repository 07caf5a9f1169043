"""The sections of a report in their order: of the JSON, the console, Markdown and the page."""

from __future__ import annotations

from typing import Any

from evalharness.report.section import Section
from evalharness.report.sections import (
    effects,
    extensions,
    groups,
    leaders,
    named_texts,
    pool,
    provenance,
    scoring,
)
from evalharness.report.sections.across.section import ACROSS
from evalharness.report.sections.attempts.section import ATTEMPTS, ERRORS, TIMELINE
from evalharness.report.sections.breakdowns.section import BREAKDOWNS
from evalharness.report.sections.classification.section import CLASSIFICATION
from evalharness.report.sections.comparisons.section import (
    COMPARISONS,
    HEADLINE_LINES,
    NOT_COMPARABLE,
    TRENDS,
)
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.equality.section import EQUALITY
from evalharness.report.sections.headline.section import HEADLINE
from evalharness.report.sections.invariance.quality import QUALITY
from evalharness.report.sections.invariance.section import INVARIANCE
from evalharness.report.sections.judges.section import JUDGES
from evalharness.report.sections.load.section import LOAD
from evalharness.report.sections.logprobs.section import LOGPROB_DISTANCE
from evalharness.report.sections.marks.section import MARKS
from evalharness.report.sections.money.section import MONEY, PRICES
from evalharness.report.sections.prompts.section import LEAST_STABLE, UNSTABLE_PROMPTS
from evalharness.report.sections.repeats.section import REPEAT_DIVERGENCE, REPEAT_NOISE
from evalharness.report.sections.replay.section import REPLAY
from evalharness.report.sections.replicas.section import REPLICAS
from evalharness.report.sections.run import RUN
from evalharness.report.sections.server_metrics.section import SERVER_METRICS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.sections.sweep.section import SWEEP
from evalharness.report.sections.tool_calls.section import TOOL_CALLS
from evalharness.report.sections.turns.section import TURNS
from evalharness.report.sections.workload.section import WORKLOAD

SECTIONS: tuple[Section[Any], ...] = (
    RUN,
    HEADLINE,
    pool.POOLED,
    SETTINGS,
    named_texts.NAMED_TEXTS,
    scoring.SCORERS,
    scoring.ANSWERS,
    CLASSIFICATION,
    scoring.REASONING,
    scoring.SCORER_WARNINGS,
    SWEEP,
    BREAKDOWNS,
    DISTRIBUTIONS,
    LOAD,
    REPLAY,
    WORKLOAD,
    REPLICAS,
    SERVER_METRICS,
    TURNS,
    INVARIANCE,
    QUALITY,
    PRICES,
    MONEY,
    groups.GROUPS,
    ACROSS,
    EQUALITY,
    LOGPROB_DISTANCE,
    TOOL_CALLS,
    REPEAT_DIVERGENCE,
    REPEAT_NOISE,
    leaders.LEADERS,
    COMPARISONS,
    NOT_COMPARABLE,
    TRENDS,
    HEADLINE_LINES,
    effects.EFFECTS,
    JUDGES,
    MARKS,
    LEAST_STABLE,
    UNSTABLE_PROMPTS,
    ERRORS,
    ATTEMPTS,
    TIMELINE,
    provenance.PROVENANCE,
    extensions.EXTENSIONS,
)
