"""The pages on a real socket, and a real browser that opens them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from evalharness.report.build_report import Report
from evalharness.view.server import ViewServer, open_server
from evalharness.view.settings import ViewSettings
from tests.imported_run import Rows, write_run
from tests.report import runs
from tests.report.html.browser import find_chromium

NO_SANDBOX = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking")


class ServedView(NamedTuple):
    """A running server: ``url`` without a slash at its end, and the settings it runs with."""

    url: str
    link: str
    settings: ViewSettings


Serve = Callable[..., ServedView]


@pytest.fixture
def view_server() -> Iterator[Serve]:
    """Serve places (paths; none is ``results/`` of the working folder) until the test ends."""
    with ExitStack() as stack:

        def serve(*places: str | Path, **settings: Any) -> ServedView:
            asked = ViewSettings(places=[str(place) for place in places], **settings)
            server = open_server(asked)
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(_end, server, thread)
            assert server.ready.wait(30)
            url = f"http://127.0.0.1:{server.settings.port}"
            return ServedView(url, server.link, server.settings)

        yield serve


def _end(server: ViewServer, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium.

    It ends with its module: while it runs, asyncio thinks that the thread has an event loop, and
    asynchronous tests of other modules could not start theirs.
    """
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(NO_SANDBOX))
        yield browser
        browser.close()


class BrowserPage(NamedTuple):
    """A tab, with what it complained of and asked for since it was opened."""

    page: Page
    complaints: list[str]
    requests: list[str]


@pytest.fixture
def browser_page(chromium: Browser) -> Iterator[Callable[..., BrowserPage]]:
    """Open tabs: ``browser_page(width=400, height=800, dark=True)``; each has no cookies yet."""
    with ExitStack() as stack:

        def make(*, width: int = 1280, height: int = 900, dark: bool = False) -> BrowserPage:
            context = chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            stack.callback(context.close)
            page = context.new_page()
            opened = BrowserPage(page, [], [])
            page.on("console", lambda message: opened.complaints.append(message.text))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.on("request", lambda request: opened.requests.append(request.url))
            return opened

        yield make


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A run whose every text attacks its reader."""
    return runs.hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_scored_run(name: str, *, wrong: tuple[int, ...] = (), prompts: int = 12) -> None:
    """A run of two settings and three repeats; the outputs of the prompts in ``wrong`` are wrong."""
    rows: Rows = [
        {"prompt_id": f"p{p:02}", "prompt": f"What is {p} + {p}?", "target": str(2 * p),
         "model": "m", "temperature": t, "text": str(2 * p + (p in wrong)),
         "score": float(p not in wrong), "latency_s": 0.1 + 0.01 * p}
        for p in range(prompts) for t in (0, 1) for _ in range(3)
    ]  # fmt: skip
    write_run(rows, name)
