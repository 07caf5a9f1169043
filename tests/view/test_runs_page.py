"""The list of runs: found by search and filters, in any order, with drawings of their figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from evalharness.listing.run_row import STATUSES
from evalharness.listing.selection import SORT_KEYS
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.build_report import build_report
from evalharness.report.json import write_summary
from evalharness.store.folder.run import Run
from evalharness.view.run_filter import RunFilter
from evalharness.view.sparkline import bars, line
from tests.imported_run import write_run
from tests.view.conftest import Serve, write_scored_run
from tests.view.record_runs import write_rich_run

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def _write(
    name: str, day: int, *, wrong: tuple[int, ...] = (), note: str = "", tags: str = ""
) -> None:
    """A run with a report, begun on a day of November."""
    write_scored_run(name, wrong=wrong, prompts=4)
    folder = Path("results", name)
    path = folder / "run.json"
    dated = {"created_at": f"2026-11-{day:02}T08:00:00+00:00"}
    path.write_text(json.dumps(json.loads(path.read_text()) | dated))
    write_summary(folder, build_report(Run.open(folder)).data)
    notes = {"note": note or None, "tags": tags.split()}
    (folder / "notes.json").write_text(json.dumps(notes))


@pytest.fixture
def url(work: Path, view_server: Serve) -> str:
    """Runs a, b, c, of which b is the worst and the oldest, and a folder that is damaged."""
    _write("a", 2, note="before the change", tags="nightly")
    _write("b", 1, wrong=(0, 1), tags="nightly slow")
    _write("c", 3, wrong=(0,))
    Path("results/damaged").mkdir()
    Path("results/damaged/run.json").write_text("{")
    return view_server().url


def _names(url: str, query: str = "") -> list[str]:
    page = httpx.get(f"{url}/{query}")
    assert page.status_code == 200
    return re.findall(r'<th scope="row"><a href="/run/([^"]+)"', page.text)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "c a b damaged"),
        ("?sort=name", "a b c damaged"),
        ("?sort=score", "a c b damaged"),
        ("?sort=score&reverse=1", "b c a damaged"),
        ("?q=CHANGE+before", "a"),
        ("?q=slow", "b"),
        ("?tag=nightly", "a b"),
        ("?tag=nightly&tag=slow", "b"),
        ("?status=imported", "c a b"),
        ("?status=damaged", "damaged"),
        ("?model=none-like-it", ""),
        ("?tag=&tag=slow&status=&q=", "c a b damaged"),  # as a form says all
    ],
)
def test_the_address_says_what_is_shown(url: str, query: str, names: str) -> None:
    """Search, filters and order."""
    assert _names(url, query) == names.split()


@pytest.mark.parametrize(
    ("query", "name", "hint"),
    [
        ("sort=no-such-column", "sort", "agreement"), ("status=done", "status", "interrupted"),
        ("reverse=yes", "reverse", "0, 1"), ("sorted=name", "sorted", "model"),
        ("q=a&q=b", "q", "one value"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named(url: str, query: str, name: str, hint: str) -> None:
    """With what is allowed; it does not look like a list in the usual order."""
    answer = httpx.get(f"{url}/?{query}")
    assert answer.status_code == 400
    assert f"`{name}`" in answer.text
    assert hint in answer.text


def test_each_tag_can_be_taken_away(url: str) -> None:
    """Of several; the choice has none of them."""
    page = httpx.get(f"{url}/?tag=nightly&tag=slow").text
    assert '<option selected disabled>2 chosen</option><option value="">all tags</option>' in page
    assert '<a class="tag" href="/?tag=slow" title="without this filter"><bdi>tag nightly' in page
    assert '<a class="tag" href="/?tag=nightly" title="without this filter"><bdi>and tag s' in page


def test_small_costs_are_no_powers_of_ten(work: Path, view_server: Serve) -> None:
    for name, cost in (("a", 0.0000264), ("b", 0.00164)):
        write_run([{"prompt_id": "p", "text": "x", "model": "m", "cost_usd": cost}], name)
        write_summary(Path("results", name), build_report(Run.open(Path("results", name))).data)
    assert "<span>$0.0000264 to $0.00164</span>" in httpx.get(view_server().url).text


def test_a_row_has_figures_tags_and_note(url: str) -> None:
    """As in the list of the console, with a bar a setting, and a line over all runs."""
    page = httpx.get(url).text
    assert "100 %" in page
    assert "before the change" in page
    assert 'href="/?tag=slow"' in page
    assert 'aria-label="score of 2 settings, one bar each"' in page
    assert "best score of 3 runs, oldest to newest: 50 % to 100 %" in page
    assert "style=" not in page


def test_small_costs_are_written_out(work: Path, view_server: Serve) -> None:
    """In the list, its line over all runs, and the table of records: as in a report."""
    for name, cost in (("a", 2.64e-05), ("b", 3.1e-06)):
        write_run([{"prompt_id": "p", "text": "yes", "model": "m", "cost_usd": cost}], name)
        write_summary(Path("results", name), build_report(Run.open(Path("results", name))).data)
    url = view_server().url
    page = httpx.get(url).text
    assert "$0.0000031 to $0.0000264" in page
    assert page.count("$0.0000264") == 3  # the row, the words of the line, and those that are read
    records = httpx.get(f"{url}/run/a/records?column=cost_usd&wait=1", timeout=120).text
    assert "$0.0000264" in records
    assert "e-0" not in page + records


def test_a_change_shows_at_once(url: str) -> None:
    """Rows that are remembered are those of unchanged files."""
    assert _names(url, "?q=fresh") == []
    Path("results/c/notes.json").write_text('{"note": "fresh", "tags": []}')
    assert _names(url, "?q=fresh") == ["c"]
    Path("results/c").rename("results/d")
    assert _names(url, "?q=fresh") == ["d"]
    assert httpx.get(f"{url}/run/c").status_code == 404


def test_runs_of_several_roots_have_names_of_their_own(work: Path, view_server: Serve) -> None:
    """The second root has a number before its names."""
    write_scored_run("same", prompts=2)
    Path("archive").mkdir()
    Path("results/same").rename("archive/same")
    write_scored_run("same", prompts=3)
    url = view_server("results", "archive").url
    assert _names(url, "?sort=name") == ["same", "~1/same"]
    assert "<bdi>18</bdi>" in httpx.get(f"{url}/run/same").text
    assert "<bdi>12</bdi>" in httpx.get(f"{url}/run/~1/same").text
    assert httpx.get(f"{url}/run/~2/same").status_code == 404


def test_nothing_is_a_sentence(work: Path, view_server: Serve) -> None:
    """In a new project, and where no run fits."""
    assert "evalharness run" in httpx.get(view_server().url).text


def test_a_run_of_some_settings(url: str) -> None:
    """The address restricts figures and links to them; one that is not there is refused."""
    run = Run.open(Path("results/c"))
    first, second = (setting.setting_id for setting in run.setting_list)
    page = httpx.get(f"{url}/run/c?setting={second}&whole=1", timeout=60).text
    assert "Everything below is of 1 of 2 settings</b>: <bdi>T=1</bdi>" in page
    content = page.partition('id="content"')[2]
    assert "T=1" in content
    assert "T=0" not in content
    for address in ("records", "marks", "export.csv", "export.jsonl", "export.parquet"):
        assert f'href="/run/c/{address}?setting={second}"' in page
    for query in ("", f"?setting={first}&setting={second}"):
        assert "Everything below" not in httpx.get(f"{url}/run/c{query}").text
    refused = httpx.get(f"{url}/run/c/sections?setting=T%3D1")
    assert refused.status_code == 400
    assert f"one of: {first} (T=0), {second} (T=1)" in refused.text


def test_figures_of_some_settings_are_those_of_the_whole_report(work: Path) -> None:
    """Nothing of a setting depends on the others, and their records do not count as missing."""
    write_scored_run("c", wrong=(0,))
    manifest = Path("results/c/run.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"planned": 96}))
    run = Run.open(Path("results/c"))
    whole = build_report(run).data.to_json_values()
    second = whole["settings"][1]
    part = build_report(run, ReportOverrides(settings=(second["setting_id"],)))
    values = part.data.to_json_values()
    assert values["settings"] == [second]
    counts = ("planned", "records", "settings", "records_outside_plan")
    assert [values["run"][name] for name in counts] == [48, 36, 1, 0]
    rich = write_rich_run()  # whose attempts are of its first setting
    parts = [build_report(rich, ReportOverrides(settings=(each,))) for each in ("s0", "s1")]
    assert [part.data.to_json_values()["run"]["attempts"] for part in parts] == [2, 0]


@given(
    st.builds(
        RunFilter, text=TEXTS.map(str.strip), models=st.lists(TEXTS, max_size=2, unique=True).map(tuple),
        tags=st.lists(TEXTS, max_size=3, unique=True).map(tuple),
        status=st.sampled_from(["", *STATUSES]),
        sort=st.sampled_from(sorted(SORT_KEYS)), reverse=st.booleans(),
    )
)  # fmt: skip
def test_a_filter_is_its_address(state: RunFilter) -> None:
    """There and back."""
    query = QueryParams(state.url().partition("?")[2])
    assert RunFilter.of_query(query) == state


@given(st.lists(st.none() | st.floats(0, 1e12), max_size=60))
def test_a_drawing_is_within_its_frame(values: list[float | None]) -> None:
    """Any figures; nothing is drawn of fewer than two."""
    drawing = bars(values, '<"&')
    if drawing is not None:
        assert "&lt;&#34;&amp;" in drawing
        heights = [float(h) for h in re.findall(r'height="([\d.]+)"/>', drawing)]
        assert all(1 <= height <= 16 for height in heights)
        assert len(heights) == sum(value is not None for value in values[:40])
    known = [value for value in values if value is not None]
    drawing = line(known, "x")
    assert (drawing is None) == (len(known) < 2)
    if drawing is not None:
        pairs = re.findall(r"([\d.]+),([\d.]+)", drawing)
        assert all(0 <= float(x) <= 240 and 0 <= float(y) <= 36 for x, y in pairs)
