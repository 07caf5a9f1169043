"""The confusion table of a setting, and precision, recall and F1 of its classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats
from evalharness.analysis.classification.classification import (
    Classification,
    SettingClassification,
    classify,
)
from evalharness.scoring.label_classes import (
    OUTSIDE,
    UNLABELLED,
    UNPARSED,
    UNSCORED,
    RunLabels,
)
from tests.analysis.record_frames import frame_of

NAMES = ["ham", "spam"]
EGGS = len(NAMES)  # the code of a label that is no class
CODES = [0, 1, EGGS, OUTSIDE, UNPARSED, UNSCORED]


def classified(
    rows: list[dict[str, Any]],
    codes: list[int],
    classes: dict[str, int],
    **more: Any,
) -> Classification:
    """Rows with the code that each names, and the class of each prompt."""
    ids = sorted(classes)
    frame = frame_of(rows, prompt_ids=ids, **more)
    targets = np.array([classes[name] for name in ids], np.int16)
    labels = RunLabels("exact", NAMES, targets, 0, ["eggs"], np.array(codes, np.int16))
    result = classify(frame, labels)
    assert result is not None
    return result


def one(
    prompts: str, codes: list[int], classes: dict[str, int], **more: Any
) -> SettingClassification:
    """The only setting; a letter a record is its prompt."""
    (setting,) = classified(
        [{"prompt_id": name} for name in prompts], codes, classes, **more
    ).settings
    return setting


def test_figures_of_a_small_table() -> None:
    """Three spam, two ham: one spam is taken for ham, one ham names something else."""
    setting = one("abcde", [1, 1, 0, 0, EGGS], {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0})
    assert [row.named for row in setting.confusion] == [[1, 0], [1, 2]]
    assert [row.outside for row in setting.confusion] == [1, 0]
    ham, spam = setting.classes
    assert (ham.precision, ham.recall, ham.f1) == (0.5, 0.5, 0.5)
    assert (spam.precision, spam.recall, spam.f1) == (1.0, 2 / 3, pytest.approx(0.8))
    assert setting.macro_f1 == pytest.approx((0.5 + 0.8) / 2)
    assert setting.accuracy == pytest.approx(3 / 5)
    assert [(entry.label, entry.n) for entry in setting.outside_labels] == [("eggs", 1)]


def test_what_names_no_class_is_apart_and_wrong() -> None:
    rows = [
        {"prompt_id": "a"},
        {"prompt_id": "a", "status": "refused"},
        {"prompt_id": "a", "status": "error"},
        {"prompt_id": "a"},
        {"prompt_id": "a"},
        {"prompt_id": "b"},
        {"prompt_id": "c"},
    ]
    codes = [UNPARSED, 1, UNSCORED, OUTSIDE, UNSCORED, 0, 1]
    result = classified(rows, codes, {"a": 1, "b": 0, "c": UNLABELLED})
    (setting,) = result.settings
    assert result.prompts == 2
    # The error is nowhere; neither is the record of a prompt without a class.
    assert (setting.records, setting.unscored) == (4, 1)
    assert (setting.outside, setting.unparsed, setting.refused) == (1, 1, 1)
    spam = setting.classes[1]
    assert (spam.targets, spam.predictions, spam.right) == (3, 0, 0)
    assert (spam.precision, spam.recall, spam.f1) == (None, 0.0, 0.0)
    assert len(setting.confusion) == 2


def test_a_class_without_records_has_no_figures_and_is_not_in_the_mean() -> None:
    setting = one("aab", [1, 1, 1], {"a": 1, "b": 1, "c": 0})
    ham, spam = setting.classes
    assert (ham.precision, ham.recall, ham.f1, ham.f1_ci95) == (None, None, None, None)
    assert setting.macro_f1 == spam.f1 == 1.0
    empty = classified(
        [{"prompt_id": "a", "setting_id": "s"}], [0], {"a": 0},
        settings=[{"setting_id": "s"}, {"setting_id": "t"}],
    ).settings[1]  # fmt: skip
    assert (empty.records, empty.accuracy, empty.macro_f1) == (0, None, None)


def test_repeats_of_a_prompt_are_no_further_evidence() -> None:
    """The interval of ten repeats that always agree is that of one; a cluster is one unit, too."""
    classes = {name: index % 2 for index, name in enumerate("abcdefghijkl")}
    codes = [classes[name] if name < "j" else 1 - classes[name] for name in classes]
    once = one("".join(classes), codes, classes)
    often = one(
        "".join(name * 10 for name in classes), [c for c in codes for _ in range(10)], classes
    )
    assert once.classes[0].recall_ci95 == pytest.approx(often.classes[0].recall_ci95)
    assert once.classes[0].precision_ci95 == pytest.approx(often.classes[0].precision_ci95)
    assert once.classes[0].f1_ci95 == pytest.approx(often.classes[0].f1_ci95)
    assert once.macro_f1_ci95 == pytest.approx(often.macro_f1_ci95)
    named = {name: f"c{index // 6}" for index, name in enumerate(classes)}
    clustered = one("".join(classes), codes, classes, clusters=named)
    assert clustered.macro_f1_ci95 is not None
    assert once.macro_f1_ci95 is not None
    assert np.ptp(clustered.macro_f1_ci95) > np.ptp(once.macro_f1_ci95)


def test_recall_of_single_answers_has_wilsons_interval() -> None:
    """With one record a prompt, 8 of 10: the t form of Wilson's interval, on n/(n-1) less error."""
    classes = dict.fromkeys("abcdefghij", 1) | {"k": 0, "l": 0}
    setting = one("abcdefghijkl", [1] * 8 + [0, 0, 0, 0], classes)
    spam = setting.classes[1]
    assert spam.recall == 0.8
    values = np.array([1.0] * 8 + [0.0] * 2)
    assert spam.recall_ci95 == pytest.approx(stats.mean_ci(values))
    # F1 is a function of the Jaccard index: 8 of 10 here, since none is taken for spam wrongly.
    low, high = stats.mean_ci(values) or (0.0, 0.0)
    assert spam.f1_ci95 == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.sampled_from(CODES), st.sampled_from(["ok", "refused", "error"])
        ),
        min_size=1,
        max_size=40,
    )
)
def test_the_table_adds_up(records: list[tuple[int, int, str]]) -> None:
    rows = [{"prompt_id": f"p{prompt}", "status": status} for prompt, _, status in records]
    classes = {f"p{prompt}": prompt % 2 for prompt in range(8)}
    (setting,) = classified(rows, [code for _, code, _ in records], classes).settings
    table = np.array([[*r.named, r.outside, r.unparsed, r.refused] for r in setting.confusion])
    assert table.sum() == setting.records
    assert setting.records + setting.unscored == sum(status != "error" for *_, status in records)
    assert table.sum(axis=0)[2:].tolist() == [setting.outside, setting.unparsed, setting.refused]
    for code, entry in enumerate(setting.classes):
        assert entry.targets == table[code].sum()
        assert entry.predictions == table[:, code].sum()
        assert entry.right == table[code, code]
        for value, ends in (
            (entry.precision, entry.precision_ci95),
            (entry.recall, entry.recall_ci95),
            (entry.f1, entry.f1_ci95),
            (setting.macro_f1, setting.macro_f1_ci95),
        ):
            if ends is not None and value is not None:
                assert 0.0 <= ends[0] <= value + 1e-9
                assert value <= ends[1] + 1e-9 <= 1.0 + 2e-9
