"""All outputs of one prompt on the console, grouped by identical text, or as a page.

Each output is followed by the answer extracted from it, and by each scorer's score and reason.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.cli.output_files import output_path
from evalharness.columnar.arrow_ops import where_equal
from evalharness.columnar.record_store import RecordStore
from evalharness.errors import ConfigError
from evalharness.process.text import closest_few, plural
from evalharness.records import shown_content
from evalharness.report.build.scoring import ReportOverrides, score_run
from evalharness.report.words.sanitize import common_prefix, one_line, printable
from evalharness.scoring.run_scores import RunScores
from evalharness.store.folder.run import Run

_COLUMNS = ["prompt_id", "setting_id", "repeat", "status", "text", "refusal", "finish_reason",
            "error_kind", "error_message", "tool_calls_json", "answer", "score"]  # fmt: skip


class OutputGroup(NamedTuple):
    """Equal outputs of one setting, with the repeats that gave them."""

    shown: str
    status: str
    repeats: list[int]
    is_text: bool
    verdicts: list[str]


def print_outputs(
    run: Run, prompt: dict[str, Any], report_overrides: ReportOverrides, *, diff: bool
) -> None:
    """Print a prompt and, setting by setting, its outputs; with ``diff`` their words compared."""
    from rich.console import Console
    from rich.text import Text

    rows = _rows(run, prompt["prompt_id"], report_overrides)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"prompt {printable(prompt['prompt_id'])}", style="bold"))
    for line in _prompt_lines(prompt):
        console.print(Text(f"  {line}"))
    if prompt["target_json"] is not None:
        console.print(Text(f"  target: {printable(prompt['target_json'])}"))
    if prompt.get("scoring_json") is not None:
        console.print(Text(f"  checks: {printable(prompt['scoring_json'])}"))
    all_texts = Counter(row["text"] for row in rows if row["text"] is not None)
    reference = all_texts.most_common(1)[0][0] if all_texts else None
    for setting in run.setting_list:
        setting_rows = [row for row in rows if row["setting_id"] == setting.setting_id]
        if not setting_rows:
            continue
        variants = _group_outputs(setting_rows)
        label = printable(setting.label)
        distinct = len({(v.shown, v.status, v.is_text) for v in variants})
        heading = f"\n{label}: {plural(len(setting_rows), 'repeat')}, {distinct} different"
        console.print(Text(heading, style="bold"))
        for variant in variants:
            repeats = ",".join(map(str, variant.repeats))
            console.print(Text(f"  {len(variant.repeats)}× [{variant.status}] #{repeats}"))
            if not diff:
                console.print(_mark_difference(variant, reference))
            for verdict in variant.verdicts:
                console.print(Text(f"    → {verdict}", style="dim"))
        if diff:
            console.print(_word_diff_text(variants))
    if diff:
        console.print(Text("\n[-only in the commonest-] {+only in the second+}", style="dim"))
    elif reference is not None and len(all_texts) > 1:
        console.print(
            Text("\n▮ marks the first difference from the commonest output of all", style="dim")
        )


def write_page(
    run: Run, prompt_id: str, report_overrides: ReportOverrides, file: str | None
) -> Path:
    """Write the outputs as a page to ``file`` as typed, or into the run's folder; its path."""
    from evalharness.report.build_report import build_report
    from evalharness.report.html_report import write_prompt_html
    from evalharness.store.folder.durable_files import FILE_MODE, USER_FILE_MODE

    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in prompt_id)[:80]
    target = output_path(file) if file else run.root / f"prompt-{name.lstrip('.')}.html"
    built = build_report(run, report_overrides._replace(include_inactive=True))
    write_prompt_html(built, prompt_id, target, mode=USER_FILE_MODE if file else FILE_MODE)
    print(f"written: {target}", file=sys.stderr)
    return target


def read_prompt(run: Run, prompt_id: str) -> dict[str, Any]:
    """The row of a prompt.

    Raises:
        ConfigError: the run has none of this id; the hint names similar ones.
    """
    table = run.table("prompts")
    rows = where_equal(table, "prompt_id", prompt_id).to_pylist()
    if rows:
        return rows[0]
    known = [str(name) for name in table["prompt_id"].to_pylist()]
    close = closest_few(prompt_id, known, 3) or known[:3]
    raise ConfigError(
        f"run `{run.name}` has no prompt `{prompt_id}`",
        hint=f"for instance: {', '.join(close)} ({len(known)} in all)" if known else None,
    )


