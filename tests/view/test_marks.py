"""Marks in the browser: by keyboard, saved before it says so, and refused where not allowed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, expect

from evalharness.store.folder.annotations import (
    READER,
    Edit,
    Mark,
    TrialKey,
    change_annotations,
    read_annotations,
)
from evalharness.store.folder.run import Run
from tests.view.conftest import BrowserPage, Serve, ServedView, write_scored_run

ROOT = Path("results/r")
Tab = Callable[..., BrowserPage]


@pytest.fixture(autouse=True)
def marked(work: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrialKey]:
    """A run of which anna marked ten records."""
    monkeypatch.setenv(READER, "anna")
    write_scored_run("r", wrong=(0, 1))
    table = Run.open(ROOT).table("records", [*TrialKey._fields]).slice(0, 10)
    trials = [TrialKey(**row) for row in table.to_pylist()]
    change_annotations(ROOT, [Edit(trial=t, reader="anna", mark=Mark.FAIL) for t in trials])
    return trials


def post(served: ServedView, body: object, **headers: str) -> httpx.Response:
    page = httpx.get(f"{served.url}/run/r/marks").text
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    content = body if isinstance(body, str) else json.dumps(body)
    named = {"x-csrf-token": token, **headers}
    return httpx.post(f"{served.url}/run/r/marks", content=content, headers=named)


def test_a_change(view_server: Serve, marked: list[TrialKey]) -> None:
    """It is on disk before the answer; what is not named stays."""
    served = view_server(marks=True)
    trial = marked[0].trial_id
    answer = post(served, {"trial_id": trial, "mark": "pass"}).json()
    assert (answer["mark"], answer["note"], answer["reader"]) == ("pass", None, "anna")
    answer = post(served, {"trial_id": trial, "note": "hm"}).json()
    assert (answer["mark"], answer["note"]) == ("pass", "hm")
    [row] = [row for row in read_annotations(ROOT).rows if row.trial_id == trial]
    assert (row.mark, row.note) == (Mark.PASS, "hm")
    exported = httpx.get(f"{served.url}/run/r/marks.jsonl").text.splitlines()
    assert len(exported) == 10
    assert httpx.get(f"{served.url}/run/r/marks.parquet").content.startswith(b"PAR1")


def test_marks_of_some_settings(view_server: Serve, marked: list[TrialKey]) -> None:
    """The page, its section, and its export are of the settings that the address names."""
    served = view_server()
    setting = marked[0].setting_id
    own = [trial for trial in marked if trial.setting_id == setting]
    assert 0 < len(own) < len(marked)
    page = httpx.get(f"{served.url}/run/r/marks?setting={setting}").text
    assert f"0 pass, {len(own)} fail" in page
    assert f'data-url="/run/r/marks/section?setting={setting}"' in page
    section = httpx.get(f"{served.url}/run/r/marks/section?setting={setting}", timeout=60).text
    assert f"marks of {len(own)} records" in section
    exported = httpx.get(f"{served.url}/run/r/marks.jsonl?setting={setting}").text.splitlines()
    assert len(exported) == len(own)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("no json", 400),
        ({"trial_id": "none", "mark": "pass"}, 404),
        ({"trial_id": "t", "mark": "maybe"}, 400),
        ({"trial_id": "t", "note": "x" * 200_000}, 413),
    ],
)
def test_what_is_no_mark(view_server: Serve, body: object, status: int) -> None:
    before = read_annotations(ROOT)
    assert post(view_server(marks=True), body).status_code == status
    assert read_annotations(ROOT) == before


def test_not_allowed(view_server: Serve, marked: list[TrialKey]) -> None:
    """Without --marks, without the page's token, or from another page."""
    body = {"trial_id": marked[0].trial_id, "mark": "pass"}
    assert post(view_server(), body).status_code == 403
    assert post(view_server(control=True), body).status_code == 403
    served = view_server(marks=True)
    assert post(served, body, **{"x-csrf-token": ""}).status_code == 403
    assert post(served, body, origin="http://evil.test").status_code == 403
    assert {row.mark for row in read_annotations(ROOT).rows} == {Mark.FAIL}
    assert "data-marks-url" not in httpx.get(f"{view_server().url}/run/r/marks").text


def test_a_damaged_file_is_no_empty_export(view_server: Serve) -> None:
    """Neither of the marks, nor of records with them; without them the records can be had."""
    (ROOT / "annotations.parquet").write_bytes(b"PAR1 no more PAR1")
    served = view_server()
    for path in ("marks.jsonl", "marks.parquet", "export.csv", "export.jsonl?column=note",
                 "export.csv?column=output&mark=any", "records?reader=anna"):  # fmt: skip
        answer = httpx.get(f"{served.url}/run/r/{path}")
        assert answer.status_code == 500, path
        assert "results/r/annotations.parquet cannot be read" in answer.text
        assert "put a copy of it back" in answer.text
    assert httpx.get(f"{served.url}/run/r/export.csv?column=output").status_code == 200
    assert "annotations.parquet cannot be read" in httpx.get(f"{served.url}/run/r/records").text


