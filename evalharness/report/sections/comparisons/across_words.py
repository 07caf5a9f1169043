"""Sentences on the agreement across two settings, or two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalharness.analysis.across.agreement_across import AcrossFigures, AgreementAcross, Verdict
from evalharness.analysis.comparison.comparison import Comparison, is_significant
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import p_value, share_interval, strict_percent
from evalharness.report.words.sanitize import one_line

HEADING = "Agreement across settings"
NOTHING_COMPARED = "Nothing was compared: no two figures belong together."
_MAX_SENTENCES = 3  # with more pairs the table says it
_MAX_NAME = 60  # characters of a setting
_MAX_PROMPT = 40  # characters of a prompt id
_COUNTED: dict[Verdict, tuple[str, str]] = {  # of one pair and of several, in this order
    "apart": ("gives texts further apart than the repeats of each",
               "give texts further apart than the repeats of each"),
    "as repeats": ("gives texts that differ, but not detectably more than the repeats of each",
                   "give texts that differ, but not detectably more than the repeats of each"),
    "not tested": ("gives texts that differ, and has no repeats to test it",
                   "give texts that differ, and have no repeats to test it"),
    "equal": ("gives equal texts throughout", "give equal texts throughout"),
    "unknown": ("has no prompt with a text in both", "have no prompt with a text in both"),
}  # fmt: skip


def are_of_several_runs(rows: Sequence[AgreementAcross]) -> bool:
    """Whether the settings of the pairs belong to more than one run."""
    return len({run for row in rows for run in (row.a_run, row.b_run)}) > 1


def side_names(row: AgreementAcross, with_runs: bool) -> tuple[str, str]:
    """The two settings by their labels, each with its run if asked for."""
    if not with_runs:
        names = row.a_label, row.b_label
    else:
        names = f"{row.a_run}: {row.a_label}", f"{row.b_run}: {row.b_label}"
    return one_line(names[0], _MAX_NAME), one_line(names[1], _MAX_NAME)


def across_sentence(row: AgreementAcross, with_runs: bool) -> str:
    """What the texts of a pair say, and its answers where they say something else."""
    a, b = side_names(row, with_runs)
    text = f"{a} and {b}: {_figures_text(row.text, 'text')}"
    answer = row.answer
    if answer is not None and answer.across is not None and answer.across != row.text.across:
        text += f"; {_figures_text(answer, 'answer')}"
    return f"{text}."


def share_text(row: AcrossFigures) -> str:
    """``93 % [76, 99.8]``: how often both give the same."""
    return f"{strict_percent(row.across)} {share_interval(row.ci95, strict=True)}".strip()


def _figures_text(row: AcrossFigures, noun: str) -> str:
    if row.across is None:
        return f"no prompt has a usable {noun} in both"
    size = plural(row.prompts, "prompt")
    if row.verdict == "unknown":
        return f"no {noun} was parsed in either ({size})"
    if row.verdict == "equal":
        return f"every two outputs have the same {noun} ({size})"
    share = f"the same {noun} in {share_text(row)} of the pairs across ({size})"
    if not row.parsed_a == row.parsed_b == 1.0:
        parsed = f"{strict_percent(row.parsed_a)} and {strict_percent(row.parsed_b)}"
        share += f", where {parsed} of the {noun}s were parsed and an unparsed one equals none"
    if row.own_a is None or row.own_b is None:
        return f"{share}; whether each repeats itself is not known: that needs repeats=2 or more"
    own = f"{strict_percent(row.own_a)} and {strict_percent(row.own_b)} within each"
    if row.verdict == "apart":
        return f"{share}, {own}: further apart than the repeats of each ({_p(row)})"
    differ = f"the {noun}s differ, but not" if row.parsed_a == row.parsed_b == 1.0 else "not"
    return f"{share}, {own}: {differ} detectably more than the repeats of each ({_p(row)})"


def _p(row: AcrossFigures) -> str:
    p = row.p_adjusted
    return "p unknown" if p is None else p_value(p)


def prompts_sentence(row: AgreementAcross, with_runs: bool) -> str:
    """The prompts that are least alike, where the settings are apart; empty elsewhere."""
    if not row.least_alike or not is_significant(row.text.p_adjusted):
        return ""
    a, b = side_names(row, with_runs)
    names = ", ".join(
        f"{one_line(prompt.prompt_id, _MAX_PROMPT)} {strict_percent(prompt.across)}"
        for prompt in row.least_alike
    )
    return f"Least alike across {a} and {b}: {names}."


def texts_differ(rows: Sequence[AgreementAcross]) -> bool:
    """Whether any two settings gave a prompt different texts."""
    return any(row.text.across is not None and row.text.across < 1.0 for row in rows)


def is_anything_compared(rows: Sequence[Comparison], across: Sequence[AgreementAcross]) -> bool:
    """Whether any figure, or any output, is known on both sides."""
    return any(row.n for row in rows) or any(row.text.across is not None for row in across)


def none_detected(rows: Sequence[AgreementAcross], settings: int = 0) -> str:
    """What to say where no figure differs detectably.

    Args:
        rows: the pairs of settings whose outputs were compared.
        settings: how many settings there are, where the pairs may be those of the first ones only.
    """
    cut = _cut_text(rows, settings)
    if texts_differ(rows):
        of = f" of {cut}" if cut else ""
        return (
            f"None of these figures differs detectably, but the outputs{of} differ, {_how(rows)}: "
            "see the agreement across settings."
        )
    if cut:
        return (
            "None of these figures differs detectably; that does not mean equal. The outputs of "
            f"{cut} are equal, those of the others were not compared: evalharness compare RUN "
            "--by AXIS does."
        )
    return "No difference was detected; that does not mean equal."


def _cut_text(rows: Sequence[AgreementAcross], settings: int) -> str:
    """``the first 24 of 26 settings`` where the pairs are not of all; empty where they are."""
    compared = len({side for row in rows for side in ((row.a_run, row.a), (row.b_run, row.b))})
    return f"the first {compared} of {settings} settings" if 0 < compared < settings else ""


def _how(rows: Sequence[AgreementAcross]) -> str:
    verdicts = {row.text.verdict for row in rows}
    if "apart" in verdicts:
        return "by more than the repeats of a setting do"
    if "not tested" in verdicts:
        return "and whether by more than repeats would needs repeats=2 or more"
    return "though not detectably more than the repeats of a setting do"


def across_lines(rows: Sequence[AgreementAcross], settings: int = 0) -> list[str]:
    """Sentences on the pairs; one on all of them where there are many.

    Arguments as of :func:`none_detected`.
    """
    known = [row for row in rows if row.text.across is not None]
    if len(known) > _MAX_SENTENCES:
        return _counts_lines(rows, _cut_text(rows, settings))
    runs = are_of_several_runs(known)
    lines = [
        line for row in known for line in (across_sentence(row, runs), prompts_sentence(row, runs))
    ]
    return [line for line in lines if line]


def _counts_lines(rows: Sequence[AgreementAcross], cut: str) -> list[str]:
    """How many pairs there are of each verdict; every pair is in one of them."""
    of = f"of {cut}" if cut else "of settings"
    counts = Counter(row.text.verdict for row in rows)
    parts = [
        f"{counts[verdict]:,} {singular if counts[verdict] == 1 else plural_form}"
        for verdict, (singular, plural_form) in _COUNTED.items()
        if counts[verdict]
    ]
    lines = [f"{plural(len(rows), 'pair')} {of}: {', '.join(parts)}."]
    if counts["not tested"]:
        lines.append("Whether a setting repeats itself is not known: that needs repeats=2 or more.")
    return lines
