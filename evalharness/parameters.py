"""The request parameters: one row each, from which everything that depends on a parameter is made.

Configuration keys, ranges, checks, request bodies, record columns, imports, labels and suggestions
all read this table. Adding a parameter of a simple type is adding one row here.

Names are those of the chat-completions API (OpenAPI of the first target, and OpenAI's reference).
``docs/parameters.md`` is made from here: ``python -m evalharness.parameters > docs/parameters.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

#: The JSON forms of a parameter. ``json`` is any other form; ``chat_api.params`` has its check.
Form = Literal["number", "integer", "boolean", "text", "json"]
#: Closed ends of a range; None is no bound on that side.
Range = tuple[float | None, float | None]

UNBOUNDED: Range = (None, None)


class Parameter(NamedTuple):
    """One request parameter.

    Attributes:
        name: the key in the request body, in ``params`` and in ``sweep``.
        form: the JSON form of a value.
        range: what a provider accepts unless its profile says otherwise; for numbers alone.
        import_range: what an imported file may hold, where that is not ``range``.
        column: whether the records have a column of this name.
        in_imports: whether a column of this name in an imported file is this parameter.
        in_extra: whether ``params.extra`` may hold it too, as it had to before it had a row here.
        label: its short name in the labels of settings; None is ``name``.
        doc: what the column holds.
    """

    name: str
    form: Form
    range: Range = UNBOUNDED
    import_range: Range | None = None
    column: bool = False
    in_imports: bool = True
    in_extra: bool = False
    label: str | None = None
    doc: str = "as asked for; in the body as the protocol has it"


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("temperature", "number", (0.0, 2.0), (0, None), column=True, label="T"),
    Parameter("top_p", "number", (0.0, 1.0), column=True),
    Parameter("seed", "integer", column=True),
    Parameter("max_tokens", "integer", (1, None), column=True),
    Parameter("max_completion_tokens", "integer", (1, None), column=True, in_extra=True),
    Parameter("stop", "json"),
    Parameter("frequency_penalty", "number", (-2.0, 2.0), UNBOUNDED, column=True),
    Parameter("presence_penalty", "number", (-2.0, 2.0), UNBOUNDED, column=True),
    Parameter("top_k", "integer", column=True, in_extra=True),
    Parameter("min_p", "number", (0.0, 1.0), column=True, in_extra=True),
    Parameter("repetition_penalty", "number", (0.0, None), column=True, in_extra=True),
    Parameter("reasoning_effort", "text", column=True, in_extra=True),
    Parameter("verbosity", "text", column=True, in_extra=True),
    Parameter("thinking", "json", in_extra=True),
    Parameter("n", "integer", (1, None), column=True, doc="choices asked for in one request"),
    Parameter("logprobs", "boolean"),
    Parameter("top_logprobs", "integer", (0, 20)),
    Parameter("stream", "boolean", column=True),
    Parameter("stream_options", "json"),
    Parameter("tools", "json"),
    Parameter("tool_choice", "json"),
    Parameter("parallel_tool_calls", "boolean"),
    Parameter("prediction", "json"),
    Parameter("response_format", "json"),
    # The record column of this name holds the tier of the answer.
    Parameter("service_tier", "text", in_imports=False, in_extra=True),
    # In a file of results, columns of these names seldom are parameters.
    Parameter("prompt_cache_key", "text", in_imports=False, in_extra=True),
    Parameter("metadata", "json", in_imports=False, in_extra=True),
    Parameter("user", "text", in_imports=False, in_extra=True),
    Parameter("safety_identifier", "text", in_imports=False, in_extra=True),
)

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
#: Every key that ``params`` may have. ``extra`` holds fields that only one provider knows.
KNOWN_PARAMS = frozenset({*BY_NAME, "extra"})
#: Names that ``params.extra`` may not hold.
NOT_EXTRA = frozenset({"extra", *(p.name for p in PARAMETERS if not p.in_extra)})
COLUMN_PARAMS = tuple(parameter for parameter in PARAMETERS if parameter.column)
#: The parameters whose range a provider's profile may state.
RANGED = frozenset(p.name for p in PARAMETERS if p.form in ("number", "integer"))
SHORT_LABELS = {p.name: p.label for p in PARAMETERS if p.label is not None}

#: The parameters that bound the tokens of one choice, reasoning included.
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")


def output_limit(params: Mapping[str, Any]) -> int | None:
    """The most completion tokens that one choice may have; None is no bound.

    Where both limits are sent, a server may know only one of them: the larger one is the bound.
    """
    extra: Mapping[str, Any] = params.get("extra") or {}
    stated = [params.get(name) or extra.get(name) for name in OUTPUT_LIMITS]
    return max((int(limit) for limit in stated if isinstance(limit, int | float)), default=None)


def merge_params(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters merged with those of a prompt, without nulls; always a new dictionary.

    A null override removes a parameter; ``extra`` objects are merged key by key.
    """
    extra: dict[str, Any] = {**(base.get("extra") or {}), **(overrides.get("extra") or {})}
    merged: dict[str, Any] = {**base, **overrides}
    merged["extra"] = {key: value for key, value in extra.items() if value is not None}
    return {key: value for key, value in merged.items() if value is not None}


def column_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that have a column, of those that are set, ``extra`` included.

    They are what was asked for, whatever a protocol calls them in its bodies.
    """
    stated: dict[str, Any] = {**(params.get("extra") or {}), **params}
    return {p.name: stated[p.name] for p in COLUMN_PARAMS if stated.get(p.name) is not None}


def markdown() -> str:
    """The table as the page ``docs/parameters.md``."""
    lines = [
        "# Request parameters",
        "",
        "Generated by `python -m evalharness.parameters`; do not edit by hand.",
        "",
        "Every parameter is set as `params.NAME=VALUE` and swept as `sweep.NAME=[…]`. Null is not "
        "sent. A provider's profile may state another range (`provider.profile.ranges.NAME`). A "
        "field that only one provider knows goes into `params.extra.NAME`, or `sweep.extra.NAME`. "
        "Words: [glossary](glossary.md).",
        "",
        "| parameter | form | range | record column | in labels |",
        "|---|---|---|---|---|",
    ]
    for parameter in PARAMETERS:
        column = f"`{parameter.name}`" if parameter.column else "in `request_json`"
        lines.append(
            f"| `{parameter.name}` | {parameter.form} | {_range_text(parameter)} | {column} | "
            f"`{parameter.label or parameter.name}` |"
        )
    return "\n".join(lines) + "\n"


def _range_text(parameter: Parameter) -> str:
    low, high = ("" if end is None else f"{end:g}" for end in parameter.range)
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else "any"


if __name__ == "__main__":
    print(markdown(), end="")