def _rows(run: Run, prompt_id: str, report_overrides: ReportOverrides) -> list[dict[str, Any]]:
    table = where_equal(run.table("records", [*_COLUMNS]), "prompt_id", prompt_id)
    prompts = where_equal(run.table("prompts"), "prompt_id", prompt_id)
    scored = score_run(run, RecordStore.of_table(table), prompts, report_overrides)
    rows = table.to_pylist()
    for position, row in enumerate(rows):
        row["verdicts"] = _verdict_lines(scored, position, row)
    return sorted(rows, key=lambda row: row["repeat"])


def _verdict_lines(scored: RunScores, position: int, row: dict[str, Any]) -> list[str]:
    """The answer, then a line for each scorer: score, judged text, reason. Errors have none."""
    if row["status"] == "error":
        return []
    whole = (row["text"] or "").strip()
    lines: list[str] = []
    if scored.answers is not None:
        answer = scored.answers[position].as_py()
        lines.append("no answer found" if answer is None else f"answer: {one_line(answer, 200)}")
    for name in scored.scores:
        score = scored.explain(name, position)
        value = "not scored" if score.value is None else f"{score.value:.4g}"
        # The whole text is printed above; a judged part of it is repeated here.
        part = score.answer if score.answer and score.answer.strip() != whole else None
        read = "" if part is None else f" [{one_line(part, 80)}]"
        lines.append(f"{one_line(name, 60)} {value}{read}: {one_line(score.explanation, 300)}")
    return lines


def _prompt_lines(prompt: dict[str, Any]) -> list[str]:
    if prompt["messages_json"] is None:
        return [printable(line) for line in (prompt["fields_json"] or "").splitlines()]
    lines: list[str] = []
    for message in json.loads(prompt["messages_json"]):
        content = shown_content(message.get("content"))
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        lines += [f"{message['role']}: {printable(line)}" for line in text.splitlines() or [""]]
    return lines


def _group_outputs(rows: list[dict[str, Any]]) -> list[OutputGroup]:
    grouped: dict[tuple[str, str, bool, tuple[str, ...]], list[int]] = {}
    for row in rows:
        text, status = row["text"], row["status"]
        if status == "error":
            shown = f"{row['error_kind']}: {row['error_message'] or ''}"
        elif text is None or (not text and row["tool_calls_json"]):
            shown = row["refusal"] or row["tool_calls_json"] or row["error_message"] or ""
        else:
            shown = text
        is_text = status != "error" and shown is text
        # Equal outputs have equal verdicts, except where an import says otherwise.
        key = (shown, status, is_text, tuple(row["verdicts"]))
        grouped.setdefault(key, []).append(row["repeat"])
    variants = [
        OutputGroup(shown, status, repeats, is_text, list(verdicts))
        for (shown, status, is_text, verdicts), repeats in grouped.items()
    ]
    return sorted(variants, key=lambda v: (-len(v.repeats), v.repeats))


def _mark_difference(variant: OutputGroup, reference: str | None) -> Any:
    """The output, indented, with a mark where it begins to differ from the commonest one."""
    from rich.text import Text

    text = Text("    ")
    if not variant.is_text or reference is None or variant.shown == reference:
        text.append(printable(variant.shown).replace("\n", "\n    ") or "(empty)")
        return text
    at = common_prefix(variant.shown, reference)
    text.append(printable(variant.shown[:at]).replace("\n", "\n    "))
    text.append("▮", style="bold red")
    text.append(printable(variant.shown[at:]).replace("\n", "\n    "), style="red")
    return text


def _word_diff_text(variants: list[OutputGroup]) -> Any:
    """The word diff of a setting's two commonest outputs; the output where there is only one."""
    from rich.text import Text

    from evalharness.report.html.excerpts import word_diff

    texts = list(dict.fromkeys(variant.shown for variant in variants if variant.is_text))
    if len(texts) < 2:
        return _mark_difference(variants[0], None)
    styles = {"same": ("", "", ""), "removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green")}
    line = Text("    ")
    for piece in word_diff(texts[0], texts[1]):
        before, after, style = styles[piece.kind]
        shown = printable(piece.text).replace("\n", "\n    ")
        line.append(f"{before}{shown}{after}", style=style)
    return line
