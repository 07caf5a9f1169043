"""Before spending: what an estimate rests on, and how often its interval holds the truth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from evalharness.analysis.stats.prediction import line_total, predict_total
from evalharness.chat_api.protocols import get_protocol
from evalharness.config.models import (
    DatasetConfig,
    LimitsConfig,
    OrderConfig,
    ProviderConfig,
    RunConfig,
)
from evalharness.emulator.app import Emulator
from evalharness.emulator.options import EmulatorOptions
from evalharness.planning.build import build_plan
from evalharness.planning.estimate import EstimateRange, estimate_plan, remaining_trials, worst_case
from evalharness.planning.estimate.history import ModelHistory, ModelHistoryBuilder, ModelKey
from evalharness.planning.estimate.output_tokens import OutputTokens, recorded_output_tokens
from evalharness.planning.estimate.pilot import choose_pilot
from evalharness.planning.estimate.prompt_tokens import prompt_tokens
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.estimate.request_text import read_request_text
from evalharness.planning.plan import Plan
from evalharness.pricing import Price, PriceRates
from evalharness.records import Setting, Trial, canonical_json
from evalharness.schema import arrow_schema

PRICE = Price(
    model="*",
    rates=PriceRates(
        prompt=Decimal("0.4"), cached=Decimal("0.16"), completion=Decimal("1.2"),
        reasoning=Decimal(4),
    ),
)  # fmt: skip
NOTHING = OutputTokens(
    prompt=np.zeros(0, np.int64), setting=np.zeros(0, np.int64), completion=np.zeros(0),
    reasoning=np.zeros(0),
)  # fmt: skip


def priced(_: Setting) -> Price | None:
    return PRICE


def a_plan(path: Path, *, seed: int = 0, **changes: Any) -> Plan:
    given = {"max_tokens": 120, **changes.pop("params", {})}
    config = RunConfig(
        name="e",
        provider=ProviderConfig(kind="emulator", name="emulator", model="qwen-plus"),
        dataset=DatasetConfig(path=str(path)),
        params=given,
        sweep={"temperature": [0.7, 1.3]},
        order=OrderConfig(shuffle_seed=seed),
        **changes,
    )
    return build_plan([config], {"emulator": "emulator"}, root=path.parent)


def nothing_done(plan: Plan) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.zeros(len(plan), np.bool_)


# ── what it rests on ─────────────────────────────────────────────────────────────────────────────


def test_without_records_the_answers_are_bounded_by_max_tokens(prompts: Path) -> None:
    """Nothing known: 0 … max_tokens out, a factor of 2 either way in, and nothing expected."""
    plan = a_plan(prompts)
    found = estimate_plan(plan, nothing_done(plan), priced, {}, NOTHING, max_in_flight=8)
    assert found.to_send == 24 * 2 * 3
    assert (found.completion_tokens.low, found.completion_tokens.high) == (0, 144 * 120)
    assert found.completion_tokens.expected is None
    assert found.models[0].basis == "length"
    tokens = found.prompt_tokens
    assert tokens.expected is not None
    assert tokens.low == pytest.approx(tokens.expected / 2)
    assert tokens.high == pytest.approx(tokens.expected * 2)
    assert found.cost_usd is not None
    assert found.cost_usd.expected is None
    most = (found.prompt_tokens.high or 0) * 0.4e-6 + 144 * 120 * 4e-6  # reasoning is dearest
    assert found.cost_usd.high == pytest.approx(most)


def test_without_a_bound_or_a_price_the_estimate_says_so(prompts: Path) -> None:
    """No max_tokens has no upper end, no price no dollars; a free model costs 0 for certain."""
    plan = a_plan(prompts, params={"max_tokens": None})
    done = nothing_done(plan)
    found = estimate_plan(plan, done, priced, {}, NOTHING, max_in_flight=8)
    assert found.completion_tokens.high is None
    assert found.cost_usd is not None
    assert found.cost_usd.high is None
    assert worst_case(plan, remaining_trials(plan, done), priced) is None
    unpriced = estimate_plan(plan, done, lambda _: None, {}, NOTHING, max_in_flight=8)
    assert unpriced.cost_usd is None
    assert unpriced.unpriced == [("emulator", "qwen-plus")]
    free = Price(model="*", rates=PriceRates(prompt=Decimal(0), completion=Decimal(0)))
    nothing = estimate_plan(plan, done, lambda _: free, {}, NOTHING, max_in_flight=8)
    assert nothing.cost_usd is not None
    assert (nothing.cost_usd.low, nothing.cost_usd.expected, nothing.cost_usd.high) == (0, 0, 0)
    assert worst_case(plan, remaining_trials(plan, done), lambda _: free) == 0


def test_what_is_recorded_is_free(prompts: Path) -> None:
    """Only trials without a record count."""
    plan = a_plan(prompts)
    done = nothing_done(plan)
    done[: 24 * 2] = True  # the first repeat of everything
    assert remaining_trials(plan, done).sum() == 24 * 2 * 2
    half = estimate_plan(plan, done, priced, {}, NOTHING, max_in_flight=8)
    whole = estimate_plan(plan, nothing_done(plan), priced, {}, NOTHING, max_in_flight=8)
    assert half.to_send == 96
    assert half.prompt_tokens.high == pytest.approx((whole.prompt_tokens.high or 0) * 2 / 3)
    everything = estimate_plan(plan, ~nothing_done(plan), priced, {}, NOTHING, max_in_flight=8)
    assert everything.to_send == 0
    assert everything.cost_usd is not None
    assert everything.cost_usd.high == 0


def test_the_worst_case_is_what_the_limit_would_set_aside(prompts: Path) -> None:
    """It equals the sum over trials of the reservation made from each request body."""
    plan = a_plan(prompts)
    done = nothing_done(plan)
    summed = sum(
        (PRICE.worst_case(len(plan.body(trial)), 120) or Decimal(0) for trial in plan.trials()),
        Decimal(0),
    )
    assert worst_case(plan, remaining_trials(plan, done), priced) == summed


def test_shapes_know_every_length_without_building_every_body(tmp_path: Path) -> None:
    """Lengths of bodies equal those built one by one, also where prompts override parameters."""
    path = tmp_path / "p.jsonl"
    rows = [
        {"id": "a", "prompt": "Grüße aus 北京"},
        {"id": "b", "prompt": "x", "params": {"max_tokens": 7}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = a_plan(path)
    shapes = RequestShapes(plan)
    for column, setting in enumerate(plan.settings):
        built = [len(plan.body(Trial("", prompt, setting, 0, 0))) for prompt in plan.prompts]
        assert shapes.lengths(column) == built


def test_counted_prompts_are_known_exactly_and_others_are_fitted() -> None:
    """A prompt recorded before has its counted tokens; a line through the others is fitted."""
    texts = [read_request_text(_body("word " * n)) for n in (5, 10, 20, 40, 80)]
    rows = [_record("word " * n, 12 + n) for n in (5, 10, 20, 40)]
    facts = _history(rows)
    same = prompt_tokens(texts[:4], np.ones(4), facts)
    assert same.basis == "recorded"
    assert same.per_prompt.tolist() == [17, 22, 32, 52]
    assert same.low == same.high == 123
    new = prompt_tokens(texts, np.ones(5), facts)
    assert new.basis == "fitted"
    assert new.per_prompt[4] == pytest.approx(92, abs=0.5)
    assert new.low <= 123 + 92 <= new.high + 1e-6


def _body(text: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


def _history(rows: list[dict[str, Any]]) -> ModelHistory:
    builder = ModelHistoryBuilder()
    for row in rows:
        builder.add(row)
    return builder.build()


def _record(text: str, tokens: int) -> dict[str, Any]:
    return {
        "request_json": _body(text).decode(), "prompt_tokens": tokens, "cached_tokens": 0,
        "latency_s": 0.5, "status": "ok",
    }  # fmt: skip


def test_time_is_that_of_the_tightest_limit(prompts: Path) -> None:
    """Latency over concurrency, requests over rpm, tokens over tpm: the longest one counts."""
    limits = LimitsConfig(rpm=60, tpm=10_000, concurrency=4)
    plan = a_plan(prompts, limits=limits)
    facts: dict[ModelKey, ModelHistory] = {
        ("emulator", "qwen-plus"): _history([_record("hello", 10)])
    }
    found = estimate_plan(plan, nothing_done(plan), priced, facts, NOTHING, max_in_flight=4).time_s
    assert found.at_concurrency == pytest.approx(144 * 0.5 / 4)
    assert found.at_rpm == pytest.approx(144.0)
    assert found.limited_by == "rpm"
    assert found.expected == found.at_rpm
    unknown = estimate_plan(
        a_plan(prompts), nothing_done(plan), priced, {}, NOTHING, max_in_flight=4
    ).time_s
    assert unknown.expected is None


# ── the arithmetic ───────────────────────────────────────────────────────────────────────────────


def test_a_line_is_found_with_its_scatter() -> None:
    """Points on a line predict exactly; scattered ones with the textbook interval."""
    x = np.array([10.0, 20.0, 30.0, 50.0])
    exact = line_total(x, 5 + 2 * x, np.array([40.0]), np.array([3.0]))
    assert exact is not None
    assert exact.expected == pytest.approx(255)
    assert exact.high - exact.low == pytest.approx(0, abs=1e-6)
    assert line_total(x[:2], x[:2], x, np.ones(4)) is None


def test_seen_prompts_keep_their_own_answers() -> None:
    """Deterministic repeats of every prompt leave nothing uncertain."""
    values = np.array([10.0, 10.0, 90.0, 90.0])
    unit = np.array([0, 0, 1, 1])
    found = predict_total(values, unit, np.zeros(4, np.int64), np.array([[1.0], [2.0]]))
    assert found is not None
    assert found == pytest.approx((190.0, 190.0, 190.0))


def test_equal_answers_of_few_prompts_promise_nothing_for_the_others() -> None:
    """Where all seen answers are alike, the share of others is bounded, not assumed to be 0."""
    found = predict_total(
        np.full(3, 50.0), np.arange(3), np.zeros(3, np.int64), np.ones((10, 1)),
        maximum=np.array([100.0]),
    )  # fmt: skip
    assert found is not None
    assert found.low < found.expected == 500.0 < found.high <= 1000.0


def test_one_prompt_says_nothing_of_others() -> None:
    """A setting seen with one prompt cannot be extrapolated to another."""
    assert (
        predict_total(np.array([5.0]), np.array([0]), np.array([0]), np.array([[1.0], [1.0]]))
        is None
    )


# ── does the interval hold the truth? ────────────────────────────────────────────────────────────

SEEDS = 40


class Variant(NamedTuple):
    """A kind of dataset: texts, how long they get, how many, and how long answers may be."""

    texts: tuple[str, ...]
    longest: int
    prompts: int
    max_tokens: int
    repeats: int


# One language, several in one dataset, and prompts from a few to some thousand characters.
VARIANTS = {
    "english": Variant(("Please be exact about that number. ",), 7, 24, 120, 3),
    "chinese": Variant(("请准确地告诉我这个数字的含义，并说明理由。",), 30, 36, 300, 2),
    "mixed": Variant(
        ("Explain step by step. ", "Объясни подробно. ", "def f(x): return x**2\n", "説明して。", "🙂 "),
        160, 48, 60, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", VARIANTS)
async def test_intervals_hold_the_true_cost_of_emulated_runs(kind: str, tmp_path: Path) -> None:
    """A pilot of five prompts a setting foretells the rest of the bill in ≥ 90 % of 40 runs.

    The estimate before any request holds the whole bill every time: its ends are bounds.
    """
    variant, held = VARIANTS[kind], {"tokens": 0, "dollars": 0, "prompts": 0}
    widths: list[float] = []
    for seed in range(SEEDS):
        path = _dataset(tmp_path, variant, seed)
        plan = a_plan(
            path, seed=seed, params={"max_tokens": variant.max_tokens}, repeats=variant.repeats
        )
        records = await _answered(plan, seed)
        nothing = estimate_plan(plan, nothing_done(plan), priced, {}, NOTHING, max_in_flight=8)
        assert _holds(nothing.cost_usd, records, "billed_usd")
        assert _holds(nothing.prompt_tokens, records, "prompt_tokens")
        done = ~choose_pilot(plan, nothing_done(plan), 5)
        recorded = np.array([done[i] for i in _order(plan, records)])
        known, rest = records.filter(pa.array(recorded)), records.filter(pa.array(~recorded))
        facts = {("emulator", "qwen-plus"): _history(known.to_pylist())}
        found = estimate_plan(
            plan, done, priced, facts, recorded_output_tokens(plan, known), max_in_flight=8
        )
        held["tokens"] += _holds(found.completion_tokens, rest, "completion_tokens")
        held["dollars"] += _holds(found.cost_usd, rest, "billed_usd")
        held["prompts"] += _holds(found.prompt_tokens, rest, "prompt_tokens")
        assert found.completion_tokens.high is not None
        assert found.completion_tokens.expected is not None
        width = found.completion_tokens.high - found.completion_tokens.low
        widths.append(width / found.completion_tokens.expected)
    assert min(held.values()) >= 0.9 * SEEDS, held
    assert np.median(widths) < 1.7  # and it says something


def _dataset(folder: Path, variant: Variant, seed: int) -> Path:
    """Prompts of skewed lengths, others for every seed."""
    draw = np.random.default_rng(seed)
    path = folder / f"{seed}.jsonl"
    with path.open("w") as file:
        for i in range(variant.prompts):
            times = 1 + int(draw.beta(1, 3) * variant.longest)
            text = "".join(variant.texts[j] for j in draw.integers(0, len(variant.texts), times))
            file.write(json.dumps({"id": f"p{i}", "prompt": f"{i}. {text}"}) + "\n")
    return path


def _holds(found: EstimateRange | None, records: pa.Table, column: str) -> bool:
    assert found is not None
    assert found.high is not None
    return found.low <= float(records[column].to_numpy().sum()) <= found.high


def _order(plan: Plan, records: pa.Table) -> list[int]:
    """Place of each record in a plan's flags."""
    prompt = {p.prompt_id: i for i, p in enumerate(plan.prompts)}
    setting = {s.setting_id: i for i, s in enumerate(plan.settings)}
    columns = (records[name].to_pylist() for name in ("prompt_id", "setting_id", "repeat"))
    return [
        (r * len(prompt) + prompt[p]) * len(setting) + setting[s]
        for p, s, r in zip(*columns, strict=True)
    ]


