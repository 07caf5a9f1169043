"""The emulator's options, typed: one struct for the command line and ``provider.emulator``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evalharness.config.validation import convert
from evalharness.emulator.faults import FaultError, parse_fault
from evalharness.errors import ConfigError

Share = Annotated[float, Meta(ge=0, le=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Price = Decimal  # US dollars per million tokens
RetryAfter = Literal["none", "int", "float", "date", "ms"]


class EmulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the emulator answers.

    Shares are probabilities in 0..1, each drawn once a request from a random generator of its own
    with the seed ``seed``, so the same requests in the same order get the same answers. The
    meaning of every field is in :data:`HELP`, which is also the command line's help.

    Raises:
        ConfigError: from :meth:`from_mapping`, naming ``provider.emulator.<key>``.
    """

    # Who it plays.
    profile: Literal["generic", "aimlapi", "openai"] = "generic"
    any_model: bool | None = None
    envelope: Literal["problem", "legacy", "openai"] | None = None
    require_key: str | None = None
    seed: int = 0
    fingerprints: tuple[str | None, ...] = ("fp_emulator",)
    fingerprint_every: Count = 1
    fingerprint_changes_text: bool = False
    # What it says.
    seed_honoured: Share = 1.0
    t0_noise: Share = 0.0
    load_noise: Share = 0.0
    stream_noise: Share = 0.0
    ignores: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    usage_noise: Share = 0.0
    logprob_noise: NonNegative = 0.0
    logprob_shift: NonNegative = 0.0
    output_tokens: Count | None = None
    answers: str | None = None
    accuracy: Share = 1.0
    accuracy_drop: NonNegative = 0.0
    tool_call_rate: Share = 1.0
    tool_bad_arguments: Share = 0.0
    tool_unknown_name: Share = 0.0
    tool_finish_stop: Share = 0.0
    max_choices: Count = 128
    # What it costs.
    price_prompt: Price = Decimal("0.4")
    price_cached: Price = Decimal("0.16")
    price_cache_write: Price = Decimal("0.5")
    price_cache_write_1h: Price = Decimal("0.8")
    price_completion: Price = Decimal("1.2")
    price_reasoning: Price = Decimal(4)
    credits_per_usd: Count = 2_000_000
    cache_min_tokens: Annotated[int, Meta(ge=0)] | None = 1
    cache_block_tokens: Count | None = None
    # How long it takes.
    ttft_ms: NonNegative = 0.0
    itl_ms: NonNegative = 0.0
    delay_sigma: NonNegative = 0.0
    workers: Count | None = None
    # How it fails.
    error_rate: Share = 0.0
    error_status: Annotated[int, Meta(ge=400, le=599)] = 503
    error_retry_after: str | None = None
    in_doubt: Share = 0.0
    faults: dict[str, Share] = {}
    # What it allows.
    rpm: Count | None = None
    tpm: Count | None = None
    limit_window_s: Positive = 60.0
    per_second_caps: bool = False
    limit_retry_after: RetryAfter = "none"
    # What it does with batches.
    batch_delay_s: NonNegative = 0.0
    batch_discount: Share = 0.5
    batch_fail: Share = 0.0
    batch_expire: Share = 0.0
    batch_duplicate: Share = 0.0
    batch_shuffle: bool = False
    batch_unknown: bool = False
    batch_lost_create: Share = 0.0
    batch_max_requests: Count | None = None
    batch_max_bytes: Count | None = None
    batch_max_enqueued_tokens: Count | None = None
    # What it remembers.
    ledger: str | None = None
    logs_delay_s: NonNegative = 0.0
    logs_rpm: Count = 200

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> EmulatorOptions:
        """Options from plain data (a config group, or the command line).

        Raises:
            ConfigError: an unknown key, a wrong type or a value out of range, naming
                ``provider.emulator.<key>``.
        """
        try:
            options = convert(dict(raw), cls, "provider.emulator")
        except ConfigError as error:
            raise ConfigError(error.message, hint=_HINT) from None
        options._check()
        return options

    def _check(self) -> None:
        """What types alone cannot say."""
        for name in self.__struct_fields__:
            if not name.startswith("price_"):
                continue
            price: Decimal = getattr(self, name)
            if not price.is_finite() or price < 0:
                raise ConfigError(
                    f"configuration key `provider.emulator.{name}`: "
                    f"expected US dollars per million tokens, got {price}"
                )
        if not self.fingerprints:
            raise ConfigError(
                "configuration key `provider.emulator.fingerprints`: at least one is needed",
                hint="write [null] for a server that names none",
            )
        for name in _NEEDED.intersection(self.ignores):
            raise ConfigError(
                "configuration key `provider.emulator.ignores`: there is no answer without "
                f"`{name}`"
            )
        for text in (*self.faults, *self.error_fault()):
            try:
                parse_fault(text)
            except FaultError as error:
                raise ConfigError(
                    f"configuration key `provider.emulator.faults`: {error}", hint=_FAULTS_HINT
                ) from None

    def error_fault(self) -> dict[str, float]:
        """``error_rate`` as a fault with its rate; empty when the rate is zero."""
        if not self.error_rate:
            return {}
        after = "" if self.error_retry_after is None else f";{self.error_retry_after}"
        return {f"status={self.error_status}{after}": self.error_rate}

    def fault_rates(self) -> dict[str, float]:
        """Every fault that is drawn at random, with its rate."""
        in_doubt = {"in_doubt": self.in_doubt} if self.in_doubt else {}
        return {**self.error_fault(), **in_doubt, **self.faults}


