"""Questions the emulator knows: a JSONL file of prompts and their answers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import msgspec

from evalharness.errors import ConfigError

_DISTRACTORS = 3


class KnownAnswers:
    """Known questions by their text.

    A question is known when its whole text, or one of its lines, is a prompt of the file; blanks
    around either do not matter.
    """

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = answers
        self._distinct = sorted(set(answers.values()))

    @classmethod
    def read(cls, path: str | None) -> KnownAnswers:
        """Read the file; None knows nothing.

        Raises:
            ConfigError: the file cannot be read, or a line is not an object with ``prompt`` (or
                ``question``, or ``messages``) and ``answer`` (or ``target``); names the line.
        """
        if path is None:
            return cls({})
        try:
            lines = Path(path).read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"provider.emulator.answers: {path}: {error}") from None
        answers: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if line.strip():
                prompt, answer = _row(line, f"{path}:{number}")
                answers[prompt] = answer
        return cls(answers)

    def find(self, question: str) -> str | None:
        """The right answer, or None where the question is not known."""
        if not self._answers:
            return None
        for text in (question, *question.splitlines()):
            answer = self._answers.get(text.strip())
            if answer is not None:
                return answer
        return None

    def wrong_answers(self, right: str, rng: random.Random) -> list[str]:
        """Up to three other answers of the file, drawn with ``rng``."""
        others = [answer for answer in self._distinct if answer != right]
        return rng.sample(others, min(_DISTRACTORS, len(others)))


def _row(line: str, location: str) -> tuple[str, str]:
    hint = 'write {"prompt": "…", "answer": "…"} on each line'
    try:
        row = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{location}: {error}", hint=hint) from None
    prompt = row.get("prompt", row.get("question"))
    if prompt is None:
        prompt = _last_user_text(row.get("messages"))
    answer = row.get("answer", row.get("target"))
    if isinstance(answer, list) and answer:
        answer = cast("list[Any]", answer)[0]
    if not isinstance(prompt, str) or answer is None or isinstance(answer, (list, dict)):
        raise ConfigError(f"{location}: a prompt and an answer are needed", hint=hint)
    return prompt.strip(), answer if isinstance(answer, str) else msgspec.json.encode(
        answer
    ).decode()


def _last_user_text(messages: Any) -> str | None:
    text: str | None = None
    for message in cast("list[Any]", messages) if isinstance(messages, list) else []:
        if isinstance(message, dict):
            entry = cast("dict[str, Any]", message)
            if entry.get("role") == "user" and isinstance(entry.get("content"), str):
                text = entry["content"]
    return text