async def _answered(plan: Plan, seed: int) -> pa.Table:
    """Every trial of a plan, answered by the emulator in this process."""
    app = Emulator(EmulatorOptions(seed=seed))
    rows: list[dict[str, Any]] = []
    for trial in plan.trials():
        body = plan.body(trial)
        headers, answer = await _post(app, body)
        used = answer["usage"]
        rows.append(
            {
                "trial_id": trial.trial_id,
                "prompt_id": trial.prompt.prompt_id,
                "setting_id": trial.setting.setting_id,
                "repeat": trial.repeat,
                "status": "ok",
                "text_sanitized": False,
                "in_doubt": False,
                "request_json": body.decode(),
                "prompt_tokens": used["prompt_tokens"],
                "completion_tokens": used["completion_tokens"],
                "cached_tokens": used["prompt_tokens_details"]["cached_tokens"],
                "billed_usd": Decimal(headers[b"x-aimlapi-usd-spent"].decode()),
                "latency_s": 0.1,
            }
        )
    return pa.Table.from_pylist(rows, schema=arrow_schema("records"))


async def _post(app: Emulator, body: bytes) -> tuple[dict[bytes, bytes], dict[str, Any]]:
    """Headers and JSON of one request, without the detour of an HTTP client."""
    sent: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
        "query_string": b"", "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    payload = b"".join(message.get("body", b"") for message in sent[1:])
    return dict(sent[0]["headers"]), json.loads(payload)


