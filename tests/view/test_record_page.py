"""A record on its page: everything that is known of it, whatever it holds."""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalharness.report.build_report import Report
from tests.report.runs import PAYLOADS
from tests.view.conftest import Serve, ServedView, write_scored_run
from tests.view.record_runs import (
    HOSTILE_MARKDOWN,
    MARKDOWN,
    REQUEST,
    add_attempts,
    logprobs,
    write_rich_run,
    write_text_run,
)


@pytest.fixture
def rich(work: Path, view_server: Serve) -> ServedView:
    """The run in which a record has everything, served."""
    write_rich_run()
    return view_server()


def get(served: ServedView, path: str, status: int = 200) -> str:
    answer = httpx.get(served.url + path)
    assert answer.status_code == status, answer.text
    return answer.text


def record(trial_id: str, run: str = "rich") -> str:
    return f"/run/{run}/record/{quote(trial_id, safe='')}"


def test_everything_of_a_record(rich: ServedView) -> None:
    """Prompt by role, tools, images as notes, reasoning, attempts, money, bodies."""
    page = get(rich, record("t/0?"))
    for text in (
        "rain &amp; shine/1", "T=0", "repeat 0", "You are terse.", "<b>system</b>", "<b>tool</b>",
        "image image/png, 1,200 bytes", "image at http://127.0.0.1:9/elsewhere.png",
        "calls <b>weather</b> <bdi>call_1</bdi>", "1 tool offered", "Weather of a city",
        "Let me think: clouds.", "came with the import", "HTTP 429: rate_limited: slow down",
        "Response to attempt 1", "2023-11-14 22:13:21.500", "weather</span>",
    ):  # fmt: skip
        assert text in page, text
    assert "<img" not in page
    assert 'src="http' not in page


def test_the_arithmetic_of_the_cost(rich: ServedView) -> None:
    """Tokens × price for each kind, and the sum; unknown is said."""
    page = get(rich, record("t/0?"))
    _, _, cost = page.partition('id="cost-heading"')
    for row in (
        '<th scope="row">prompt</th><td class="number">600</td>',
        '<th scope="row">read from a cache</th><td class="number">400</td>',
        '<th scope="row">completion</th><td class="number">150</td>',
        '<th scope="row">reasoning</th><td class="number">50</td>',
        '<td class="number">$0.000652</td>',
    ):
        assert row in cost, row
    unknown = get(rich, record("t/1?"))
    assert "The cost is unknown: a count that the price needs is missing." in unknown


def test_an_error_that_cost_nothing(work: Path, view_server: Serve) -> None:
    """Record and attempt say the same, and why; one of unknown outcome stays unknown."""
    write_text_run([None, None], status=["error"] * 2, model="qwen-plus", provider="dashscope")
    for trial, outcome in (("t0", "rejected"), ("t1", "in_doubt")):
        add_attempts(Path("results/texts"), {"trial_id": [trial], "outcome": [outcome]})
    served = view_server()
    refused = get(served, record("t0", "texts"))
    assert '<td class="number">$0 by rule</td>' in refused
    assert "<p>$0 by rule: a request that was refused or never sent costs nothing." in refused
    doubtful = get(served, record("t1", "texts"))
    assert "$0" not in doubtful
    assert "The cost is unknown: " in doubtful


def test_the_price_of_all_models_is_said_in_words(work: Path, view_server: Serve) -> None:
    write_text_run(["4"], model="m", provider="emulator", prompt_tokens=16, completion_tokens=1)
    config = Path("results/texts/config.yaml")
    config.write_text(
        "pricing: {prices: [{model: '*', price_usd_per_mtok: {prompt: 1.65, completion: 0.01}}]}"
    )
    served = view_server()
    assert "price of all models: " in get(served, record("t0", "texts"))
    table = get(served, "/run/texts/records?column=cost_usd&wait=1")
    assert "$0.0000264" in table


