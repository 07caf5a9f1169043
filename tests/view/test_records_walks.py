"""The table of records in a real browser: keys, filters, deep links, marks."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build_report import Report, build_report
from evalharness.store.folder.annotations import READER, read_annotations
from evalharness.store.folder.run import Run
from tests.view.conftest import BrowserPage, Serve, ServedView, write_scored_run

Open = Callable[..., BrowserPage]
PATIENCE_MS = 120_000


@pytest.fixture
def served(work: Path, view_server: Serve, monkeypatch: pytest.MonkeyPatch) -> ServedView:
    """Two runs of 72 records; in the second one the prompt p03 is wrong. Marks are allowed."""
    monkeypatch.setenv(READER, "anna")
    write_scored_run("before")
    write_scored_run("today", wrong=(3,))
    return view_server(marks=True)


def _scored(page: Page) -> None:
    expect(page.locator("#records th", has_text="score")).to_be_visible(timeout=PATIENCE_MS)


def test_the_table_by_keyboard(served: ServedView, browser_page: Open) -> None:
    """Move, turn the page, search, open; the address is the state, and comes back."""
    tab = browser_page()
    page = tab.page
    page.goto(f"{served.url}/run/today/records")
    _scored(page)  # without a reload
    rows = page.locator("#records tbody tr")
    expect(rows).to_have_count(50)
    for key in "jjk":
        page.keyboard.press(key)
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("]")
    expect(page).to_have_url(f"{served.url}/run/today/records?page=2")
    expect(rows).to_have_count(22)
    page.keyboard.press("[")
    expect(page).to_have_url(f"{served.url}/run/today/records")
    page.wait_for_load_state()  # the script listens
    page.keyboard.press("/")
    page.keyboard.type("3 + 3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/run/today/records?q=3+%2B+3")
    expect(page.locator("#count")).to_have_text("6 of 72 records")
    page.wait_for_load_state()  # the script listens
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    trial = rows.nth(0).get_attribute("data-trial-id")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/run/today/record/{trial}?from=q%3D3%2B%252B%2B3")
    page.go_back()
    expect(page.locator("#count")).to_have_text("6 of 72 records")
    assert [text for text in tab.complaints if "404" not in text] == []
    assert all(request.startswith(served.url) for request in tab.requests)


def test_filters_by_mouse(served: ServedView, browser_page: Open) -> None:
    """A choice is in the address at once, in words above the table, and can be taken away."""
    page = browser_page().page
    page.goto(f"{served.url}/run/today/records")
    _scored(page)
    page.get_by_text("More filters").click()
    page.get_by_label("Score to").fill("0.5")
    page.get_by_label("Score to").press("Enter")
    expect(page).to_have_url(f"{served.url}/run/today/records?max_score=0.5")
    expect(page.locator("#count")).to_have_text("6 of 72 records")
    page.locator("select[name=setting]").select_option(index=1)
    expect(page.locator("#count")).to_have_text("3 of 72 records")
    page.get_by_role("link", name="score ≤ 0.5").click()
    expect(page.locator("#count")).to_have_text("36 of 72 records")
    page.locator("#records").get_by_role("link", name="latency").click()
    expect(page.locator("#records th[aria-sort=ascending]")).to_have_text("latency")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("prompt text").uncheck()
    page.get_by_label("finish reason").check()
    headings = page.locator("#records thead th")
    expect(headings.filter(has_text="finish reason")).to_have_count(1)
    expect(headings.filter(has_text="prompt text")).to_have_count(0)
    expect(page.get_by_label("finish reason")).to_be_focused()
    fresh = browser_page().page
    fresh.goto(page.url)  # the link that was sent on
    expect(fresh.locator("#count")).to_have_text("36 of 72 records")
    assert fresh.locator("#records").inner_text() == page.locator("#records").inner_text()
    page.go_back()
    expect(headings.filter(has_text="finish reason")).to_have_count(0)
    expect(page.get_by_label("finish reason")).not_to_be_checked()
    expect(page.get_by_label("prompt text")).not_to_be_checked()
    page.goto(f"{served.url}/run/today/records?status=ok&status=error")
    page.locator("select[name=status]").select_option("")
    expect(page.locator("#count")).to_have_text("72 records")
    assert page.url.rstrip("?") == f"{served.url}/run/today/records"


def test_the_page_is_its_address_when_it_comes_back(served: ServedView, browser_page: Open) -> None:
    """As from the browser's cache of pages: what was changed and not applied is gone."""
    page = browser_page().page
    page.goto(f"{served.url}/run/today/records?status=ok&status=error")
    _scored(page)
    page.evaluate(
        "() => { document.querySelector('[name=column]').checked = false;"
        " document.getElementById('search').value = 'x';"
        " window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })); }"
    )
    expect(page.locator("#search")).to_have_value("")
    expect(page.locator("[name=column]").first).to_be_checked()
    expect(page.locator("input[type=hidden][name=status]").first).to_be_enabled()


