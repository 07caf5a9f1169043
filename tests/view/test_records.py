"""The table of records: what each filter finds, its pages, its exports, and what it says of damage."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from evalharness.records import Setting
from evalharness.report.build_report import Report
from evalharness.store.folder.annotations import READER, Edit, Mark, TrialKey, change_annotations
from evalharness.store.folder.run import Run
from evalharness.view.pages.record_cells import cell
from evalharness.view.pages.setting_labels import setting_labels
from evalharness.view.queries import record_query
from evalharness.view.queries.record_columns import RecordColumn
from tests.imported_run import Rows, write_run
from tests.report.runs import PAYLOADS
from tests.store.sample_run import fill, open_store
from tests.view.conftest import Serve, ServedView, write_scored_run

COLUMNS = "column=prompt_id&column=repeat&column=output"


def _write(name: str = "r", worse: int = 0) -> None:
    """Six prompts, two settings, two repeats; ``worse`` prompts are wrong at temperature 1."""
    rows: Rows = []
    for p in range(6):
        for t in (0, 1):
            for repeat in range(2):
                is_wrong = t == 1 and p < worse
                rows.append({
                    "prompt_id": f"p{p}", "prompt": f"Name city {p}, Straße", "target": "Paris",
                    "tags": ["even" if p % 2 == 0 else "odd"], "model": "m", "temperature": t,
                    "text": f"it is {'Rome' if is_wrong else 'Paris'}"
                    + (f" ({repeat})" if p == 3 and t else ""),
                    "score": float(not is_wrong), "latency_s": 1.0 + p + 0.1 * t + 0.01 * repeat,
                    "finish_reason": "length" if p == 4 else "stop",
                    "status": "truncated" if p == 4 else "ok",
                })  # fmt: skip
    write_run(rows, name)


@pytest.fixture
def served(work: Path, view_server: Serve) -> ServedView:
    _write("before")
    _write("r", worse=2)
    return view_server()


def rows_of(served: ServedView, query: str, run: str = "r") -> list[dict[str, Any]]:
    answer = httpx.get(f"{served.url}/run/{run}/export.jsonl?{query}", timeout=120)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def page_of(served: ServedView, query: str = "", run: str = "r") -> httpx.Response:
    wait = "&wait=1" if query else "?wait=1"
    url = f"{served.url}/run/{run}/records{'?' if query else ''}{query}{wait}"
    return httpx.get(url, timeout=120)


def setting(t: int, run: str = "r") -> str:
    settings = Run.open(Path("results", run)).setting_list
    return next(s.setting_id for s in settings if s.params["temperature"] == t)


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("", 24), ("q=rome", 4), ("q=ROME+(0)", 0), ("q=paris+-rome", 20), ("q=-rome", 20),
        ("q=straSSe", 0), ("q=STRAßE", 24), ("q=%22city+3%22", 4), ("q=p3", 4), ("q=%00", 0),
        ("q=user", 0), ("q=%25", 0), ("q=_", 0), ("status=truncated", 4), ("finish=length", 4),
        ("status=truncated&status=ok", 24), ("tag=even", 12), ("tag=even&tag=odd", 0),
        ("prompt=p1", 4), ("min_score=0.5", 20), ("max_score=0.5", 4), ("min_score=0&max_score=1", 24),
        ("min_latency=6", 4), ("max_latency=1.1", 3), ("unstable=output", 2), ("mark=none", 24),
        ("mark=any", 0), ("regressed=before", 4), ("regressed=before&every=1", 4),
        ("regressed=before&q=p1", 2),
    ],
)  # fmt: skip
def test_a_filter_finds(served: ServedView, query: str, hits: int) -> None:
    """On the page and in the export; the page says how many, in words."""
    assert len(rows_of(served, f"{query}&{COLUMNS}".lstrip("&"))) == hits
    page = page_of(served, query)
    assert page.status_code == 200
    count = "24 records" if hits == 24 else f"{hits} of 24 records"
    assert f'id="count">{count}</strong>' in page.text


def test_a_filter_by_setting(served: ServedView) -> None:
    """Of one, and of both."""
    one, other = setting(0), setting(1)
    assert len(rows_of(served, f"setting={one}")) == 12
    assert len(rows_of(served, f"setting={one}&setting={other}")) == 24
    assert len(rows_of(served, f"setting={one}&q=rome")) == 0


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sort=no", "sort"), ("column=no", "column"), ("setting=no", "setting"), ("tag=no", "tag"),
        ("finish=no", "finish"), ("prompt=no", "prompt"), ("scorer=no", "scorer"),
        ("reader=no", "reader"), ("regressed=r", "regressed"), ("status=no", "status"),
        ("unstable=answer", "unstable"), ("sort=score.no", "sort"), ("column=text;DROP", "column"),
    ],
)  # fmt: skip
def test_what_the_run_does_not_have_is_named(
    served: ServedView, query: str, parameter: str
) -> None:
    """A mistyped address does not look like an empty table."""
    for path in ("records", "export.csv"):
        answer = httpx.get(f"{served.url}/run/r/{path}?{query}&wait=1", timeout=120)
        assert answer.status_code == 400, answer.text
        assert f"`{parameter}`" in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("min_score=0.5", "`min_score` is about scores, and the run has none"),
        ("max_score=0.5", "`max_score` is about scores, and the run has none"),
        ("sort=score", "`sort` is about scores, and the run has none"),
        ("unstable=answer", "`unstable` is about answers, and the run has none"),
        ("column=answer", "`column` is about answers, and the run has none"),
    ],
)
def test_a_run_without_scores_and_answers(
    work: Path, view_server: Serve, query: str, words: str
) -> None:
    """The error says what the run lacks, and which command has it."""
    write_run([{"prompt_id": "p", "prompt": "x", "text": "1"}], "r")
    answer = page_of(view_server(), query)
    assert answer.status_code == 400
    assert words in answer.text
    assert "evalharness export RUN --format csv" in answer.text


def test_a_run_that_is_not_there(served: ServedView) -> None:
    assert page_of(served, run="no").status_code == 404
    assert page_of(served, "regressed=no").status_code == 404
    assert httpx.get(f"{served.url}/run/r/export.xlsx").status_code == 404
    assert page_of(served).status_code == 200
    shutil.rmtree("results/r")
    assert page_of(served).status_code == 404


def test_every_column_can_be_sorted_by(served: ServedView) -> None:
    """Up and down, the unknown last; ties are in the order of prompts, settings and repeats."""
    page = page_of(served).text
    names = set(re.findall(r'name="column" value="([^"]+)"', page))
    assert {"score", "output", "latency_s", "cost_usd", "note", "sent_at"} <= names
    for name in names:
        values = [row[name] for row in rows_of(served, f"sort={name}&column={name}")]
        known = [value for value in values if value is not None]
        assert values[: len(known)] == known, name
        if name != "setting":  # in the order of the run
            assert known == sorted(known), name
        downwards = [row[name] for row in rows_of(served, f"sort={name}&reverse=1&column={name}")]
        assert [value for value in downwards if value is not None] == sorted(
            known, reverse=True
        ) or (name == "setting")


def test_the_export_is_what_is_shown(served: ServedView) -> None:
    """The same columns and rows in CSV, JSONL and Parquet; the link says them all."""
    page = page_of(served, "q=rome&sort=latency_s&reverse=1").text
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)" download', page)]
    assert [link.partition("?")[0] for link in links] == [
        f"/run/r/export.{form}" for form in ("csv", "jsonl", "parquet")
    ]
    answers = [httpx.get(served.url + link, timeout=60) for link in links]
    lines = list(csv.DictReader(io.StringIO(answers[0].text, newline="")))
    objects = [json.loads(line) for line in answers[1].text.splitlines()]
    Path("x.parquet").write_bytes(answers[2].content)
    table = pq.read_table("x.parquet").to_pylist()
    shown = re.findall(r"<tr tabindex.*?</tr>", page)
    assert len(shown) == len(lines) == len(objects) == len(table) == 4
    assert objects == table
    for row, line, drawn in zip(objects, lines, shown, strict=True):
        assert line["output"] == row["output"] == "it is Rome"
        assert line["prompt_id"] == row["prompt_id"]
        assert f'<bdi class="clip">{row["prompt_id"]}</bdi>' in drawn
    assert [row["latency_s"] for row in objects] == sorted(
        (row["latency_s"] for row in objects), reverse=True
    )
    assert list(objects[0]) == list(lines[0])


def test_a_table_without_rows_can_be_exported(served: ServedView) -> None:
    """Its columns have the types that they have with rows."""
    columns = "&".join(f"column={name}" for name in (
        "prompt_id", "repeat", "output", "score", "latency_s", "billed_usd", "sent_at", "mark"
    ))  # fmt: skip
    schemas: list[Any] = []
    for query in ("q=nowhere", "q=rome"):
        answer = httpx.get(f"{served.url}/run/r/export.parquet?{query}&{columns}", timeout=60)
        Path("x.parquet").write_bytes(answer.content)
        schemas.append(pq.read_schema("x.parquet"))
    assert schemas[0] == schemas[1]
    assert "null" not in map(str, schemas[0].types)
    for form in ("csv", "jsonl", "parquet"):
        answer = httpx.get(f"{served.url}/run/r/export.{form}?q=nowhere&{COLUMNS}")
        assert answer.status_code == 200
    assert answer.content.startswith(b"PAR1")


def test_each_value_of_a_filter_can_be_taken_away(served: ServedView) -> None:
    """Of one that has several; the empty value of a form takes all of them away."""
    page = page_of(served, "status=ok&status=truncated&tag=even").text
    chips = re.findall(r'<a class="tag" href="[^"?]*([^"]*)"[^>]*><bdi>([^<]*)</bdi> ×', page)
    assert [(link.replace("&amp;", "&"), text) for link, text in chips] == [
        ("?status=truncated&tag=even", "status ok"),
        ("?status=ok&tag=even", "or status truncated"),
        ("?status=ok&status=truncated", "tag even"),
    ]
    assert len(rows_of(served, "status=&status=truncated")) == 24


def test_money_is_as_in_the_report() -> None:
    column = RecordColumn("cost_usd", "cost", "money", "r", "r.cost_usd")
    assert cell(column, 0.0000264).text == "$0.0000264"


def test_a_damaged_run_is_not_an_empty_one(work: Path, view_server: Serve) -> None:
    Path("results/r").mkdir(parents=True)
    Path("results/r/run.json").write_text("{")
    answer = httpx.get(f"{view_server().url}/run/r/records")
    assert answer.status_code == 500
    assert "run.json" in answer.text
    assert "evalharness verify" in answer.text
    assert "Nothing is recorded yet" not in answer.text


def test_other_runs_are_offered(served: ServedView) -> None:
    """To find what regressed against one of them; the run itself is not."""
    offered = re.search(r'<datalist id="other-runs">(.*)</datalist>', page_of(served).text)
    assert offered is not None
    assert offered[1] == '<option value="before"></option>'


def test_settings_of_an_earlier_plan_say_what_differs() -> None:
    """Their labels alone say that they are earlier ones."""
    newest = Setting(setting_id="a", label="T=0", provider="p", endpoint="e", model="m",
                     params={"max_tokens": 100}, system="s")  # fmt: skip
    first = structs.replace(newest, setting_id="b", label="T=0 (earlier)", params={})
    second = structs.replace(newest, setting_id="c", label="T=0 (earlier 2)", model="n", system="t")
    other = structs.replace(newest, setting_id="d", label="T=1 (earlier)", params={})
    assert setting_labels([newest, first, second, other]) == {
        "a": "T=0",
        "b": "T=0 (earlier): max_tokens not set",
        "c": "T=0 (earlier 2): model n, another system",
        "d": "T=1 (earlier)",
    }


def test_pages(served: ServedView, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record is on one page; beyond the last page is a sentence. Also where all are sorted."""
    monkeypatch.setattr(record_query, "PAGE_ROWS", 10)
    monkeypatch.setattr("evalharness.view.pages.records.PAGE_ROWS", 10)
    for near in (5_000, 10):
        monkeypatch.setattr(record_query, "_NEAR_ROWS", near)
        pages = [page_of(served, f"sort=latency_s&page={page}").text for page in (1, 2, 3)]
        ids = [re.findall(r'data-trial-id="([^"]+)"', page) for page in pages]
        assert [len(page) for page in ids] == [10, 10, 4]
        assert len({trial for page in ids for trial in page}) == 24
    beyond = page_of(served, "page=4")
    assert beyond.status_code == 200
    assert "There is no page 4" in beyond.text
    assert 'rel="next"' not in pages[2]


