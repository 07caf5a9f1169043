"""RunConfig and its parts: typed, with ranges, nothing unknown let through.

Built by :mod:`evalharness.cli.compose` from Hydra's output with :func:`parse_run_config`. A wrong
key, type or range raises ConfigError naming the key as it is typed on the command line. ``None``
means "not sent" in ``params`` and "no limit" in ``limits``. Ranges of sampling parameters belong to
a provider profile (:class:`Profile`), since providers differ; what is checked here holds
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evalharness.config.batch import BatchRules as BatchRules
from evalharness.config.benchmark import LoadConfig as LoadConfig
from evalharness.config.benchmark import SearchConfig as SearchConfig
from evalharness.config.benchmark import SloConfig as SloConfig
from evalharness.config.benchmark import ThinkConfig as ThinkConfig
from evalharness.config.execution import ExecutionConfig as ExecutionConfig
from evalharness.config.number_types import Count, NonNegative, Positive
from evalharness.config.server import ServerConfig
from evalharness.config.server_metrics import ServerMetricsConfig
from evalharness.config.validation import convert, suggest_name
from evalharness.config.workload import ExactOutputField, WorkloadConfig
from evalharness.parameters import BY_NAME, RANGED, Parameter, Range

RunName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


# How the counts of a usage include each other: see evalharness/pricing/usage_rules.py.
UsageRule = Literal[
    "reasoning_outside", "cache_outside", "reasoning_and_cache_outside", "completion_is_rest"
]
# Where a provider says what it billed: see evalharness/chat_api/bill.py.
BillForm = Literal[
    "aimlapi", "usage_cost", "usage_cost_ticks", "usage_estimated_cost", "litellm_header"
]
_BILL_FORMS: tuple[BillForm, ...] = (
    "aimlapi", "usage_cost", "usage_cost_ticks", "usage_estimated_cost", "litellm_header"
)  # fmt: skip


class _ConfigPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part: an unknown key is an error."""


#: Which API of chats a server speaks: see evalharness/chat_api/protocols.
ProtocolName = Literal["chat", "responses", "messages"]

#: APIs whose requests can have no seed, and what messages call them.
APIS_WITHOUT_SEED: Mapping[str, str] = MappingProxyType(
    {"responses": "the Responses API", "messages": "the Messages API"}
)

#: Types of content parts that are no text.
MEDIA_PARTS = ("image_url", "input_audio", "file")


class ModelRules(_ConfigPart, frozen=True):
    """What differs for some models of a provider.

    Attributes:
        match: names of models, with ``*`` for any characters; case does not matter.
        refuses: as :attr:`Profile.refuses`, added to it.
        ranges: as :attr:`Profile.ranges`, each in place of the profile's own.
    """

    match: list[str]
    refuses: dict[str, str | None] = {}
    ranges: dict[str, Range] = {}

    def __post_init__(self) -> None:
        """Refuse what names no parameter."""
        _check_names(self.refuses, self.ranges)

    def applies_to(self, model: str) -> bool:
        """Whether a model is one of these."""
        return any(fnmatchcase(model.lower(), pattern.lower()) for pattern in self.match)


