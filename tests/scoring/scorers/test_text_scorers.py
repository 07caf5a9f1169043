"""exact, includes, startswith, regex, f1, similarity, rouge, bleu: what counts as right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.records import Status
from evalharness.scoring import Sample, Score, parse_scoring
from evalharness.scoring.text_options import TextOptions


def judge(name: str, text: str | None, target: Any = None, **arguments: Any) -> Score:
    scorer = parse_scoring([{"name": name, **arguments}])[0]
    return scorer.score(Sample(text=text, target=target))


@pytest.mark.parametrize(
    ("text", "target", "options", "value"),
    [
        ("Paris", "Paris", {}, 1),
        (" Paris\n", "Paris", {}, 1),  # white space at both ends does not count
        (" Paris", "Paris", {"strip": False}, 0),
        ("paris", "Paris", {}, 0),  # case does
        ("PARIS", "Paris", {"ignore_case": True}, 1),
        ("Paris.", "Paris", {}, 0),
        ("«Paris».", "Paris", {"ignore_punctuation": True}, 1),
        ("3.5", "35", {"ignore_punctuation": True}, 0),  # inside a number it stays
        ("-5", "5", {"ignore_punctuation": True}, 0),
        ("a  b\nc", "a b c", {}, 0),
        ("a  b\nc", "a b c", {"ignore_whitespace": True}, 1),
        ("cafe\u0301", "caf\u00e9", {}, 1),  # composed and decomposed accents
        ("cafe\u0301", "caf\u00e9", {"unicode_form": None}, 0),
        ("\uff21", "A", {}, 0),
        ("\uff21", "A", {"unicode_form": "NFKC"}, 1),
        ("STRASSE", "straße", {"ignore_case": True}, 1),
        ("Lyon", ["Paris", "Lyon"], {}, 1),  # any alternative
        ("42", 42, {}, 1),
        ("true", True, {}, 1),
        ("", "", {}, 1),
        (None, "Paris", {}, 0),  # nothing said is not the target
    ],
)
def test_exact(text: str | None, target: Any, options: dict[str, Any], value: float) -> None:
    """The whole text is compared, and only what an option names is levelled out."""
    assert judge("exact", text, target, **options).value == value


@pytest.mark.parametrize(
    ("name", "text", "target", "options", "value"),
    [
        ("includes", "It is PARIS!", "paris", {}, 1),
        ("includes", "It is PARIS!", "paris", {"ignore_case": False}, 0),
        ("includes", "red and blue", ["green", "blue"], {}, 1),
        ("includes", "red and blue", ["green", "blue"], {"every": True}, 0),
        ("includes", "red and blue", ["red", "blue"], {"every": True}, 1),
        ("includes", "答案是北京。", "北京", {}, 1),
        ("includes", "anything", "", {}, None),
        ("startswith", "  yes, it is", "Yes", {}, 1),
        ("startswith", "well, yes", "yes", {}, 0),
        ("startswith", "anything", "", {}, None),
    ],
)
def test_parts(
    name: str, text: str, target: Any, options: dict[str, Any], value: float | None
) -> None:
    """A part of the text is found in any case, and an empty target says nothing."""
    assert judge(name, text, target, **options).value == value


@pytest.mark.parametrize(
    ("text", "target", "arguments", "value"),
    [
        ("id 123", None, {"pattern": r"\d{3}"}, 1),
        ("id 123", None, {"pattern": r"\d{3}", "mode": "fullmatch"}, 0),
        ("ID", None, {"pattern": "id"}, 0),
        ("ID", None, {"pattern": "id", "ignore_case": True}, 1),
        ("colour", ["^color$", "^colou?r$"], {}, 1),  # the target is the pattern
        ("A: 1\nA: 2", "2", {"pattern": r"A: (\d)", "group": 1, "which": "last"}, 1),
        ("A: 1\nA: 2", "2", {"pattern": r"A: (?P<x>\d)", "group": "x"}, 0),
        ("none", "2", {"pattern": r"A: (\d)", "group": 1}, 0),
        ("A: 1", None, {"pattern": r"A: (\d)", "group": 1}, None),
        ("text", None, {}, None),
        ("text", "(", {}, None),  # a broken pattern in a target is a reason, not a crash
    ],
)
def test_regex(text: str, target: Any, arguments: dict[str, Any], value: float | None) -> None:
    """A pattern from the configuration or from the target matches, or a group is compared."""
    assert judge("regex", text, target, **arguments).value == value


def test_catastrophic_pattern_is_bounded() -> None:
    """A pattern of exponential time ends in a null score with its reason, not in a hang."""
    score = judge("regex", "a" * 60 + "b", pattern="(a|aa)+$", timeout_s=0.05)
    assert score.value is None
    assert "too long" in score.explanation


@pytest.mark.parametrize(
    ("text", "target", "options", "value"),
    [
        ("the cat sat", "a cat sat", {}, 1.0),  # articles do not count
        ("the cat sat", "a cat sat", {"articles": True}, 2 / 3),
        ("The Cat!", "cat", {}, 1.0),
        ("cat cat dog", "cat dog", {}, 0.8),  # P = 2/3, R = 1
        ("", "", {}, 1.0),
        ("", "cat", {}, 0.0),
        ("今天天气", "今天下雨", {}, 0.0),
        ("今天天气", "今天下雨", {"unit": "characters"}, 0.5),
        ("cat", ["dog", "cat"], {}, 1.0),
        ("cat cat dog", "cat dog", {"threshold": 0.75}, 1.0),
        ("cat cat dog", "cat dog", {"threshold": 0.85}, 0.0),
    ],
)
def test_f1(text: str, target: Any, options: dict[str, Any], value: float) -> None:
    """Token F1 as computed by hand from the definition of Rajpurkar et al."""
    assert judge("f1", text, target, **options).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "target", "options", "value"),
    [
        ("kitten", "sitting", {}, 1 - 3 / 7),  # the textbook pair: distance 3
        ("kitten", "sitting", {"method": "indel"}, 1 - 5 / 13),
        ("", "", {}, 1.0),
        ("a b", "b a", {"method": "token_sort"}, 1.0),
        ("MARTHA", "MARHTA", {"method": "jaro_winkler"}, 0.9611),  # Winkler 1990
        ("Kitten", "kitten", {"ignore_case": True}, 1.0),
    ],
)
def test_similarity(text: str, target: str, options: dict[str, Any], value: float) -> None:
    """Edit similarities of textbook pairs."""
    assert judge("similarity", text, target, **options).value == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("variant", "text", "target", "value"),
    [
        # Figures of the rouge-score package 0.1.2, without stemming.
        ("rouge1", "the cat sat on the mat today", "the cat lay on a mat", 8 / 13),
        ("rouge2", "the cat sat on the mat today", "the cat lay on a mat", 2 / 11),
        ("rougeL", "the cat sat on the mat today", "the cat lay on a mat", 8 / 13),
        ("rougeL", "mat the on sat cat the", "the cat sat on the mat", 0.5),
        ("rouge2", "Don't stop, believing! 3.5", "don t stop 3 5 now", 0.6),
        ("rouge1", "snake_case", "snake case", 1.0),
        ("rouge1", "", "the cat", 0.0),
    ],
)
def test_rouge(variant: str, text: str, target: str, value: float) -> None:
    """ROUGE equals the figures of the reference package on ASCII texts."""
    assert judge("rouge", text, target, variant=variant).value == pytest.approx(value)


def test_rouge_counts_other_scripts() -> None:
    """Texts without a Latin letter are measured, not scored 0 for want of tokens."""
    assert judge("rouge", "สวัสดี โลก", "สวัสดี โลก").value == 1.0
    assert judge("rouge", "今天天气", "今天下雨", unit="characters").value == 0.5


def test_bleu_is_sacrebleus() -> None:
    """BLEU is sacrebleu's own sentence figure, divided by 100 and never above 1."""
    sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra `text`")
    text, target = "the cat sat on the mat", "the cat is on the mat"
    expected = sacrebleu.sentence_bleu(text, [target], use_effective_order=True).score / 100
    assert 0 < expected < 1
    assert judge("bleu", text, target).value == pytest.approx(expected)
    assert judge("bleu", target, target).value == 1.0


