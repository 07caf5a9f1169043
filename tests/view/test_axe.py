"""Every page of the view, and the static pages, as axe-core sees them in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from evalharness.cli import main
from evalharness.store.folder.annotations import (
    READER,
    Edit,
    Mark,
    TrialKey,
    change_annotations,
)
from evalharness.store.folder.run import Run
from evalharness.view.links import prompt_url, record_url
from tests.view.conftest import BrowserPage, Serve, write_scored_run

axe: Any = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="no axe-core: it is in the extra dev"
)
Open = Callable[..., BrowserPage]
PATIENCE_MS = 120_000
OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => (each.open = true))"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture
def marked(work: Path, monkeypatch: pytest.MonkeyPatch) -> TrialKey:
    """Two runs; in the second one a prompt is new, one is wrong, and a record is marked: this."""
    monkeypatch.setenv(READER, "anna")
    write_scored_run("before", prompts=11)
    write_scored_run("today", wrong=(3,))
    keys = Run.open(Path("results/today")).table("records", [*TrialKey._fields]).to_pylist()
    trial = TrialKey(**keys[0])
    edit = Edit(trial=trial, reader="anna", mark=Mark.FAIL, note="no")
    change_annotations(Path("results/today"), [edit])
    return trial


def _serious(page: Page) -> list[str]:
    """What keeps people from using the page in one of the themes."""
    page.evaluate(OPEN_ALL)
    serious: list[str] = []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        serious += [
            f"{theme} {each['id']}: {node['html'][:200]}"
            for each in axe.Axe().run(page).response["violations"]
            for node in each["nodes"]
            if each["impact"] in ("serious", "critical") or each["id"] == "empty-table-header"
        ]
    return serious


def test_every_page_of_the_view(marked: TrialKey, view_server: Serve, browser_page: Open) -> None:
    url = view_server(marks=True, control=True).url
    page = browser_page().page
    record = record_url("today", marked.trial_id, table="status=ok")
    pages = (
        "/", "/?tag=none", "/?sort=no", "/nowhere", "/run/today", "/run/today/records",
        "/run/today/records?status=ok&status=error&every=1&q=3", record,
        record.replace("?", "?as=diff&"), prompt_url("today", "p03", against="before"),
        "/run/today/marks", "/run/before/marks", "/run/today/live",
        "/compare?run=before&run=today",
    )  # fmt: skip
    for path in pages:
        page.goto(url + path)
        if page.locator("#content").count():
            expect(page.locator("#content section").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#scores[data-url]")).to_have_count(0, timeout=PATIENCE_MS)
        assert _serious(page) == [], path


def test_the_static_pages(marked: TrialKey, work: Path, browser_page: Open) -> None:
    assert main(["report", "today", "--html", "report.html"]) == 0
    assert main(["compare", "before", "today", "--html", "compare.html"]) == 0
    page = browser_page().page
    for name in ("report.html", "compare.html"):
        page.goto((work / name).as_uri())
        assert _serious(page) == [], name
