"""The parts of a report: figures, drawings, diffs, prompts, errors."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.comparison.leaders import DIRECTIONS, leaders
from evalharness.analysis.distributions import POINTS, ecdf
from evalharness.errors import ConfigError, StorageError
from evalharness.report.build import errors
from evalharness.report.build.json import as_json_text
from evalharness.report.build.prompts import by_setting, variants_of
from evalharness.report.build.report_data import Built
from evalharness.report.caveats import caveats
from evalharness.report.html import as_html, palette, warm, write_html, write_prompt_html
from evalharness.report.html.charts import chart_parts, charts_of, tradeoffs
from evalharness.report.html.charts.chart_parts import log_ticks, names_for
from evalharness.report.html.excerpts import excerpt, word_diff
from evalharness.report.html.series import MOST, axes_of, series_of
from evalharness.report.html.svg import clean, render
from evalharness.report.html.table import leading_settings, settings_table
from evalharness.report.words import format_numbers
from evalharness.report.words.breakdown_text import TITLES, circumstance_tables
from evalharness.schema import arrow_schema
from tests.analysis_a.build import frame_of
from tests.report import runs

TEXTS = st.text(st.sampled_from("ab c\n.é"), max_size=60)


# --- what the data say ---------------------------------------------------------------------------


def test_the_json_of_a_report_is_json(sweep: Built, hostile: Built) -> None:
    """Everything the page shows is in the JSON, without NaN."""
    for built in (sweep, hostile):
        assert json.loads(as_json_text(built.data))["leaders"].keys() == DIRECTIONS.keys()


def test_leaders_are_the_best_figures_and_their_group_the_undetected(sweep: Built) -> None:
    """The leader has the best mean; who is in the group is decided by the adjusted p alone."""
    for metric, sign in DIRECTIONS.items():
        found = sweep.data["leaders"][metric]
        if found is None:
            continue
        assert all(sign * found["value"] >= sign * row["value"] for row in found["others"])
        level = {r["setting_id"] for r in found["others"] if r["p_adjusted"] >= 0.05}
        assert set(found["group"]) == {found["setting_id"], *level}
    assert sweep.data["leaders"]["agreement_answer"] is None


def test_clear_leaders_are_found(sweep: Built) -> None:
    """Temperature 0 repeats itself and costs least, by construction."""
    labels = {row["setting_id"]: row["axes"]["temperature"] for row in sweep.data["settings"]}
    for metric in ("agreement", "cost_usd"):
        group = sweep.data["leaders"][metric]["group"]
        assert {labels[name] for name in group} == {0.0}


def test_a_lead_must_survive_the_number_of_comparisons() -> None:
    """Six of eight prompts better is p = .03 against one setting, and nothing against three."""
    for others, alone in (("b", True), ("bcd", False)):
        names = ["a", *others]
        rows = [
            {"prompt_id": f"q{i}", "setting_id": s, "text": "t", "score": float(s == "a" or i > 5)}
            for s in names
            for i in range(8)
        ]
        found = leaders(frame_of(rows, targets={f"q{i}": '"t"' for i in range(8)}))["score"]
        assert found["setting_id"] == "a"
        assert all(row["p"] == pytest.approx(2 / 64) for row in found["others"])
        assert (found["group"] == ["a"]) is alone
        assert all(row["difference"] == -0.75 and row["n"] == 8 for row in found["others"])


@given(st.lists(st.floats(0.001, 1000), max_size=400))
def test_an_ecdf_rises_to_one_within_bounds(values: list[float]) -> None:
    """Few points whatever the number of values; monotone in both directions; ends at the maximum."""
    found = ecdf(np.array([*values, np.nan]))
    points = found["ecdf"]
    assert found["n"] == len(values)
    assert len(points) <= POINTS
    assert points == sorted(points)
    if values:
        assert points[-1] == [max(values), 1.0]


def test_distributions_count_every_prompt_once(sweep: Built) -> None:
    """The tally of agreements over prompts adds up to the prompts of the setting."""
    for row, drawn in zip(sweep.data["settings"], sweep.data["distributions"], strict=True):
        tally = drawn["agreement"]
        assert sum(count for _, count in tally) == row["prompts"]
        mean = sum(value * count for value, count in tally) / row["prompts"]
        assert mean == pytest.approx(row["agreement"]["raw"]["pairwise"], abs=1e-4)


def test_the_time_line_holds_every_trial(sweep: Built) -> None:
    """Bins partition the trials."""
    found = sweep.data["timeline"]
    assert sum(place["trials"] for place in found["bins"]) == sweep.data["run"]["records"]


def test_errors_are_counted_by_cause_with_an_example(hostile: Built) -> None:
    """Every error is in one row; its message is kept, shortened."""
    rows = hostile.data["errors"]
    total = sum(row["status"]["error"] for row in hostile.data["settings"])
    assert sum(row["count"] for row in rows) == total == len(runs.PAYLOADS)
    assert all(row["error_kind"] == "server_error" and row["example"] for row in rows)


def test_attempts_are_described_by_outcome() -> None:
    """Failed attempts are told apart from the final ones, and trials counted once."""
    row = {"trial_id": "a", "attempt": 1, "final": False, "outcome": "rejected", "status": "error",
           "http_status": 429, "error_kind": "rate_limited", "error_message": "slow " * 100,
           "wait_s": 1.5, "in_flight": 3, "queue_s": 0.5, "admitted_at": 0,
           "prompt_id": "p", "setting_id": "s", "repeat": 0, "client_request_id": "c"}  # fmt: skip
    rows = [row, {**row, "attempt": 2}, {**row, "attempt": 3, "final": True, "outcome": "delivered",
            "status": "ok", "error_kind": None, "http_status": 200}]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=arrow_schema("attempts"))
    again = table.select(list(errors.AGAIN_COLUMNS)).slice(0, 2)
    attempts = errors.Attempts()
    for block in (table.slice(0, 2), table.slice(2)):
        attempts.add(block.select(list(errors.ATTEMPT_COLUMNS)))
    found = attempts.facts(again)
    assert (found["made"], found["trials_retried"]) == (3, 1)
    assert found["outcomes"] == {"rejected": 2, "delivered": 1}
    assert found["failed"][0]["count"] == 2
    assert len(found["failed"][0]["example"]) == 300
    assert found["in_flight"] == {"mean": 3.0, "max": 3}
    assert (found["wait_s_total"], found["queue_s"]) == (4.5, {"p50": 0.5, "p95": 0.5})
    nothing = errors.Attempts().facts(again.slice(0, 0))
    assert (nothing["made"], nothing["failed"], nothing["wait_s_total"]) == (0, [], 0.0)
    assert nothing["queue_s"] == {"p50": None, "p95": None}
    assert nothing["in_flight"] == {"mean": None, "max": None}


def test_variants_of_a_prompt_account_for_all_its_records(hostile: Built) -> None:
    """Counts add up to the outputs, by setting too; the commonest comes first, unmarked."""
    frame = hostile.frame
    every = range(len(frame.prompt_ids))
    for prompt, found in zip(every, variants_of(frame, every), strict=True):
        variants = found["variants"]
        assert len(variants) == found["distinct"]
        trials = int((frame.prompt == prompt).sum())
        assert sum(v["count"] for v in variants) + found["errors"] == trials
        assert variants_of(frame, [prompt]) == [found]
        assert all(sum(s["count"] for s in v["settings"]) == v["count"] for v in variants)
        assert [v["count"] for v in variants] == sorted(
            (v["count"] for v in variants), reverse=True
        )
        assert variants[0]["first_difference_chars"] is None
        for variant in variants[1:]:
            at = variant["first_difference_chars"]
            assert variant["text"][:at] == variants[0]["text"][:at]
            assert variant["text"][at : at + 1] != variants[0]["text"][at : at + 1]


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_numbers.percent(None), "—"),
        (format_numbers.percent(0.456, 1), "45.6 %"),
        (format_numbers.share_interval([-0.05, 1.2]), "[0, 100]"),
        (format_numbers.seconds(0.0123), "12.3 ms"),
        (format_numbers.seconds(1.0), "1.00 s"),
        (format_numbers.seconds(2_000.0), "2,000 s"),
        (format_numbers.span(1042.0), "17 min 22 s"),
        (format_numbers.span(7200.0), "2 h"),
        (format_numbers.dollars(None), "—"),
        (format_numbers.dollars(0.0), "$0"),
        (format_numbers.dollars(0.00123), "$0.00123"),
        (format_numbers.dollars(1234.5), "$1,234.50"),
        (format_numbers.difference_of("score", -2.2e-17), "0.0 pp"),
        (format_numbers.difference_of("score", -0.593), "−59.3 pp"),
        (format_numbers.difference_of("latency_s", 2.6), "+2.6 s"),
        (format_numbers.difference_interval("agreement", [-1.2, 0.5]), "[−100.0, +50.0]"),
        (format_numbers.difference_interval("score", None), "[alike for every prompt]"),
        (format_numbers.p_value(0.0004), "p < .001"),
        (format_numbers.p_value(0.28), "p = .28"),
        (format_numbers.parameter(None), "not sent"),
        (format_numbers.parameter(0.70), "0.7"),
        (format_numbers.parameter(True), "true"),
        (format_numbers.instant("2026-11-23T23:18:10+00:00"), "23 November 2026, 23:18 UTC"),
    ],
)
def test_numbers_read_well(shown: str, expected: str) -> None:
    """Units, signs and digits as people write them; a unit never parts from its number."""
    assert shown.replace("\u00a0", " ") == expected


# --- texts ---------------------------------------------------------------------------------------


@given(TEXTS, TEXTS)
def test_a_word_diff_holds_both_texts(first: str, second: str) -> None:
    """Without the new pieces it is the first text, without the gone ones the second."""
    pieces = word_diff(first, second)
    assert "".join(p.text for p in pieces if p.kind != "new") == first
    assert "".join(p.text for p in pieces if p.kind != "gone") == second
    if first == second:
        assert all(p.kind == "same" for p in pieces)


@given(st.text(max_size=3000), st.integers(0, 3000))
def test_an_excerpt_counts_what_it_leaves_out(text: str, at: int) -> None:
    """Skipped, shown and left characters add up, and the mark stands at the difference."""
    at = min(at, len(text))
    found = excerpt(text, at)
    shown = found.head + found.tail
    assert found.skipped + len(shown) + found.left == len(text)
    assert text[found.skipped :].startswith(shown)
    assert found.skipped + len(found.head) == at


# --- drawings ------------------------------------------------------------------------------------


def test_every_plot_of_every_run_can_be_drawn(sweep: Built, hostile: Built) -> None:
    """No specification is refused; drawings hold no script, style, link or label of the renderer."""
    for built in (sweep, hostile):
        series = series_of(built.data["settings"])
        sections = charts_of(built.data, series).items()
        charts = {f"{name}{i}": chart for name, part in sections for i, chart in enumerate(part)}
        plots = render({name: chart.spec for name, chart in charts.items()}, warm())
        assert list(plots) == list(charts)
        for name, drawn in plots.items():
            assert drawn.startswith("<svg")
            for forbidden in ("<script", "<style", "<a ", "style=", "href", "aria-label", "onl"):
                assert forbidden not in drawn
            assert charts[name].title
            assert charts[name].caption


def test_sweeps_of_two_axes_get_curves_and_a_heat_map(sweep: Built) -> None:
    """Each known figure is drawn both ways, with n in its caption."""
    charts = charts_of(sweep.data, series_of(sweep.data["settings"]))["sweep"]
    rows = [chart.row for chart in charts if chart.row]
    assert rows == ["Against temperature", "By temperature and seed"]
    assert len(charts) == 2 * 5
    assert all("n\u00a0=\u00a040 prompts" in chart.caption for chart in charts)


def test_a_row_of_plots_has_one_legend(sweep: Built) -> None:
    """Four plots of the same lines do not repeat their legend four times."""
    charts = charts_of(sweep.data, series_of(sweep.data["settings"]))["sweep"]
    assert [len(c.row_legend) for c in charts if c.row] == [2, 0]
    assert not any(c.legend for c in charts)
    section = as_html(sweep.data).split('<section id="sweep">')[1].split("</section>")[0]
    assert section.count("<bdi>seed 7</bdi>") == 1


def test_what_never_changes_is_not_drawn(tmp_path: Path) -> None:
    """Outputs of one length everywhere are no plot: the table says it."""
    built = runs.sweep(tmp_path, 12, 3)
    drawn = charts_of(built.data, series_of(built.data["settings"]))
    assert "Output length" in {c.title for c in drawn["sweep"]}
    assert "Length of outputs" in {c.title for c in drawn["speed"]}
    for place in built.data["distributions"]:
        place["means"]["completion_tokens"].update(mean=7.0, ci95=None)
        place["completion_tokens"].update(dict.fromkeys(("p5", "p25", "p50", "p75", "p95"), 7.0))
    drawn = charts_of(built.data, series_of(built.data["settings"]))
    assert "Output length" not in {c.title for c in drawn["sweep"]}
    assert "Length of outputs" not in {c.title for c in drawn["speed"]}


def test_short_times_are_drawn_in_milliseconds(sweep: Built) -> None:
    """An axis in thousandths of a second is one nobody reads."""
    data = copy.deepcopy(sweep.data)
    for place in data["distributions"]:
        found = place["means"]["latency_s"]
        found.update(mean=found["mean"] / 100, ci95=[end / 100 for end in found["ci95"]])
    for made, unit in ((sweep.data, "s"), (data, "ms")):
        charts = charts_of(made, series_of(made["settings"]))
        heat = [c for c in charts["sweep"] if c.title == "Latency"][-1]
        assert heat.caption.startswith(f"mean latency ({unit})")
        first = next(p for p in made["distributions"] if p["setting_id"] == "s0")
        value = first["means"]["latency_s"]["mean"] * (1000 if unit == "ms" else 1)
        assert heat.spec["data"]["values"][0]["value"] == pytest.approx(value)


def test_no_caption_calls_a_colour_dark(sweep: Built) -> None:
    """On a dark page more is lighter: captions speak of strength."""
    captions = [c.caption for cs in charts_of(sweep.data, {}).values() for c in cs]
    assert any("the stronger the colour" in text for text in captions)
    assert not any("dark" in text for text in captions)


@given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0, 1)), min_size=2, max_size=40))
def test_names_in_a_plot_cover_nothing(places: list[tuple[float, float]]) -> None:
    """Whatever the points, no two names meet, nor a name and another's point."""
    points = [
        {"label": f"T={i}, seed=none", "latency": x, "score": y, "unbeaten": i % 3 == 0}
        for i, (x, y) in enumerate(places)
    ]
    named = tradeoffs.names(points, "latency", "score")
    boxes = [tradeoffs.box(p, points, "latency", "score") for p in named]
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert {p["label"] for p in named} <= {p["label"] for p in points}


