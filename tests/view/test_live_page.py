"""A real run in a real browser: its figures move, it is paused and goes on, nothing is sent twice."""

from __future__ import annotations

import html
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

import evalharness
from evalharness.view.live.reader import LiveFigures, LiveReader
from tests.durability.conftest import emulate, fork_server
from tests.durability.processes import PATIENCE_S, Emulator, ForkServer
from tests.end_to_end.test_control import NAME, PROMPTS, WatchedRun
from tests.view.conftest import Serve

__all__ = ["emulate", "fork_server"]

Emulate = Callable[..., AbstractContextManager[Emulator]]
MS = PATIENCE_S * 1000


@pytest.fixture
def watched(fork_server: ForkServer, tmp_path: Path, emulate: Emulate) -> Any:
    with emulate("--ttft-ms", "60", "--error-rate", "0.05", "--error-status", "503") as emulator:
        yield WatchedRun(fork_server, tmp_path, emulator)


def _answered_once(run: WatchedRun) -> None:
    served = [entry for entry in run.emulator.ledger() if entry["status"] == 200]
    trials = Counter(entry["client_request_id"].rpartition(".")[0] for entry in served)
    assert len(trials) == PROMPTS
    assert set(trials.values()) == {1}


def _recorded(text: str) -> int:
    return int(re.match(r"[\d,]+", text)[0].replace(",", ""))  # type: ignore[index]


def test_a_run_is_watched_paused_and_resumed_in_the_browser(
    watched: WatchedRun, tmp_path: Path, view_server: Serve, browser_page: Callable[..., Any]
) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    served = view_server(tmp_path / "results", control=True)
    opened = browser_page()
    page = opened.page
    page.goto(f"{served.url}/run/{watched.root.name}")
    page.get_by_role("link", name="Live").click()
    recorded = page.locator("#live-recorded")
    expect(recorded).to_have_text(re.compile(rf"^\d+ of {PROMPTS} "), timeout=MS)
    first = _recorded(recorded.inner_text())
    expect(recorded).not_to_have_text(re.compile(rf"^{first} "), timeout=MS)
    expect(page.locator("#live-limits")).to_contain_text("concurrency 4", timeout=MS)
    page.get_by_label("Reason").fill("lunch")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#answer")).to_contain_text("paused", timeout=MS)
    expect(page.locator("#live-state")).to_contain_text("nothing new is sent", timeout=MS)
    expect(page.locator("#live-in_flight")).to_have_text("0", timeout=MS)
    received = watched.emulator.stats()["requests"]
    assert received < PROMPTS
    change = page.get_by_role("button", name="Change limits")
    page.get_by_label("limits.concurrency").fill("0")
    change.click()
    expect(page.locator("#answer")).to_contain_text("`limits.concurrency`: must be", timeout=MS)
    page.get_by_label("limits.concurrency").fill("12")
    change.click()
    expect(page.locator("#answer")).to_contain_text("limits.concurrency: 4 → 12", timeout=MS)
    expect(page.locator("#live-limits")).to_contain_text("concurrency 12", timeout=MS)
    # An empty field stays as it is; a limit is taken away by its box alone.
    rpm, no_rpm = page.get_by_label("limits.rpm", exact=True), page.get_by_label("no limits.rpm")
    expect(no_rpm).to_be_checked()
    rpm.fill("1000000")
    expect(no_rpm).not_to_be_checked()
    change.click()
    expect(page.locator("#answer")).to_contain_text("limits.rpm: null → 1000000", timeout=MS)
    expect(page.locator("#live-limits")).to_contain_text("rpm 1000000", timeout=MS)
    rpm.fill("")
    change.click()
    expect(page.locator("#answer")).to_have_text("no other limit is filled in")
    expect(rpm).to_have_value("1000000")
    no_rpm.check()
    expect(rpm).to_have_value("")
    change.click()
    expect(page.locator("#answer")).to_contain_text("limits.rpm: 1000000 → null", timeout=MS)
    assert watched.emulator.stats()["requests"] == received
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#over")).to_be_visible(timeout=MS)
    assert running.wait().code == 0
    expect(recorded).to_have_text(f"{PROMPTS} of {PROMPTS} (100.0\u00a0%)")
    expect(page.locator("#live-state")).to_have_text("complete")
    _answered_once(watched)
    control = watched.manifest()["control"]
    assert [change["command"] for change in control] == ["pause", "set", "set", "set", "resume"]
    assert control[0]["reason"] == "lunch"
    refused = [text for text in opened.complaints if "409" not in text]
    assert refused == []


