"""Generated text: what temperature, top_p and seed do, and what the logprobs say about it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from evalharness.emulator.completion import ChatChoice, ChoiceGenerator
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.text.known_answers import KnownAnswers
from evalharness.emulator.text.sampling import NEVER
from evalharness.emulator.validation.parsed_request import parse_request

QUESTIONS = {f"What is {i} plus {i}?": str(2 * i) for i in range(300)}


def ask(content: str = "Hello", **body: Any) -> Any:
    whole = {"model": "m", "messages": [{"role": "user", "content": content}], **body}
    return parse_request(whole, 128)


def one(generator: ChoiceGenerator, content: str = "Hello", **body: Any) -> ChatChoice:
    return generator.choices(ask(content, **body), "fp")[0]


def made(answers: dict[str, str] | None = None, **options: Any) -> ChoiceGenerator:
    return ChoiceGenerator(EmulatorOptions(**options), KnownAnswers(answers or {}))


def test_temperature_zero_says_the_same_every_time() -> None:
    """Whatever the seed, temperature 0 has one text for a prompt; another prompt has another."""
    generator = made()
    texts = {one(generator, temperature=0, seed=i % 3 + 1).text for i in range(30)}
    assert len(texts) == 1
    assert len({one(generator, f"Hello {i}", temperature=0).text for i in range(30)}) > 20


def test_variety_follows_temperature_and_top_p() -> None:
    """More temperature or more nucleus, more first sentences; never fewer."""
    generator = made()

    def variety(**body: Any) -> int:
        drawn = (one(generator, max_tokens=3, **body).text for _ in range(300))
        return len(set(drawn))

    by_temperature = [variety(temperature=t) for t in (0, 0.3, 0.7, 1.0, 2.0)]
    assert by_temperature[0] == 1
    assert by_temperature == sorted(by_temperature)
    by_top_p = [variety(temperature=1.0, top_p=p) for p in (0.01, 0.3, 0.6, 1.0)]
    assert by_top_p[0] == 1
    assert by_top_p == sorted(by_top_p)


def test_a_seed_decides_the_text_as_often_as_the_dial_says() -> None:
    """``seed_honoured`` 1 repeats exactly, 0 not at all, and between them in proportion."""
    for share in (0.0, 0.5, 1.0):
        generator = made(seed_honoured=share)
        texts = Counter(one(generator, temperature=1, seed=5).text for _ in range(400))
        (_, count), *_ = texts.most_common(1)
        # An unhonoured seed hits the honoured text by luck only.
        assert count / 400 == pytest.approx(share, abs=0.1)


def test_another_seed_or_prompt_is_another_text() -> None:
    """Seed and prompt both reach the text."""
    generator = made()
    assert len({one(generator, temperature=1, seed=i).text for i in range(1, 40)}) > 30
    assert len({one(generator, f"Hi {i}", temperature=1, seed=1).text for i in range(40)}) > 30


def test_t0_noise_is_the_share_of_divergent_texts() -> None:
    """At temperature 0 the option's share of texts differs, each from some token on."""
    usual = one(made(), temperature=0).pieces
    generator = made(t0_noise=0.3)
    drawn = [one(generator, temperature=0).pieces for _ in range(500)]
    assert sum(pieces != usual for pieces in drawn) / 500 == pytest.approx(0.3, abs=0.08)
    places = {
        next(i for i, (a, b) in enumerate(zip(pieces, usual, strict=False)) if a != b)
        for pieces in drawn
        if pieces != usual
    }
    assert len(places) > len(usual) // 3


def test_load_noise_grows_with_the_other_requests_in_flight() -> None:
    """A request alone never diverges by it; among ten others, ten times as often as among one."""
    usual = one(made(), temperature=0).pieces
    generator = made(load_noise=0.04)
    for others in (0, 1, 10):
        request = ask(temperature=0)
        drawn = [generator.choices(request, None, others)[0].pieces for _ in range(500)]
        share = sum(pieces != usual for pieces in drawn) / 500
        assert share == pytest.approx(0.04 * others, abs=0.07 if others else 0)


def test_unseeded_answers_repeat_with_the_server() -> None:
    """Two servers with one seed answer the same requests alike; with another seed, otherwise."""
    runs = [
        [one(made_, temperature=1).text for _ in range(5)]
        for made_ in (made(seed=1), made(seed=1), made(seed=2))
    ]
    assert runs[0] == runs[1] != runs[2]


def test_logprobs_are_those_of_the_sampling() -> None:
    """First tokens come as often as their logprobs say, at a temperature and inside a nucleus."""
    generator = made()
    body = {"temperature": 0.8, "top_p": 0.9, "logprobs": True, "top_logprobs": 20, "max_tokens": 1}
    drawn = [one(generator, **body) for _ in range(4000)]
    assert drawn[0].logprobs is not None
    stated = {text: math.exp(p) for text, p in drawn[0].logprobs[0].top if p > NEVER}
    assert sum(stated.values()) == pytest.approx(1.0)
    found = Counter(choice.text for choice in drawn)
    assert set(found) <= set(stated)
    for text, share in stated.items():
        # Four standard deviations of a binomial share.
        assert found[text] / 4000 == pytest.approx(share, abs=4 * math.sqrt(share / 4000))