@given(st.floats(1e-4, 1e3), st.floats(1.1, 1e5))
def test_ticks_of_a_logarithmic_axis_lie_on_it(low: float, factor: float) -> None:
    """Inside the range, ascending, few; at least one for each factor of ten."""
    ticks = log_ticks(low, low * factor)
    assert ticks == sorted(ticks)
    assert all(low <= tick <= low * factor for tick in ticks)
    assert math.floor(math.log10(factor)) <= len(ticks) <= 12


def test_points_of_a_few_pairs_are_not_drawn(sweep: Built) -> None:
    """One pair is 0 % or 100 %: it says nothing, and the caption says that it was left out."""
    data = copy.deepcopy(sweep.data)
    groups = data["breakdowns"][0]["time_gap"]
    many = next(g for g in groups if g["group"] != "unknown" and g["pairs"] >= 10)
    many.update(pairs=3, agreement=0.0)
    before, after = (
        next(c for c in charts_of(d, series_of(d["settings"]))["repeats"] if "apart" in c.title)
        for d in (sweep.data, data)
    )
    assert len(after.spec["data"]["values"]) == len(before.spec["data"]["values"]) - 1
    assert "fewer than 10 pairs" in after.caption


def _group(name: str, agreement: float, pairs: int) -> dict[str, Any]:
    return {"group": name, "agreement": agreement, "pairs": pairs, "prompts": 9}


