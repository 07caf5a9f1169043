"""The columns of the table of records: what each is called, and where its values are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from evalharness.errors import ConfigError
from evalharness.view.queries.record_filter import BadParameterError

Kind = Literal["text", "words", "number", "share", "seconds", "money", "time", "flag"]
#: Where a value is: in the narrow table of the index, in those of prompts, settings or marks, or in
#: the parts themselves (wide: read for the rows that are shown).
Source = Literal["r", "p", "s", "m", "w"]


class RecordColumn(NamedTuple):
    """A column that can be shown, sorted by and exported.

    Attributes:
        name: in addresses and in exports.
        heading: on the page.
        kind: how a value is written.
        source: the table with it.
        sql: its value there.
    """

    name: str
    heading: str
    kind: Kind
    source: Source
    sql: str


#: Columns of the parts that are copied into the index.
NARROW = (
    "trial_id", "prompt_id", "setting_id", "repeat", "status", "finish_reason", "latency_s",
    "error_kind", "completion_tokens",
)  # fmt: skip

#: Columns of the parts that are read where they are.
WIDE = (
    "text", "refusal", "tool_calls_json", "reasoning", "reasoning_text", "error_message",
    "ttft_s", "prompt_tokens", "reasoning_tokens", "billed_usd", "sent_at", "attempts",
    "http_status", "response_model", "system_fingerprint", "model", "temperature", "seed",
    "cached_tokens", "queue_s", "in_flight", "measurement", "phase", "in_doubt", "response_id",
)  # fmt: skip

#: What a model gave: the same three that reports compare.
OUTPUT = "nullif(concat(w.text, w.refusal, w.tool_calls_json), '')"

_COLUMNS = (
    RecordColumn("prompt_id", "prompt", "words", "r", "r.prompt_id"),
    RecordColumn("prompt", "prompt text", "text", "p", "p.shown"),
    RecordColumn("target", "target", "text", "p", "p.target"),
    RecordColumn("tags", "tags", "words", "p", "array_to_string(p.tags, ', ')"),
    RecordColumn("setting", "setting", "words", "s", "coalesce(s.label, r.setting_id)"),
    RecordColumn("setting_id", "setting id", "words", "r", "r.setting_id"),
    RecordColumn("repeat", "repeat", "number", "r", "r.repeat"),
    RecordColumn("status", "status", "words", "r", "r.status"),
    RecordColumn("error_kind", "error", "words", "r", "r.error_kind"),
    RecordColumn("output", "output", "text", "w", OUTPUT),
    RecordColumn("reasoning", "reasoning", "text", "w", "coalesce(w.reasoning_text, w.reasoning)"),
    RecordColumn("error_message", "error message", "text", "w", "w.error_message"),
    RecordColumn("finish_reason", "finish reason", "words", "r", "r.finish_reason"),
    RecordColumn("latency_s", "latency", "seconds", "r", "r.latency_s"),
    RecordColumn("ttft_s", "first token", "seconds", "w", "w.ttft_s"),
    RecordColumn("prompt_tokens", "prompt tokens", "number", "w", "w.prompt_tokens"),
    RecordColumn("completion_tokens", "output tokens", "number", "r", "r.completion_tokens"),
    RecordColumn("reasoning_tokens", "reasoning tokens", "number", "w", "w.reasoning_tokens"),
    RecordColumn("cached_tokens", "cached tokens", "number", "w", "w.cached_tokens"),
    RecordColumn("billed_usd", "billed", "money", "w", "w.billed_usd"),
    RecordColumn("attempts", "attempts", "number", "w", "w.attempts"),
    RecordColumn("http_status", "HTTP status", "number", "w", "w.http_status"),
    RecordColumn("sent_at", "sent (UTC)", "time", "w", "w.sent_at"),
    RecordColumn("queue_s", "own queue", "seconds", "w", "w.queue_s"),
    RecordColumn("in_flight", "in flight", "number", "w", "w.in_flight"),
    RecordColumn("model", "model", "words", "w", "w.model"),
    RecordColumn("response_model", "model that answered", "words", "w", "w.response_model"),
    RecordColumn("system_fingerprint", "fingerprint", "words", "w", "w.system_fingerprint"),
    RecordColumn("temperature", "temperature", "number", "w", "w.temperature"),
    RecordColumn("seed", "seed", "number", "w", "w.seed"),
    RecordColumn("measurement", "measurement", "number", "w", "w.measurement"),
    RecordColumn("phase", "phase", "words", "w", "w.phase"),
    RecordColumn("in_doubt", "in doubt", "flag", "w", "w.in_doubt"),
    RecordColumn("response_id", "response id", "words", "w", "w.response_id"),
    RecordColumn("trial_id", "record id", "words", "r", "r.trial_id"),
    RecordColumn("mark", "mark", "words", "m", "m.mark"),
    RecordColumn("note", "note", "text", "m", "m.note"),
)
_SCORED = (
    RecordColumn("output_variants", "different outputs", "number", "r", "r.output_variants"),
    RecordColumn("cost_usd", "cost", "money", "r", "r.cost_usd"),
)
_ANSWERED = (
    RecordColumn("answer", "answer", "text", "r", "r.answer"),
    RecordColumn("answer_variants", "different answers", "number", "r", "r.answer_variants"),
)
_DEFAULT = (
    "prompt_id", "prompt", "output", "answer", "score", "setting", "repeat", "status", "latency_s",
)  # fmt: skip


class ColumnSet(NamedTuple):
    """The columns that a run has now.

    Attributes:
        scorers: None as long as scores are not known.
        has_answers: whether answers are extracted.
    """

    scorers: tuple[str, ...] | None
    has_answers: bool

    def all(self, scorer: str = "") -> dict[str, RecordColumn]:
        """Every column by name; ``score`` is by the scorer of this label, or by the first.

        Raises:
            BadParameterError: there is no such scorer.
        """
        columns = [*_COLUMNS]
        if self.scorers is not None:
            columns += _SCORED
            columns += _ANSWERED if self.has_answers else ()
            columns += self._scores(scorer)
        return {column.name: column for column in columns}

    def _scores(self, scorer: str) -> list[RecordColumn]:
        scorers = self.scorers or ()
        if scorer and scorer not in scorers:
            raise BadParameterError("scorer", scorer, scorers or "the run has no scores")
        each = [
            RecordColumn(f"score.{name}", f"score by {name}", "share", "r", f"r.score_{index}")
            for index, name in enumerate(scorers)
        ]
        if not each:
            return []
        main = each[scorers.index(scorer) if scorer else 0]
        return [main._replace(name="score", heading="score"), *each]

    def chosen(self, names: Sequence[str], scorer: str, *, marks: bool) -> list[RecordColumn]:
        """The columns of an address, or those of most use.

        Args:
            names: those that the address names; empty takes the columns of most use.
            scorer: as for :meth:`all`.
            marks: whether marks are of use.

        Raises:
            BadParameterError: the run has no such column.
        """
        columns = self.all(scorer)
        if names:
            return [find_column("column", name, columns) for name in names]
        wanted = [*_DEFAULT, *(("mark", "note") if marks else ())]
        return [columns[name] for name in wanted if name in columns]


def find_column(parameter: str, name: str, columns: dict[str, RecordColumn]) -> RecordColumn:
    """The column of this name.

    Raises:
        ConfigError: there is none; it names the parameter, and scores or answers that are missing.
    """
    if name in columns:
        return columns[name]
    if name in {column.name for column in _ANSWERED}:
        raise _missing(parameter, "answers", "answer=last_number")
    if "score" not in columns and (name == "score" or name.startswith("score.")):
        raise _missing(parameter, "scores", "scoring=exact")
    raise BadParameterError(parameter, name, columns)


def _missing(parameter: str, figures: str, argument: str) -> ConfigError:
    return ConfigError(
        f"`{parameter}` is about {figures}, and the run has none",
        hint=f"evalharness export RUN --format csv {argument} gives its records {figures}; those "
        "of this table are by the run's own configuration",
    )


def needs_scores(name: str) -> bool:
    """Whether a column is of scores, and so is there only once they are computed."""
    computed = {column.name for column in (*_SCORED, *_ANSWERED)} | {"score"}
    return name in computed or name.startswith("score.")