def test_marks_are_a_column_and_a_filter(
    work: Path, view_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of most readers, of one that is named, or one's own where one can mark."""
    monkeypatch.setenv(READER, "anna")
    _write()
    keys = Run.open(Path("results/r")).table("records", [*TrialKey._fields]).to_pylist()
    trials = [TrialKey(**row) for row in keys[:3]]
    edits = [Edit(trial=t, reader="anna", mark=Mark.PASS, note="=1+1") for t in trials[:2]]
    edits += [Edit(trial=t, reader="bob", mark=Mark.FAIL) for t in trials[1:]]
    change_annotations(Path("results/r"), edits)
    served = view_server()
    for query, hits in (
        ("mark=pass", 1), ("mark=fail", 1), ("mark=any", 2), ("mark=none", 22),
        ("mark=pass&reader=anna", 2), ("mark=fail&reader=bob", 2), ("mark=none&reader=bob", 22),
    ):  # fmt: skip
        assert len(rows_of(served, query)) == hits, query
    assert len(rows_of(view_server(marks=True), "mark=pass")) == 2
    assert "data-marks-url" not in page_of(served).text
    own = page_of(view_server(marks=True), "mark=pass").text
    assert 'data-marks-url="/run/r/marks"' in own
    assert '<td class="words" data-mark-cell>pass</td>' in own
    exported = httpx.get(f"{served.url}/run/r/export.csv?mark=pass&column=note").text
    assert exported == "note\r\n'=1+1\r\n"  # no formula


def test_a_run_that_grows_is_looked_at_again(
    served: ServedView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another part is taken in; scores are computed anew for all."""
    monkeypatch.setattr("evalharness.view.queries.record_indexes._FRESH_S", 0.0)
    assert len(rows_of(served, "min_score=0.5")) == 20
    part = next(Path("results/r/records").glob("*.parquet"))
    table = pq.read_table(part)
    ids = [f"{trial}-again" for trial in table["trial_id"].to_pylist()]
    at = table.column_names.index("trial_id")
    again = table.set_column(at, table.schema.field("trial_id"), [ids])
    pq.write_table(again, part.with_name("part-000002.parquet"))
    assert len(rows_of(served, COLUMNS)) == 48
    assert len(rows_of(served, "min_score=0.5")) == 40
    part.with_name("part-000002.parquet").unlink()
    assert len(rows_of(served, "min_score=0.5")) == 20


@pytest.mark.parametrize("name", ["records/part-000001.parquet", "prompts.parquet"])
def test_a_damaged_file_is_named(served: ServedView, name: str) -> None:
    """And read again once it is put back."""
    path = Path("results/r", name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    answer = page_of(served)
    assert answer.status_code == 500
    assert f"{name} is damaged" in answer.text
    path.write_bytes(whole)
    assert page_of(served).status_code == 200


@pytest.mark.parametrize(
    ("damage", "words", "hint"),
    [
        ("cut", "results/r/run.json is damaged", "evalharness verify results/r --repair"),
        ("gone", "results/r has no run.json", "evalharness verify results/r --repair"),
        ("newer", "results/r was written with storage schema 99", "a newer version"),
    ],
)
def test_a_lost_manifest_is_named(served: ServedView, damage: str, words: str, hint: str) -> None:
    """On every page that needs it: the file, as it was typed, and what repairs it."""
    path, folder = Path("results/r/run.json"), str(Path.cwd())
    manifest = path.read_text()
    path.unlink()
    if damage != "gone":
        cut, newer = manifest[:100], re.sub('(?<="schema_version": )[0-9]+', "99", manifest)
        path.write_text(cut if damage == "cut" else newer)
    for page in ("records", "record/t", "prompt?id=p1", "marks", "export.csv", "marks.jsonl"):
        answer = httpx.get(f"{served.url}/run/r/{page}")
        assert answer.status_code == 500, page
        assert words in answer.text, page
        assert hint in answer.text, page
        assert folder not in answer.text, page
    page = httpx.get(f"{served.url}/run/r").text
    assert "<code>evalharness verify r</code> says what to do" in page
    assert folder not in page


def test_a_place_that_was_typed_absolute_is_said_so(work: Path, view_server: Serve) -> None:
    _write()
    Path("results/r/run.json").write_text("{")
    page = page_of(view_server(work / "results"))
    assert f"{work}/results/r/run.json is damaged" in page.text
    assert f"evalharness verify {work}/results/r --repair rebuilds it" in page.text


def test_names_that_look_like_patterns(work: Path, view_server: Serve) -> None:
    """The database takes brackets and stars in paths for patterns, and `=` for a column."""
    for name in ("a[bc]", "x=1", "st*r", "q?", "it's"):
        write_scored_run("r", prompts=2)
        Path("results/r").rename(Path("results", name))
    served = view_server()
    for name in ("a%5Bbc%5D", "x=1", "st*r", "q%3F", "it's"):
        assert len(rows_of(served, "min_score=0&column=output", run=name)) == 12, name


def test_hostile_outputs_are_text(hostile: Report, view_server: Serve) -> None:
    """On the page and in CSV; each can be searched for."""
    served = view_server(hostile.run.root)
    page = page_of(served, "column=output&column=prompt&column=error_message", run="hostile").text
    assert "<script>window" not in page
    assert "<img" not in page
    for payload in PAYLOADS:
        answer = httpx.get(
            f"{served.url}/run/hostile/records", params={"q": payload[:400], "column": "output"}
        )
        assert answer.status_code in (200, 400), payload
    text = httpx.get(f"{served.url}/run/hostile/export.csv?column=output").text
    cells = [row[0] for row in csv.reader(io.StringIO(text, newline=""))]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_without_duckdb(served: ServedView, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    answer = page_of(served)
    assert answer.status_code == 400
    assert "pip install &#39;evalharness[view]&#39;" in answer.text


async def test_records_of_a_running_run(
    work: Path, view_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the journal holds is there, once, and still once after it was sealed."""
    monkeypatch.setattr("evalharness.view.queries.record_indexes._FRESH_S", 0.0)
    store = open_store(Path("results/run"), 3)
    await fill(store, range(2))
    served = view_server()
    page = httpx.get(f"{served.url}/run/run/records").text
    assert 'id="count">2 records</strong>' in page
    assert "The run goes on" in page
    assert 'data-ask="1"' in page
    assert [row["output"] for row in rows_of(served, "q=answer+1&column=output", "run")] == [
        "answer 1"
    ]
    assert len(rows_of(served, "unstable=output", "run")) == 0  # computed of the journal's rows
    await store.finish(status="complete", reason=None)
    outputs = [row["output"] for row in rows_of(served, "column=output", "run")]
    assert outputs == ["answer 0", "answer 1"]