def test_circumstances_that_varied_have_a_table(sweep: Built, tmp_path: Path) -> None:
    """One row a setting that has such pairs, one column a group; what never varied has none."""
    data = copy.deepcopy(sweep.data)
    for part in data["breakdowns"]:
        for name in TITLES:
            part[name] = [_group("equal", 1.0, 3), _group("unknown", 1.0, 3)]
    assert circumstance_tables(data, 50) == []
    assert "What went with it" not in view_page(data, sweep, tmp_path)
    first, second, *rest = data["breakdowns"]
    first["system_fingerprint"] = [_group("equal", 0.5, 1200), _group("different", 0.25, 1)]
    first["in_flight"] = [_group("17-64", 0.5, 3), _group("> 256", 0.1, 3)]
    second["in_flight"] = [_group("5-16", 0.75, 3)]
    for part in rest:
        part["in_flight"] = []
    prints, busy = circumstance_tables(data, 2)
    assert prints.headings[1:] == ["equal", "different"]
    label = data["settings"][0]["label"]
    assert prints.rows[0] == [label, "50\u00a0% (1,200 pairs)", "25\u00a0% (1 pair)"]
    assert (len(prints.rows), prints.more) == (2, len(data["settings"]) - 2)
    assert busy.headings[1:] == ["5-16", "17-64", "> 256"]
    assert busy.rows[1][1:] == ["75\u00a0% (3 pairs)", "—", "—"]
    assert busy.more == 0
    page = view_page(data, sweep, tmp_path)
    assert "What went with it" in page
    assert "25\u00a0% (1 pair)" in page


