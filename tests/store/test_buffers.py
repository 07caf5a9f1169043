"""Tables from buffers are the tables pyarrow would make, and need no pandas."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from evalharness.store.journal.arrow_buffers import empty, table_of
from evalharness.store.parts.seal import _stretches

SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("flag", pa.bool_(), nullable=False),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(st.tuples(st.none() | TEXT, st.lists(TEXT), st.booleans()))

# The server is a thread of the command's own process, so that it sees what is imported by then.
_RUN = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class First(BaseHTTPRequestHandler):
    def do_POST(self):
        print(json.dumps(sorted({"pandas", "scipy", "pyarrow.compute", "genai_prices"} & set(sys.modules))), flush=True)
        os._exit(0)

server = HTTPServer(("127.0.0.1", 0), First)
threading.Thread(target=server.serve_forever, daemon=True).start()
from evalharness.cli import main
url = f"http://127.0.0.1:{server.server_port}/v1"
sys.argv = ["evalharness", "run", "provider=openai_compatible", f"provider.base_url={url}",
            "provider.model=m", "provider.api_key_env=null", "results_dir=" + sys.argv[1]]
main()
"""


@given(ROWS)
def test_a_table_from_buffers_is_the_table_pyarrow_makes(
    rows: list[tuple[str | None, list[str], bool]],
) -> None:
    """Nulls, empty texts and lists, any Unicode, any length of the flags' bitmap."""
    columns = dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True)) if rows else {}
    columns = {name: list(columns.get(name, ())) for name in SCHEMA.names}
    made = table_of(columns, SCHEMA)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pydict(columns, schema=SCHEMA))


def test_an_empty_table_has_its_schema() -> None:
    """No rows, the columns and the metadata all the same."""
    schema = SCHEMA.with_metadata({"a": "b"})
    assert empty(schema).schema.equals(schema, check_metadata=True)
    assert len(empty(schema)) == 0


def test_what_comes_before_the_first_request_imports_nothing_slow(
    tmp_path: Path,
) -> None:
    """Neither these nor pandas and scipy are needed; they take as long as all else."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


@given(st.sets(st.integers(0, 60)))
def test_stretches_hold_exactly_the_numbers_given(numbers: set[int]) -> None:
    """Deleting by stretches deletes nothing else."""
    stretches = _stretches(list(numbers))
    assert {n for first, last in stretches for n in range(first, last + 1)} == numbers
    assert len(stretches) == len({n for n in numbers if n - 1 not in numbers})
