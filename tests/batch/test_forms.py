"""The two forms on their own: what is written, and what any bytes are read as."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.batch.forms import get_form
from evalharness.config.batch import BatchForm, BatchRules
from evalharness.http.files import FileBody
from evalharness.records import ErrorKind
from evalharness.store.journal.batch_files import BatchState

FORMS: list[BatchForm] = ["openai", "anthropic"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_keys = (
    "custom_id", "response", "error", "status_code", "body", "result", "type", "message", "id",
    "status", "processing_status", "request_counts", "data", "errors", "metadata", "created_at",
)  # fmt: skip
_odd = st.recursive(
    _json | st.sampled_from(["succeeded", "errored", "expired", "ended", "completed", "failed"]),
    lambda inner: st.dictionaries(st.sampled_from(_keys), inner) | st.lists(inner),
    max_leaves=12,
)


def _state(lines: bytes) -> BatchState:
    return BatchState(
        number=1, provider="p", endpoint="e", model="m", token="t" * 32, sha256="s",
        bytes=len(lines), requests=lines.count(b"\n"), tokens=1, file_id="file-1",
    )  # fmt: skip


def _bytes(body: FileBody | bytes) -> bytes:
    if isinstance(body, bytes):
        return body
    content = b"".join(body.pieces())
    assert len(content) == body.size
    return content


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_the_requests_of_a_message_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The file's lines as one list, wherever the pieces that are read end."""
    form, file = get_form("anthropic"), tmp_path / "0001.jsonl"
    bodies = [{"model": "m", "messages": [{"role": "user", "content": f"a\n{i}"}]} for i in (1, 2)]
    lines = b"".join(
        form.line(f"id-{i}", "/messages", json.dumps(body).encode()) + b"\n"
        for i, body in enumerate(bodies)
    )
    file.write_bytes(lines)
    monkeypatch.setattr("evalharness.batch.wire._PIECE", size)
    call = form.create(_state(lines), file, "/messages", BatchRules())
    assert json.loads(_bytes(call.body)) == {
        "requests": [{"custom_id": f"id-{i}", "params": body} for i, body in enumerate(bodies)]
    }


def test_a_file_is_uploaded_as_it_is(tmp_path: Path) -> None:
    """The form has the purpose and the file, byte for byte."""
    form, file = get_form("openai"), tmp_path / "0001.jsonl"
    lines = form.line("id", "/chat/completions", b'{"model":"m"}') + b"\n"
    file.write_bytes(lines)
    call = form.upload(_state(lines), file)
    assert call is not None
    boundary = call.headers["content-type"].partition("boundary=")[2].encode()
    _, purpose, content, _ = _bytes(call.body).split(b"--" + boundary)
    assert purpose.endswith(b"\r\n\r\nbatch\r\n")
    assert content.partition(b"\r\n\r\n")[2] == lines + b"\r\n"
    assert json.loads(lines)["url"] == "/v1/chat/completions"


def test_a_batch_carries_its_token() -> None:
    """By which it is found when the answer to its creation was lost."""
    form = get_form("openai")
    call = form.create(_state(b"x\n"), Path("no file"), "/responses", BatchRules())
    sent = json.loads(_bytes(call.body))
    assert sent["endpoint"] == "/v1/responses"
    shown = {"id": "b", "status": "in_progress", "metadata": sent["metadata"]}
    assert form.read_batch(shown).token == "t" * 32


@pytest.mark.parametrize(
    ("line", "status", "unserved"),
    [
        ({"response": {"status_code": 200, "body": {"a": 1}}, "error": None}, 200, None),
        ({"response": {"status_code": 429, "body": {"error": {}}}}, 429, None),
        # DashScope may give both.
        ({"response": {"status_code": 400}, "error": {"code": "x", "message": "y"}}, 400, None),
        ({"response": None, "error": {"code": "server_error", "message": "y"}}, 500, None),
        ({"response": None, "error": {"code": "batch_expired"}}, None, ErrorKind.EXPIRED),
        ({"response": None, "error": {"code": "batch_cancelled"}}, None, ErrorKind.CANCELLED),
    ],
)
def test_lines_of_openai(
    line: dict[str, Any], status: int | None, unserved: ErrorKind | None
) -> None:
    """Each form that a line has."""
    read = get_form("openai").read_line(json.dumps({"custom_id": "c", **line}).encode())
    assert read is not None
    assert read.unserved is unserved
    if status is not None:
        assert read.status == status
        assert json.loads(read.body) is not None


@pytest.mark.parametrize("name", FORMS)
@given(line=st.binary() | _odd.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_read_or_none(name: BatchForm, line: bytes) -> None:
    """No line raises."""
    read = get_form(name).read_line(line)
    assert read is None or isinstance(read.custom_id, str)


@pytest.mark.parametrize("name", FORMS)
@given(value=_odd)
def test_any_batch_is_read_or_refused(name: BatchForm, value: Any) -> None:
    """Neither a batch nor a list of some raises anything but ValueError."""
    form = get_form(name)
    with suppress(ValueError):
        form.read_batch(value)
    with suppress(ValueError):
        form.read_page(value)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("page", [{}, [], {"data": 1.0}, {"data": None}, {"error": "later"}])
def test_what_is_no_list_is_not_an_empty_one(name: BatchForm, page: Any) -> None:
    """A batch that is not in the list would be made again."""
    with pytest.raises(ValueError, match="no list of batches"):
        get_form(name).read_page(page)


@pytest.mark.parametrize("form_name", FORMS)
def test_no_name_of_a_batch_leads_elsewhere(form_name: BatchForm) -> None:
    """Whatever a provider calls a batch, it is asked of the same endpoint."""
    form = get_form(form_name)
    name, quoted = "x/../../files?a=b", "x%2F..%2F..%2Ffiles%3Fa%3Db"
    assert form.batch_path(name).endswith(f"/batches/{quoted}")
    assert form.cancel_path(name).endswith(f"/batches/{quoted}/cancel")
    facts = form.read_batch({"id": name, "status": "completed", "processing_status": "ended"})
    assert all(f"/batches/{quoted}/" in path for path in facts.result_paths)