def view_page(data: dict[str, Any], built: Built, folder: Path) -> str:
    """The HTML of changed data."""
    write_html(built._replace(data=data), folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("by", "group", "against", "difference", "words"),
    [
        ("system_fingerprint", "different", "equal", -0.31,
         "repeats under different system fingerprints give the same text 31.0\u00a0pp less often "
         "than those under equal ones"),
        ("served_model", "different", "equal", -0.2, "from different served models"),
        ("time_gap", ">= 1 h", "< 1 s", -0.2, "sent >= 1 h apart"),
        ("in_flight", "65-256", "1", 0.2, "with 65-256 requests in flight give the same text 20.0"
         "\u00a0pp more often than those with 1 ("),
        ("cached_tokens", "both", "neither", -0.2, "whose prompt was cached in both"),
    ],
)  # fmt: skip
def test_circumstances_that_go_with_differences_are_said(
    sweep: Built, by: str, group: str, against: str, difference: float, words: str
) -> None:
    """What is clear and large is a caveat; what is unclear or small is none."""
    data = copy.deepcopy(sweep.data)
    row = {"by": by, "group": group, "against": against, "prompts": 40, "p": 0.001}
    for part, change, p in zip(
        data["breakdowns"][:4],
        (difference, difference / 2, -0.04, 0.3),
        (0.009, 0.002, 0.002, 0.02),
        strict=True,
    ):
        part["contrasts"] = [{**row, "difference": change, "p_adjusted": p}]
    told = [caveat.text for caveat in caveats(data) if "give the same text" in caveat.text]
    assert len(told) == 1
    assert words in told[0]
    assert f"Under {data['settings'][0]['label']} " in told[0]
    assert "40 prompts); so in 1 other setting: observed, not tried" in told[0]


