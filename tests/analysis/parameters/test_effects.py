"""Verdicts on what a provider did with its parameters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.parameters.effect import (
    ParameterEffect,
    TextsWithoutStop,
    ValueCount,
)
from evalharness.analysis.parameters.effects import effects
from tests.analysis.setting_frames import frame, text_rows

PROMPTS, REPEATS = 30, 4


def _texts(seed: int, outputs: int, repeats: int = REPEATS) -> dict[str, list[str]]:
    draws = np.random.default_rng(seed).integers(0, outputs, (PROMPTS, repeats))
    return {f"q{i:02}": [f"answer {x}" for x in row] for i, row in enumerate(draws)}


def _constant(seed: int, outputs: int) -> dict[str, list[str]]:
    """One random output a prompt, the same in every repeat."""
    return {q: values[:1] * REPEATS for q, values in _texts(seed, outputs).items()}


def _run(settings: dict[str, dict[str, Any]], texts: dict[str, dict[str, list[str]]]) -> RunFrame:
    return frame(
        settings, [row for name, values in texts.items() for row in text_rows(name, values)]
    )


def _verdict(run: RunFrame, parameter: str, **options: Any) -> ParameterEffect:
    (found,) = [e for e in effects(run, **options) if e.parameter == parameter]
    assert msgspec.json.decode(msgspec.json.encode(found), type=ParameterEffect) == found
    return found


def _seeds(temperature: float | None = 1.0) -> dict[str, dict[str, Any]]:
    return {f"s{seed}": {"temperature": temperature, "seed": seed} for seed in (1, 2, 3)}


def test_an_honoured_seed_is_seen() -> None:
    """Equal outputs within a seed, other outputs with another: honoured, with the agreements."""
    found = _verdict(_run(_seeds(), {f"s{i}": _constant(i, 9) for i in (1, 2, 3)}), "seed")
    assert found.verdict == "honoured"
    assert found.evidence.same_seed_agreement == 1.0
    assert found.evidence.different_seed_agreement < 0.3
    assert found.evidence.p < 0.001
    assert found.evidence.n == PROMPTS
    assert found.evidence.followed.share == 1.0
    assert found.evidence.followed.ci95[0] > 0.9
    assert found.sentence.startswith("seed honoured: about 100 % of requests follow it [9")


def test_an_ignored_seed_is_seen() -> None:
    """Outputs that vary as much within a seed as across seeds: ignored."""
    found = _verdict(_run(_seeds(), {f"s{i}": _texts(i, 3) for i in (1, 2, 3)}), "seed")
    assert found.verdict == "ignored"
    assert found.evidence.followed.ci95[0] == 0.0
    assert found.evidence.followed.ci95[1] < 0.4
    assert found.evidence.ci95 is msgspec.UNSET, "p and interval stand together only where equal"
    assert found.sentence.startswith("seed ignored: at most 3")


def test_a_seed_that_half_of_the_requests_follow() -> None:
    """Significant, but far from what a seed should do: partly honoured, by how many requests."""
    rng = np.random.default_rng(4)
    texts = {f"s{i}": _constant(i, 50) for i in (1, 2, 3)}
    for i, by_prompt in enumerate(texts.values()):
        noise = _texts(10 + i, 50)
        for q, values in by_prompt.items():
            values[:] = [
                v if rng.random() < 0.5 else w for v, w in zip(values, noise[q], strict=True)
            ]
    found = _verdict(_run(_seeds(), texts), "seed")
    assert found.verdict == "partly honoured"
    low, high = found.evidence.followed.ci95
    assert 0.38 < low < 0.5 < high < 0.6
    share = found.evidence.followed.share
    assert found.sentence.startswith(
        f"seed partly honoured: about {100 * share:.0f} % of requests follow it "
        f"[{100 * low:.0f}, {100 * high:.0f}]; repeats with the same seed agree "
    )


def test_a_perfect_seed_of_few_outputs_that_differ_is_not_called_whole() -> None:
    """All repeats agree, but nearly all would without a seed: some effect, unknown how much."""
    same = {f"q{i:02}": ["a"] * 4 for i in range(PROMPTS)}
    texts = {f"s{i}": {q: [*values] for q, values in same.items()} for i in (1, 2, 3)}
    for q in ("q00", "q01", "q02"):
        texts["s3"][q] = ["b"] * 4
    found = _verdict(_run(_seeds(), texts), "seed")
    assert found.verdict == "partly honoured"
    assert found.evidence.followed.ci95[1] == 1.0
    assert found.sentence.endswith("too few outputs that differ to tell whether all do")


def test_seed_is_undetectable_where_it_could_not_show() -> None:
    """At temperature 0, with one repeat, or when outputs never differ, no verdict is made up."""
    varying = {f"s{i}": _texts(i, 3) for i in (1, 2, 3)}
    at_zero = _verdict(_run(_seeds(0.0), varying), "seed")
    once = _verdict(_run(_seeds(), {f"s{i}": _texts(i, 3, 1) for i in (1, 2, 3)}), "seed")
    equal = _verdict(_run(_seeds(), {f"s{i}": _constant(0, 9) for i in (1, 2, 3)}), "seed")
    for found in (at_zero, once, equal):
        assert found.verdict == "undetectable"
        assert found.sentence.startswith("seed undetectable: ")


def test_no_seed_swept_no_verdict() -> None:
    """A run without two seeds says nothing about seeds."""
    run = _run({"s": {"temperature": 1.0}}, {"s": _texts(0, 3)})
    assert not [e for e in effects(run) if e.parameter == "seed"]


def _ends(low: dict[str, list[str]], high: dict[str, list[str]], **more: Any) -> RunFrame:
    settings = {"low": {"temperature": 0.0, **more}, "high": {"temperature": 1.0, **more}}
    return _run(settings, {"low": low, "high": high})


def test_temperature_honoured_reversed_ignored() -> None:
    """More outputs at the high end: honoured; fewer: reversed; the same variety: ignored."""
    honoured = _verdict(_ends(_constant(0, 9), _texts(1, 9)), "temperature")
    assert honoured.verdict == "honoured"
    assert honoured.evidence.effective_outputs_low == 1.0
    assert honoured.evidence.effective_outputs_high > 2.0
    assert _verdict(_ends(_texts(1, 9), _constant(0, 9)), "temperature").verdict == "reversed"
    ignored = _verdict(_ends(_texts(1, 9, 40), _texts(2, 9, 40)), "temperature")
    assert ignored.verdict == "ignored"
    assert ignored.evidence.ci95[0] < 0 < ignored.evidence.ci95[1]
    assert _verdict(_ends(_texts(1, 9), _texts(1, 9)), "temperature").verdict == "ignored"


def test_temperature_is_undetectable_where_it_could_not_show() -> None:
    """Outputs that never differ, or one fixed seed, allow no verdict against the provider."""
    never = _verdict(_ends(_constant(0, 9), _constant(0, 9)), "temperature")
    assert never.verdict == "undetectable"
    nearly = _constant(0, 9)
    nearly["q00"] = ["a", "b", "a", "a"]
    fixed = _verdict(_ends(_constant(0, 9), nearly, seed=7), "temperature")
    assert fixed.verdict == "undetectable"
    assert "fixed seed" in fixed.sentence


def test_seeds_are_taken_together_for_temperature() -> None:
    """With an honoured seed every repeat is equal, yet over seeds the variety at T=1 shows."""
    settings = {
        f"{t}-{seed}": {"temperature": float(t), "seed": seed} for t in (0, 1) for seed in (1, 2, 3)
    }
    texts = {f"0-{seed}": _constant(0, 9) for seed in (1, 2, 3)}
    texts |= {f"1-{seed}": _constant(seed, 9) for seed in (1, 2, 3)}
    assert _verdict(_run(settings, texts), "temperature").verdict == "honoured"


def test_top_p_is_judged_away_from_temperature_zero() -> None:
    """top_p has nothing to do at temperature 0; elsewhere its two ends are compared."""
    settings = {f"{t}-{p}": {"temperature": t, "top_p": p} for t in (0.0, 1.0) for p in (0.1, 1.0)}
    texts = {name: _constant(0, 9) for name in settings} | {"1.0-1.0": _texts(1, 9)}
    found = _verdict(_run(settings, texts), "top_p")
    assert found.verdict == "honoured"
    assert found.evidence.low == [0.1]


def _unlike(seed: int) -> dict[str, list[str]]:
    """Outputs of which no two are alike."""
    return {f"q{i:02}": [f"{seed} {i} {k}" for k in range(REPEATS)] for i in range(PROMPTS)}


def _top_p(texts: dict[str, dict[str, list[str]]], seed: int | None) -> ParameterEffect:
    low, high = {"temperature": 1.0, "top_p": 0.5}, {"temperature": 1.0, "top_p": 1.0}
    settings = {"low": low, "high": high}
    if seed is not None:
        settings |= {"low-s": {**low, "seed": seed}, "high-s": {**high, "seed": seed}}
    return _verdict(_run(settings, texts), "top_p")


def test_a_saturated_number_of_outputs_is_no_evidence_against_top_p() -> None:
    """Where every output differs at the low end, no increase could show: not "ignored"."""
    found = _top_p({"low": _unlike(1), "high": _unlike(2)}, None)
    assert found.verdict == "undetectable"
    assert "no room for more" in found.sentence
    assert found.evidence.effective_outputs_low_at_most == REPEATS
    assert found.evidence.same_seed is None


def test_texts_of_one_seed_decide_where_the_number_of_outputs_cannot() -> None:
    """An honoured seed whose text changes with top_p: honoured; whose text stays: ignored."""
    free = {"low": _unlike(1), "high": _unlike(2)}
    changes = _top_p(free | {"low-s": _constant(3, 99), "high-s": _constant(4, 99)}, 7)
    assert changes.verdict == "honoured"
    assert changes.evidence.same_seed.within == 1.0
    assert changes.evidence.same_seed.across < 0.2
    assert "with one seed the text is the same" in changes.sentence
    stays = _top_p(free | {"low-s": _constant(3, 99), "high-s": _constant(3, 99)}, 7)
    assert stays.verdict == "ignored"
    # A seed that nobody honours says nothing.
    unheeded = _top_p(free | {"low-s": _unlike(5), "high-s": _unlike(6)}, 7)
    assert unheeded.verdict == "undetectable"


def test_texts_of_one_seed_are_a_second_test() -> None:
    """Six prompts whose text changes have p = .031: enough only where a seed fixes every text."""
    texts = {"low": _unlike(1), "high": _unlike(2), "low-s": _constant(3, 99)}
    texts["high-s"] = {q: [f"other {v}" for v in values] for q, values in texts["low-s"].items()}
    broken = texts | {
        name: {q: [f"z {name}", *values[1:]] for q, values in texts[name].items()}
        for name in ("low-s", "high-s")
    }
    for given, prompts, verdict in (
        (texts, 6, "honoured"), (broken, 6, "undetectable"), (broken, 8, "honoured"),
    ):  # fmt: skip
        few = {name: dict([*by_prompt.items()][:prompts]) for name, by_prompt in given.items()}
        found = _top_p(few, 7)
        assert found.verdict == verdict
        assert found.evidence.same_seed.p == 2.0 ** (1 - prompts)
        second = found.sentence.endswith("a second test decides below 0.01 only")
        assert second == (verdict == "undetectable")


def test_no_divergence_is_bounded_never_called_proof() -> None:
    """30 prompts without a divergence: below 9.5 % of prompts; the word is never printed alone."""
    run = _ends(_constant(0, 9), _texts(1, 9))
    found = _verdict(run, "temperature=0")
    assert found.verdict == "no divergence seen"
    assert "no divergence in 30 prompts × 4 repeats; rate below 9.5 %" in found.sentence
    diverging = _verdict(_ends(_texts(1, 9), _texts(2, 9)), "temperature=0")
    assert diverging.verdict == "diverges"
    assert not any("deterministic" in effect.sentence.lower() for effect in effects(run))


def test_one_prompt_is_bounded_by_its_repeats() -> None:
    """Ten equal outputs of a single prompt bound the rate of another output at 26 %."""
    run = _run({"s": {"temperature": 0}}, {"s": {"q": ["x"] * 10}})
    assert "rate below 25.9 % of repeats" in _verdict(run, "temperature=0").sentence


def _limited(tokens: list[int | None], status: str = "ok") -> RunFrame:
    rows = [
        {"setting_id": "s", "prompt_id": f"q{i}", "completion_tokens": n, "status": status}
        for i, n in enumerate(tokens)
    ]
    return frame({"s": {"max_tokens": 8}}, rows)


def test_max_tokens() -> None:
    """Obeyed when it was reached and never exceeded; untested or uncounted it is undetectable."""
    obeyed = _verdict(_limited([8, 3, 8]), "max_tokens")
    assert obeyed.verdict == "obeyed"
    assert "none of 3 outputs hold more tokens than asked; rate below 63 %" in obeyed.sentence
    assert _verdict(_limited([2, 3]), "max_tokens").verdict == "undetectable"
    assert _verdict(_limited([None]), "max_tokens").verdict == "undetectable"
    broken = _verdict(_limited([8, 12]), "max_tokens")
    assert broken.verdict == "not obeyed"
    assert broken.evidence.violations == 1
    assert broken.evidence.largest_excess == 4
    assert broken.evidence.ci95[0] > 0


def test_max_tokens_of_several_choices() -> None:
    """Usage counts all choices, the limit each."""
    rows = [{"setting_id": "s", "prompt_id": "a", "completion_tokens": used} for used in (90, 91)]
    settings = {"s": {"max_tokens": 30, "n": 3}}
    assert _verdict(frame(settings, rows[:1]), "max_tokens").verdict == "obeyed"
    assert _verdict(frame(settings, rows), "max_tokens").verdict == "not obeyed"


def test_a_json_schema_is_held_against_the_outputs() -> None:
    """JSON that does not fit the schema asked for is not what was asked for."""
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for texts, verdict in (
        (['{"a": 1}', '{"a": 2}'], "obeyed"),
        (['{"a": 1}', '{"a": "2"}'], "not obeyed"),
        (['{"a": 1}', '{"b": 1}'], "not obeyed"),
    ):
        run = _run({"s": {"response_format": asked}}, {"s": {"q": texts}})
        assert _verdict(run, "response_format").verdict == verdict


def test_stop() -> None:
    """Outputs that hold the sequence break it; settings without it show that it had work to do."""
    settings: dict[str, dict[str, Any]] = {"with": {"stop": ["\n\n"]}, "without": {}}
    free = {"a": ["one\n\ntwo"], "b": ["one"]}
    obeyed = _verdict(_run(settings, {"with": {"a": ["one"]}, "without": free}), "stop")
    assert obeyed.verdict == "obeyed"
    assert obeyed.evidence.without_stop == TextsWithoutStop(n=2, containing=1)
    assert _verdict(_run(settings, {"with": free}), "stop").verdict == "not obeyed"
    idle = {"with": {"a": ["one"]}, "without": {"a": ["one"]}}
    assert _verdict(_run(settings, idle), "stop").verdict == "undetectable"


def test_response_format() -> None:
    """JSON mode is obeyed when every whole output is a JSON object."""
    settings = {"s": {"response_format": {"type": "json_object"}}}
    good = _verdict(_run(settings, {"s": {"a": ['{"x": 1}']}}), "response_format")
    assert good.verdict == "obeyed"
    bad = _verdict(_run(settings, {"s": {"a": ['{"x": 1}', "Sure! {}"]}}), "response_format")
    assert bad.evidence.violations == 1
    calls = _verdict(_run(settings, {"s": {"a": ['{"x": 1}', ""]}}), "response_format")
    assert (calls.verdict, calls.evidence.n) == ("obeyed", 1), "tool calls have no text"


def _bodies(request: str, response: str, choices: str | None = None) -> pa.Table:
    return pa.table(
        {
            "setting_id": ["s"],
            "request_json": [request],
            "response_json": [response],
            "choices_json": pa.array([choices], pa.string()),
        }
    )


def test_requested_sent_and_echoed_side_by_side() -> None:
    """A parameter lost from the request or echoed with another value is called changed."""
    run = _run({"s": {"temperature": 1.0, "n": 2, "model": "m"}}, {"s": {"a": ["x"]}})
    same = _bodies('{"temperature": 1, "n": 2}', '{"model": "m-2025-01-01"}', "[{}, {}]")
    found = _verdict(run, "temperature", bodies=same)
    assert found.verdict == "as asked"
    assert found.evidence.rows[0].sent == [ValueCount(value=1, count=1)]
    assert found.evidence.rows[0].echoed == []
    other = _bodies('{"n": 2}', '{"temperature": 0.7, "model": "z"}', None)
    changed = _verdict(run, "temperature", bodies=other)
    assert changed.verdict == "changed"
    assert "sent as None instead of 1.0; echoed as 0.7 instead of 1.0" in changed.sentence


def test_values_stand_beside_the_verdict_on_the_outputs() -> None:
    """One effect a parameter; a value changed on its way stands over what the outputs suggest."""
    settings = {"a": {"temperature": 0}, "b": {"temperature": 1.0}}
    texts = {"a": _constant(1, 9), "b": _texts(2, 9)}
    run = _run(settings, texts)
    bodies = pa.table({"setting_id": ["a", "b"], "request_json": ['{"temperature": 0}'] * 2})
    found = _verdict(run, "temperature", bodies=bodies)
    assert found.verdict == "changed"
    assert found.evidence.from_outputs == "honoured"
    assert "sent as 0 instead of 1.0" in found.sentence
    right = pa.table(
        {
            "setting_id": ["a", "b"],
            "request_json": ['{"temperature": 0}', '{"temperature": 1}'],
            "response_json": ["{}", '{"temperature": 1}'],
        }
    )
    found = _verdict(run, "temperature", bodies=right)
    assert found.verdict == "honoured"
    assert found.evidence.p < 0.001
    assert found.evidence.rows[1].echoed == [ValueCount(value=1, count=1)]


def test_number_of_choices() -> None:
    """n is held against the choices delivered; null means one."""
    run = _run({"s": {"n": 2}}, {"s": {"a": ["x"]}})
    both = [
        e
        for e in effects(run, bodies=_bodies('{"n": 2}', "{}", "[{}, {}]"))
        if e.evidence.violations is not msgspec.UNSET
    ]
    assert [e.verdict for e in both] == ["obeyed"]
    bodies = _bodies('{"n": 2}', "{}")
    one = [e for e in effects(run, bodies=bodies) if e.evidence.violations is not msgspec.UNSET]
    assert [e.verdict for e in one] == ["not obeyed"]


def test_served_model_is_the_echo_of_the_model() -> None:
    """Another served model is shown; a dated snapshot of the one asked for is not a change."""
    for served, verdict in (("m", "as asked"), ("m-2025-07-14", "as asked"), ("other", "changed")):
        run = frame(
            {"s": {"model": "m"}}, [{"setting_id": "s", "prompt_id": "a", "response_model": served}]
        )
        assert _verdict(run, "model").verdict == verdict


def test_what_is_in_no_body_is_not_said_to_have_changed() -> None:
    """The load is how requests are sent, and an extra parameter stands in a body by its own name."""
    settings = {f"s{rate}": {"load.rate": rate, "extra.thinking": True} for rate in (1, 2)}
    bodies = pa.table(
        {"setting_id": list(settings), "request_json": [json.dumps({"thinking": True})] * 2}
    )
    run = _run(settings, {name: _texts(0, 3) for name in settings})
    found = {e.parameter: e.verdict for e in effects(run, bodies=bodies)}
    assert "load.rate" not in found
    assert found["extra.thinking"] == "as asked"


def test_both_ends_of_temperature_are_cut_to_equal_numbers_of_outputs() -> None:
    """A prompt that lost repeats at one end still counts, with as many outputs of the other."""
    cold = {f"q{i}": ["a"] * 4 for i in range(8)}
    hot = {f"q{i}": ["a", "b", "c"] for i in range(8)}
    settings = {"cold": {"temperature": 0}, "hot": {"temperature": 1}}
    run = frame(settings, [*text_rows("cold", cold), *text_rows("hot", hot)])
    (effect,) = [e for e in effects(run) if e.parameter == "temperature"]
    assert effect.evidence.n == 8
    assert effect.evidence.effective_outputs_high == pytest.approx(3.0)
    assert effect.verdict == "honoured"


def test_names_of_the_messages_api_are_no_change() -> None:
    """The same of the Messages API, whose requests are known by their answers."""
    sent = {"reasoning_effort": "low", "stop": "END", "user": "me", "max_completion_tokens": 9}
    request = {
        "messages": [],
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "me"},
        "output_config": {"effort": "high"},
    }
    unsent = {"n": 1, "logprobs": False, "parallel_tool_calls": False, "response_format": {}}
    settings = {"s": {**sent, **unsent, "temperature": 1}}
    bodies = _bodies(json.dumps(request), json.dumps({"type": "message", "stop_reason": "x"}))
    run = _run(settings, {"s": {"a": ["x"]}})
    found = {e.parameter: e for e in effects(run, bodies=bodies) if e.evidence.rows}
    changed = {name: e.sentence for name, e in found.items() if e.verdict == "changed"}
    assert changed == {
        "reasoning_effort": "reasoning_effort changed: sent as 'high' instead of 'low'",
        "temperature": "temperature changed: sent as None instead of 1",
    }
    assert sent.keys() <= found.keys()
    assert not unsent.keys() & found.keys()
    plain = {"messages": [], "max_tokens": 9}
    answered = _bodies(json.dumps(plain), json.dumps({"type": "message"}))
    limit = _run({"s": {"max_completion_tokens": 9}}, {"s": {"a": ["x"]}})
    assert _verdict(limit, "max_completion_tokens", bodies=answered).verdict != "changed"
    chat = _bodies(json.dumps(plain), json.dumps({"object": "chat.completion"}))
    assert _verdict(limit, "max_completion_tokens", bodies=chat).verdict == "changed"


def test_names_of_the_responses_api_are_no_change() -> None:
    """What a request has elsewhere was sent; what it has in another form is not judged."""
    settings = {"s": {"verbosity": "low", "reasoning_effort": "low", "tool_choice": {"type": "t"}}}
    request = {"input": [], "text": {"verbosity": "low"}, "reasoning": {"effort": "low"}}
    response = {"object": "response", "text": {}, "reasoning": {"effort": "high"}}
    bodies = _bodies(json.dumps(request), json.dumps(response))
    run = _run(settings, {"s": {"a": ["x"]}})
    assert _verdict(run, "verbosity", bodies=bodies).sentence == (
        "verbosity as asked: sent as requested"
    )
    assert _verdict(run, "reasoning_effort", bodies=bodies).sentence == (
        "reasoning_effort changed: echoed as 'high' instead of 'low'"
    )
    assert "tool_choice" not in {effect.parameter for effect in effects(run, bodies=bodies)}
