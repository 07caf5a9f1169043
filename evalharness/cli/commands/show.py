"""``evalharness show RUN PROMPT_ID``: all outputs of one prompt, grouped by identical text.

Below each output stand the answer found in it, and what every scorer made of it and why.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from evalharness.cli.output_files import open_in_browser, target_of
from evalharness.columnar.arrow_ops import where_equal
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.scoring import Options, scored_run
from evalharness.report.words import format_numbers as n
from evalharness.report.words.sanitize import common_prefix, one_line, printable
from evalharness.scoring.run_scores import Scored
from evalharness.store.folder.run import Run

_COLUMNS = ["prompt_id", "setting_id", "repeat", "status", "text", "refusal", "finish_reason",
            "error_kind", "error_message", "tool_calls_json", "answer", "score"]  # fmt: skip


class Variant(NamedTuple):
    """Outputs of one setting that are the same, with the repeats that gave them."""

    shown: str
    status: str
    repeats: list[int]
    is_text: bool
    verdicts: list[str]


class Asked(NamedTuple):
    """The flags of ``evalharness show``; ``html`` is a path as typed, None for none."""

    diff: bool = False
    html: str | None = None
    open_html: bool = False


def show(run_name: str, prompt_id: str, asked: Asked, overrides: Sequence[str] = ()) -> int:
    """Print a prompt and, setting by setting, what was answered; or write it as a page.

    ``overrides`` are ``scoring=…`` and ``answer=…``, as ``report`` takes them.
    """
    options = parse_overrides(overrides)
    run = Run.open(run_name)
    prompt = _prompt(run, prompt_id)
    if asked.html or asked.open_html:
        _write_page(run, prompt_id, asked, options)
    else:
        _print(run, prompt, asked.diff, options)
    return EXIT_OK


def _print(run: Run, prompt: dict[str, Any], diff: bool, options: Options) -> None:
    from rich.console import Console
    from rich.text import Text

    rows = _rows(run, prompt["prompt_id"], options)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"prompt {printable(prompt['prompt_id'])}", style="bold"))
    for line in _question(prompt):
        console.print(Text(f"  {line}"))
    if prompt["target_json"] is not None:
        console.print(Text(f"  target: {printable(prompt['target_json'])}"))
    everything = Counter(row["text"] for row in rows if row["text"] is not None)
    reference = everything.most_common(1)[0][0] if everything else None
    for setting in run.setting_list:
        mine = [row for row in rows if row["setting_id"] == setting.setting_id]
        if not mine:
            continue
        variants = _variants(mine)
        label = printable(setting.label)
        distinct = len({(v.shown, v.status, v.is_text) for v in variants})
        heading = f"\n{label}: {n.plural(len(mine), 'repeat')}, {distinct} different"
        console.print(Text(heading, style="bold"))
        for variant in variants:
            repeats = ",".join(map(str, variant.repeats))
            console.print(Text(f"  {len(variant.repeats)}× [{variant.status}] #{repeats}"))
            if not diff:
                console.print(_marked(variant, reference))
            for verdict in variant.verdicts:
                console.print(Text(f"    → {verdict}", style="dim"))
        if diff:
            console.print(_compared(variants))
    if diff:
        console.print(Text("\n[-only in the commonest-] {+only in the second+}", style="dim"))
    elif reference is not None and len(everything) > 1:
        console.print(
            Text("\n▮ marks the first difference from the commonest output of all", style="dim")
        )


def _write_page(run: Run, prompt_id: str, asked: Asked, options: Options) -> None:
    from evalharness.report.build.report_data import build
    from evalharness.report.html import write_prompt_html
    from evalharness.store.folder.durable_files import FILE_MODE, NAMED_MODE

    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in prompt_id)[:80]
    target = target_of(asked.html) if asked.html else run.root / f"prompt-{name.lstrip('.')}.html"
    built = build(run, options._replace(everything=True))
    write_prompt_html(built, prompt_id, target, mode=NAMED_MODE if asked.html else FILE_MODE)
    print(f"written: {target}", file=sys.stderr)
    if asked.open_html:
        open_in_browser(target)


def _prompt(run: Run, prompt_id: str) -> dict[str, Any]:
    table = run.table("prompts")
    found = where_equal(table, "prompt_id", prompt_id).to_pylist()
    if found:
        return found[0]
    known = [str(name) for name in table["prompt_id"].to_pylist()]
    close = difflib.get_close_matches(prompt_id, known, n=3) or known[:3]
    raise ConfigError(
        f"run `{run.name}` has no prompt `{prompt_id}`",
        hint=f"for instance: {', '.join(close)} ({len(known)} in all)",
    )


def _rows(run: Run, prompt_id: str, options: Options) -> list[dict[str, Any]]:
    table = where_equal(run.table("records", [*_COLUMNS]), "prompt_id", prompt_id)
    prompts = where_equal(run.table("prompts"), "prompt_id", prompt_id)
    scored = scored_run(run, table, prompts, options)
    rows = table.to_pylist()
    for place, row in enumerate(rows):
        row["verdicts"] = _verdicts(scored, place, row)
    return sorted(rows, key=lambda row: row["repeat"])


def _verdicts(scored: Scored, place: int, row: dict[str, Any]) -> list[str]:
    """The answer, and one line a scorer: its value, what it judged, why. Errors have neither."""
    if row["status"] == "error":
        return []
    whole = (row["text"] or "").strip()
    lines: list[str] = []
    if scored.answers is not None:
        answer = scored.answers[place].as_py()
        lines.append("no answer found" if answer is None else f"answer: {one_line(answer, 200)}")
    for name in scored.scores:
        score = scored.explain(name, place)
        value = "not scored" if score.value is None else f"{score.value:.4g}"
        # The whole text stands above; a part of it that was judged is worth repeating.
        part = score.answer if score.answer and score.answer.strip() != whole else None
        read = "" if part is None else f" [{one_line(part, 80)}]"
        lines.append(f"{one_line(name, 60)} {value}{read}: {one_line(score.explanation, 300)}")
    return lines


def _question(prompt: dict[str, Any]) -> list[str]:
    if prompt["messages_json"] is None:
        return [printable(line) for line in (prompt["fields_json"] or "").splitlines()]
    lines: list[str] = []
    for message in json.loads(prompt["messages_json"]):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        lines += [f"{message['role']}: {printable(line)}" for line in text.splitlines() or [""]]
    return lines


def _variants(rows: list[dict[str, Any]]) -> list[Variant]:
    grouped: dict[tuple[str, str, bool, tuple[str, ...]], list[int]] = {}
    for row in rows:
        text, status = row["text"], row["status"]
        if status == "error":
            shown = f"{row['error_kind']}: {row['error_message'] or ''}"
        elif text is None or (not text and row["tool_calls_json"]):
            shown = row["refusal"] or row["tool_calls_json"] or ""
        else:
            shown = text
        is_text = status != "error" and shown is text
        # Equal outputs have equal verdicts, except where an import says otherwise.
        key = (shown, status, is_text, tuple(row["verdicts"]))
        grouped.setdefault(key, []).append(row["repeat"])
    variants = [
        Variant(shown, status, repeats, is_text, list(verdicts))
        for (shown, status, is_text, verdicts), repeats in grouped.items()
    ]
    return sorted(variants, key=lambda v: (-len(v.repeats), v.repeats))


def _marked(variant: Variant, reference: str | None) -> Any:
    """The output, indented, with a mark where it leaves the commonest one."""
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


def _compared(variants: list[Variant]) -> Any:
    """The two commonest outputs of a setting word by word; the output where there is one."""
    from rich.text import Text

    from evalharness.report.html.excerpts import word_diff

    texts = list(dict.fromkeys(variant.shown for variant in variants if variant.is_text))
    if len(texts) < 2:
        return _marked(variants[0], None)
    styles = {"same": ("", "", ""), "gone": ("[-", "-]", "red"), "new": ("{+", "+}", "green")}
    line = Text("    ")
    for piece in word_diff(texts[0], texts[1]):
        before, after, style = styles[piece.kind]
        shown = printable(piece.text).replace("\n", "\n    ")
        line.append(f"{before}{shown}{after}", style=style)
    return line
