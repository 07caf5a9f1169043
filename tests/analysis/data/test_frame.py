"""The frame: encoding, matrices, and independence of how the table came."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.data import encode
from evalharness.analysis.data.cell_means import cell_means, cell_repeats
from evalharness.analysis.data.frame import COLUMNS
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.analysis.data.metrics import METRICS
from evalharness.analysis.data.output_texts import output_codes, read_texts
from evalharness.columnar.record_store import RecordStore
from evalharness.errors import DatasetError
from evalharness.pricing import usage_columns
from evalharness.schema import arrow_schema
from tests.analysis.record_frames import cell, frame_of, records


def two_settings():
    rows = []
    for setting, texts in (("a", "xx"), ("b", "xy")):
        for row, seconds in zip(cell(texts, "p", setting_id=setting), (1.0, 3.0), strict=True):
            rows.append({**row, "latency_s": seconds, "completion_tokens": int(seconds)})
    return [*rows, *cell("z", "q", setting_id="a")]


def test_per_prompt_matrices():
    """Matrices are prompts × settings, NaN where undefined, with the repeats behind each value."""
    frame = frame_of(two_settings())
    assert (frame.prompt_ids, frame.setting_ids) == (["p", "q"], ["a", "b"])
    nan = np.nan
    np.testing.assert_array_equal(cell_means(frame, "agreement"), [[1.0, 0.0], [nan, nan]])
    np.testing.assert_array_equal(cell_repeats(frame, "agreement"), [[2, 2], [1, 0]])
    np.testing.assert_array_equal(cell_means(frame, "latency_s"), [[2.0, 2.0], [nan, nan]])
    np.testing.assert_array_equal(cell_repeats(frame, "latency_s"), [[2, 2], [0, 0]])
    np.testing.assert_array_equal(cell_means(frame, "completion_tokens")[0], [2.0, 2.0])
    np.testing.assert_array_equal(frame.counts(), [[2, 2], [1, 0]])


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_both_matrices(metric):
    """Each comparison metric answers, and a cell has a value exactly when it has enough repeats."""
    frame = frame_of(two_settings())
    values, repeats = cell_means(frame, metric), cell_repeats(frame, metric)
    assert values.shape == repeats.shape == (2, 2)
    least = 2 if metric.startswith("agreement") else 1
    np.testing.assert_array_equal(~np.isnan(values), repeats >= least)


def test_unknown_metric():
    """A metric that does not exist is an error, not a matrix of nulls."""
    with pytest.raises(KeyError):
        cell_means(frame_of(cell("a")), "speed")


def test_errors_are_in_no_metric():
    """Latency and cost of errors stay out of the per-prompt means."""
    rows = [
        {"prompt_id": "p", "text": "x", "latency_s": 1.0},
        {"prompt_id": "p", "status": "error", "latency_s": 9.0},
    ]
    frame = frame_of(rows, cost_usd=np.array([0.5, 7.0]))
    assert cell_means(frame, "latency_s").item() == 1.0
    assert cell_means(frame, "cost_usd").item() == 0.5


def test_params_are_flat_and_axes_stand_over_them():
    """Parameters, model, provider and axes come as one dict; nulls are absent."""
    setting = {
        "setting_id": "s",
        "model": "m",
        "provider": "v",
        "params_json": '{"temperature":0.7,"seed":1}',
        "axes_json": '{"seed":2}',
    }
    frame = frame_of(cell("a"), settings=[setting])
    assert frame.params("s") == {"model": "m", "provider": "v", "temperature": 0.7, "seed": 2}
    assert frame.axes(0) == {"seed": 2}


def test_order_of_the_tables_is_kept():
    """Prompts and settings keep their tables' order; prompts never tried are rows of NaN."""
    frame = frame_of(cell("aa", "b"), prompt_ids=["b", "never", "a"])
    assert frame.prompt_ids == ["b", "never", "a"]
    assert np.isnan(cell_means(frame, "agreement")[1:, 0]).all()


def test_rows_unknown_to_the_tables_are_kept():
    """Records of a prompt or setting that the tables lack are appended, not dropped."""
    frame = frame_of(
        cell("aa", "z") + cell("bb", "y", setting_id="other"),
        prompt_ids=["x"],
        settings=[{"setting_id": "s"}],
    )
    assert frame.prompt_ids == ["x", "y", "z"]
    assert frame.setting_ids == ["s", "other"]
    assert frame.counts().sum() == 4


