"""A synthetic workload: how long prompts and outputs are, and what prompts have in common."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evalharness.config.number_types import Count, NonNegative, Positive

#: Column of a trace's rows: seconds from the first request of the file, at speed 1.
TRACE_DUE = "trace_due_s"
#: ``dataset.path`` of the rows of the run that is replayed (``load.from``).
RUN_ROWS = "run:"
#: Fields of requests with which an output ends at its limit and not before.
ExactOutputField = Literal["ignore_eos", "min_tokens"]

Share = Annotated[float, Meta(ge=0, le=1)]


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of lengths in tokens.

    Attributes:
        kind: its name.
        numbers: its parameters: of ``fixed`` the length; of ``normal`` mean and standard deviation;
            of ``lognormal`` median and standard deviation of the logarithm; of ``histogram`` the
            edges of its bins, ascending; a bin holds the lengths from its edge to below the next.
        weights: of a histogram, one a bin.
        low, high: lengths outside are drawn again.
    """

    kind: Literal["fixed", "normal", "lognormal", "histogram"]
    numbers: tuple[float, ...]
    weights: tuple[float, ...] = ()
    low: int = 1
    high: int | None = None


_FORMS = (
    "128 · normal 870 330 · lognormal 90 1.08 · histogram 10:5 100:2 500 (edge:weight …, the last "
    "edge alone); bounds behind it: lognormal 90 1.08 4..2048"
)
_BOUNDS = re.compile(r"(\d+)\.\.(\d*)")


def parse_lengths(value: int | str, key: str) -> Lengths:
    """A distribution as it is configured: a number, or a name with its numbers.

    Raises:
        ValueError: it is none of these, naming the key.
    """
    words = [str(value)] if isinstance(value, int) else value.split()
    low, high = 1, None
    if words and (bounds := _BOUNDS.fullmatch(words[-1])):
        low, high = int(bounds[1]), int(bounds[2]) if bounds[2] else None
        words = words[:-1]
    try:
        lengths = _read(words, low, high)
    except ValueError:
        raise ValueError(f"`{key}` must be one of: {_FORMS}; got {value!r}") from None
    if high is not None and low > high:
        raise ValueError(f"`{key}` must be at least 1..{low}, got {low}..{high}")
    return lengths


def _read(words: list[str], low: int, high: int | None) -> Lengths:
    if len(words) == 1:
        length = int(words[0])
        if length < 1:
            raise ValueError
        return Lengths(kind="fixed", numbers=(float(length),), low=low, high=high)
    kind, *texts = words
    if kind == "histogram":
        pairs = [text.partition(":") for text in texts]
        edges = tuple(float(edge) for edge, _, _ in pairs)
        weights = tuple(float(weight) for _, _, weight in pairs[:-1])
        if len(edges) < 2 or sorted(set(edges)) != list(edges) or min(weights) < 0:
            raise ValueError
        if pairs[-1][1] or not sum(weights) or edges[0] < 1:
            raise ValueError
        _check_finite(*edges, *weights)
        return Lengths(kind="histogram", numbers=edges, weights=weights, low=low, high=high)
    first, second = (float(text) for text in texts)
    if kind not in ("normal", "lognormal") or first <= 0 or second < 0:
        raise ValueError
    _check_finite(first, second)
    return Lengths(
        kind="normal" if kind == "normal" else "lognormal",
        numbers=(first, second),
        low=low,
        high=high,
    )


def _check_finite(*numbers: float) -> None:
    """Refuse ``nan`` and ``inf``, which Python reads as numbers."""
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError


class PrefixConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Beginnings that prompts have in common, as of one system prompt or one document.

    Attributes:
        count: how many different ones there are.
        tokens: the length of each; a prompt is longer by them.
        share: of the prompts that begin with one.
        zipf: the n-th is drawn in proportion to 1 / n to this power; 0 draws all alike.
    """

    count: Count = 1
    tokens: Count = 256
    share: Share = 1.0
    zipf: NonNegative = 0.0


class TraceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recorded trace: its requests have lengths, times and perhaps beginnings in common.

    Attributes:
        path: its file.
        format: ``mooncake`` (JSONL: timestamp in ms, input_length, output_length, hash_ids),
            ``azure`` (CSV: TIMESTAMP, ContextTokens, GeneratedTokens), or ``auto`` by the suffix.
        block_tokens: prompt tokens that one hash id stands for.
        from_s: requests before are left out; seconds from the first of the file, at speed 1.
        to_s: requests from then on are left out, likewise; null keeps all.
        on_long: what becomes of a request that does not fit into ``max_context``: ``refuse`` the
            trace, ``truncate`` its prompt, or ``skip`` it.
        on_short: of a request whose prompt is shorter than the server's chat template alone:
            ``refuse`` the trace, ``lengthen`` its prompt, or ``skip`` it.
    """

    path: str
    format: Literal["auto", "mooncake", "azure"] = "auto"
    block_tokens: Count = 512
    from_s: NonNegative = 0.0
    to_s: Positive | None = None
    on_long: Literal["refuse", "truncate", "skip"] = "refuse"
    on_short: Literal["refuse", "lengthen", "skip"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse a window without requests."""
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"`to_s` must be above from_s={self.from_s:g}, got {self.to_s:g}")


class WorkloadConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Made prompts (``dataset.path=workload:NAME``).

    Attributes:
        requests: how many; null is 200, or all of a trace.
        prompt_tokens: how long prompts are, without a common beginning: a number, or ``normal MEAN
            SD``, ``lognormal MEDIAN SIGMA``, ``histogram EDGE:WEIGHT … EDGE``, with ``LOW..HIGH``
            behind it for bounds; null with a trace.
        trace: a recorded trace that has the lengths, in place of the distributions.
        output_tokens: how long outputs may be, likewise; null leaves it to the parameters.
        output_parameter: the parameter that bounds outputs.
        exact_output: outputs have exactly this length: the fields of the provider's
            ``profile.exact_output`` are sent (``ignore_eos``, ``min_tokens``).
        prefixes: common beginnings; null has none.
        salt: every request begins with words of its own, also where a row is sent again, so that no
            cache serves it; those of a trace, with words of its load point.
        tokenizer: file that counts tokens, a ``tokenizer.json`` or a ``.tiktoken`` vocabulary; null
            counts words.
        calibrate: ask the server first how many tokens these are; else it is guessed.
        max_context: no prompt and output together are longer; null is no check, but with a local
            model its ``context_tokens``.
        seed: of everything that is drawn.
    """

    requests: Count | None = None
    prompt_tokens: int | str | None = None
    output_tokens: int | str | None = None
    output_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    exact_output: bool = False
    prefixes: PrefixConfig | None = None
    salt: bool = False
    tokenizer: str | None = None
    calibrate: bool = True
    max_context: Count | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    trace: TraceConfig | None = None

    def __post_init__(self) -> None:
        """Refuse lengths that cannot be read, and those that a trace has already."""
        if self.trace is not None:
            for key in ("prompt_tokens", "output_tokens", "prefixes"):
                if getattr(self, key) is not None:
                    raise ValueError(f"`{key}` must be null with a trace, which has its own")
            return
        if self.prompt_tokens is None:
            raise ValueError("`prompt_tokens` must be set (512, for instance), or a trace")
        parse_lengths(self.prompt_tokens, "prompt_tokens")
        if self.output_tokens is not None:
            parse_lengths(self.output_tokens, "output_tokens")
