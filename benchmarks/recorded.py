"""A run folder of any size, as a run leaves it, made without a request.

Parts come from the store's own writers and hold every column; their values are drawn by hashing, a
part at a time, so that a folder of ten million records needs no more memory than one of ten
thousand. Texts are 3 to 10 sentences and an answer, 60 to 220 tokens; the repeats of a prompt
begin alike and part at a sentence, the more often the higher the temperature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalharness.planning.shuffle import FeistelPermutation
from evalharness.records import Prompt, Setting
from evalharness.schema import arrow_schema
from evalharness.store.folder.run_folder import RunFolder
from evalharness.store.parts.part_files import write_part, write_table
from evalharness.store.parts.seal import SEAL_TRIALS
from evalharness.store.parts.to_arrow import prompt_table, setting_table

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

PROVIDER, MODEL = "dashscope", "qwen-plus"
CONFIG = f"""\
scoring: [{{name: includes}}]
answer: {{last_number: true}}
provider: {{name: {PROVIDER}}}
"""
_SENTENCES, _MOST = 20_000, 10
_STATUSES = ("ok", "truncated", "refused", "error")
_BEGAN_NS = 1_750_000_000_000_000_000
_compute: Any = pc


class Shape(NamedTuple):
    """How many of what; the trials are their product."""

    prompts: int
    settings: int = 10
    repeats: int = 10

    @property
    def trials(self) -> int:
        """Records of the folder."""
        return self.prompts * self.settings * self.repeats


def make(root: Path, shape: Shape, *, part_rows: int = SEAL_TRIALS) -> None:
    """Write a complete run of that shape as ``root``; the same shape gives the same records."""
    root.mkdir(parents=True)
    settings = [_setting(number) for number in range(shape.settings)]
    prompts = [_prompt(number) for number in range(shape.prompts)]
    folder = RunFolder.open(root, code_version="benchmark")
    (root / "config.yaml").write_text(CONFIG)
    write_table(root / "prompts.parquet", prompt_table(prompts, [p.prompt_id for p in prompts]))
    write_table(root / "settings.parquet", setting_table([(s, True) for s in settings]))
    order, sentences = FeistelPermutation(shape.trials, 0), _sentences()
    parts: list[Any] = []
    statuses = np.zeros(len(_STATUSES), np.int64)
    for number, start in enumerate(range(0, shape.trials, part_rows), start=1):
        block = _Block(shape, start, order.take(start, start + part_rows), sentences)
        parts.append(write_part(root, "records", number, block.records(settings)))
        parts.append(write_part(root, "attempts", number, block.attempts(settings)))
        statuses += np.bincount(block.status, minlength=len(_STATUSES))
    counted = zip(_STATUSES, statuses.tolist(), strict=True)
    folder.save_manifest(
        status="complete", planned=shape.trials, recorded=shape.trials, parts=parts,
        by_status={name: count for name, count in sorted(counted) if count},
    )  # fmt: skip
    folder.close()


def _setting(number: int) -> Setting:
    temperature = number // 2 / 5
    axes = {"temperature": temperature, "top_p": 1 - number % 2 / 10}
    return Setting(
        setting_id=f"s{number:015d}", label=" ".join(f"{k}={v:g}" for k, v in axes.items()),
        provider=PROVIDER, endpoint="http://127.0.0.1/v1", model=MODEL,
        params={**axes, "max_tokens": 512}, system=None, template=None, axes=axes,
    )  # fmt: skip


def _prompt(number: int) -> Prompt:
    text = f"Question {number}: how many of the boxes described below are still closed at noon?"
    return Prompt(
        prompt_id=f"question-{number:06d}", messages=[{"role": "user", "content": text}],
        target=str(_target(np.array([number]))[0]), tags=[("easy", "hard")[number % 2]],
    )  # fmt: skip


def _hash(*keys: Ints | Hashes | int) -> Hashes:
    """Mix integers into 64 random bits each (the finaliser of SplitMix64 after every key)."""
    out = np.array([0x9E3779B97F4A7C15], np.uint64)
    for key in keys:
        mixed = np.asarray(key).astype(np.uint64) + out * np.uint64(0xD1342543DE82EF95)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out = mixed ^ (mixed >> np.uint64(31))
    return np.asarray(out)


def _below(limit: Any, *keys: Any) -> Ints:
    return (_hash(*keys) % np.asarray(limit).astype(np.uint64)).astype(np.int64)


def _share(*keys: Any) -> NDArray[np.float64]:
    return _hash(*keys) / 2.0**64


def _target(prompt: Ints) -> Ints:
    return 10 + _below(90, prompt, 1)


def _sentences() -> pa.Array[Any]:
    """Sentences of 8 to 18 words; frequent words are short, as in English."""
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = ["".join(rng.choice(letters[:14], 2 + n // 250)) for n in range(2_000)]
    drawn = rng.zipf(1.3, (_SENTENCES, 18)) % len(words)
    lengths = rng.integers(8, 19, _SENTENCES)
    texts = [
        " ".join(words[i] for i in row[:length]).capitalize() + "."
        for row, length in zip(drawn, lengths, strict=True)
    ]
    return pa.array(texts)


class _Block:
    """The records of one part: trials by their numbers, in the order they were sent."""

    def __init__(self, shape: Shape, start: int, trial: Ints, sentences: pa.Array[Any]) -> None:
        self.position = np.arange(start, start + len(trial))
        self.trial = trial
        self.prompt, rest = np.divmod(trial, shape.settings * shape.repeats)
        self.setting, self.repeat = np.divmod(rest, shape.repeats)
        luck = _share(trial, 2)
        self.status = np.select([luck < 0.01, luck < 0.02, luck < 0.03], [3, 1, 2], 0)
        self.silent = self.status >= 2
        self.text = self._texts(sentences)
        self.tokens = np.asarray(_compute.binary_length(self.text)) // 4

    def _texts(self, sentences: pa.Array[Any]) -> pa.Array[Any]:
        """The prompt's own sentences up to where this repeat parts from them, then its own."""
        length = 3 + _below(_MOST - 2, self.prompt, 3)
        strays = _share(self.trial, 4) < 0.8 * (self.setting // 2 / 5)
        parts_at = np.where(strays, _below(length, self.trial, 5), length)
        offsets = np.r_[0, np.cumsum(length)].astype(np.int32)
        row = np.repeat(np.arange(len(length)), length)
        place = np.arange(offsets[-1]) - offsets[row]
        shared = _below(_SENTENCES, self.prompt[row], place, 6)
        own = _below(_SENTENCES, self.trial[row], place, 7)
        chosen = pa.array(np.where(place < parts_at[row], shared, own))
        lists = pa.ListArray.from_arrays(pa.array(offsets), sentences.take(chosen))
        right = _target(self.prompt)
        wrong = strays & (_share(self.trial, 8) < 0.3)
        answer = pa.array(np.where(wrong, right + 1, right)).cast(pa.string())
        body: Any = _compute.binary_join(lists, " ")
        return _joined(body, " The answer is ", answer, ".")

    def _common(self, settings: list[Setting]) -> dict[str, Any]:
        """Columns that records and attempts share."""
        names = pa.array([s.setting_id for s in settings])
        failed = self.status == 3
        latency = 0.2 + self.tokens * 0.012 * (0.7 + 0.6 * _share(self.trial, 9))
        sent = _BEGAN_NS + self.position * 1_000_000
        prompt_tokens = 40 + self.prompt % 7
        ids = _hex(self.trial)
        count: Any = lambda values: pa.array(values, pa.int64(), mask=failed)  # noqa: E731
        return {
            "trial_id": ids,
            "prompt_id": _joined("question-", _padded(self.prompt)),
            "setting_id": names.take(pa.array(self.setting)),
            "repeat": self.repeat,
            "status": pa.array(_STATUSES).take(pa.array(self.status)),
            "http_status": np.where(failed, 503, 200),
            "error_kind": _where(failed, "unavailable"),
            "error_message": _where(failed, "the model is overloaded, please try again later"),
            "client_request_id": _joined("evh-", ids, ".1"),
            "scheduled_at": sent, "sent_at": sent,
            "queue_s": _share(self.trial, 10) / 100,
            "latency_s": pa.array(latency, mask=failed),
            "in_flight": 1 + self.position % 64,
            "prompt_tokens": count(prompt_tokens),
            "completion_tokens": count(self.tokens),
            "cached_tokens": count(np.where(self.trial % 3 == 0, 32, 0)),
            "reasoning_tokens": count(np.zeros(len(self.trial))),
            "headers_json": _where(~failed, '{"content-type":"application/json"}'),
        }  # fmt: skip

    def records(self, settings: list[Setting]) -> pa.Table:
        """The records table of the block."""
        answered = self.status < 2
        text = _compute.if_else(pa.array(answered), self.text, None)
        fingerprint = _joined("fp_", pa.array(self.position // 100_000 % 3).cast(pa.string()))
        common = self._common(settings)
        temperature = np.array([s.params["temperature"] for s in settings])[self.setting]
        top_p = np.array([s.params["top_p"] for s in settings])[self.setting]
        reply = _joined('{"id":"chatcmpl-', common["trial_id"], '","object":"chat.completion",'
                        f'"model":"{MODEL}","choices":[{{"index":0,"finish_reason":"stop",'
                        '"message":{"role":"assistant","content":"', self.text, '"}}],'
                        '"usage":{"prompt_tokens":41,"completion_tokens":',
                        pa.array(self.tokens).cast(pa.string()), "}}")  # fmt: skip
        request = _joined(
            f'{{"model":"{MODEL}","max_tokens":512,"temperature":',
            pa.array(temperature).cast(pa.string()),
            ',"top_p":',
            pa.array(top_p).cast(pa.string()),
            ',"messages":[{"role":"user","content":"Question ',
            pa.array(self.prompt).cast(pa.string()),
            ': how many of the boxes described below are still closed at noon?"}]}',
        )
        return _table("records", len(self.trial), {
            **common,
            "position": self.position,
            "provider": _where(None, PROVIDER), "model": _where(None, MODEL),
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": np.full(len(self.trial), 512),
            "request_json": request, "text": text,
            "finish_reason": _where(answered, "stop"),
            "refusal": _where(self.status == 2, "I cannot help with that."),
            "response_model": _where(answered, MODEL), "system_fingerprint": fingerprint,
            "response_id": _joined("chatcmpl-", common["trial_id"]),
            "response_json": _compute.if_else(pa.array(answered), reply, None),
            "text_sanitized": np.zeros(len(self.trial), np.bool_),
            "total_tokens": pa.array(self.tokens + 40, pa.int64()),
            "attempts": np.ones(len(self.trial), np.int64),
            "in_doubt": np.zeros(len(self.trial), np.bool_),
        })  # fmt: skip

    def attempts(self, settings: list[Setting]) -> pa.Table:
        """The attempts table of the block: one each."""
        common = self._common(settings)
        return _table("attempts", len(self.trial), {
            **common,
            "attempt": np.ones(len(self.trial), np.int64),
            "final": np.ones(len(self.trial), np.bool_),
            "outcome": _compute.if_else(pa.array(self.status == 3), "rejected", "delivered"),
            "admitted_at": common["sent_at"],
        })  # fmt: skip


def _joined(*parts: Any) -> pa.Array[Any]:
    return _compute.binary_join_element_wise(*parts, "")


def _padded(numbers: Ints) -> pa.Array[Any]:
    return _compute.utf8_lpad(pa.array(numbers).cast(pa.string()), 6, "0")


def _hex(numbers: Ints) -> pa.Array[Any]:
    """32 hexadecimal digits each, as trial ids are."""
    digits = np.stack([_hash(numbers, 11), _hash(numbers, 12)], axis=1).view(np.uint8)
    nibbles = np.stack([digits >> 4, digits & 15], axis=2).reshape(len(numbers), 32)
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())
    )


def _where(rows: NDArray[np.bool_] | None, text: str) -> Any:
    """A text where the rows are, else null; None for all rows."""
    return text if rows is None else _compute.if_else(pa.array(rows), text, None)


def _table(name: str, rows: int, values: dict[str, Any]) -> pa.Table:
    """The columns of the schema; absent ones are null, a single text stands for every row."""
    schema: Any = arrow_schema(name)
    columns: list[Any] = []
    for field in schema:
        value = values.get(field.name)
        if value is None or isinstance(value, str):
            value = pa.nulls(rows, field.type) if value is None else pa.repeat(value, rows)
        columns.append(
            pa.array(value).cast(field.type)
            if not isinstance(value, pa.Array)
            else value.cast(field.type)
        )
    return pa.Table.from_arrays(columns, schema=schema)