def test_a_drawing_is_rebuilt_from_what_is_allowed() -> None:
    """Elements and attributes that are not for drawing are dropped, with all they hold."""
    drawn = clean(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script>'
        '<style>*{}</style><g class="k" aria-label="a"><a href="x"><path d="M0,0" fill="#000"/></a>'
        '<path d="M0.123456,9" stroke="#123456" style="x" clip-path="url(#c)"/>'
        '<text fill="url(http://x)">a &lt;b&gt;</text></g></svg>',
        "n",
    )
    assert drawn == (
        '<svg aria-hidden="true"><g><path d="M0.1,9" stroke="#123456" clip-path="url(#n-c)" />'
        "<text>a &lt;b&gt;</text></g></svg>"
    )


def test_series_with_two_axes_share_colours_and_dashes(sweep: Built) -> None:
    """The colour follows the longer axis, the dash the other; no two settings look alike."""
    found = series_of(sweep.data["settings"])
    looks = {(s.colour, s.dash) for s in found.values()}
    assert len(looks) == len(found) == 8
    assert len({s.colour for s in found.values()}) == 4
    assert [axis.name for axis in axes_of(sweep.data["settings"])] == ["temperature", "seed"]


def test_a_few_settings_differ_in_more_than_colour(tmp_path: Path) -> None:
    """Whoever cannot tell the colours of neighbours apart has dashes and shapes."""
    found = list(series_of(runs.sweep(tmp_path, 3, 6).data["settings"]).values())
    assert len({s.colour for s in found}) == 6
    assert all(a.dash != b.dash and a.shape != b.shape for a, b in itertools.pairwise(found))


