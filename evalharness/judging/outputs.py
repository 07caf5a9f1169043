"""Outputs of a run to be judged: each unique one, and pairs of two settings' outputs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from evalharness.errors import ConfigError
from evalharness.records import Status, digest, shown_content, with_places
from evalharness.scoring import parse_reasoning
from evalharness.scoring.reasoning import ReasoningMode, scored_text
from evalharness.scoring.scorers.judge import output_key
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run import Run

# Errors have no output; a refusal is scored by the rules of all scorers.
_JUDGED = frozenset({Status.OK.value, Status.EMPTY.value, Status.TRUNCATED.value})
_COLUMNS = ["prompt_id", "setting_id", "repeat", "status", "text", "tool_calls_json"]


class Output(msgspec.Struct, frozen=True):
    """One unique output of a prompt. ``question`` and ``target`` are the prompt's.

    ``text`` is without the reasoning that it begins with, unless the run keeps it.
    """

    key: str
    prompt_id: str
    question: Any
    target: Any
    text: str | None
    tool_calls_json: str | None

    def as_material(self) -> Any:
        """What the judge is shown: the text, with the tool calls where there are any."""
        if self.tool_calls_json is None:
            return self.text or ""
        calls = msgspec.json.decode(self.tool_calls_json)
        return {"text": self.text or "", "tool_calls": calls}


class OutputPair(msgspec.Struct, frozen=True):
    """Two outputs of one prompt, one of each setting; ``count`` repeats gave the same pair."""

    key: str
    a: Output
    b: Output
    count: int

    @property
    def identical(self) -> bool:
        """Whether both are the same output: a tie without asking the judge."""
        return self.a.key == self.b.key


class JudgeableOutputs:
    """The outputs of a run that can be judged, by setting, prompt and repeat."""

    def __init__(self, run: Run) -> None:
        self._reasoning: ReasoningMode = parse_reasoning(next(run.configs()).answer)
        plan = PlanFilter.of(run)
        settings, prompts = plan.settings, plan.prompts
        self._labels: dict[str, str] = {
            str(row["setting_id"]): str(row["label"])
            for row in settings.select(["setting_id", "label"]).to_pylist()
        }
        self._records = plan.select(run.table("records", _COLUMNS))
        self._clusters = {
            str(row["prompt_id"]): str(row["cluster"] or row["prompt_id"])
            for row in prompts.select(["prompt_id", "cluster"]).to_pylist()
        }
        self._prompt_content = {
            row["prompt_id"]: _prompt_content(row) for row in prompts.to_pylist()
        }

    @property
    def clusters(self) -> dict[str, str]:
        """The cluster of each prompt by its id; a prompt without one is alone in its own."""
        return self._clusters

    def unique(self) -> list[Output]:
        """Every output once, in the order of prompts as recorded."""
        by_key: dict[str, Output] = {}
        for _, _, output in self._rows():
            by_key.setdefault(output.key, output)
        return list(by_key.values())

    def setting(self, name: str) -> str:
        """The id of a setting given by label or id.

        Raises:
            ConfigError: there is none, or several have the label.
        """
        ids = [key for key, label in self._labels.items() if name in (key, label)]
        if len(ids) == 1:
            return ids[0]
        problem = "several settings are" if ids else "no setting is"
        raise ConfigError(
            f"{problem} called {name!r}", hint="one of: " + " · ".join(self._labels.values())
        )

    def pairs(self, a: str, b: str) -> list[OutputPair]:
        """Unique pairs: repeat i of setting ``a`` with repeat i of setting ``b``."""
        sides: tuple[dict[tuple[str, int], Output], ...] = ({}, {})
        for setting, repeat, output in self._rows():
            for name, side in zip((a, b), sides, strict=True):
                if setting == name:
                    side[output.prompt_id, repeat] = output
        pairs: dict[str, tuple[Output, Output]] = {}
        count: Counter[str] = Counter()
        for prompt_and_repeat, left in sides[0].items():
            right = sides[1].get(prompt_and_repeat)
            if right is not None:
                key = digest(left.key.encode(), right.key.encode())
                pairs[key] = (left, right)
                count[key] += 1
        return [OutputPair(key, *both, count[key]) for key, both in pairs.items()]

    def _rows(self) -> list[tuple[str, int, Output]]:
        rows: list[tuple[str, int, Output]] = []
        columns = (self._records[name].to_pylist() for name in _COLUMNS)
        for prompt_id, setting_id, repeat, status, text, calls in zip(*columns, strict=True):
            if status not in _JUDGED or (text is None and calls is None and status == "ok"):
                continue  # an import may know that there was an answer without knowing which
            question, target = self._prompt_content[prompt_id]
            text = scored_text(text, self._reasoning)
            key = output_key(prompt_id, text, calls, target)
            rows.append((setting_id, repeat, Output(key, prompt_id, question, target, text, calls)))
        return rows


def _prompt_content(row: dict[str, Any]) -> tuple[Any, Any]:
    """The question and the target. A single user message is shown as its text."""

    def decode_column(name: str) -> Any:
        return None if row[name] is None else msgspec.json.decode(row[name])

    messages = decode_column("messages_json")
    if messages is not None:
        messages = with_places(messages, row.get("turn"))
    question: Any = decode_column("fields_json") if messages is None else messages
    if messages is not None and len(messages) == 1 and isinstance(messages[0].get("content"), str):
        question = messages[0]["content"]
    elif messages is not None:
        question = [{**m, "content": shown_content(m.get("content"))} for m in messages]
    return question, decode_column("target_json")