# ── the pilot ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("repeats", ["interleaved", "blocked"])
def test_a_pilot_takes_different_prompts_of_every_setting(prompts: Path, repeats: Any) -> None:
    """N trials a setting, one a prompt, and no more the second time it is asked for."""
    plan = a_plan(prompts, seed=3)
    plan.config = RunConfig(
        name="e", provider=plan.config.provider, dataset=plan.config.dataset,
        order=OrderConfig(repeats=repeats),
    )  # fmt: skip
    chosen = list(plan.trials(choose_pilot(plan, nothing_done(plan), 5)))
    for setting in plan.settings:
        mine = [t for t in chosen if t.setting is setting]
        assert len({t.prompt.prompt_id for t in mine}) == len(mine) == 5
    done = ~choose_pilot(plan, nothing_done(plan), 5)
    assert choose_pilot(plan, done, 5).all()
    assert (~choose_pilot(plan, done, 6)).sum() == 2
    # More than there are prompts: repeats follow; more than there are trials: all of them.
    assert (~choose_pilot(plan, nothing_done(plan), 30)).sum() == 60
    assert not choose_pilot(plan, nothing_done(plan), 1000).any()


@pytest.mark.parametrize("key", ["tools", "response_format"])
def test_tools_and_a_response_format_are_text_of_the_request(key: str) -> None:
    """What a request offers beside its messages counts, and null is nothing."""
    body = json.loads(_body("hello"))
    plain = read_request_text(_body("hello"))
    assert read_request_text(json.dumps(body | {key: None}).encode()) == plain
    with_key = read_request_text(json.dumps(body | {key: {"type": "json_object"}}).encode())
    assert with_key.chars > plain.chars
    assert with_key.key != plain.key