def test_a_trade_off_needs_something_to_trade(sweep: Built) -> None:
    """Where every score is the same, agreement stands for it; the caption says what is drawn."""
    data = copy.deepcopy(sweep.data)
    (drawn,) = tradeoffs.tradeoffs(data)
    assert drawn.title == "Cost, score and agreement"
    for row in data["settings"]:
        row["score"]["mean"] = 0.0
    (drawn,) = tradeoffs.tradeoffs(data)
    assert drawn.title == "Cost and agreement"
    assert "mean score" not in drawn.caption
    assert drawn.spec["encoding"]["y"]["field"] == "agreement"


def test_no_more_lines_than_can_be_told_apart() -> None:
    """Beyond twelve settings some are left out; the named ones never are."""
    rows: list[dict[str, Any]] = [
        {"setting_id": f"s{i}", "label": f"T={i}", "axes": {"temperature": i}, "params": {}}
        for i in range(40)
    ]
    found = series_of(rows, ["s17", "s31"])
    assert len(found) == MOST
    assert {"s17", "s31", "s0", "s39"} <= set(found)


def test_names_that_shortening_would_join_are_numbered() -> None:
    """Two settings never share a row of a plot."""
    names = names_for(["a long label, seed=1", "a long label, seed=2"], 12)
    assert len(set(names)) == 2


def test_colours_meet_contrast_on_both_backgrounds() -> None:
    """Lines and text of plots have a contrast of at least 2 (marks) and 4.5 (text)."""
    text = {palette.INK, palette.MUTED}
    for light in {*palette.SERIES, palette.REAL, palette.BAD, palette.OPEN} | text:
        least = 4.5 if light in text else 2.0
        assert _contrast(light, "#ffffff") >= least, light
        assert _contrast(palette.DARK[light], "#12151b") >= least, light
    for step, light in enumerate(palette.HEAT):
        on = palette.ON_DEEP if step >= palette.HEAT_DARK_FROM else palette.ON_PALE
        assert _contrast(light, on) >= 3.0, light
        assert _contrast(palette.DARK[light], palette.DARK[on]) >= 3.0, light


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# --- table and page ------------------------------------------------------------------------------


def test_the_best_is_marked_only_where_something_is_worse(sweep: Built) -> None:
    """A leading group that holds every setting marks none."""
    leaders = sweep.data["leaders"]
    assert leading_settings(leaders, "agreement") == set(leaders["agreement"]["group"])
    everyone = {
        **leaders["score"],
        "group": [row["setting_id"] for row in sweep.data["settings"]],
    }
    assert leading_settings({"score": everyone}, "score") == set()
    assert leading_settings({"score": None}, "score") == set()


def test_columns_without_any_figure_are_left_out(sweep: Built) -> None:
    """No column of dashes: answers were not parsed, nothing was billed."""
    headings = [(c.group, c.heading) for c in settings_table(sweep.data).columns]
    assert ("Repeatability", "same answer") not in headings
    assert ("Cost", "billed") not in headings
    assert ("Latency", "p99") in headings


