"""Sentences about several runs and the prompts that changed between them, for console and page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalharness.analysis.comparison.prompt_changes import ChangeKind, PromptChange, PromptSide
from evalharness.analysis.comparison.prompt_matching import PromptMatch
from evalharness.process.text import plural
from evalharness.report.build.compared_runs import ComparedRuns
from evalharness.report.build.run_differences import listed
from evalharness.report.sections.comparisons.words import metric_noun
from evalharness.report.words.format_numbers import metric_value, p_number, percent
from evalharness.report.words.plain_table import PlainTable

_MAX_IDS = 12  # prompts in a sentence
_VERBS: dict[ChangeKind, str] = {
    "regressed": "scored lower",
    "improved": "scored higher",
    "unstable": "became unstable",
    "new_error": "had new errors",
}
_KIND_WORDS: dict[ChangeKind, str] = {
    "regressed": "regressed",
    "improved": "improved",
    "unstable": "became unstable",
    "new_error": "new error",
}
NO_CHANGE = (
    "No prompt scored higher or lower, became unstable or had new errors; texts may differ all the "
    "same."
)


def match_lines(runs: ComparedRuns) -> list[str]:
    """How the prompts of each run were matched."""
    return [_match_line(match) for match in runs.prompts]


def _match_line(match: PromptMatch) -> str:
    parts = [f"{match.by_id:,} by id"]
    parts += [f"{match.by_content:,} by content"] if match.by_content else []
    line = f"Prompts of {match.run} matched with {match.baseline}: {', '.join(parts)}"
    apart = [
        f"{len(names):,} {word} ({listed(names, 3)})"
        for word, names in (("new", match.new_prompts), ("gone", match.gone_prompts))
        if names
    ]
    return f"{line}; {', '.join(apart)}." if apart else f"{line}; none is new or gone."


def differences_table(runs: ComparedRuns) -> PlainTable | None:
    """What differs between the runs, a column a run; None where nothing does."""
    if not runs.differences:
        return None
    rows = [
        [row.key, *("not set" if value is None else value for value in row.values)]
        for row in runs.differences
    ]
    return PlainTable("What differs between the runs?", ["key", *runs.runs], rows)


def no_difference_line(runs: ComparedRuns) -> str:
    """What to say where no difference of the configurations is known."""
    if runs.without_configuration:
        return (
            "The configurations of the runs cannot be compared: that of "
            f"{listed(runs.without_configuration)} is not stored (an import has none)."
        )
    return "Nothing differs between the configurations of the runs."


def own_figures_table(runs: ComparedRuns) -> PlainTable | None:
    """The own figures of runs of which no difference can be computed."""
    if not runs.own_figures:
        return None
    rows = [
        [
            f"{f.run}, {f.label}",
            metric_noun(f.metric),
            metric_value(f.metric, f.mean),
            f"{f.prompts:,}",
        ]
        for f in runs.own_figures
    ]
    headings = ["run", "figure", "mean", "prompts"]
    return PlainTable(f"Each run's own figures{_own_figures_of(runs)}", headings, rows)


def _own_figures_of(runs: ComparedRuns) -> str:
    alone = {f.run for f in runs.own_figures} - {runs.baseline}
    common = {match.common > 0 for match in runs.prompts if match.run in alone}
    if len(common) > 1:
        return ""
    return ", under different settings" if True in common else ", over different prompts"


def change_lines(changes: Sequence[PromptChange], runs: ComparedRuns) -> list[str]:
    """How many prompts changed in which way, with their ids."""
    lines: list[str] = []
    for match in runs.prompts:
        if match.run in runs.not_compared:
            what = "setting" if match.common else "prompt"
            lines.append(
                f"{match.run} against {match.baseline}: no prompt was compared, since the two runs "
                f"share no {what}."
            )
            continue
        where = f"{match.run} against {match.baseline}: " if len(runs.prompts) > 1 else ""
        own = [change for change in changes if change.after.run == match.run]
        sentences = [*_kind_lines(own)] or [NO_CHANGE]
        lines += [f"{where}{line}" for line in sentences]
    return lines


def _kind_lines(changes: Sequence[PromptChange]) -> Iterator[str]:
    for kind, verb in _VERBS.items():
        of_kind = [change for change in changes if kind in change.kinds]
        if kind in ("unstable", "new_error"):
            if ids := _ids(of_kind):
                yield f"{plural(len(ids), 'prompt')} {verb}: {listed(ids, _MAX_IDS)}"
            continue
        clear = [c for c in of_kind if c.every_repeat or c.beyond_chance]
        clear_ids = _ids(clear)
        other_ids = [name for name in _ids(of_kind) if name not in clear_ids]
        if clear_ids:
            how = "in every repeat" if all(c.every_repeat for c in clear) else "clearly"
            beyond = len(_ids([c for c in clear if c.beyond_chance]))
            tested = f" ({beyond} beyond chance)" if beyond else ""
            count = plural(len(clear_ids), "prompt")
            yield f"{count} {verb} {how}{tested}: {listed(clear_ids, _MAX_IDS)}"
        if other_ids:
            count = plural(len(other_ids), "prompt")
            yield (
                f"{count} {verb} in some repeats, as one run's own repeats may: "
                f"{listed(other_ids, _MAX_IDS)}"
            )


def _ids(changes: Sequence[PromptChange]) -> list[str]:
    return [*dict.fromkeys(change.prompt_id for change in changes)]


def new_and_gone_lines(runs: ComparedRuns) -> list[str]:
    """The new and the gone prompts of each run."""
    return [f"{heading}: {listed(names, _MAX_IDS)}" for heading, names in new_and_gone(runs)]


def new_and_gone(runs: ComparedRuns) -> list[tuple[str, list[str]]]:
    """``new in RUN`` and ``gone in RUN`` with the ids of the prompts, where there are any."""
    return [
        (f"{word} in {match.run}", names)
        for match in runs.prompts
        for word, names in (("new", match.new_prompts), ("gone", match.gone_prompts))
        if names
    ]


def kinds_text(change: PromptChange) -> str:
    """What became of a prompt."""
    words = [_KIND_WORDS[kind] for kind in change.kinds]
    return ", ".join([*words, *(["beyond chance"] if change.beyond_chance else [])])


def output_text(side: PromptSide) -> str:
    """The commonest output of one side, or why there is none to show."""
    if side.text is None:
        return "no output" if side.errors == side.trials else "text not known"
    return side.text or "(empty)"


def change_cells(change: PromptChange) -> list[str]:
    """Score, agreement and errors of both sides, and p: cells of a table."""
    return [
        _pair(percent(change.before.score), percent(change.after.score)),
        _pair(percent(change.before.agreement), percent(change.after.agreement)),
        _pair(_errors(change.before), _errors(change.after)),
        p_number(change.p_adjusted),
    ]


CHANGE_HEADINGS = ["score", "same output", "errors", "p"]


def _pair(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _errors(side: PromptSide) -> str:
    return f"{side.errors}/{side.trials}"
