"""`import FILE RUN`: what a file of responses means, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.datasets.rows import read_rows
from evalharness.errors import ConfigError, DatasetError
from evalharness.importing import ImportTables, read_import, records_from_rows
from evalharness.schema import arrow_schema

FORMATS = ("csv", "jsonl", "parquet")


def write(folder: Path, rows: list[dict[str, Any]], kind: str) -> Path:
    """Write rows that hold texts and numbers alone as one of the formats."""
    path = folder / f"answers.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def from_csv(folder: Path, text: str, **mapping: str) -> ImportTables:
    path = folder / "answers.csv"
    path.write_bytes(text.encode())
    return read_import(path, mapping=mapping)


def from_jsonl(folder: Path, *rows: dict[str, Any]) -> ImportTables:
    return read_import(write(folder, list(rows), "jsonl"), mapping={})


def column(table: pa.Table, name: str) -> list[Any]:
    return table.column(name).to_pylist()


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_agree(kind: str, tmp_path: Path) -> None:
    """The same rows give the same tables in every format, with exactly the stored schema."""
    rows = [
        {"prompt_id": f"p{p}", "text": f"out {p} {t} {k}, \"ü\"\n", "temperature": t,
         "model": "m", "target": "out", "cluster": "c", "latency_s": 0.5 + k,
         "prompt_tokens": 7, "billed_usd": 0.25, "sent_at": "2026-01-31T12:00:00.123456789Z",
         "score": 0.5, "note": "kept", "seed": 1}
        for p in range(2) for t in (0, 0.7) for k in range(2)
    ]  # fmt: skip
    imported = read_import(write(tmp_path, rows, kind), mapping={})
    for name in ("records", "prompts", "settings"):
        table: pa.Table = getattr(imported, name)
        assert table.schema.equals(arrow_schema(name), check_metadata=True)
        table.validate(full=True)
    records = imported.records
    assert column(records, "text") == [row["text"] for row in rows]
    assert column(records, "repeat") == [0, 1] * 4
    assert column(records, "temperature") == [0.0, 0.0, 0.7, 0.7] * 2
    assert column(records, "billed_usd") == [Decimal("0.25")] * 8
    assert column(records, "sent_at")[0].value == 1769860800_123456789
    assert column(records, "status") == ["ok"] * 8
    assert [json.loads(extra) for extra in column(records, "extra_json")] == [{"note": "kept"}] * 8
    assert imported.notes == ["column `note` has no meaning here and is kept in extra_json"]
    assert column(imported.prompts, "prompt_id") == ["p0", "p1"]
    assert column(imported.prompts, "target_json") == ['"out"', '"out"']
    assert column(imported.prompts, "cluster") == ["c", "c"]
    assert column(imported.settings, "label") == ["T=0", "T=0.7"]
    assert [json.loads(axes) for axes in column(imported.settings, "axes_json")] == [
        {"temperature": 0},
        {"temperature": 0.7},
    ]
    assert json.loads(column(imported.settings, "params_json")[0]) == {"seed": 1, "temperature": 0}
    assert len(set(column(records, "trial_id"))) == 8


def test_ids_do_not_depend_on_the_file(tmp_path: Path) -> None:
    """The same prompt, setting and repeat have the same ids in any file, format and order."""
    rows = [{"prompt_id": "p", "text": "a", "temperature": t, "repeat": 0} for t in (0, 1)]
    one = read_import(write(tmp_path, rows, "jsonl"), mapping={}).records
    more = [{**row, "latency_s": 1.5, "temperature": float(row["temperature"])} for row in rows]
    two = read_import(write(tmp_path, more[::-1], "parquet"), mapping={}).records
    for name in ("trial_id", "setting_id"):
        assert column(one, name) == column(two, name)[::-1]


def test_csv_texts_to_the_letter(tmp_path: Path) -> None:
    """In CSV a blank text is an empty text, and NA, null, nan are texts."""
    words = ["NA", "null", "nan", "None", "N/A", "#N/A", "NULL", "NaN", "true", "1e5", " ", "007"]
    lines = "".join(f"p{n},{word}\n" for n, word in enumerate(words))
    records = from_csv(tmp_path, f'prompt_id,text\n{lines}blank,\nquoted,""\n').records
    assert column(records, "text") == [*words, "", ""]
    assert column(records, "status") == ["ok"] * len(words) + ["empty", "empty"]
    assert records.column("text").null_count == 0


def test_csv_blank_cells_elsewhere_are_null(tmp_path: Path) -> None:
    """A blank number, answer or word in CSV is unknown, never 0 and never an empty text."""
    imported = from_csv(
        tmp_path,
        "prompt_id,text,answer,score,latency_s,model,seed,target,status,finish_reason\n"
        "p,hello,,,,,,,,\n",
    )
    for name in ("answer", "score", "latency_s", "model", "seed", "finish_reason"):
        assert column(imported.records, name) == [None]
    assert column(imported.records, "status") == ["ok"]
    assert column(imported.prompts, "target_json") == [None]
    assert column(imported.settings, "model") == [None]
    assert column(imported.settings, "label") == ["imported"]


def test_hostile_csv(tmp_path: Path) -> None:
    """Quotes, line breaks, NUL, formulas, a byte order mark and huge cells arrive unchanged."""
    texts = ['say "hi", ok', "two\r\nlines\n", "nul \x00", "=1+1", "@x", "\u202e", "x" * 300_000]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["prompt_id", "text"], *([str(n), t] for n, t in enumerate(texts))])
    limit = csv.field_size_limit()
    records = from_csv(tmp_path, "\ufeff" + file.getvalue()).records
    assert column(records, "text") == texts
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"text": "a"}, "ok"),
        ({"text": ""}, "empty"),
        ({"text": None}, "error"),
        ({}, "error"),
        ({"text": None, "tool_calls_json": [{"function": {"name": "f"}}]}, "ok"),
        ({"text": None, "status": "refused"}, "refused"),
        ({"text": "", "status": "ok"}, "ok"),
        ({"text": "a", "status": "truncated"}, "truncated"),
    ],
)
def test_default_status(row: dict[str, Any], status: str, tmp_path: Path) -> None:
    """A row without a status is ok, empty or an error by its text; a given status stays."""
    imported = from_jsonl(tmp_path, {"prompt_id": "p", "text": "x"}, {"prompt_id": "q", **row})
    assert column(imported.records, "status") == ["ok", status]


def test_scores_alone(tmp_path: Path) -> None:
    """A file of scores without texts holds delivered answers, not errors."""
    records = from_csv(tmp_path, "prompt_id,score\np,0.5\nq,\n").records
    assert column(records, "status") == ["ok", "ok"]
    assert column(records, "score") == [0.5, None]
    assert column(records, "text") == [None, None]


def test_unparsed_answers(tmp_path: Path) -> None:
    """A null answer stays null, and that answers were supplied is known."""
    imported = from_csv(tmp_path, "prompt_id,text,answer\np,so 4,4\nq,dunno,\n")
    assert column(imported.records, "answer") == ["4", None]
    assert imported.answers_supplied
    assert not from_csv(tmp_path, "prompt_id,text\np,a\n").answers_supplied
    nothing = from_csv(tmp_path, "prompt_id,text,answer\np,a,\n")
    assert nothing.answers_supplied
    assert any("unparsed" in note for note in nothing.notes)


def test_settings_of_every_parameter_column(tmp_path: Path) -> None:
    """Model, known parameters and providers' own ones make settings; labels name what varies."""
    rows = [
        {"prompt_id": "p", "text": "a", "model": model, "top_k": 5, "stop": ["x"], "top_p": 0.9,
         "extra.mode": mode}
        for model in ("a", "b") for mode in ("fast", None)
    ]  # fmt: skip
    imported = from_jsonl(tmp_path, *rows)
    assert len(imported.settings) == 4
    params = [json.loads(text) for text in column(imported.settings, "params_json")]
    assert params[0] == {"top_p": 0.9, "top_k": 5, "stop": ["x"], "extra": {"mode": "fast"}}
    assert column(imported.settings, "label")[:2] == [
        "model=a, extra.mode=fast",
        "model=a, extra.mode=none",
    ]
    assert json.loads(column(imported.settings, "axes_json")[3]) == {
        "model": "b",
        "extra.mode": None,
    }
    assert imported.notes == []