class Profile(_ConfigPart, frozen=True):
    """What differs between providers: ranges, limits and the meaning of their errors.

    Attributes:
        ranges: closed ranges by parameter, ``[lowest, highest]``, checked before anything is sent;
            null is no bound on that side. A parameter without one has the range of the table of
            parameters.
        refuses: parameters that the provider refuses, or ignores where that would mislead; each
            with the name of the parameter that takes its place (``extra.NAME``: a field of this
            provider), or null where none does. Such a request is refused before it is sent.
        models: what differs for some of its models; every entry that matches holds, in order.
        max_stop: how many stop sequences are accepted.
        fatal_codes: error codes or words in an error message that mean the account itself is
            out of money or closed; they stop the run (exit 3).
        quota_is_money: whether ``insufficient_quota`` on 429 means no money (OpenAI) rather than
            tokens per minute (DashScope).
        failed_calls_billed: whether a failed call may cost money; None is unknown.
        per_second_caps: the provider also enforces its per-minute limits second by second.
        price_source: name of the price table this provider is looked up in, None for its own name.
        part_tokens: the most prompt tokens that one content part becomes, by its type
            (``image_url``, ``input_audio``, ``file``); unknown for a type without.
        stream_usage: send ``stream_options.include_usage`` with streamed requests unless set.
        usage_rule: how the provider's counts are billed where their total says that prompt and
            completion tokens are not all: ``reasoning_outside`` (the total also holds the reasoning
            tokens), ``cache_outside`` (the tokens read from and written to a cache),
            ``reasoning_and_cache_outside``, ``completion_is_rest`` (completion is total less
            prompt). None: the cost of such a response is unknown.
        bill: the forms in which the provider says what it billed: ``aimlapi`` (its headers and
            ``meta.usage``), ``usage_cost`` (a number or an object), ``usage_cost_ticks``
            (``usage.cost_in_usd_ticks``, 10⁻¹⁰ dollars), ``usage_estimated_cost``,
            ``litellm_header`` (``x-litellm-response-cost``).
        batch: its batch endpoint; None: it has none.
        exact_output: the fields of requests that keep an output from ending before its limit, which
            synthetic workloads may send (``ignore_eos``, ``min_tokens``); empty: it takes none, or
            nothing is known.
    """

    ranges: dict[str, Range] = {}
    refuses: dict[str, str | None] | None = None
    models: list[ModelRules] = []
    max_stop: int | None = 4
    fatal_codes: list[str] = []
    quota_is_money: bool = False
    failed_calls_billed: bool | None = None
    per_second_caps: bool = False
    price_source: str | None = None
    part_tokens: dict[str, Annotated[int, Meta(ge=0)]] = {}
    stream_usage: bool = True
    usage_rule: UsageRule | None = None
    bill: tuple[BillForm, ...] = _BILL_FORMS
    batch: BatchRules | None = None
    exact_output: list[ExactOutputField] = []

    def __post_init__(self) -> None:
        """Refuse what names no parameter, or no type of part."""
        _check_names(self.refuses or {}, self.ranges)
        for name in self.part_tokens:
            if name not in MEDIA_PARTS:
                raise ValueError(f"`part_tokens`: `{name}` is none of {', '.join(MEDIA_PARTS)}")

    def for_model(self, model: str | None) -> Profile:
        """The profile as it holds for one model of the provider; None: for every model."""
        rules = [r for r in self.models if model is not None and r.applies_to(model)]
        if not rules:
            return self
        refuses, ranges = dict(self.refuses or {}), dict(self.ranges)
        for rule in rules:
            refuses |= rule.refuses
            ranges |= rule.ranges
        return msgspec.structs.replace(self, refuses=refuses, ranges=ranges)

    def range_of(self, parameter: Parameter) -> Range:
        """The range of a parameter here: the profile's own, else that of every provider."""
        return self.ranges.get(parameter.name, parameter.range)


def _check_names(refuses: Mapping[str, str | None], ranges: Mapping[str, Range]) -> None:
    for name in ranges:
        if name not in RANGED:
            raise ValueError(
                f"`ranges`: `{name}` is not a numeric parameter: {suggest_name(name, RANGED)}"
            )
    for name in (n for pair in refuses.items() for n in pair if n is not None):
        if name not in BY_NAME and not name.startswith("extra."):
            raise ValueError(
                f"`refuses`: `{name}` is not a parameter: {suggest_name(name, BY_NAME)}"
            )


class ProviderConfig(_ConfigPart, frozen=True):
    """Who answers.

    ``kind`` is ``remote`` (any base URL), ``local`` (llama.cpp in a child process), ``emulator``
    (the rehearsal server in a child process) or ``python`` (the function that ``call`` names).
    ``api_key_env`` is the *name* of the environment variable that holds the key; None sends no
    key.

    Attributes:
        base_url: what the protocol's path (``/chat/completions``) is appended to; ``{model}`` in it
            is the model's name.
        base_urls: several addresses that stand for one endpoint, in place of ``base_url``.
        routing: which of them a request goes to: ``round_robin``, or the one with the fewest
            requests in flight (``least_in_flight``).
        affinity: what goes to one of them: ``session`` all turns of a conversation, ``prompt`` all
            repeats of a prompt or conversation, ``none`` nothing.
        protocol: ``chat`` (chat completions), ``responses`` (OpenAI's Responses) or ``messages``
            (Anthropic's Messages).
        auth: how the key is sent: ``bearer``, ``header:NAME``, or ``none`` where none is needed.
        headers: further request headers, stored with the results.
        secret_headers: further ones that are secret: header to *name* of environment variable.
        query: of every request's address, by name.
        allow_plain_http: send keys unencrypted to a machine other than this one.
        server: what it runs on, for figures per GPU and per dollar.

    TLS (docs/tls.md): ``ca_file`` holds certificates to trust beside the system's, ``verify=False``
    checks neither certificate nor name, ``client_cert`` and ``client_key`` are shown to the server.
    All are paths of PEM files; None is none.
    """

    kind: Literal["remote", "local", "emulator", "python"]
    name: str
    model: str
    base_url: str | None = None
    base_urls: list[str] = []
    routing: Literal["round_robin", "least_in_flight"] = "round_robin"
    affinity: Literal["session", "prompt", "none"] = "session"
    protocol: ProtocolName = "chat"
    api_key_env: str | None = None
    auth: str = "bearer"
    headers: dict[str, str] = {}
    secret_headers: dict[str, str] = {}
    query: dict[str, str] = {}
    allow_plain_http: bool = False
    server: ServerConfig = ServerConfig()
    ca_file: str | None = None
    verify: bool = True
    client_cert: str | None = None
    client_key: str | None = None
    profile: Profile = Profile()
    # local only
    model_path: str | None = None
    parallel: Count = 4
    context_tokens: Count = 2048
    threads: Annotated[int, Meta(ge=1)] | None = None
    # emulator only: options of `evalharness serve emulator`
    emulator: dict[str, Any] = {}
    # python only: module:function
    call: str | None = None


