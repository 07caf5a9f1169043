"""The answers of a card run, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.card.answers import Answer, Arm, CardAnswers
from evalharness.card.protocol import DATASET, REPEATS, VERSION, RowFields, row_fields, shipped_rows
from evalharness.config.models import ProtocolName, RunConfig, parse_run_config
from evalharness.config.strict_yaml import YamlError, parse_yaml, split_documents
from evalharness.datasets import prompt_digest
from evalharness.errors import ConfigError
from evalharness.planning.optional_rows import LeftOutRow, optional_row
from evalharness.records import Prompt, Setting, Status, Usage, digest
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (
    "trial_id", "prompt_id", "setting_id", "repeat", "status", "text", "finish_reason",
    "tool_calls_json", "logprobs_json", "choices_json", "reasoning_text", "prompt_tokens",
    "completion_tokens", "total_tokens", "reasoning_tokens", "headers_json", "error_kind",
    "error_message", "request_json", "response_json", "sent_at", "response_model",
)  # fmt: skip
_HASHED = ("trial_id", "status", "error_message", "request_json", "response_json")


class SettingAnswers(NamedTuple):
    """The answers of one setting: of one card.

    Attributes:
        setting: what was asked.
        answers: by arm.
        version: of the protocol that the run's requests have.
        changed: requests of the run that are not those of the shipped protocol of this version.
        records: how many.
        data_hash: of the records: requests, responses, statuses.
        first_sent, last_sent: ISO 8601 in UTC; null: nothing was sent.
        models: names of the models in the responses.
    """

    setting: Setting
    answers: CardAnswers
    version: int
    changed: int
    records: int
    data_hash: str
    first_sent: str | None
    last_sent: str | None
    models: list[str]


class _RunRow(NamedTuple):
    fields: RowFields
    content_hash: str


class _Function(msgspec.Struct):
    name: str | None = None


class _Call(msgspec.Struct):
    function: _Function | None = None


def is_card_run(run: Run) -> bool:
    """Whether a run has the dataset of the card's protocol, by its configuration."""
    path = next(run.configs()).dataset.get("path")
    return isinstance(path, str) and PurePath(path).name == DATASET


def read_settings(run: Run) -> list[SettingAnswers]:
    """The answers of each setting of a card run's newest plan.

    Raises:
        ConfigError: it is no card run, or its configuration cannot be read.
    """
    plan = PlanFilter.of(run)
    rows = _run_rows(plan.prompts)
    if not rows:
        raise ConfigError(
            f"run `{run.name}` is no run of experiment=card",
            hint="evalharness run experiment=card provider=NAME name=card-NAME",
        )
    config = _run_config(run)
    table = plan.select(run.table("records", list(_COLUMNS)))
    records: dict[str, list[Mapping[str, Any]]] = {}
    for record in table.to_pylist():
        records.setdefault(record["setting_id"], []).append(record)
    current = set(plan.settings["setting_id"].to_pylist())
    settings = [setting for setting in run.setting_list if setting.setting_id in current]
    return [
        _setting_answers(setting, settings, rows, records.get(setting.setting_id, []), config)
        for setting in settings
    ]


def _run_rows(prompts: pa.Table) -> dict[str, _RunRow]:
    """The rows of the protocol in a table of prompts, by prompt."""
    rows: dict[str, _RunRow] = {}
    for row in prompts.select(["prompt_id", "fields_json", "content_hash"]).to_pylist():
        text: str | None = row["fields_json"]
        fields = None if text is None else row_fields(_with_fields(text))
        if fields is not None:
            rows[row["prompt_id"]] = _RunRow(fields, row["content_hash"])
    return rows


def _with_fields(text: str) -> Prompt:
    return Prompt(prompt_id="", fields=msgspec.json.decode(text))


def _run_config(run: Run) -> RunConfig:
    text = run.config_yaml
    if text is None:
        raise ConfigError(f"run `{run.name}` has no configuration: no card can be made of it")
    try:
        return parse_run_config(parse_yaml(next(iter(split_documents(text)))) or {})
    except YamlError as error:
        raise ConfigError(f"the run's config.yaml cannot be read: {error}") from None