@settings(max_examples=20)
@given(order=st.permutations(list(product([0, 0.7, 10], ["b", "a"]))))
def test_settings_come_in_the_order_of_their_axes(
    order: list[tuple[float, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the order of the rows: numbers rise, texts come as they first appear."""
    rows = [
        {"prompt_id": "a", "text": "x", "model": "m", "temperature": t, "stop": stop}
        for t, stop in order
    ]
    table = from_jsonl(tmp_path_factory.mktemp("import"), *rows).settings
    stops = list(dict.fromkeys(stop for _, stop in order))
    found = [json.loads(axes) for axes in column(table, "axes_json")]
    wanted = [{"temperature": t, "stop": s} for t, s in product([0, 0.7, 10], stops)]
    assert found == wanted


def test_a_setting_without_a_parameter_comes_before_those_with_it(tmp_path: Path) -> None:
    rows = [{"prompt_id": "a", "text": "x", "temperature": t} for t in (1, None, 0)]
    assert column(from_jsonl(tmp_path, *rows).settings, "label") == ["T=none", "T=0", "T=1"]


def test_zero_and_zero_point_zero_are_one_setting(tmp_path: Path) -> None:
    """0 and 0.0 do not make two settings."""
    imported = from_csv(tmp_path, "prompt_id,text,temperature\np,a,0\np,b,0.0\n")
    assert len(imported.settings) == 1
    assert column(imported.records, "repeat") == [0, 1]


def test_prompts(tmp_path: Path) -> None:
    """A prompt gathers what its rows say, whichever row says it."""
    imported = from_jsonl(
        tmp_path,
        {"prompt_id": 1, "text": "a", "prompt": "What?"},
        {"prompt_id": "1", "text": "b", "target": {"x": [1, 2]}, "tags": ["t", "u"]},
        {"prompt_id": "2", "text": "c", "messages": [{"role": "user", "content": "Hm"}]},
    )
    prompts = imported.prompts
    assert column(prompts, "prompt_id") == ["1", "2"]
    assert json.loads(column(prompts, "messages_json")[0]) == [{"role": "user", "content": "What?"}]
    assert json.loads(column(prompts, "messages_json")[1]) == [{"role": "user", "content": "Hm"}]
    assert column(prompts, "target_json") == ['{"x":[1,2]}', None]
    assert column(prompts, "tags") == [["t", "u"], []]
    assert column(prompts, "source") == ["answers.jsonl:1", "answers.jsonl:3"]
    assert len(set(column(prompts, "content_hash"))) == 2


def test_csv_tags_and_messages(tmp_path: Path) -> None:
    """In CSV, tags stand between semicolons and messages are JSON."""
    imported = from_csv(
        tmp_path,
        'prompt_id,text,tags,messages\np,a,x; y,"[{""role"": ""user"", ""content"": 1}]"\n',
    )
    assert column(imported.prompts, "tags") == [["x", "y"]]
    assert json.loads(column(imported.prompts, "messages_json")[0])[0]["role"] == "user"


def test_mapping(tmp_path: Path) -> None:
    """--map gives a column of the file one of our names; cost_usd is known by that name."""
    imported = from_csv(
        tmp_path, "qid,response,cost_usd\np,hello,0.001\n", qid="prompt_id", response="text"
    )
    assert column(imported.records, "text") == ["hello"]
    assert column(imported.records, "cost_usd_imported") == [Decimal("0.001")]


def test_unknown_columns_are_said_aloud(tmp_path: Path) -> None:
    """Columns without a meaning are kept and named, with the name they may have been meant as."""
    imported = from_csv(tmp_path, "prompt_id,text,temprature,zzz,trial_id\np,a,0.5,,t\n")
    assert "did you mean `temperature`" in imported.notes[0]
    assert "zzz" in imported.notes[1]
    assert "ids of an imported run" in imported.notes[2]
    extra = json.loads(column(imported.records, "extra_json")[0])
    assert extra == {"temprature": "0.5", "zzz": "", "trial_id": "t"}
    assert column(imported.records, "trial_id") != ["t"]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-01-31T12:00:00Z", 1769860800_000000000),
        ("2026-01-31 12:00:00+00:00", 1769860800_000000000),
        ("2026-01-31T13:00:00.5+01:00", 1769860800_500000000),
        ("2026-01-31T12:00:00.123456789Z", 1769860800_123456789),
        ("2026-01-31T12:00:00", 1769860800_000000000),
        ("1969-12-31T23:59:59.5Z", -500_000000),
    ],
)
def test_times(written: str, instant: int, tmp_path: Path) -> None:
    """Times keep their nanoseconds; one without a zone is UTC and said aloud."""
    imported = from_csv(tmp_path, f"prompt_id,text,sent_at\np,a,{written}\n")
    assert imported.records.column("sent_at").cast(pa.int64()).to_pylist() == [instant]
    assert bool(imported.notes) == (len(written) == 19)


def test_parquet_types(tmp_path: Path) -> None:
    """Timestamps, decimals, integers and lists of a Parquet file are read as what they are."""
    table = pa.table(
        {
            "prompt_id": pa.array([1, 2]),
            "text": ["a", None],
            "sent_at": pa.array(
                [datetime(2026, 1, 31, 12, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")
            ),
            "billed_usd": pa.array([Decimal("0.000001"), None], pa.decimal128(12, 6)),
            "seed": pa.array([3.0, None]),
            "chunk_times_s": [[0.1, 0.2], None],
            "target": [["x", "y"], None],
        }
    )
    path = tmp_path / "answers.parquet"
    pq.write_table(table, path)
    imported = read_import(path, mapping={})
    records = imported.records
    assert column(records, "prompt_id") == ["1", "2"]
    assert column(records, "status") == ["ok", "error"]
    assert column(records, "sent_at")[0].isoformat() == "2026-01-31T12:00:00+00:00"
    assert column(records, "billed_usd") == [Decimal("0.000001"), None]
    assert column(records, "seed") == [3, None]
    assert column(records, "chunk_times_s") == [[0.1, 0.2], None]
    assert column(imported.prompts, "target_json") == ['["x","y"]', None]
    assert imported.notes == []


def test_own_records_come_back(tmp_path: Path) -> None:
    """The records of an imported run, written out and imported again, keep every fact."""
    first = from_csv(
        tmp_path,
        "prompt_id,text,temperature,answer,score,latency_s,billed_usd,sent_at\n"
        "p,a,0,x,1,0.5,0.1,2026-01-31T12:00:00Z\np,,0,,,,,\n",
    )
    path = tmp_path / "again.parquet"
    pq.write_table(first.records, path)
    again = read_import(path, mapping={})
    assert again.records.drop_columns(["extra_json"]).equals(
        first.records.drop_columns(["extra_json"])
    )


def test_targets_as_json(tmp_path: Path) -> None:
    """CSV cells are texts; `target_json` holds any other target."""
    imported = from_csv(tmp_path, 'prompt_id,text,target_json\np,a,"[""x"", 1]"\nq,b,2.5\nr,c,\n')
    assert column(imported.prompts, "target_json") == ['["x",1]', "2.5", None]


def test_many_rows_keep_their_order_and_numbers(tmp_path: Path) -> None:
    """Rows are sealed into Arrow in batches; nothing shows at the seams."""
    rows = "".join(f"p{i % 3},t{i}\n" for i in range(2 * records_from_rows.BATCH_ROWS + 7))
    records = from_csv(tmp_path, "prompt_id,text\n" + rows).records
    assert column(records, "text") == [f"t{i}" for i in range(2 * records_from_rows.BATCH_ROWS + 7)]
    assert column(records, "repeat") == [
        i // 3 for i in range(2 * records_from_rows.BATCH_ROWS + 7)
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_rows_are_given_one_by_one(kind: str, tmp_path: Path) -> None:
    """Rows of a large file are not held at once: the first is there before the last is read."""
    path = write(tmp_path, [{"prompt_id": "p", "text": "a"}], kind)
    path.write_text(path.read_text() + '"broken\n')
    rows = read_rows(path, path.name)
    assert next(rows).columns == {"prompt_id": "p", "text": "a"}
    with pytest.raises(DatasetError):
        next(rows)


REFUSED = [
    ("", "holds no rows", None),
    ("prompt_id,text\n", "holds no rows", None),
    ("id,text\n1,a\n", "no column `prompt_id` (it has: id, text)", "--map id=prompt_id"),
    ("prompt_id,response\n1,a\n", "needs one of the columns `text`, `status`, `score`",
     "--map response=text"),
    ("prompt_id,text\n,a\n", "answers.csv:2: `prompt_id` is missing", None),
    ("prompt_id,text\np,a,b\n", "answers.csv:2: 3 cells", None),
    ("prompt_id,text\np\n", "answers.csv:2: 1 cells", None),
    ("prompt_id,text,text\np,a,b\n", "'text' appears twice", None),
    ('prompt_id,text\np,"a\n', "malformed CSV", None),
    ('prompt_id,text\np,"two\nlines"\nq,a,b\n', "answers.csv:4: 3 cells", None),
    ("prompt_id,text,score\np,a,1.5\n", "answers.csv:2: `score` must be at most 1, got 1.5", None),
    ("prompt_id,text,score\np,a,nan\n", "`score` must be a number, got 'nan'", None),
    ("prompt_id,text,score\np,a,NA\n", "`score` must be a number, got 'NA'", None),
    ("prompt_id,text,score\np,a,1e999\n", "`score` must be a finite number", None),
    ("prompt_id,text,latency_s\np,a,-1\n", "`latency_s` must be at least 0", None),
    ('prompt_id,text,latency_s\np,a,"1,5"\n', "`latency_s` must be a number, got '1,5'", None),
    ("prompt_id,text,prompt_tokens\np,a,1.5\n", "`prompt_tokens` must be a whole number", None),
    ("prompt_id,text,prompt_tokens\np,a,1_000\n", "`prompt_tokens` must be a whole number", None),
    ("prompt_id,text,prompt_tokens\np,a,-1\n", "`prompt_tokens` must be at least 0", None),
    ("prompt_id,text,seed\np,a,9223372036854775808\n", "`seed` must fit into 64 bits", None),
    ("prompt_id,text,seed\np,a," + "9" * 5000 + "\n", "`seed` must fit into 64 bits", None),
    ("prompt_id,text,top_p\np,a,1.1\n", "`top_p` must be at most 1", None),
    ("prompt_id,text,stream\np,a,yes\n", "`stream` must be true or false", None),
    ("prompt_id,text,status\np,a,fine\n", "`status` must be one of ok, empty", None),
    ("prompt_id,text,billed_usd\np,a,-0.1\n", "`billed_usd` must be in 0..10^12", None),
    ("prompt_id,text,billed_usd\np,a,$1\n", "`billed_usd` must be US dollars as a plain", None),
    ("prompt_id,text,billed_usd\np,a,1e99999999\n", "`billed_usd` must be in 0..10^12", None),
    ("prompt_id,text,sent_at\np,a,yesterday\n", "`sent_at` must be a time like", None),
    ("prompt_id,text,sent_at\np,a,2026-02-30T00:00:00Z\n", "`sent_at` is no time", None),
    ("prompt_id,text,sent_at\np,a,9999-01-01T00:00:00Z\n", "`sent_at` must lie in", None),
    ("prompt_id,text,messages\np,a,[broken\n", "`messages` must be JSON", None),
    ("prompt_id,text,messages\np,a,[1]\n", "`messages` must be objects with a `role`", None),
    ("prompt_id,text,cost_usd,cost_usd_imported\np,a,1,2\n", "both mean `cost_usd_imported`", None),
    ("prompt_id,text,repeat\np,a,0\nq,a,\n", "answers.csv:3: `repeat` is missing", None),
    ("prompt_id,text,repeat\np,a,0\nq,a,0\np,b,0\n",
     "answers.csv:4: repeat 0 of prompt 'p' is already at answers.csv:2", "different settings"),
    ("prompt_id,text,target\np,a,x\np,b,\np,c,y\n",
     "answers.csv:4: prompt 'p' has `target` 'y', but 'x' at answers.csv:2", None),
    ("prompt_id,text,cluster\np,a,x\np,b,y\n", "has `cluster` 'y', but 'x'", None),
    ("prompt_id;text\np;a\n", "its columns stand between semicolons", "commas"),
    ("prompt_id,text,target_json\np,a,{x\n", "`target_json` must be JSON", None),
    ("prompt_id,text,target,target_json\np,a,1,1\n", "both `target` and `target_json`", None),
    ('prompt_id,text,prompt,messages\np,a,hi,"[{""role"": ""user""}]"\n',
     "both `prompt` and `messages`", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "hint"), REFUSED)
def test_refused_csv(text: str, message: str, hint: str | None, tmp_path: Path) -> None:
    """What cannot be read exactly is refused, naming line, column and value."""
    with pytest.raises(ConfigError) as caught:
        from_csv(tmp_path, text)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt_id": "p", "text": 5}', ":2: `text` must be a text, got 5"),
        ('{"prompt_id": 1.5, "text": "a"}', ":2: `prompt_id` must be a text"),
        ('{"prompt_id": true, "text": "a"}', ":2: `prompt_id` must be a text"),
        ('{"prompt_id": "p", "text": "a", "seed": true}', ":2: `seed` must be a whole number"),
        ('{"prompt_id": "p", "text": "a", "score": true}', ":2: `score` must be a number"),
        ('{"prompt_id": "p", "text": "a", "tags": [[]]}', ":2: `tags`|must be a text"),
        ('{"prompt_id": "p", "text": "a", "sent_at": 1769860800000}', "must be Unix seconds"),
        ('{"prompt_id": "p", "text": "a", "score": NaN}', ":2:"),
        ('{"prompt_id": "p", "prompt_id": "q", "text": "a"}', "appears twice"),
        ('{"prompt_id": "p", "text": "\\ud800"}', ":2:"),
        (
            '{"prompt_id": "p", "text": "a", "score": "0.5"}',
            ":2: `score` must be a number, got the text '0.5'",
        ),
        ('{"prompt_id": "p", "text": "a", "cost_usd": "0.5"}', ":2: `cost_usd`|the text '0.5'"),
        ('{"prompt_id": "p", "text": "a", "chunk_times_s": [0, "1"]}', "|the text '1'"),
        ("[1]", ":2:"),
        ('{"prompt_id": "p", "text": "a", "seed": 1' + "0" * 5000 + "}", ":2:"),
        ("{broken", ":2:"),
    ],
)
def test_refused_jsonl(line: str, message: str, tmp_path: Path) -> None:
    """A wrong type in JSONL is refused with its line."""
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt_id": "ok", "text": "a"}\n' + line + "\n")
    with pytest.raises(DatasetError) as caught:
        read_import(path, mapping={})
    assert all(part in caught.value.message for part in message.split("|"))


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("score", "0.5", "write 0.5 without quotes"),
        ("latency_s", "fast", "write a number; where it is not known, write null"),
        ("prompt_tokens", "12", "write 12 without quotes"),
        ("billed_usd", "0.01", "write 0.01 without quotes"),
        ("temperature", "0", "write 0 without quotes"),
        ("top_k", "40", "write 40 without quotes"),
        ("seed", "", "write a number; where it is not known, write null"),
        ("stream", "true", "write true without quotes"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_text_is_no_number(kind: str, name: str, value: str, advice: str, tmp_path: Path) -> None:
    """A text where a number or a flag belongs is refused with line, column and what to write."""
    path = write(tmp_path, [{"prompt_id": "p", "text": "a", name: value}], kind)
    with pytest.raises(DatasetError) as caught:
        read_import(path, mapping={})
    line = "1" if kind == "jsonl" else "row 1"
    assert caught.value.message.startswith(f"answers.{kind}:{line}: `{name}")
    assert f"got the text {value!r}" in caught.value.message
    assert caught.value.hint == advice


def test_a_csv_cell_that_is_no_number_is_refused_with_advice(tmp_path: Path) -> None:
    """CSV cells are texts: those that spell a number are numbers, others are refused."""
    assert column(from_csv(tmp_path, "prompt_id,score\np,0.5\n").records, "score") == [0.5]
    with pytest.raises(DatasetError) as caught:
        from_csv(tmp_path, "prompt_id,text,latency_s\np,a,0.5\np,a,fast\n")
    assert caught.value.message == "answers.csv:3: `latency_s` must be a number, got 'fast'"
    assert caught.value.hint == "write a number; where it is not known, leave the cell blank"


def test_json_answers_and_targets(tmp_path: Path) -> None:
    """Answers that are no texts are kept as their JSON; equal targets in two rows are one."""
    imported = from_jsonl(
        tmp_path,
        {"prompt_id": "p", "text": "a", "answer": 4, "target": 4, "sent_at": 1769860800.5},
        {"prompt_id": "p", "text": "a", "answer": [1, "x"], "target": 4},
        {"prompt_id": "q", "text": "a", "target": 10**30, "z": 10**30},
    )
    assert column(imported.records, "answer") == ["4", '[1,"x"]', None]
    assert column(imported.prompts, "target_json") == ["4", str(10**30)]
    assert column(imported.records, "extra_json")[2] == f'{{"z":{10**30}}}'
    assert column(imported.records, "sent_at")[0].microsecond == 500_000


@pytest.mark.parametrize(
    ("mapping", "message", "hint"),
    [
        ({"respons": "text"}, "has no column `respons`", "`response`"),
        ({"zzz": "text"}, "has no column `zzz`", "it has: prompt_id, response"),
        ({"response": "txt"}, "no column `txt` to map to", "`text`"),
        ({"response": "trial_id"}, "no column `trial_id` to map to", None),
        ({"response": "prompt_id"}, "both mean `prompt_id`", None),
    ],
)
def test_refused_mapping(
    mapping: dict[str, str], message: str, hint: str | None, tmp_path: Path
) -> None:
    """A mapping from or to a column that does not exist is refused with the nearest one."""
    with pytest.raises(ConfigError) as caught:
        from_csv(tmp_path, "prompt_id,response\np,a\n", **mapping)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_refused_files(tmp_path: Path) -> None:
    """A file that is not there, not of a known format or not UTF-8 is refused by name."""
    for kind in FORMATS:
        with pytest.raises(DatasetError, match=rf"nothing\.{kind}"):
            read_import(tmp_path / f"nothing.{kind}", mapping={})
    (tmp_path / "wide.csv").write_bytes("prompt_id,text\np,a\n".encode("utf-16"))
    with pytest.raises(DatasetError, match="not valid UTF-8") as caught:
        read_import(tmp_path / "wide.csv", mapping={})
    assert "iconv -f UTF-16" in str(caught.value.hint)
    with pytest.raises(DatasetError, match="format"):
        read_import(tmp_path / "answers.xlsx", mapping={})
    (tmp_path / "answers.csv").write_bytes(b"prompt_id,text\np,caf\xe9\n")
    with pytest.raises(DatasetError, match=":2: not valid UTF-8"):
        read_import(tmp_path / "answers.csv", mapping={})
    (tmp_path / "answers.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DatasetError, match="Parquet"):
        read_import(tmp_path / "answers.parquet", mapping={})


plain_texts = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("pq"), plain_texts, st.sampled_from([0.0, 0.5])),
        min_size=1,
        max_size=12,
    )
)
def test_any_text_survives(rows: list[tuple[str, str, float]], tmp_path_factory: Any) -> None:
    """Whatever a model wrote comes out of CSV and JSONL as it went in, each row a record."""
    folder = tmp_path_factory.mktemp("any")
    dicts = [{"prompt_id": p, "text": t, "temperature": temp} for p, t, temp in rows]
    for kind in ("csv", "jsonl"):
        imported = read_import(write(folder, dicts, kind), mapping={})
        assert column(imported.records, "text") == [t for _, t, _ in rows]
        assert len(set(column(imported.records, "trial_id"))) == len(rows)
        empty = [status == "empty" for status in column(imported.records, "status")]
        assert empty == [t == "" for _, t, _ in rows]