def test_unknown_status_is_named():
    """A status outside the vocabulary stops with its name and the ones allowed."""
    with pytest.raises(DatasetError, match=r"'weird'.*\n.*truncated"):
        frame_of([{"prompt_id": "p", "status": "weird"}])


def test_clusters_are_numbers_and_loners_share_with_nobody():
    """Prompts of one cluster share a number; prompts without one have their own."""
    rows = [r for name in "abcd" for r in cell("x", name)]
    clusters = frame_of(rows, clusters={"a": "k", "b": "k"}).clusters
    assert clusters[0] == clusters[1]
    assert len(set(clusters.tolist())) == 3
    assert frame_of(rows).clusters is None


def test_columns_exist_in_the_schema():
    """What the frame asks a reader for is what a run folder stores."""
    assert set(COLUMNS) <= set(arrow_schema("records").names)


def test_missing_columns_count_as_null():
    """A table with the identity, status and text alone is enough."""
    table = records(cell("aa")).select(["prompt_id", "setting_id", "repeat", "status", "text"])
    prompts = pa.table({"prompt_id": ["q"]})
    settings = pa.table({"setting_id": ["s"], "label": ["l"]})
    frame = build_frame(RecordStore.of_table(table), prompts, settings)
    assert cell_means(frame, "agreement").item() == 1.0
    assert frame.scores == {}


@pytest.mark.parametrize("given", [{"answers": np.array([0, 0, -1])}, {}])
def test_answers_given_or_recorded(given):
    """Answers come as codes, else with the records; negative and null are unparsed."""
    rows = [{**row, "answer": answer} for row, answer in zip(cell("xyz"), "aa", strict=False)]
    frame = frame_of([*rows, *cell("z")], **given)
    assert cell_means(frame, "agreement_answer").item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("given", [{"answers": np.zeros(3, int)}, {"scores": {"s": np.zeros(3)}}])
def test_arrays_must_fit_the_records(given):
    """Answers or scores of another length are refused."""
    with pytest.raises(ValueError, match=r"3 .* for 2 records"):
        frame_of(cell("ab"), **given)


@given(
    texts=st.lists(st.one_of(st.none(), st.text("ab\x00é", max_size=2)), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
)
def test_codes_are_equality_however_chunked(texts, cuts):
    """Outputs have equal codes exactly when their texts are equal, for any chunks."""
    edges = sorted({0, len(texts), *(c for c in cuts if c < len(texts))})
    table = records([{"prompt_id": "p", "text": text, "status": "empty"} for text in texts])
    chunks = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    store = RecordStore.of_table(pa.concat_tables(chunks))
    codes = output_codes(store, np.zeros(len(texts), np.bool_))
    unknown = output_codes(store, np.ones(len(texts), np.bool_)) == encode.UNKNOWN
    assert unknown.tolist() == [text is None for text in texts]
    for i, a in enumerate(texts):
        for j in range(i):
            assert (codes[i] == codes[j]) == ((a or "") == (texts[j] or ""))


def test_dictionary_columns_read_alike():
    """A reader may hand keys and statuses over as dictionaries."""
    rows = two_settings()
    plain = frame_of(rows)
    table = records(rows)
    for name in ("prompt_id", "setting_id", "status"):
        index = table.column_names.index(name)
        table = table.set_column(index, name, table[name].dictionary_encode())
    prompts = pa.table({"prompt_id": ["p", "q"]})
    settings = pa.table({"setting_id": ["a", "b"], "label": ["a", "b"]})
    other = build_frame(RecordStore.of_table(table), prompts, settings)
    np.testing.assert_array_equal(cell_means(other, "agreement"), cell_means(plain, "agreement"))
    assert read_texts(other, np.array([0])) == ["x"]


def test_every_count_that_has_a_price_is_read() -> None:
    """A total that is left on disk would make a usage that contradicts it look sound."""
    of_the_setting = {"provider", "model"}
    assert set(usage_columns.COLUMNS) - of_the_setting <= set(COLUMNS)