_NEEDED = frozenset({"model", "messages", "input"})
_HINT = "`python -m evalharness.emulator --help` lists the options"
_FAULTS_HINT = "docs/emulator.md lists the faults"

HELP: dict[str, str] = {
    "profile": "whose manners: generic (any model, AI/ML API billing), aimlapi, openai",
    "any_model": "accept any model name (default: yes, except under profile aimlapi)",
    "envelope": "shape of errors: problem+json, the older one, OpenAI's (default: the profile's)",
    "require_key": "answer 401 unless this key is sent; '*' takes any, but wants one",
    "seed": "where the server's own random generators start",
    "fingerprints": "values of system_fingerprint, taken in turn; null names none",
    "fingerprint_every": "requests before the next fingerprint's turn",
    "fingerprint_changes_text": "another fingerprint speaks otherwise, as another backend would",
    "seed_honoured": "probability that a request's seed decides its text",
    "t0_noise": "probability that a request at temperature 0 diverges at some token",
    "load_noise": "and by how much that probability grows with each other request in flight",
    "stream_noise": "and by how much it grows in a stream",
    "ignores": "fields of requests that do nothing, such as seed or temperature; repeatable",
    "refuses": "fields of requests that are answered with 400; repeatable",
    "usage_noise": "probability that a response reports wrong prompt and completion tokens",
    "logprob_noise": "standard deviation of an error of each log probability, new in every answer",
    "logprob_shift": "the same of an error that belongs to the token: nearly another model",
    "output_tokens": "every text has exactly this many tokens (max_tokens still holds)",
    "answers": "JSONL file of known questions: prompt (or messages) and answer (or target)",
    "accuracy": "probability that a known question is answered rightly",
    "accuracy_drop": "how much accuracy falls per unit of temperature",
    "tool_call_rate": "probability of calling a tool when tool_choice leaves it open",
    "tool_bad_arguments": "probability that the arguments of a call end too early",
    "tool_unknown_name": "probability that a call names a function that was not offered",
    "tool_finish_stop": "probability that an answer with calls has the finish reason stop",
    "max_choices": "most choices a request can have (n)",
    "price_prompt": "US dollars per million prompt tokens",
    "price_cached": "US dollars per million cached prompt tokens",
    "price_cache_write": "US dollars per million prompt tokens cached on request, for 5 minutes",
    "price_cache_write_1h": "and for an hour",
    "price_completion": "US dollars per million completion tokens",
    "price_reasoning": "US dollars per million reasoning tokens",
    "credits_per_usd": "credits in a US dollar",
    "cache_min_tokens": "shortest cached prefix, in tokens; null caches nothing",
    "cache_block_tokens": "also cache beginnings of messages, in blocks of so many tokens; null: "
    "whole messages",
    "ttft_ms": "milliseconds from a free worker to the first token",
    "itl_ms": "milliseconds between tokens",
    "delay_sigma": "spread of both delays: lognormal around them, 0 is fixed",
    "workers": "requests that generate at once; the others wait, unseen (default: no limit)",
    "error_rate": "probability of an error status instead of an answer",
    "error_status": "which status that is",
    "error_retry_after": "retry-after=2, retry-after-ms=1500 or retry-after-date=3 beside it",
    "in_doubt": "probability of serving, billing, and resetting the connection unanswered",
    "faults": "NAME=RATE: probability of any other fault; repeatable",
    "rpm": "requests allowed in a window",
    "tpm": "tokens allowed in a window, prompt and completion",
    "limit_window_s": "length of the sliding window of rpm and tpm, in seconds",
    "per_second_caps": "hold a second's share of rpm and tpm second by second, too",
    "limit_retry_after": "how a 429 says when to come back",
    "batch_delay_s": "seconds from a batch's creation to its end, over which its lines are served",
    "batch_discount": "share of the price that a batch's request does not cost",
    "batch_fail": "probability that a line of a batch is answered with status 500, unbilled",
    "batch_expire": "probability that a line expires unserved; its batch expires, too",
    "batch_duplicate": "probability that a line of a batch's output is written twice",
    "batch_shuffle": "write the output in another order than the input",
    "batch_unknown": "add an output line with an id that was never sent",
    "batch_lost_create": "probability of creating a batch and resetting the connection unanswered",
    "batch_max_requests": "requests allowed in a batch (default: 50000, of messages 100000)",
    "batch_max_bytes": "bytes allowed in a batch (default: 200 MiB, of messages 256 MiB)",
    "batch_max_enqueued_tokens": "tokens an account may have in OpenAI batches at once, by size",
    "ledger": "append a line of JSON for each finished request to this file",
    "logs_delay_s": "seconds until a request appears in /v2/logs",
    "logs_rpm": "requests to /v2/logs allowed per 60 s",
}
