"""Rendering a prompt to the messages of its requests, with template and system prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from evalharness.datasets.mapped_columns import JUDGING
from evalharness.datasets.sandbox_client import SandboxFailure, shared_sandbox
from evalharness.errors import DatasetError
from evalharness.process.text import closest, did_you_mean, first_names
from evalharness.records import Prompt

MAX_TEXT_BYTES = 1 << 20  # of one rendered text, as UTF-8
_BOUNDED = "a prompt's text is bounded; take the loop, width or repetition out"
_KIND_HINTS = {
    "null": "say what stands there instead: {{ field | default('…', true) }}, or {% if field %}",
    "not_text": "call the function, or make a list of it: {{ field | list }}",
}
CACHE_BYTES = 64 << 20  # of rendered texts: every setting and repeat needs them again


def resolve_template(template: str | None, root: Path | None = None) -> str | None:
    """The text of a template: ``@file.j2`` is read from the file, anything else is the text.

    Hash and store the result, never the file's name: the file may change.

    Args:
        template: what ``dataset.template`` holds; None is no template.
        root: folder a relative file name starts from; None is the working directory.

    Raises:
        DatasetError: the file cannot be read, or is not UTF-8.
    """
    if template is None or not template.startswith("@"):
        return template
    path = (root or Path()) / template[1:]
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(
            f"dataset.template: cannot read {template[1:]}: {reason}",
            hint=f"the name is looked up in {root or 'the working directory'}",
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{template[1:]}:{line}: not valid UTF-8") from None


def template_variables(template: str, name: str = "dataset.template") -> set[str]:
    """The names a template takes from outside.

    Raises:
        DatasetError: the template is malformed.
    """
    # Done in the sandbox: finding the names folds constants, and `'a' * 10**9` is one.
    values, failure = shared_sandbox().run("names", template, [{}])
    if failure is None:
        return set(values[0])
    raise _malformed(name, failure)


def _malformed(name: str, failure: SandboxFailure) -> DatasetError:
    line = "" if failure.line is None else f" line {failure.line}"
    if failure.kind == "syntax":
        return DatasetError(
            f"{name}{line}: malformed template: {failure.message}",
            hint="Jinja writes values as {{ field }} and logic as {% if … %} … {% endif %}",
        )
    return DatasetError(f"{name}{line}: {failure.message}", hint=_BOUNDED)


class Renderer:
    """Makes the messages of a prompt under one system prompt and one template.

    Without a template the row's own messages are used as they are. With one, the rendered text
    becomes the user message; where a row has messages already it takes the place of the last user
    message, whose text the template sees as ``prompt``, so that earlier turns stay.

    A template sees ``prompt``, ``id``, ``prompt_id``, ``fields`` and each field by its own name.
    It never sees ``target``, ``tags`` or ``cluster``: these are for judging, and must not reach
    the model. Templates run in a child process with bounded memory, time and output.

    Args:
        template: Jinja text, ``@file.j2``, or None.
        system: system prompt, used as it is; None is none.
        root: folder of a relative template file; None is the working directory.
        max_bytes: cap on one rendered text, in bytes of UTF-8.

    Raises:
        DatasetError: the template file cannot be read, or the template is malformed.
    """

    def __init__(
        self,
        template: str | None,
        system: str | None,
        *,
        root: Path | None = None,
        max_bytes: int = MAX_TEXT_BYTES,
    ) -> None:
        self._template = resolve_template(template, root)
        self._name = template[1:] if template and template.startswith("@") else "dataset.template"
        if self._template is not None:
            template_variables(self._template, self._name)  # malformed text is found here
        self._system = system
        self._max_bytes = max_bytes
        self._cached_texts: dict[str, tuple[Prompt, str]] = {}
        self._cached_bytes = 0

    def messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """The messages to send for ``prompt``. Do not change them: they may be the prompt's own.

        Raises:
            DatasetError: the template fails on this prompt, the prompt has nothing to send, or it
                brings a system message of its own while ``system`` is set.
        """
        messages = (
            self._own_messages(prompt)
            if self._template is None
            else self._messages_from_template(prompt)
        )
        if self._system is None:
            return messages
        if messages and messages[0].get("role") in ("system", "developer"):
            raise DatasetError(
                f"{_location(prompt)}: the prompt begins with a {messages[0]['role']} message, and "
                "a system prompt is configured too (dataset.system)",
                hint="set dataset.system=null, or take the message out of the row",
            )
        return [{"role": "system", "content": self._system}, *messages]

    def prepare(self, prompts: Iterable[Prompt]) -> None:
        """Make every prompt's messages once, to find what is wrong before anything is sent.

        Many rows travel to the child at a time, which is several times faster than asking one by
        one.

        Raises:
            DatasetError: as :meth:`messages`, for the first prompt that fails.
        """
        prompts = list(prompts)
        if self._template is not None:
            self._render(self._template, prompts)
        for prompt in prompts:
            self.messages(prompt)

    def _own_messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        if prompt.messages is None:
            raise DatasetError(
                f"{_location(prompt)}: the row has neither prompt nor messages, and no template is"
                " set",
                hint="set dataset.template to text that uses its fields: "
                + first_names(prompt.fields),
            )
        return prompt.messages

    def _messages_from_template(self, prompt: Prompt) -> list[dict[str, Any]]:
        assert self._template is not None
        cached = self._cached_texts.get(prompt.prompt_id)
        if cached is not None and cached[0] is prompt:
            text = cached[1]
        else:
            text = self._render(self._template, [prompt])[0]
        message: dict[str, Any] = {"role": "user", "content": text}
        messages = prompt.messages or []
        last = _last_user(messages)
        if last is None:
            return [*messages, message]
        content = messages[last].get("content")
        if isinstance(content, list):
            content = _with_text(cast("list[Any]", content), text)
        elif isinstance(content, str):
            content = text
        else:
            content = None
        if content is None:
            raise DatasetError(
                f"{_location(prompt)}: {self._name} would replace a user message that has parts "
                "other than plain text",
                hint="use no template with this row, or make the message's content plain text",
            )
        return [*messages[:last], {**messages[last], "content": content}, *messages[last + 1 :]]

    def _render(self, template: str, prompts: Sequence[Prompt]) -> list[str]:
        texts, failure = shared_sandbox().run(
            "render", template, [_variables(p) for p in prompts], max_bytes=self._max_bytes
        )
        if failure is not None:
            raise self._explain(failure, prompts[len(texts)])
        for prompt, text in zip(prompts, texts, strict=True):
            if not text.strip():
                raise DatasetError(
                    f"{_location(prompt)}: {self._name} renders to an empty text",
                    hint="check the conditions in the template against this row's fields",
                )
            self._cache(prompt, text)
        return texts

    def _cache(self, prompt: Prompt, text: str) -> None:
        if self._cached_bytes + len(text) <= CACHE_BYTES:
            self._cached_bytes += len(text)
            self._cached_texts[prompt.prompt_id] = (prompt, text)

    def _explain(self, failure: SandboxFailure, prompt: Prompt) -> DatasetError:
        line = "" if failure.line is None else f" line {failure.line}"
        hint: str | None = None
        if failure.kind == "undefined":
            hint = _names_hint(failure.message, list(_variables(prompt)))
        elif failure.kind in ("too_large", "memory", "time", "recursion"):
            hint = _BOUNDED
        else:
            hint = _KIND_HINTS.get(failure.kind)
        return DatasetError(
            f"{self._name}{line}: {failure.message} (rendering {_location(prompt)})", hint=hint
        )


def last_user_text(prompt: Prompt) -> str | None:
    """The plain text of the last user message; None when there is none."""
    messages = prompt.messages or []
    last = _last_user(messages)
    content = None if last is None else messages[last].get("content")
    if isinstance(content, list):
        texts = _text_parts(cast("list[Any]", content))
        content = texts[0].get("text") if len(texts) == 1 else None
    return content if isinstance(content, str) else None


def _text_parts(parts: list[Any]) -> list[dict[str, Any]]:
    return [part for part in parts if isinstance(part, dict) and part.get("type") == "text"]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _with_text(parts: list[Any], text: str) -> list[Any] | None:
    """The parts with another text in their one text part; None where there is not exactly one."""
    texts = _text_parts(parts)
    if len(texts) != 1:
        return None
    return [{**part, "text": text} if part is texts[0] else part for part in parts]


def _last_user(messages: Sequence[dict[str, Any]]) -> int | None:
    users = [i for i, message in enumerate(messages) if message.get("role") == "user"]
    return users[-1] if users else None


def _variables(prompt: Prompt) -> dict[str, Any]:
    names: dict[str, Any] = {
        **{name: value for name, value in prompt.fields.items() if name not in JUDGING},
        "fields": prompt.fields, "id": prompt.prompt_id, "prompt_id": prompt.prompt_id,
    }  # fmt: skip
    text = last_user_text(prompt)
    if text is not None:
        names["prompt"] = text
    return names


def _names_hint(message: str, names: list[str]) -> str | None:
    if "`" in message:  # a part of a value is missing, and the message says which there are
        return None
    missing = message.split("'")[1] if message.count("'") >= 2 else ""
    if missing in JUDGING:
        return f"templates do not see {missing}: it is for judging and must not reach the model"
    close = closest(missing, names)
    if close:
        return did_you_mean(close)
    return f"this row has: {first_names(sorted(names))}"


def _location(prompt: Prompt) -> str:
    return prompt.source or f"prompt {prompt.prompt_id}"