@pytest.mark.parametrize("form", [None, {"type": "json_object"}])
def test_logprobs_name_the_exact_tokens(form: dict[str, str] | None) -> None:
    """The tokens of the logprobs joined are the text, and the likeliest beside them agree."""
    generator = made()
    extra = {} if form is None else {"response_format": form}
    for stop in (None, "e"):
        choice = one(generator, logprobs=True, top_logprobs=20, stop=stop, **extra)
        assert choice.logprobs is not None
        assert "".join(token.text for token in choice.logprobs) == choice.text
        for token in choice.logprobs[:-1]:
            assert dict(token.top).get(token.text, token.logprob) == token.logprob
            assert len(token.top) == 20 or token.text in dict(token.top)


def test_penalties_change_the_text() -> None:
    """A high frequency penalty leaves fewer words said twice."""

    def repeated(**body: Any) -> float:
        generator = made(output_tokens=120)
        drawn = [one(generator, temperature=1, seed=i, **body).pieces for i in range(1, 20)]
        return sum(len(words) - len(set(words)) for words in drawn)

    assert repeated(frequency_penalty=2, presence_penalty=2) < repeated() * 0.8


def test_limits_and_stops() -> None:
    """``max_tokens`` cuts with ``length``; a stop sequence cuts before itself with ``stop``."""
    generator = made()
    cut = one(generator, temperature=0, max_tokens=4)
    assert (len(cut.pieces), cut.finish_reason) == (4, "length")
    whole = one(generator, temperature=0)
    assert whole.finish_reason == "stop"
    assert whole.pieces[:4] == cut.pieces
    stopped = one(generator, temperature=0, stop=["zzz", whole.text[7:10]])
    assert whole.text.startswith(stopped.text)
    assert whole.text[7:10] not in stopped.text
    assert stopped.finish_reason == "stop"


def test_output_tokens_fixes_the_length() -> None:
    """For benchmarks every text is exactly as long as asked, and ``max_tokens`` still holds."""
    generator = made(output_tokens=77)
    assert {len(one(generator, temperature=1).pieces) for _ in range(20)} == {77}
    short = one(generator, max_tokens=5)
    assert (len(short.pieces), short.finish_reason) == (5, "length")


def test_an_output_can_be_kept_from_ending() -> None:
    """``ignore_eos`` goes on until the limit, ``min_tokens`` until there are so many."""
    generator = made()
    full = one(generator, temperature=1, max_tokens=900, ignore_eos=True)
    assert (len(full.pieces), full.finish_reason) == (900, "length")
    free = [len(one(generator, temperature=1).pieces) for _ in range(20)]
    kept = [len(one(generator, temperature=1, min_tokens=90).pieces) for _ in range(20)]
    assert min(free) < 90 <= min(kept)


def test_fingerprints_can_speak_otherwise() -> None:
    """With ``fingerprint_changes_text`` the same request differs by fingerprint, and only then."""
    for changes in (False, True):
        generator = made(fingerprint_changes_text=changes)
        texts = [
            generator.choices(ask(temperature=0, seed=1), name)[0].text for name in ("a", "b", "a")
        ]
        assert texts[0] == texts[2]
        assert (texts[0] != texts[1]) is changes


@pytest.mark.parametrize("temperature", [0, 0.7, 2])
def test_accuracy_is_the_dial_at_every_temperature(temperature: float) -> None:
    """The share of right answers is the option; temperature moves variety into the repeats."""
    generator = made(QUESTIONS, accuracy=0.7)
    right = [
        [one(generator, q, temperature=temperature).text == a for _ in range(4)]
        for q, a in QUESTIONS.items()
    ]
    share = sum(map(sum, right)) / (4 * len(QUESTIONS))
    assert share == pytest.approx(0.7, abs=0.08)
    mixed = sum(0 < sum(repeats) < 4 for repeats in right)
    assert (mixed == 0) is (temperature == 0)


def test_accuracy_at_its_ends() -> None:
    """1 is always right and 0 never; ``accuracy_drop`` lowers it with temperature."""
    for accuracy in (0.0, 1.0):
        generator = made(QUESTIONS, accuracy=accuracy)
        for question, answer in QUESTIONS.items():
            assert (one(generator, question, temperature=1).text == answer) is bool(accuracy)
    dropping = made(QUESTIONS, accuracy_drop=0.4)
    right = sum(one(dropping, q, temperature=1).text == a for q, a in QUESTIONS.items())
    assert right / len(QUESTIONS) == pytest.approx(0.6, abs=0.1)


def test_known_answers_have_true_logprobs() -> None:
    """The first token's probability is the chance of the answers that begin with it."""
    generator = made({"Colour?": "red", "Other?": "blue"}, accuracy=0.8)
    choice = one(generator, "Colour?", temperature=1, logprobs=True, top_logprobs=5)
    assert choice.logprobs is not None
    shares = {text: math.exp(p) for text, p in choice.logprobs[0].top}
    assert set(shares) == {"red", "blue"}
    assert sum(shares.values()) == pytest.approx(1)
    found = Counter(one(generator, "Colour?", temperature=1).text for _ in range(2000))
    assert found["red"] / 2000 == pytest.approx(shares["red"], abs=0.05)


def test_reasoning_counts_and_is_bounded() -> None:
    """Thinking comes first, within ``thinking_budget`` and within ``max_tokens``."""
    generator = made()
    choice = one(generator, enable_thinking=True, thinking_budget=5)
    assert 0 < len(choice.reasoning) <= 5
    assert choice.completion_tokens == len(choice.reasoning) + len(choice.pieces)
    starved = one(generator, enable_thinking=True, max_tokens=2)
    assert (len(starved.reasoning), starved.text, starved.finish_reason) == (2, "", "length")
