"""The report in a real browser: quiet, offline, sortable, inert, readable at every width."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.report.build_report import Report
from evalharness.report.html_report import write_html, write_prompt_html
from evalharness.report.sections.settings.section import SETTINGS
from tests.report import runs
from tests.report.html.browser import Browser, Page
from tests.report.json_reports import json_of, report_of

GOLDEN = Path(__file__).parents[3] / "docs" / "report" / "quickstart.html"
MEBIBYTE = 1 << 20


def assert_quiet(page: Page, file: Path) -> None:
    """The tab complained of nothing and asked for nothing but the file itself."""
    assert page.complaints == []
    assert page.requests == [file.resolve().as_uri()]


def column(page: Page, place: int) -> list[str]:
    """The sort keys of a column of the first sortable table, from top to bottom."""
    found = page.run(
        "JSON.stringify(Array.from(document.querySelector('table.sortable').tBodies[0].rows)"
        f".map(row => row.cells[{place}].dataset.s))"
    )
    return json.loads(found)


def click(page: Page, place: int) -> str | None:
    """Click a heading of the first sortable table; the direction it then shows."""
    cell = f"Array.from(document.querySelector('table.sortable').tHead.rows).pop().cells[{place}]"
    page.click(f"{cell}.querySelector('button')")
    return page.run(f"{cell}.getAttribute('aria-sort')")


def heading(page: Page, text: str) -> int:
    """Place of the column with this heading."""
    names = page.run(
        "JSON.stringify(Array.from(Array.from(document.querySelector('table.sortable').tHead.rows)"
        ".pop().cells).map(cell => cell.textContent.trim()))"
    )
    return json.loads(names).index(text)


@pytest.mark.parametrize("which", ["sweep_page", "hostile_page"])
def test_a_report_opens_without_a_word_and_without_the_network(
    browser: Browser, which: str, request: pytest.FixtureRequest
) -> None:
    """No console message, no error, and not one request beside the file itself."""
    file = request.getfixturevalue(which)
    page = browser.open(file)
    assert page.run("document.querySelectorAll('section').length") >= 8
    assert page.run("document.querySelectorAll('figure svg').length") >= 8
    assert_quiet(page, file)


def test_the_golden_quickstart_report_opens(browser: Browser) -> None:
    """The page in docs/, made from a real quickstart run, is whole and quiet."""
    page = browser.open(GOLDEN)
    assert page.run("document.querySelector('h1').textContent") == "quickstart"
    assert page.run("document.querySelectorAll('table.wide.sortable tbody tr').length") == 6
    assert_quiet(page, GOLDEN)


def test_headings_sort_the_settings(browser: Browser, sweep_page: Path, sweep: Report) -> None:
    """The first click puts the highest figure first, the second the lowest; by number, not text."""
    page = browser.open(sweep_page)
    place = heading(page, "same text")
    assert click(page, place) == "descending"
    shown = [float(key) for key in column(page, place)]
    known = [row.agreement.raw.pairwise for row in sweep.data[SETTINGS]]
    assert shown == sorted(known, reverse=True)
    assert click(page, place) == "ascending"
    assert [float(key) for key in column(page, place)] == sorted(known)
    assert click(page, 0) == "descending"
    labels = [row.label for row in sweep.data[SETTINGS]]
    assert column(page, 0) == sorted(labels, reverse=True)


def test_a_keyboard_sorts_too(browser: Browser, sweep_page: Path) -> None:
    """Headings are buttons: focus and Enter do what a click does."""
    page = browser.open(sweep_page)
    place = heading(page, "same text")
    before = column(page, place)
    page.run("Array.from(document.querySelectorAll('table.sortable thead button'))"
             ".find(b => b.textContent === 'same text').focus()")  # fmt: skip
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                  windowsVirtualKeyCode=13)  # fmt: skip
    after = column(page, place)
    assert after != before or after == sorted(after, key=float, reverse=True)
    assert [float(key) for key in after] == sorted(map(float, before), reverse=True)


def test_unknown_figures_sort_last_either_way(browser: Browser, tmp_path: Path) -> None:
    """A setting without a figure never comes first."""
    built = runs.sweep(tmp_path, 20, 3)
    values = json_of(built.data)
    values["settings"][1]["score"]["mean"] = None
    write_html(built._replace(data=report_of(values)), tmp_path / "page.html")
    page = browser.open(tmp_path / "page.html")
    place = next(
        i for i in range(1, 30) if column(page, i)[1] == "" and column(page, i)[0] != ""
    )  # fmt: skip
    for _ in range(2):
        click(page, place)
        assert column(page, place)[-1] == ""
        assert "" not in column(page, place)[:-1]


def test_texts_of_models_stay_texts(browser: Browser, hostile_page: Path) -> None:
    """No payload runs, adds an element, an attribute, a style or a link, or is lost from view."""
    page = browser.open(hostile_page)
    assert page.run("typeof window.owned") == "undefined"
    assert page.run("document.scripts.length") == 1
    assert page.run("document.querySelectorAll('style').length") == 1
    assert page.run("document.querySelectorAll('img,iframe,object,embed,form,base').length") == 0
    assert (
        page.run("document.querySelectorAll('meta[http-equiv=refresh],[href*=\":\"]').length") == 0
    )
    handlers = "Array.from(document.querySelectorAll('*')).flatMap(e => e.getAttributeNames())"
    assert page.run(f"{handlers}.filter(name => name.startsWith('on')).length") == 0
    assert page.run("document.querySelectorAll('[style]').length") == 0
    for folded in ("details",):
        page.run(f"document.querySelectorAll('{folded}').forEach(d => d.open = true)")
    text = page.run("document.body.innerText")
    for payload in ("<script>window.owned = 1</script>", "onerror=", "{{ 7 * 7 }}", "<iframe"):
        assert payload in text
    assert_quiet(page, hostile_page)


def test_characters_that_deceive_are_shown_as_escapes(browser: Browser, hostile_page: Path) -> None:
    """Direction overrides, zero-width, control and escape characters never reach the page."""
    page = browser.open(hostile_page)
    source = page.run("document.documentElement.outerHTML")
    assert not any(char in source for char in "\u202e\u2066\u200b\x00\x1b\x07\ufeff")
    assert "safe\\u202egnp.exe" in source
    assert "\\x07" in source


def test_the_policy_refuses_what_the_page_did_not_bring(browser: Browser, sweep_page: Path) -> None:
    """A script, style, image or connection added later is refused, as is evaluating a string."""
    page = browser.open(sweep_page)
    page.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        "document.body.append(s); })()"
    )
    assert page.run("typeof window.owned") == "undefined"
    attempt = "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"
    assert page.run(attempt) == "refused"
    page.run("document.body.setAttribute('style', 'color: rgb(1, 2, 3)')")
    assert page.run("getComputedStyle(document.body).color") != "rgb(1, 2, 3)"
    assert sum("Content Security Policy" in text for text in page.complaints) >= 3
    policy = page.run("document.querySelector('meta[http-equiv]').content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("width", [400, 900, 1400])
def test_nothing_sticks_out_at_any_width(
    browser: Browser, sweep_page: Path, hostile_page: Path, width: int
) -> None:
    """The page never scrolls sideways; wide tables and plots do so on their own."""
    for file in (sweep_page, hostile_page, GOLDEN):
        page = browser.open(file)
        page.resize(width)
        widest = (
            "Math.max(...Array.from(document.querySelectorAll('.legend svg'), s => s.clientWidth))"
        )
        assert page.run(widest) <= 30, "a swatch stays a swatch"
        inside = page.run("document.documentElement.scrollWidth")
        assert inside <= width, f"{file.name} is {inside} wide"


def test_a_wide_table_uses_the_margin_beside_the_page(browser: Browser, sweep_page: Path) -> None:
    """Where the table of settings is too wide for the page, what is left of the window is its."""
    page = browser.open(sweep_page)
    page.resize(1600)
    edge = page.run("document.querySelector('#settings .scroll').getBoundingClientRect().right")
    assert edge == page.run("document.documentElement.clientWidth")
    assert page.run("document.documentElement.scrollWidth") == 1600


def test_dark_and_light_differ_in_page_and_plots(browser: Browser, sweep_page: Path) -> None:
    """A reader who prefers dark gets it everywhere, and text stays readable on it."""
    page = browser.open(sweep_page)
    look = (
        "JSON.stringify([getComputedStyle(document.body).backgroundColor,"
        "getComputedStyle(document.querySelector('figure svg text')).fill,"
        "getComputedStyle(document.querySelector('figure svg [stroke]')).stroke])"
    )
    page.resize(1000, dark=False)
    light = json.loads(page.run(look))
    page.resize(1000, dark=True)
    dark = json.loads(page.run(look))
    assert light[0] == "rgb(255, 255, 255)"
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_every_colour_of_a_plot_has_a_dark_counterpart(
    browser: Browser, sweep_page: Path, hostile_page: Path
) -> None:
    """No mark keeps its light colour on a dark page."""
    from evalharness.report.html.palette import DARK

    used = (
        "JSON.stringify([...new Set(Array.from(document.querySelectorAll('svg *')).flatMap(e =>"
        "[e.getAttribute('fill'), e.getAttribute('stroke')]))])"
    )
    for file in (sweep_page, hostile_page):
        colours = set(json.loads(browser.open(file).run(used))) - {None, "none", "transparent"}
        assert colours <= set(DARK)


def test_folded_parts_are_printed(browser: Browser, sweep_page: Path) -> None:
    """Printing opens what is folded on the screen."""
    page = browser.open(sweep_page)
    folded = "document.querySelectorAll('details:not([open])').length"
    assert page.run(folded) > 0
    assert page.send("Page.printToPDF")["data"]
    assert page.run(folded) == 0


def test_ten_thousand_prompts_under_ten_settings_stay_small(
    browser: Browser, tmp_path: Path
) -> None:
    """A large run is summarised: under 5 MB, with few enough elements to open at once."""
    built = runs.sweep(tmp_path, 10_000, 10, repeats=2)
    file = tmp_path / "page.html"
    write_html(built, file)
    assert file.stat().st_size < 5 * MEBIBYTE
    page = browser.open(file)
    assert page.run("document.querySelectorAll('*').length") < 20_000
    assert page.run("document.querySelector('table.wide').tBodies[0].rows.length") == 10
    assert_quiet(page, file)


def test_a_page_of_one_prompt(browser: Browser, hostile: Report, tmp_path: Path) -> None:
    """Any prompt can have a page of its own, as inert as the report."""
    file = tmp_path / "prompt.html"
    write_prompt_html(hostile, hostile.frame.prompt_ids[0], file)
    page = browser.open(file)
    assert runs.PAYLOADS[0] in page.run("document.body.innerText")
    assert page.run("typeof window.owned") == "undefined"
    assert_quiet(page, file)


def test_the_table_shows_the_numbers_of_the_json(
    browser: Browser, sweep: Report, sweep_page: Path
) -> None:
    """Every figure of the table is the JSON's, to the last bit."""
    page = browser.open(sweep_page)

    def shown(place: int) -> list[float]:
        return [float(key) for key in column(page, place)]

    settings = sweep.data[SETTINGS]
    assert shown(heading(page, "same text")) == [row.agreement.raw.pairwise for row in settings]
    assert shown(heading(page, "all 3 alike")) == [row.agreement.raw.tar_at_n for row in settings]
    assert shown(heading(page, "pass^3")) == [row.score.pass_hat_k["3"] for row in settings]
    assert shown(heading(page, "p99")) == [row.latency_s.p99 for row in settings]
    assert shown(heading(page, "per 1,000")) == [row.cost_usd.per_1k_requests for row in settings]