def _setting_answers(
    setting: Setting,
    settings: Sequence[Setting],
    rows: Mapping[str, _RunRow],
    records: Sequence[Mapping[str, Any]],
    config: RunConfig,
) -> SettingAnswers:
    version = max(row.fields.protocol for row in rows.values())
    reasons, expected = _expected_rows(settings, config)
    changed = 0
    if version == VERSION:
        changed = sum(
            expected.get(p, row.content_hash) != row.content_hash for p, row in rows.items()
        )
        changed += sum(prompt not in expected and prompt not in reasons for prompt in rows)
    sent = sorted(r["sent_at"] for r in records if r["sent_at"] is not None)
    ordered = sorted(records, key=lambda record: str(record["trial_id"]))
    parts = [str(record[name] or "").encode() for record in ordered for name in _HASHED]
    return SettingAnswers(
        setting=setting,
        answers=_arms(rows, reasons if version == VERSION else {}, records),
        version=version,
        changed=changed,
        records=len(records),
        data_hash=digest(*parts),
        first_sent=_moment(sent[0]) if sent else None,
        last_sent=_moment(sent[-1]) if sent else None,
        models=sorted({r["response_model"] for r in records if r["response_model"]}),
    )


def _expected_rows(
    settings: Sequence[Setting], config: RunConfig
) -> tuple[dict[str, str], dict[str, str]]:
    """Why shipped rows are not sent here, and the hash of each that is, by prompt."""
    providers = (config.provider, *config.providers.values())
    profiles = {p.name: p.profile for p in providers}
    protocols: dict[str, ProtocolName] = {p.name: p.protocol for p in providers}
    reasons: dict[str, str] = {}
    expected: dict[str, str] = {}
    for prompt in shipped_rows():
        row = optional_row(prompt, settings, profiles, protocols)
        if isinstance(row, LeftOutRow):
            reasons[prompt.prompt_id] = row.reason
        else:
            expected[prompt.prompt_id] = prompt_digest(row)
    return reasons, expected


def _arms(
    rows: Mapping[str, _RunRow],
    reasons: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
) -> CardAnswers:
    """The arms of the shipped protocol, and those of the run where it had another."""
    planned: dict[str, int] = {}
    left_out: dict[str, str] = {}
    for prompt in shipped_rows():
        fields = row_fields(prompt)
        assert fields is not None, f"{DATASET} has a row without arm"
        planned[fields.arm] = planned.get(fields.arm, 0) + REPEATS
        if prompt.prompt_id in reasons and prompt.prompt_id not in rows:
            left_out[fields.arm] = reasons[prompt.prompt_id]
    answers: dict[str, list[Answer]] = {}
    for record in sorted(records, key=lambda r: (str(r["prompt_id"]), int(r["repeat"]))):
        row = rows.get(record["prompt_id"])
        if row is not None and record["repeat"] < REPEATS:
            answers.setdefault(row.fields.arm, []).append(_answer(row.fields.topic, record))
    return CardAnswers(
        {
            name: Arm(
                name=name,
                planned=planned.get(name, 0),
                left_out=left_out.get(name),
                records=answers.get(name, []),
            )
            for name in {**planned, **answers}
        }
    )


def _answer(topic: str, record: Mapping[str, Any]) -> Answer:
    choices = record["choices_json"]
    headers = record["headers_json"]
    return Answer(
        topic=topic,
        status=Status(record["status"]),
        text=record["text"],
        finish_reason=record["finish_reason"],
        calls=_call_names(record["tool_calls_json"]),
        logprobs_json=record["logprobs_json"],
        choices=1 if choices is None else len(msgspec.json.decode(choices, type=list[msgspec.Raw])),
        reasoned=bool(record["reasoning_text"]),
        usage=Usage(
            prompt_tokens=record["prompt_tokens"],
            completion_tokens=record["completion_tokens"],
            total_tokens=record["total_tokens"],
            reasoning_tokens=record["reasoning_tokens"],
        ),
        headers=frozenset(
            () if headers is None else msgspec.json.decode(headers, type=dict[str, str])
        ),
        error_kind=record["error_kind"],
        error_message=record["error_message"],
    )


def _call_names(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    try:
        calls = msgspec.json.decode(text, type=list[_Call])
    except msgspec.MsgspecError:
        return ("",)  # something came, and it has no name
    return tuple(call.function.name or "" if call.function else "" for call in calls)


def _moment(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
