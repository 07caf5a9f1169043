"""A record and a prompt in a real browser: by keyboard, by everybody, and inert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from evalharness.report.build_report import Report
from evalharness.store.folder.annotations import READER, read_annotations
from tests.report.runs import PAYLOADS
from tests.view.conftest import BrowserPage, Serve, ServedView, write_scored_run
from tests.view.record_runs import HOSTILE_MARKDOWN, write_rich_run, write_text_run

Open = Callable[..., BrowserPage]
PROMPT = "/run/rich/prompt?id=" + quote("rain & shine/1", safe="")
RECORD = "/run/rich/record/" + quote("t/0?", safe="")
OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => (each.open = true))"


@pytest.fixture
def rich(work: Path, view_server: Serve) -> ServedView:
    """The run in which a record has everything, served."""
    write_rich_run()
    write_scored_run("other")
    return view_server()


def _violations(page: Page) -> list[str]:
    """Everything that axe finds, not the serious alone."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_and_can_be_used_by_everybody(
    rich: ServedView, browser_page: Open, width: int, dark: bool
) -> None:
    """Nothing is wider than the window, axe finds nothing, the policy allows all that is there."""
    tab = browser_page(width=width, dark=dark)
    page = tab.page
    for path in (
        RECORD, RECORD + "?as=markdown", RECORD + "?as=diff", PROMPT, PROMPT + "&against=other",
        "/run/rich/record/t%2F3%3F",
    ):  # fmt: skip
        page.goto(rich.url + path)
        page.evaluate(OPEN_ALL)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
        assert _violations(page) == [], path
    assert tab.complaints == []
    assert all(request.startswith(rich.url) for request in tab.requests)


def test_a_record_by_keyboard(rich: ServedView, browser_page: Open) -> None:
    """j and k step and keep the view, m d r change it, escape leads back to the table's state."""
    page = browser_page().page
    page.goto(rich.url + RECORD)
    page.keyboard.press("m")
    expect(page.locator(".markdown h3")).to_have_text("Answer")
    assert "as=markdown" in page.url
    page.keyboard.press("j")
    expect(page.locator(".kicker")).to_contain_text("repeat 1")
    assert "as=markdown" in page.url
    page.keyboard.press("d")
    choice = page.get_by_label("Against")
    expect(choice).to_have_value("trial:t/0?")
    choice.select_option("trial:t/5?")
    expect(page.locator("p.words")).to_contain_text("T=1, repeat 2")
    page.keyboard.press("k")
    expect(page.locator(".kicker")).to_contain_text("repeat 0")
    page.keyboard.press("r")
    expect(page.get_by_role("link", name="Raw")).to_have_attribute("aria-current", "page")
    page.goto(rich.url + RECORD + "?from=" + quote("status=ok", safe=""))
    expect(page.locator("#back")).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_url("**/run/rich/records?status=ok#r-t%2F0%3F")


def test_the_page_is_marked_by_keyboard(
    work: Path, view_server: Serve, browser_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p and a note; both are there when the page is opened again, and escape in a note stays."""
    monkeypatch.setenv(READER, "anna")
    write_rich_run()
    served = view_server(marks=True)
    page = browser_page().page
    page.goto(served.url + RECORD)
    page.keyboard.press("p")
    page.get_by_text("saved: pass").wait_for()
    page.keyboard.press("n")
    page.get_by_label("Note", exact=True).fill("jkrmd")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert page.url.endswith(RECORD)
    page.reload()
    expect(page.get_by_role("button", name="Pass")).to_have_attribute("aria-pressed", "true")
    [row] = read_annotations(Path("results/rich")).rows
    assert (row.trial_id, row.prompt_id, row.setting_id) == ("t/0?", "rain & shine/1", "s0")


def test_hostile_records_are_inert(
    work: Path, hostile: Report, view_server: Serve, browser_page: Open
) -> None:
    """No script of an output runs, and nothing is asked for elsewhere."""
    texts = [*PAYLOADS, HOSTILE_MARKDOWN]
    write_text_run([*texts], reasoning_text=texts, response_json=texts, request_json=texts)
    served = view_server(hostile.run.root, work / "results")
    tab = browser_page()
    tab.page.goto(served.url)
    key = tab.page.get_by_role("link", name="texts").get_attribute("href")
    paths = [f"{key}/record/t{place}?as={view}" for place in (0, 3, 5, 11)
             for view in ("raw", "markdown", "diff")]  # fmt: skip
    prompt = quote(f"p3-{PAYLOADS[3]}", safe="")
    for path in [*paths, f"{key}/prompt?id=p", f"/run/hostile/prompt?id={prompt}"]:
        tab.page.goto(served.url + path)
        tab.page.evaluate(OPEN_ALL)
        assert tab.page.locator("main img, main script, main iframe").count() == 0
    assert tab.page.evaluate("() => window.owned") is None
    assert all(request.startswith(served.url) for request in tab.requests)
    assert tab.complaints == []