@pytest.mark.parametrize("target", [{"a": 1}, [], [None]])
def test_target_that_is_no_text(target: Any) -> None:
    """A target a text scorer cannot use gives null with the reason."""
    for name in ("exact", "includes", "f1", "similarity", "rouge"):
        score = judge(name, "text", target)
        assert score.value is None
        assert "target" in score.explanation


def test_score_names_what_was_judged() -> None:
    """A score carries the judged part of the output and a sentence for people."""
    score = judge("includes", "It is Paris", "paris")
    assert (score.answer, score.explanation) == ("paris", "has the target")
    assert Sample(text=None).status is Status.OK


@given(
    st.text(st.sampled_from("aAéÉß1 .-東K"), max_size=12),
    st.lists(st.text(st.sampled_from("aAéß1.東"), min_size=1, max_size=3), min_size=1, max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_includes_looks_for_the_folded_target_in_the_folded_text(
    text: str, targets: list[str], ignore_case: bool, ignore_punctuation: bool
) -> None:
    options = TextOptions(ignore_case=ignore_case, ignore_punctuation=ignore_punctuation)
    plain = [options.apply(target) for target in targets]
    found = [one in options.apply(text) for one in plain]
    for target in (targets, targets[0]) if len(targets) == 1 else (targets,):
        score = judge(
            "includes", text, target, ignore_case=ignore_case, ignore_punctuation=ignore_punctuation
        )
        assert score.value == (float(any(found)) if all(plain) else None)