def test_a_first_mark_without_duckdb(view_server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said as a text: the script shows it as it is."""
    trial_id = Run.open(ROOT).table("records", ["trial_id"])["trial_id"][11].as_py()
    served = view_server(marks=True)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    answer = post(served, {"trial_id": trial_id, "mark": "pass"})
    assert answer.status_code == 400
    assert "pip install 'evalharness[view]'" in answer.text
    assert "<" not in answer.text


def test_it_says_how_to_mark(view_server: Serve) -> None:
    """Where no record is marked: by which keys, or with which flag."""
    write_scored_run("empty", prompts=2)
    page = httpx.get(f"{view_server(marks=True).url}/run/empty/marks").text
    assert "<kbd>p</kbd> for pass" in page
    page = httpx.get(f"{view_server().url}/run/empty/marks").text
    assert "<code>--marks</code>" in page


def test_the_records_of_others_by_keyboard(
    view_server: Serve, browser_page: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """j, k, enter; p says what one says oneself, beside the other's mark."""
    monkeypatch.setenv(READER, "bob")
    page = browser_page().page
    page.goto(f"{view_server(marks=True).url}/run/r/marks")
    rows = page.locator("#marks tbody tr")
    for key in "jjjk":
        page.keyboard.press(key)
    expect(rows.nth(1)).to_be_focused()
    trial = rows.nth(1).get_attribute("data-trial-id")
    page.keyboard.press("p")
    expect(page.locator("#mark-counts")).to_contain_text("1 pass, 0 fail")
    expect(rows).to_have_count(11)
    expect(rows.nth(0)).to_contain_text("bob")
    expect(rows.nth(2)).to_contain_text("fail")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/run/r/record/{trial}")


def test_what_is_said_is_of_the_last_mark(view_server: Serve, browser_page: Tab) -> None:
    """Also where an earlier one, of another record, is answered after it."""
    page = browser_page().page
    page.goto(f"{view_server(marks=True).url}/run/r/records")
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/run/r/marks", hold_first)
    rows = page.locator("#records tbody tr")
    status = page.locator(".marks-status")
    rows.nth(0).focus()
    page.keyboard.press("p")
    rows.nth(1).focus()
    with page.expect_response("**/run/r/marks"):
        page.keyboard.press("f")
    expect(status).to_have_text("saving …")
    with page.expect_response("**/run/r/marks"):
        held[0].continue_()
    expect(status).to_have_text("saved: fail")


def test_ten_records_by_keyboard(view_server: Serve, browser_page: Tab) -> None:
    """p on each, a note on one, f taken back by u; the report's section is beside it."""
    served = view_server(marks=True)
    tab = browser_page()
    page = tab.page
    page.goto(f"{served.url}/run/r/marks")
    page.get_by_text("marks of 10 records").wait_for(timeout=60_000)
    rows = page.locator("[data-trial-id]")
    for _ in range(10):
        page.keyboard.press("j")
        page.keyboard.press("p")
    expect(page.locator("#mark-counts")).to_contain_text("10 pass, 0 fail")
    expect(page.locator("#outdated")).to_be_visible()
    rows.first.focus()
    page.keyboard.press("n")
    page.get_by_label("Note", exact=True).fill("<b>fine</b> p f u")
    page.keyboard.press("Control+Enter")
    page.get_by_text("<b>fine</b> p f u").wait_for()
    page.get_by_text("saved: pass").wait_for()  # else it can come after what follows
    rows.nth(9).focus()
    page.keyboard.press("u")
    expect(page.locator("#mark-counts")).to_contain_text("9 pass, 0 fail, 1 with a note")
    stored = read_annotations(ROOT).rows
    assert [row.mark for row in stored] == [Mark.PASS] * 9
    assert [row.note for row in stored if row.note] == ["<b>fine</b> p f u"]
    page.reload()
    page.get_by_text("marks of 9 records").wait_for(timeout=60_000)
    assert "9 pass, 0 fail, 1 with a note" in page.locator("#mark-counts").inner_text()
    assert not tab.complaints


def test_what_was_not_saved_is_taken_back(view_server: Serve, browser_page: Tab) -> None:
    served = view_server(marks=True)
    page = browser_page().page
    page.goto(f"{served.url}/run/r/marks")
    page.get_by_text("marks of 10 records").wait_for(timeout=60_000)
    page.route("**/run/r/marks", lambda route: route.abort())
    row = page.locator("[data-trial-id]").first
    row.focus()
    page.keyboard.press("p")
    page.get_by_text("not saved:").wait_for()
    assert row.locator("[data-mark-cell]").inner_text() == "fail"