def test_the_waterfall_of_attempts(rich: ServedView) -> None:
    """Both on one scale; a screen reader hears the durations."""
    page = get(rich, record("t/0?"))
    assert page.count('class="waterfall"') == 2
    assert (
        'aria-label="in our own queue 0.100\u00a0s, sent, until the end 0.200\u00a0s, '
        'pause before the next attempt 1.00\u00a0s"'
    ) in page
    assert "until the end 1.10\u00a0s" in page
    assert "</svg>sent, until the end: not streamed, or no first token is recorded</li>" in page
    assert "style=" not in page


def test_views_of_the_output(rich: ServedView) -> None:
    """Markdown laid out and inert, JSON as it is, a diff by word; the address says which."""
    markdown = get(rich, record("t/0?") + "?as=markdown")
    assert "<h3>Answer</h3>" in markdown
    assert "<strong>bold</strong>" in markdown
    assert '<td class="number">3 mm</td>' in markdown
    assert "(https://example.org/a?b=1)" in markdown
    assert 'href="https://example.org' not in markdown
    assert "&lt;b&gt;no markup&lt;/b&gt;" in markdown
    pretty = get(rich, record("t/1?") + "?as=json")
    assert "&#34;mm&#34;: [\n    3,\n    1.50\n  ]" in pretty
    assert ">JSON</a>" not in markdown
    diff = get(rich, record("t/0?") + "?as=diff&against=" + quote("trial:t/2?", safe=""))
    assert "<del>4</del><ins>3</ins> mm" in diff
    assert "T=0, repeat 2" in diff
    other = get(rich, record("t/0?") + "?as=diff&against=trial:t/3%3F")
    assert "server_error: upstream fell over" in other.replace("</del>", "").replace("<del>", "")
    wrong = get(rich, record("t/0?") + "?as=diff&against=trial:nothing")
    assert "has no record of trial `nothing`" in wrong


def test_a_diff_against_another_run(work: Path, view_server: Serve) -> None:
    """The record of the same prompt, setting and repeat there."""
    write_scored_run("before")
    write_scored_run("today", wrong=(3,))
    served = view_server()
    keys = get(served, "/run/today/prompt?id=p03&against=before")
    assert "<bdi>today</bdi> 6 of 6" in keys
    trial = keys.partition("/run/today/record/")[2].partition('"')[0]
    page = get(served, f"/run/today/record/{trial}?as=diff&against=run:before")
    assert "<del>6</del><ins>7</ins>" in page
    assert "run before: " in page
    assert 'href="/run/before/record/' in page
    assert "there is no run `gone`" in get(
        served, f"/run/today/record/{trial}?as=diff&against=run:gone"
    )


def test_bodies_as_recorded(rich: ServedView) -> None:
    """Whole, as text, never as a page."""
    answer = httpx.get(rich.url + record("t/0?") + "?body=request")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json() == REQUEST
    assert httpx.get(rich.url + record("t/0?") + "?body=output").text == MARKDOWN
    get(rich, record("t/1?") + "?body=request", 404)
    get(rich, record("t/1?") + "?body=nothing", 404)


def test_records_of_other_kinds(rich: ServedView) -> None:
    """An error, an empty output, a call of a tool without a text."""
    error = get(rich, record("t/3?"))
    assert "An error: there is no output." in error
    assert "server_error: upstream fell over" in error
    assert "The output is empty." in get(rich, record("t/4?"))
    call = get(rich, record("t/5?"))
    assert "There is no text" in call
    assert "The run keeps no attempts of this record." in call
    assert "As in the dataset: the request was not recorded." in call


def test_neighbours_and_the_way_back(rich: ServedView) -> None:
    """Those of the prompt; the query of the table is carried, and is the way back."""
    page = get(rich, record("t/1?"))
    assert 'rel="prev" href="/run/rich/record/t%2F0%3F"' in page
    assert 'rel="next" href="/run/rich/record/t%2F2%3F"' in page
    assert "2 of 6 of the prompt" in page
    assert 'rel="prev"' not in get(rich, record("t/0?"))
    back = get(rich, record("t/1?") + "?from=" + quote("status=ok&q=a b", safe=""))
    assert 'id="back" href="/run/rich/records?q=a+b&amp;status=ok#r-t%2F1%3F"' in back
    assert "as=diff&amp;from=status%3Dok%26q%3Da+b" in back


