"""Walks through the pages in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from evalharness.report.build_report import Report
from tests.view.conftest import BrowserPage, Serve, ServedView, write_scored_run

Open = Callable[..., BrowserPage]
PATIENCE_MS = 120_000


@pytest.fixture
def served(work: Path, view_server: Serve) -> ServedView:
    """Two runs; in the second one the prompt p03 is wrong."""
    write_scored_run("before")
    write_scored_run("today", wrong=(3,))
    return view_server()


def _content(page: Page) -> None:
    expect(page.locator("#content section").first).to_be_visible(timeout=PATIENCE_MS)


def _serious(page: Page) -> list[str]:
    """What keeps people from using the page, as axe finds it."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_the_prompt_that_regressed_is_three_clicks_away(
    served: ServedView, browser_page: Open
) -> None:
    """Tick, tick, compare: it comes first, as a link to its outputs in both runs."""
    tab = browser_page()
    page = tab.page
    page.goto(served.url)
    button = page.get_by_role("button", name="Tick two runs")
    expect(button).to_be_disabled()
    page.get_by_role("checkbox", name="Compare before").click()
    page.get_by_role("checkbox", name="Compare today").click()
    page.get_by_role("button", name="Compare 2 runs").click()
    _content(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("today against before")
    expect(page.locator("#content section").first).to_have_id("prompts")
    expect(page.locator("#prompts")).to_contain_text("1 prompt scored lower in every repeat")
    expect(page.locator("#prompts .words")).to_have_text(
        "Words in the outputs: only before, only after."
    )
    change = page.locator(".change").first
    expect(change).to_contain_text("p03")
    expect(change.get_by_text("What is")).to_have_count(0)
    links = change.get_by_role("link")
    expect(links.nth(0)).to_have_text("p03")
    expect(links.nth(0)).to_be_in_viewport()
    expect(links.nth(0)).to_have_attribute("href", "/run/before/prompt?id=p03&against=today")
    expect(links.nth(1)).to_have_attribute("href", "/run/today/records?prompt=p03")
    headings = page.locator("#differences th[scope=col]").all_inner_texts()
    assert headings[1:3] == ["in before", "in today"]
    regressed = page.get_by_role("link", name="that regressed against")
    expect(regressed).to_have_attribute("href", "/run/today/records?regressed=before")
    assert page.url == f"{served.url}/compare?run=before&run=today"
    links.nth(0).click()
    expect(page).to_have_url(f"{served.url}/run/before/prompt?id=p03&against=today")
    expect(page.get_by_role("heading", level=1)).to_have_text("p03")
    expect(page.locator("#outputs-heading ~ article")).to_have_count(2)
    assert tab.complaints == []
    assert all(request.startswith(served.url) for request in tab.requests)


def test_the_list_by_keyboard_alone(served: ServedView, browser_page: Open) -> None:
    """Move, tick, compare, search, open."""
    page = browser_page(width=400).page
    page.goto(served.url)
    page.keyboard.press("/")
    page.keyboard.type("today")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 of 2 runs")
    assert page.url == f"{served.url}/?q=today"
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("today")
    page.goto(served.url)
    for key in "jxjxc":
        page.keyboard.press(key)
    expect(page).to_have_url(f"{served.url}/compare?run=before&run=today")
    page.goto(served.url)
    boxes = page.locator("#runs tbody input")
    second = boxes.nth(1).input_value()  # the newer run comes first, if it is
    page.keyboard.press("j")
    page.keyboard.press("Tab")  # to the box of the second row: the keys are about it now
    page.keyboard.press("x")
    ticked = page.locator("#runs tbody tr[aria-selected=true] input:checked")
    expect(ticked).to_have_value(second)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("x")
    button = page.get_by_role("button", name="Compare 2 runs")
    while not button.evaluate("(each) => each === document.activeElement"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/compare?run=before&run=today")


def test_a_run_has_its_report(served: ServedView, browser_page: Open) -> None:
    """The sections of the static page, by the same code, of all settings or of those ticked."""
    tab = browser_page()
    page = tab.page
    page.goto(f"{served.url}/run/before")
    _content(page)
    for heading in ("Settings", "Choose settings"):
        expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
    expect(page.locator("#content svg").first).to_be_visible()
    link = page.get_by_role("link", name="records of T=1")
    assert "/run/before/records?setting=" in str(link.get_attribute("href"))
    page.locator("table.sortable th button").first.click()
    expect(page.locator("table.sortable th[aria-sort]").first).to_be_visible()
    page.get_by_role("checkbox", name="T=1").check()
    page.get_by_role("button", name="Only the ticked settings").click()
    expect(page.locator("#chosen")).to_contain_text("1 of 2 settings: T=1")
    expect(page.locator("table.sortable").first.locator("tbody tr")).to_have_count(
        1, timeout=PATIENCE_MS
    )
    page.goto(f"{served.url}/run/before?whole=1")  # as without scripts
    _content(page)
    assert tab.complaints == []


def test_a_report_of_hostile_outputs_is_inert(
    hostile: Report, view_server: Serve, browser_page: Open
) -> None:
    """No script of an output runs, and nothing is asked for elsewhere."""
    served = view_server(hostile.run.root)
    tab = browser_page()
    for page_url in ("/", "/run/hostile"):
        tab.page.goto(f"{served.url}{page_url}")
    _content(tab.page)
    assert tab.page.evaluate("() => window.owned") is None
    assert all(request.startswith(served.url) for request in tab.requests)
    assert tab.complaints == []


def test_the_theme_is_kept(served: ServedView, browser_page: Open) -> None:
    """System, light, dark; the next page has what was chosen."""
    page = browser_page(dark=True).page
    background = "() => getComputedStyle(document.body).backgroundColor"
    page.goto(served.url)
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    light = page.evaluate(background)
    assert light == "rgb(255, 255, 255)"
    assert dark != light
    page.goto(f"{served.url}/run/before")
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate("() => localStorage.length") == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280, 3840])
def test_pages_fit_and_can_be_used_by_everybody(
    served: ServedView, browser_page: Open, width: int, dark: bool
) -> None:
    """No page is wider than its window, and axe finds nothing serious."""
    page = browser_page(width=width, dark=dark).page
    for path in ("/", "/run/before", "/compare?run=before&run=today", "/nowhere"):
        page.goto(f"{served.url}{path}")
        if path not in ("/", "/nowhere"):
            _content(page)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
        assert _serious(page) == [], path
