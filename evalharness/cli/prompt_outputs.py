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
from evalharness.errors import ConfigError
from evalharness.process.text import closest_few, plural
from evalharness.records import shown_content, with_places
from evalharness.report.build.prompt_outputs import COLUMNS, ShownOutput, score_outputs
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.words.sanitize import common_prefix, one_line, printable
from evalharness.store.folder.run import Run


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

    outputs = _outputs(run, prompt["prompt_id"], report_overrides)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"prompt {printable(prompt['prompt_id'])}", style="bold"))
    for line in _prompt_lines(prompt):
        console.print(Text(f"  {line}"))
    if prompt["target_json"] is not None:
        console.print(Text(f"  target: {printable(prompt['target_json'])}"))
    if prompt.get("scoring_json") is not None:
        console.print(Text(f"  checks: {printable(prompt['scoring_json'])}"))
    all_texts = Counter(output.text for output in outputs if output.text is not None)
    reference = all_texts.most_common(1)[0][0] if all_texts else None
    for setting in run.setting_list:
        own = [output for output in outputs if output.setting_id == setting.setting_id]
        if not own:
            continue
        variants = _group_outputs(own)
        label = printable(setting.label)
        distinct = len({(v.shown, v.status, v.is_text) for v in variants})
        heading = f"\n{label}: {plural(len(own), 'repeat')}, {distinct} different"
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
    turns = where_equal(table, "conversation", prompt_id)["prompt_id"].to_pylist()
    if turns:
        raise ConfigError(
            f"`{prompt_id}` is a conversation, and its turns are prompts",
            hint=f"one of: {', '.join(map(str, turns))}",
        )
    known = [str(name) for name in table["prompt_id"].to_pylist()]
    close = closest_few(prompt_id, known, 3) or known[:3]
    raise ConfigError(
        f"run `{run.name}` has no prompt `{prompt_id}`",
        hint=f"for instance: {', '.join(close)} ({len(known)} in all)" if known else None,
    )


def _outputs(run: Run, prompt_id: str, report_overrides: ReportOverrides) -> list[ShownOutput]:
    table = where_equal(run.table("records", [*COLUMNS]), "prompt_id", prompt_id)
    prompts = where_equal(run.table("prompts"), "prompt_id", prompt_id)
    outputs = score_outputs(run, table, prompts, report_overrides)
    return sorted(outputs, key=lambda output: output.repeat)


def _verdict_lines(output: ShownOutput) -> list[str]:
    """The answer, then a line for each scorer: score, judged text, reason. Errors have none."""
    lines: list[str] = []
    if output.has_answers:
        answer = output.answer
        lines.append("no answer found" if answer is None else f"answer: {one_line(answer, 200)}")
    for name, score, judged, reason in output.verdicts:
        value = "not scored" if score is None else f"{score:.4g}"
        read = "" if judged is None else f" [{one_line(judged, 80)}]"
        lines.append(f"{one_line(name, 60)} {value}{read}: {one_line(reason, 300)}")
    return lines


def _prompt_lines(prompt: dict[str, Any]) -> list[str]:
    if prompt["messages_json"] is None:
        return [printable(line) for line in (prompt["fields_json"] or "").splitlines()]
    lines: list[str] = []
    for message in with_places(json.loads(prompt["messages_json"]), prompt["turn"]):
        content = shown_content(message.get("content"))
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        lines += [f"{message['role']}: {printable(line)}" for line in text.splitlines() or [""]]
    return lines


def _group_outputs(outputs: list[ShownOutput]) -> list[OutputGroup]:
    grouped: dict[tuple[str, str, bool, tuple[str, ...]], list[int]] = {}
    for output in outputs:
        # Equal outputs have equal verdicts, except where an import says otherwise.
        verdicts = tuple(_verdict_lines(output))
        key = (output.shown, output.status, output.is_text, verdicts)
        grouped.setdefault(key, []).append(output.repeat)
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