def test_neighbours_in_the_table(rich: ServedView) -> None:
    """Those of the same filter and order, and links of the table that carry both."""
    query = quote("status=ok&reverse=1&sort=repeat", safe="")
    page = get(rich, record("t/1?") + "?from=" + query)
    assert "3 of 4 of the table" in page
    assert 'rel="next" href="/run/rich/record/t%2F0%3F?from=status%3Dok' in page
    assert 'rel="prev" href="/run/rich/record/t%2F2%3F?from=' in page or "t%2F5%3F?from=" in page
    assert "of the table" not in get(rich, record("t/4?") + "?from=" + query)
    get(rich, record("t/1?") + "?from=" + quote("nonsense=1", safe=""))
    table = get(rich, "/run/rich/records?status=ok")
    assert 'href="/run/rich/record/t%2F0%3F?from=status%3Dok"' in table


def test_what_is_not_there(rich: ServedView) -> None:
    """An unknown trial or prompt; the prompt's page names similar ones."""
    assert "has no record of trial `nothing`" in get(rich, record("nothing"), 404)
    assert "for instance: rain &amp; shine/1" in get(rich, "/run/rich/prompt?id=rain+shine", 404)
    get(rich, "/run/gone/record/t", 404)


def test_without_duckdb(rich: ServedView, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record and a prompt say what to install, also after a record was shown."""
    pages = [record("t/0?"), "/run/rich/prompt?id=" + quote("rain & shine/1", safe="")]
    for page in pages:
        get(rich, page)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for page in pages:
        assert "pip install &#39;evalharness[view]&#39;" in get(rich, page, 400)


def test_a_long_output_is_cut(work: Path, view_server: Serve) -> None:
    """A megabyte: the beginning, and a link to the whole."""
    text = "long text " * 100_000
    write_text_run([text, "short"], logprobs_json=[logprobs(10_000), None])
    served = view_server()
    page = get(served, record("t0", "texts"))
    assert "950,000 more characters" in page
    assert "7,000 more tokens" in page
    assert page.count('class="h') < 3_000 + 20
    assert len(page) < 2_000_000
    assert get(served, record("t0", "texts") + "?body=output") == text
    whole = get(served, record("t0", "texts") + "?tokens=all")
    assert "more tokens" not in whole
    for view in ("markdown", "diff", "json"):
        assert len(get(served, record("t0", "texts") + f"?as={view}")) < 3_000_000
    assert len(get(served, "/run/texts/prompt?id=p")) < 500_000


@pytest.mark.parametrize("view", ["raw", "markdown", "json", "diff"])
def test_hostile_outputs_are_inert(work: Path, view_server: Serve, view: str) -> None:
    """No tag, no address and no attribute of an output is one of the page."""
    payloads = [*PAYLOADS, HOSTILE_MARKDOWN]
    bad = json.dumps({"content": [{"token": text, "logprob": -1,
                                   "top_logprobs": [{"token": text, "logprob": -2}]}
                                  for text in payloads]})  # fmt: skip
    request = json.dumps({"messages": [{"role": text, "content": text} for text in payloads]})
    count = len(payloads)
    write_text_run(
        [*payloads],
        reasoning_text=payloads,
        logprobs_json=[bad] * count,
        request_json=[request] * count,
        response_json=payloads,
        tool_calls_json=payloads,
        error_message=payloads,
    )
    served = view_server()
    for place in range(count):
        page = get(served, record(f"t{place}", "texts") + f"?as={view}")
        _, _, main = page.partition("<main")
        lowered = main.lower()
        for tag in ("<script", "<img", "<iframe", "<style", "<meta", "<svg onload", "style="):
            assert tag not in lowered, (tag, place)
        assert 'href="javascript' not in lowered
        assert 'href="http' not in lowered
        assert "\u202e" not in main
    assert "<script>window" not in get(served, "/run/texts/prompt?id=p")


def test_pages_of_a_hostile_run(hostile: Report, view_server: Serve) -> None:
    """Ids and labels that attack, too."""
    served = view_server(hostile.run.root)
    for payload in (PAYLOADS[0], PAYLOADS[4], PAYLOADS[8]):
        prompt = f"p{PAYLOADS.index(payload)}-{payload}"
        page = get(served, "/run/hostile/prompt?id=" + quote(prompt, safe=""))
        assert "<script>window" not in page
        assert "<svg onload" not in page
        assert "Errors" in page


def test_outputs_of_a_prompt(rich: ServedView) -> None:
    """Equal texts once, with their counts; what differs from the commonest; errors apart."""
    page = get(rich, "/run/rich/prompt?id=" + quote("rain & shine/1", safe=""))
    assert "6 records, 5 different outputs" in page
    assert "<del>3</del><ins>4</ins> mm" in page
    assert page.count("the commonest text") == 3  # the text, the legend, one unlike it
    outputs, _, errors = page.partition('id="errors-heading"')
    assert "upstream fell over" in errors
    assert "upstream fell over" not in outputs
    assert 'href="/run/rich/record/t%2F5%3F"' in page
    empty = get(rich, "/run/rich/prompt?id=dry&against=rich")
    assert "has no record of this prompt" in empty


@pytest.mark.parametrize(
    "prompt_id", ["a\nb", "a\r\nb", "\n", ".", "..", "/", "a/../b", "%2F", "a b+c"]
)
def test_a_prompt_with_any_id_has_a_page(work: Path, view_server: Serve, prompt_id: str) -> None:
    """The link of a record leads there, and so does the form of the page."""
    write_text_run(["yes"])
    for path in ("prompts.parquet", "records/part-000001.parquet"):
        file = Path("results/texts", path)
        table = pq.read_table(file)
        at = table.column_names.index("prompt_id")
        file.unlink()
        ids = pa.array([prompt_id])
        pq.write_table(table.set_column(at, table.schema.field("prompt_id"), ids), file)
    served = view_server()
    page = get(served, record("t0", "texts"))
    link = page.partition('">all outputs of the prompt')[0].rpartition('href="')[2]
    page = get(served, html.unescape(link))
    assert "1 record, 1 different output" in page
    Path("results/texts").rename("results/again")
    form = get(served, html.unescape(link.replace("/texts/", "/again/")) + "&against=gone", 404)
    assert "there is no run `gone`" in form
    quoted = quote(quote(prompt_id, safe=""), safe="")
    assert "1 record, 1 different output" in get(served, f"/run/again/prompt?quoted={quoted}")
    get(served, "/run/again/prompt", 400)


def test_words_are_marked_as_the_legend_says(work: Path, view_server: Serve) -> None:
    """A text that shares little is said to; of a long one what is not compared is counted."""
    write_text_run(["4", "4", "5"])
    served = view_server()
    page = get(served, "/run/texts/prompt?id=p")
    assert page.count("Too little in common with the commonest text to mark words.") == 1
    assert "<del>" not in page
    long = "a b " * 2_000
    write_text_run([long, f"x {long}"], "long")
    page = get(served, "/run/long/prompt?id=p")
    assert "Where words are marked: <del>only in the commonest text</del>" in page
    assert "Too little in common" not in page
    assert "5,002 more characters" in page


def test_prompts_of_several_runs(work: Path, view_server: Serve) -> None:
    """The commonest output of all runs first, each with its count by run."""
    write_scored_run("before")
    write_scored_run("today", wrong=(3,))
    served = view_server()
    page = get(served, "/run/before/prompt?id=p03&against=today&against=today")
    assert "12 records, 2 different outputs" in page
    assert "<bdi>before</bdi> 6 of 6, <bdi>today</bdi> 0 of 6" in page
    assert "imported 1" in page
    assert "imported 0" in page
    get(served, "/run/before/prompt?id=p03&against=gone", 404)


def test_a_run_whose_scoring_cannot_be_used(rich: ServedView) -> None:
    """A record of a prompt that the run has lost is shown, and why it has no scores."""
    (Path("results/rich") / "prompts.parquet").unlink()
    page = get(rich, record("t/0?"))
    assert "There are no scores: " in page
    assert "You are terse." in page
    group = get(rich, "/run/rich/prompt?id=" + quote("rain & shine/1", safe=""))
    assert "has no scores here" in group
    assert "The run has no text of this prompt" in group