def test_requests_of_other_protocols_are_told_apart() -> None:
    """Their text stands elsewhere; two of them are not one prompt, and an image is no text."""
    short, long = ({"input": [{"role": "user", "content": "word " * n}]} for n in (5, 50))
    texts = [read_request_text(json.dumps(body).encode()) for body in (short, long)]
    assert [text.chars for text in texts] == [25, 250]
    assert texts[0].key != texts[1].key
    system = {"system": "word", "messages": short["input"]}
    assert read_request_text(json.dumps(system).encode()).chars > 25
    image = {"type": "input_image", "image_url": "https://e.org/a.png", "detail": "auto"}
    parts = [{"type": "input_text", "text": "word"}, image]
    text = read_request_text(json.dumps({"input": [{"role": "user", "content": parts}]}).encode())
    assert (text.chars, text.media) == (4, {"image_url": 1})


def test_a_request_of_the_messages_api_is_as_long_as_that_of_chat_completions() -> None:
    """The same conversation has the same text, and the same images and files, in either form."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 999}}
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 999}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image, file]},
    ]
    body = canonical_json({"messages": messages})
    chat = read_request_text(body)
    said = read_request_text(canonical_json(get_protocol("messages").conversation(messages)))
    assert (said.chars, said.media) == (chat.chars, chat.media)
    assert said.media == {"image_url": 1, "file": 1}
    assert said.key != read_request_text(canonical_json({"messages": messages[1:]})).key