def test_the_way_back_leads_to_the_row(served: ServedView, browser_page: Open) -> None:
    """By the link, by escape and by the browser; on the page that has the record then."""
    page = browser_page(height=500).page
    page.goto(f"{served.url}/run/today/records?page=2&sort=latency_s")
    _scored(page)
    rows = page.locator("#records tbody tr")
    rows.nth(20).click()
    trial = rows.nth(20).get_attribute("data-trial-id")
    page.keyboard.press("Enter")
    page.wait_for_url("**/record/**")
    page.go_back()
    back = page.locator(f'#records tr[data-trial-id="{trial}"]')
    expect(back).to_be_focused()
    expect(back).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.wait_for_url("**/record/**")
    page.keyboard.press("k")
    page.wait_for_url(lambda url: "/record/" in url and f"/record/{trial}" not in url)
    page.keyboard.press("Escape")
    page.wait_for_url("**/records?sort=latency_s&page=2#r-*")
    expect(rows.nth(19)).to_be_focused()
    expect(rows.nth(19)).to_be_in_viewport()
    rows.nth(0).locator("th a").click()
    page.get_by_role("link", name="previous").click()
    page.get_by_role("link", name="back to the table").click()
    page.wait_for_url("**/records?sort=latency_s#r-*")
    expect(rows.nth(49)).to_be_focused()
    expect(rows.nth(49)).to_be_in_viewport()


def test_what_regressed_is_three_clicks_away(served: ServedView, browser_page: Open) -> None:
    """Tick, tick, compare; a fourth leads to the records, which are exported as shown."""
    page = browser_page().page
    page.goto(served.url)
    page.get_by_role("checkbox", name="Compare before").click()
    page.get_by_role("checkbox", name="Compare today").click()
    page.get_by_role("button", name="Compare 2 runs").click()
    page.get_by_role("link", name="that regressed against").click(timeout=PATIENCE_MS)
    expect(page.locator("#count")).to_have_text("6 of 72 records", timeout=PATIENCE_MS)
    expect(page.get_by_role("link", name="regressed against before")).to_be_visible()
    _scored(page)
    link = page.get_by_role("link", name="CSV").get_attribute("href")
    text = httpx.get(f"{served.url}{link}").text
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    rows = page.locator("#records tbody tr")
    expect(rows).to_have_count(len(lines))
    for index, line in enumerate(lines):
        cells = [cell.strip() for cell in rows.nth(index).locator("th, td").all_inner_texts()]
        assert cells[0] == line["prompt_id"] == "p03"
        assert line["output"] in cells
        assert f"{float(line['latency_s']):.2f} s" in cells


def test_ten_records_marked_by_keyboard_are_a_score(served: ServedView, browser_page: Open) -> None:
    """j and p; a filter finds them, and a report scores by them."""
    page = browser_page().page
    page.goto(f"{served.url}/run/today/records")
    _scored(page)
    for index in range(10):
        page.keyboard.press("j")
        page.keyboard.press("f" if index == 9 else "p")
    expect(page.locator(".marks-status")).to_have_text("saved: fail")
    page.wait_for_function("() => document.querySelectorAll('tr[data-mark=pass]').length === 9")
    page.goto(f"{served.url}/run/today/records?mark=pass")
    expect(page.locator("#count")).to_have_text("9 of 72 records")
    expect(page.locator("#records [data-mark-cell]").first).to_have_text("pass")
    assert len(read_annotations(Path("results/today")).rows) == 10
    page.goto(f"{served.url}/run/today/marks")
    expect(page.get_by_text("marks of 10 records")).to_be_visible(timeout=PATIENCE_MS)
    report = build_report(Run.open(Path("results/today")), parse_overrides(["scoring=human"]))
    scores = report.frame.scores["human"]
    known = scores[np.isfinite(scores)]
    assert sorted(known.tolist()) == [0.0] + [1.0] * 9


def test_hostile_outputs_are_inert(hostile: Report, view_server: Serve, browser_page: Open) -> None:
    served = view_server(hostile.run.root)
    tab = browser_page()
    names = "column=output&column=prompt&column=error_message&column=setting&column=prompt_id"
    for page in (1, 2):
        tab.page.goto(f"{served.url}/run/hostile/records?page={page}&{names}")
    expect(tab.page.locator("#scores")).to_have_count(0, timeout=PATIENCE_MS)
    assert tab.page.evaluate("() => window.owned") is None
    assert all(request.startswith(served.url) for request in tab.requests)
    assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280, 3840])
def test_the_table_fits_and_can_be_used_by_everybody(
    served: ServedView, browser_page: Open, width: int, dark: bool
) -> None:
    """No page is wider than its window, and axe finds nothing serious."""
    page = browser_page(width=width, dark=dark).page
    for query in ("", "?max_score=0.5&sort=latency_s&q=3", "?page=9", "?sort=no", "?status=error"):
        page.goto(f"{served.url}/run/today/records{query}")
        if query in ("", "?max_score=0.5&sort=latency_s&q=3"):
            _scored(page)
            page.keyboard.press("j")
        page.evaluate("() => document.querySelectorAll('details').forEach((d) => (d.open = true))")
        for box in page.locator("input[name=every]").all():
            assert box.evaluate("(each) => each.offsetWidth") < 30
        for heading in page.locator("#records th", has_text="output").all():
            assert heading.evaluate("(each) => each.getBoundingClientRect().x") < 350
            cue = "(each) => getComputedStyle(each.closest('.table')).backgroundImage"
            assert "gradient" in heading.evaluate(cue)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, query
        found = Axe().run(page).response["violations"]
        serious = [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], query