class DatasetConfig(_ConfigPart, frozen=True):
    """Which prompts; ``template`` is Jinja for the user message, ``system`` a system prompt.

    ``columns`` names the file's own column for a meaning, as ``{prompt: ticket, target: label}``.
    ``max_file_mib`` is the most that an image, recording or file of a row may have, in MiB.
    ``workload`` says how the prompts of ``path: workload:NAME`` are made.
    """

    path: str
    columns: dict[str, str] = {}
    limit: Count | None = None
    sample: Count | None = None
    sample_seed: int = 0
    where: str | None = None
    template: str | None = None
    system: str | None = None
    max_file_mib: Positive = 20.0
    workload: WorkloadConfig | None = None


class OrderConfig(_ConfigPart, frozen=True):
    """In what order trials are sent.

    ``interleaved`` visits every prompt × setting once before any repeat comes again; ``blocked``
    sends the repeats of one prompt × setting together. Both shuffle by ``shuffle_seed``.
    """

    shuffle_seed: int = 0
    repeats: Literal["interleaved", "blocked"] = "interleaved"


#: The largest value of ``limits.concurrency``.
MAX_CONCURRENCY = 100_000


class LimitsConfig(_ConfigPart, frozen=True):
    """What may not be exceeded. Seconds end in ``_s``; None is no limit."""

    concurrency: Annotated[int, Meta(ge=1, le=MAX_CONCURRENCY)] = 8
    adaptive: bool = False
    rpm: Positive | None = None
    tpm: Positive | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    in_doubt_retries: Annotated[int, Meta(ge=0)] = 1
    max_wait_s: NonNegative = 900.0
    drain_s: NonNegative = 60.0
    max_cost_usd: Decimal | None = None
    confirm_above_usd: Decimal | None = Decimal(1)
    timeout_connect_s: Positive = 10.0
    timeout_write_s: Positive = 60.0
    timeout_first_byte_s: Positive = 120.0
    timeout_stall_s: Positive = 60.0
    timeout_total_s: Positive = 600.0
    max_response_mib: Positive = 16.0
    trust_env_proxies: bool = False

    def __post_init__(self) -> None:
        for name in ("max_cost_usd", "confirm_above_usd"):
            value: Decimal | None = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"`{name}` must be 0 or more (US dollars), got {value}")


class RunConfig(_ConfigPart, frozen=True):
    """A whole run, as validated. ``sweep`` maps axis names to values (see ``planning/sweep.py``).

    ``load`` is None for batch evaluation (closed loop at ``limits.concurrency``). ``results_dir``
    is a path, or a URL (``s3://bucket/folder``, ``file:///path``) whose runs are written into a
    copy below ``staging_dir`` first (None: the user's state folder). ``claim_lost_copy`` names a
    copy that is lost for good (see :mod:`evalharness.store.remote.sync`). ``server_metrics`` are
    read beside the run.
    """

    name: RunName
    provider: ProviderConfig
    dataset: DatasetConfig
    params: dict[str, Any] = {}
    sweep: dict[str, Any] = {}
    repeats: Annotated[int, Meta(ge=1, le=100_000)] = 3
    order: OrderConfig = OrderConfig()
    limits: LimitsConfig = LimitsConfig()
    load: LoadConfig | None = None
    scoring: list[dict[str, Any]] = []
    answer: dict[str, Any] | str | None = None
    pricing: dict[str, Any] = {}
    transport: Literal["auto", "reqwest", "httpx"] = "auto"
    keep_chunk_times: bool = False
    results_dir: str = "results"
    staging_dir: str | None = None
    claim_lost_copy: str | None = None
    execution: ExecutionConfig = ExecutionConfig()
    server_metrics: ServerMetricsConfig | None = None
    # Provider configurations that a `provider` axis refers to, by name; filled by app.
    providers: dict[str, ProviderConfig] = {}


def parse_run_config(raw: dict[str, Any]) -> RunConfig:
    """Turn plain data (Hydra's resolved output) into a RunConfig.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range, naming the key.
    """
    return convert(raw, RunConfig)