def _events(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return [
            line[7:].strip()
            for line in answer.read().decode().splitlines()
            if line.startswith("event: ")
        ]


def test_a_load_point_has_no_buttons_and_says_why(
    watched: WatchedRun, tmp_path: Path, view_server: Serve, browser_page: Callable[..., Any]
) -> None:
    running = watched.start(
        "load=closed", "load.requests=400", "load.concurrency=2", "limits.max_cost_usd=null"
    )
    watched.emulator.wait_until_served(4, by=running)
    page = browser_page().page
    page.goto(f"{view_server(tmp_path / 'results', control=True).url}/run/{NAME}/live")
    expect(page.locator("#refuses")).to_contain_text("would falsify it", timeout=MS)
    expect(page.locator("#control")).to_be_hidden()
    running.signal(signal.SIGTERM)
    running.wait()


def test_rows_of_running_runs_move_and_what_is_typed_stays(
    watched: WatchedRun, tmp_path: Path, view_server: Serve, browser_page: Callable[..., Any]
) -> None:
    """Counts and status; text, box, selection and focus are as before; then nobody asks any more."""
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    opened = browser_page()
    page = opened.page
    page.goto(view_server(tmp_path / "results").url)
    row = page.locator("#runs tbody tr")
    count = row.locator("td").nth(5)
    expect(count).to_contain_text(f"of {PROMPTS}")
    page.locator("#search").fill("not sent yet")
    page.keyboard.press("Tab")
    box = row.get_by_role("checkbox")
    box.check()
    page.keyboard.press("j")
    name = row.get_by_role("link", name=NAME)
    expect(name).to_be_focused()
    before = count.inner_text()
    expect(count).not_to_have_text(before, timeout=MS)
    assert running.wait().code == 0
    expect(row.get_by_text("complete")).to_be_visible(timeout=MS)
    expect(count).to_contain_text(str(PROMPTS))
    assert page.locator("#search").input_value() == "not sent yet"
    expect(box).to_be_checked()
    expect(name).to_be_focused()
    expect(row).to_have_attribute("aria-selected", "true")
    expect(page.locator("[data-run]")).to_have_count(0)
    assert opened.complaints == []


def _shown(page: str, name: str) -> str:
    found = re.search(rf'id="live-{name}">([^<]*)<', page)
    assert found is not None
    return html.unescape(found[1]).replace("\u00a0", " ")


def test_without_javascript_the_figures_are_a_page(
    watched: WatchedRun, tmp_path: Path, view_server: Serve
) -> None:
    """What is missing is said; the figures of the moment are a link away, in the words of reports."""
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    watched.does("set", "limits.rpm=5")
    url = f"{view_server(tmp_path / 'results', control=True).url}/run/{watched.root.name}/live"
    page = httpx.get(url).text
    assert '<section class="tight" id="control" hidden' in page
    said = re.search("<noscript>(.*)</noscript>", page)
    assert said is not None
    assert "nothing can be paused or changed here" in said[1]
    link = re.search('href="([^"]+)"', said[1])
    assert link is not None
    deadline = time.monotonic() + PATIENCE_S
    while _shown(page, "waiting") in ("…", "—"):
        assert time.monotonic() < deadline
        page = httpx.get(httpx.URL(url).join(link[1])).text
    assert re.match(r"for .*requests per minute, .*\d (s|min) left$", _shown(page, "waiting"))
    assert re.match(rf"\d+ of {PROMPTS} \(\d+\.\d %\)$", _shown(page, "recorded"))
    assert re.match(r"\$0\.0*[1-9]\d{0,2}$", _shown(page, "spent"))
    running.signal(signal.SIGTERM)
    running.wait()


def test_ten_watchers_see_the_end_and_one_reads_for_all(
    watched: WatchedRun, tmp_path: Path, view_server: Serve
) -> None:
    running = watched.start("limits.concurrency=16")
    watched.emulator.wait_until_served(5, by=running)
    served = view_server(tmp_path / "results")
    url = f"{served.url}/run/{watched.root.name}/events"
    with ThreadPoolExecutor(10) as watchers:
        seen = list(watchers.map(_events, [url] * 10))
    assert running.wait().code == 0
    assert all(events[-1] == "end" and set(events[:-1]) == {"figures"} for events in seen)
    _answered_once(watched)


def test_without_the_flag_nothing_can_be_asked(
    watched: WatchedRun, tmp_path: Path, view_server: Serve
) -> None:
    watched.run("limits.concurrency=32")
    url = f"{view_server(tmp_path / 'results').url}/run/{watched.root.name}"
    page = httpx.get(f"{url}/live").text
    assert 'id="pause"' not in page
    assert httpx.post(f"{url}/control", json={"command": "pause"}).status_code == 403


def test_a_run_that_has_ended_says_so_where_it_is_asked(
    watched: WatchedRun, tmp_path: Path, view_server: Serve
) -> None:
    watched.run("limits.concurrency=32")
    served = view_server(tmp_path / "results", control=True)
    url = f"{served.url}/run/{watched.root.name}"
    token = re.search(r'name="csrf-token" content="([^"]+)"', httpx.get(f"{url}/live").text)
    assert token is not None
    headers = {"x-csrf-token": token[1]}
    ended = httpx.post(f"{url}/control", json={"command": "pause"}, headers=headers)
    assert (ended.status_code, "is not running: complete" in ended.text) == (409, True)
    empty = {"command": "set", "values": {"rpm": " "}}
    unchanged = httpx.post(f"{url}/control", json=empty, headers=headers)
    assert (unchanged.status_code, "nothing to set" in unchanged.text) == (409, True)
    for body in ({"command": "stop"}, {"command": "pause", "more": 1}, [], "x"):
        assert httpx.post(f"{url}/control", json=body, headers=headers).status_code == 400
    assert httpx.post(f"{url}/control", json={"command": "pause"}).status_code == 403


def _look_until(reader: LiveReader, ready: Callable[[LiveFigures], bool]) -> LiveFigures:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        figures = reader.look()
        if figures is not None and ready(figures):
            return figures
        assert time.monotonic() < deadline


def test_figures_are_those_of_the_run_while_parts_are_sealed(watched: WatchedRun) -> None:
    """With a part every few trials, each is counted once wherever it is found."""
    running = watched._fork_server.start(
        watched._folder, *watched._arguments, "limits.concurrency=16", quiet=True, seal_trials=30
    )
    watched.emulator.wait_until_served(5, by=running)
    reader = LiveReader(watched.root)
    before = 0
    while True:
        figures = reader.look()
        assert figures is not None
        assert before <= figures.recorded <= PROMPTS
        before = figures.recorded
        if figures.is_over:
            break
    assert running.wait().code == 0
    figures = _look_until(LiveReader(watched.root), lambda figures: figures.is_spend_complete)
    ledger = watched.emulator.ledger()
    assert figures.recorded == PROMPTS
    assert sum(figures.errors.values()) == sum(entry["status"] == 503 for entry in ledger) > 0
    billed = sum(float(entry["billed_usd"] or 0) for entry in ledger)
    assert float(figures.spent_usd) == pytest.approx(billed)
    assert figures.in_flight == 0


def _returned(root: Path) -> int:
    attempts = evalharness.load(root).attempts()
    return int(
        ((attempts["outcome"] == "not_sent") & (attempts["error_kind"] == "interrupted")).sum()
    )


def test_requests_that_a_pause_gave_back_are_no_failures(watched: WatchedRun) -> None:
    """While the journal has them, and in parts."""
    running = watched.start("limits.concurrency=32", "limits.max_attempts=9")
    watched.emulator.wait_until_served(5, by=running)
    watched.pause()
    while not _returned(watched.root):
        watched.does("resume")
        watched.pause()
    reader = LiveReader(watched.root)
    assert set(_look_until(reader, lambda figures: True).errors) <= {"unavailable"}
    watched.does("resume")
    assert running.wait().code == 0
    assert _returned(watched.root) > 0
    figures = _look_until(LiveReader(watched.root), lambda figures: figures.is_spend_complete)
    assert set(figures.errors) == {"unavailable"}


def test_a_killed_run_is_shown_as_died(watched: WatchedRun) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    reader = LiveReader(watched.root)
    _look_until(reader, lambda figures: figures.state == "running")
    running.signal(signal.SIGKILL)
    running.wait()
    assert _look_until(reader, lambda figures: figures.is_over).state == "died"
