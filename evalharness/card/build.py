"""The card of a run: every check's row, with what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import structs

from evalharness.card.answers import Arm, CardAnswers
from evalharness.card.checks import accounting, limits, repeats, structure
from evalharness.card.checks.logprobs import logprobs
from evalharness.card.protocol import VERSION, protocol_hash
from evalharness.card.read_answers import SettingAnswers, read_settings
from evalharness.card.result import CheckFinding, CheckResult, finished, obstacle
from evalharness.config.package_version import __version__
from evalharness.records import Setting, digest
from evalharness.store.folder.run import Run


class CardCheck(NamedTuple):
    """One row of the card.

    Attributes:
        key: its name for programs.
        title: what it asks.
        arms: whose requests it needs; none: those of all.
        find: from their answers to a verdict.
    """

    key: str
    title: str
    arms: tuple[str, ...]
    find: Callable[[CardAnswers], CheckFinding]


CHECKS = (
    CardCheck("temperature_0", "same text at temperature 0", ("temperature-0",),
              repeats.temperature_zero),
    CardCheck("seed", "seed honoured", ("seed-11", "seed-12", "temperature-1"), repeats.seed),
    CardCheck("temperature", "temperature honoured", ("temperature-0", "temperature-1"),
              repeats.temperature),
    CardCheck("top_p", "top_p honoured", ("top_p", "plain"), repeats.top_p),
    CardCheck("max_tokens", "max_tokens honoured", ("max_tokens",), limits.max_tokens),
    CardCheck("stop", "stop honoured", ("stop", "plain"), limits.stop),
    CardCheck("n", "n choices", ("n",), limits.choices),
    CardCheck("logprobs", "logprobs", ("logprobs",), logprobs),
    CardCheck("json_schema", "JSON schema obeyed", ("json_schema",), structure.json_schema),
    CardCheck("tool_required", "tool_choice required", ("tool_choice-required",),
              structure.required_tool),
    CardCheck("tool_none", "tool_choice none", ("tool_choice-none", "tool_choice-required"),
              structure.no_tool),
    CardCheck("tool_named", "tool_choice by name", ("tool_choice-named",), structure.named_tool),
    CardCheck("stream", "stream = no stream at temperature 0",
              ("temperature-0-stream", "temperature-0"), repeats.stream),
    CardCheck("usage", "usage plausible", ("plain",), accounting.usage),
    CardCheck("rate_limit_headers", "rate-limit headers", (), accounting.rate_limit_headers),
)  # fmt: skip


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The card of one server and model.

    Attributes:
        run: name of the run, with its setting where it has several.
        provider, endpoint, model: what was asked.
        response_models: names of models in its responses.
        params: of all requests, beside those of the protocol; a system prompt among them.
        first_sent, last_sent: ISO 8601 in UTC; null: nothing was sent.
        records: how many.
        protocol_version: of the run's requests.
        protocol_hash: of the shipped protocol; null where the run has another version, or requests
            that are not its.
        changed_requests: prompts that are not those of the protocol.
        code_version: of the package that made the card.
        code_hash: of the rules of its verdicts.
        data_hash: of the records: requests, responses, statuses.
        checks: the rows.
    """

    run: str
    provider: str
    endpoint: str
    model: str
    response_models: list[str]
    params: dict[str, object]
    first_sent: str | None
    last_sent: str | None
    records: int
    protocol_version: int
    protocol_hash: str | None
    changed_requests: int
    code_version: str
    code_hash: str
    data_hash: str
    checks: list[CheckResult]


def build_cards(run: Run) -> list[Card]:
    """The card of each setting of a run; mostly there is one.

    Raises:
        ConfigError: it is no card run, or its configuration cannot be read.
    """
    settings = read_settings(run)
    return [_card(run, given, several=len(settings) > 1) for given in settings]


def check_answers(answers: CardAnswers) -> list[CheckResult]:
    """Every row of the card, from the answers."""
    rows: list[CheckResult] = []
    for check in CHECKS:
        arms = [answers[name] for name in check.arms] or list(map(_answered_part, answers))
        finding = obstacle(arms) if check.arms else None
        rows.append(finished(check.key, check.title, arms, finding or check.find(answers)))
    return rows


def _answered_part(arm: Arm) -> Arm:
    """What is asked of any answer needs no request of its own."""
    return structs.replace(arm, planned=len(arm.answers), left_out=None, records=arm.answers)


def unanswered(cards: Sequence[Card]) -> list[str]:
    """The checks that lack answers of requests that could be sent, by title."""
    return [
        check.title
        for card in cards
        for check in card.checks
        if "not sent yet" in check.evidence or "the run has no requests" in check.evidence
    ]


@cache
def rules_hash() -> str:
    """A hash of the sources of the card's package, 32 hex digits."""
    folder = Path(__file__).parent
    return digest(*(path.read_bytes() for path in sorted(folder.rglob("*.py"))))


def _card(run: Run, given: SettingAnswers, *, several: bool) -> Card:
    setting = given.setting
    is_shipped = given.version == VERSION and not given.changed
    return Card(
        run=f"{run.name}: {setting.label}" if several else run.name,
        provider=setting.provider,
        endpoint=setting.endpoint,
        model=setting.model,
        response_models=given.models,
        params=_sent_with_all(setting),
        first_sent=given.first_sent,
        last_sent=given.last_sent,
        records=given.records,
        protocol_version=given.version,
        protocol_hash=protocol_hash() if is_shipped else None,
        changed_requests=given.changed,
        code_version=__version__,
        code_hash=rules_hash(),
        data_hash=given.data_hash,
        checks=check_answers(given.answers),
    )


def _sent_with_all(setting: Setting) -> dict[str, object]:
    """The parameters of every request, and the system prompt and template where there are some."""
    texts = {"system": setting.system, "template": setting.template}
    sent: dict[str, object] = {name: v for name, v in setting.params.items() if v != {}}
    return sent | {name: text for name, text in texts.items() if text is not None}