def test_a_percentile_that_is_withheld_says_of_how_many(tmp_path: Path) -> None:
    """Below 100 answers the column of p99 holds a dash and n, not nothing."""
    for prompts, shown in ((10, False), (40, True)):
        table = settings_table(runs.sweep(tmp_path / str(prompts), prompts, 1).data)
        place = [c.heading for c in table.columns].index("p99")
        cell = table.rows[0][1][place]
        assert cell.beside == f"n\u00a0=\u00a0{3 * prompts}"
        assert (cell.text != "—") is shown


def test_tokens_that_never_occur_take_no_column(sweep: Built) -> None:
    """Nothing was cached: no column of zeros."""
    data = copy.deepcopy(sweep.data)
    headings = {c.heading for c in settings_table(data).columns}
    assert not {"cached", "reasoning"} & headings
    data["settings"][0]["tokens"]["cached_tokens"].update(mean=0.0)
    assert "cached" not in {c.heading for c in settings_table(data).columns}
    data["settings"][0]["tokens"]["cached_tokens"].update(mean=2.0)
    assert "cached" in {c.heading for c in settings_table(data).columns}


def test_one_prompt_by_setting_accounts_for_all_its_records(hostile: Built) -> None:
    """Usable repeats and errors of every setting add up to the records of the prompt."""
    frame = hostile.frame
    for place, prompt in enumerate(frame.prompt_ids):
        rows = by_setting(frame, prompt)
        assert sum(r["n"] + r["errors"] for r in rows) == int((frame.prompt == place).sum())
        assert all(sum(r["counts"]) == r["n"] for r in rows)
        assert [r["errors"] for r in rows] == [0, 1, 0]
        pairs = [sum(c * (c - 1) for c in r["counts"]) / (r["n"] * (r["n"] - 1)) for r in rows]
        assert [r["agreement"] for r in rows] == pytest.approx(pairs)


def test_a_diff_keeps_no_scraps() -> None:
    """Two sentences that share an "a" differ as a whole; a shared half stays."""
    first, second = "To sum up a pair of numbers", "In logic a classic puzzle"
    kinds = [p.kind for p in word_diff(first, second)]
    assert kinds == ["gone", "new"]
    kinds = [p.kind for p in word_diff("the answer is 41 today", "the answer is 42 today")]
    assert kinds == ["same", "gone", "new", "same"]


def test_a_run_of_one_setting_and_one_repeat_has_a_page(tmp_path: Path) -> None:
    """The smallest run there is can be reported."""
    built = runs.sweep(tmp_path, 3, 1, repeats=1)
    page = as_html(built.data)
    assert "says nothing about repeatability" in page


def test_a_page_appears_whole_or_not_at_all(hostile: Built, tmp_path: Path) -> None:
    """Where the disk refuses, the old page stays and nothing is left beside it."""
    target = tmp_path / "page.html"
    target.write_text("old")
    write_html(hostile, target)
    assert target.read_text().startswith("<!doctype html>")
    with pytest.raises((StorageError, OSError)):
        write_html(hostile, tmp_path / "missing" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_an_unknown_prompt_has_no_page(sweep: Built, tmp_path: Path) -> None:
    """The message names the run and what to type instead."""
    with pytest.raises(ConfigError, match="no prompt `nobody`"):
        write_prompt_html(sweep, "nobody", tmp_path / "page.html")


def test_equal_data_give_equal_pages(hostile: Built, hostile_page: Path) -> None:
    """A page is a function of its data."""
    assert as_html(hostile.data) == hostile_page.read_text(encoding="utf-8")
    engine = warm()
    assert as_html(hostile.data, engine) == hostile_page.read_text(encoding="utf-8")


def test_rows_of_a_forest_plot_are_told_apart_with_three_axes() -> None:
    """No label loses the axis in which it differs from its neighbours."""
    from evalharness.report.html.charts import comparisons

    rows = [
        {"by": "seed", "a_value": None, "b_value": 7, "pooled": False,
         "stratum": {"temperature": t, "top_p": p}}
        for t in (0.0, 0.7) for p in (0.5, 0.95)
    ]  # fmt: skip
    found = [comparisons.row_name(row) for row in rows]
    assert chart_parts.names_for(found, comparisons.LABEL) == found
