"""``/v1/files``: uploads, lists, contents and deletions, for each account its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.emulator.batches.endpoint_guard import EndpointGuard, json_response, missing
from evalharness.emulator.batches.paging import bad_parameter, page_after, page_limit
from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Problem

MAX_FILE_BYTES = 512 << 20
_BATCH_LIFE_S = 30 * 86_400
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_MAX_PAGE = 10_000


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file; ``expires_at`` is in seconds since 1970, None for good."""

    object_id: str
    account: str
    filename: str
    purpose: str
    content: bytes
    created_at: int
    expires_at: int | None


class OpenAIFiles:
    """The files, and their endpoints."""

    def __init__(self, guard: EndpointGuard) -> None:
        self._guard = guard
        self._files: dict[str, StoredFile] = {}

    def routes(self) -> list[Route]:
        """The endpoints."""
        route = self._guard.route
        return [
            route("POST", "/v1/files", self._upload),
            route("GET", "/v1/files", self._list),
            route("GET", "/v1/files/{file_id}", self._retrieve),
            route("GET", "/v1/files/{file_id}/content", self._content),
            route("DELETE", "/v1/files/{file_id}", self._delete),
        ]

    def add(self, account: str, filename: str, purpose: str, content: bytes) -> StoredFile:
        """Store a file; one for a batch is there for 30 days."""
        life_s = _BATCH_LIFE_S if purpose.startswith("batch") else None
        return self._store(account, filename, purpose, content, life_s)

    def _store(
        self, account: str, filename: str, purpose: str, content: bytes, life_s: int | None
    ) -> StoredFile:
        now = int(time.time())
        stored = StoredFile(
            object_id=self._guard.new_id("file-"),
            account=account,
            filename=filename,
            purpose=purpose,
            content=content,
            created_at=now,
            expires_at=None if life_s is None else now + life_s,
        )
        self._files[stored.object_id] = stored
        return stored

    def get(self, account: str, name: str) -> StoredFile | None:
        """A file of an account; None for one of another, and for an unknown one."""
        stored = self._files.get(name)
        return stored if stored is not None and stored.account == account else None

    async def _upload(self, request: Request, account: str) -> Response:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > MAX_FILE_BYTES + (1 << 20):
            raise RequestRefusedError(Problem(status=413, message=_TOO_LARGE))
        async with request.form(max_files=1, max_fields=16) as form:
            upload, purpose = form.get("file"), form.get("purpose")
            if not isinstance(upload, UploadFile):
                raise bad_parameter("file", "expected a file in multipart/form-data")
            if purpose not in _PURPOSES:
                raise bad_parameter("purpose", f"expected one of {', '.join(_PURPOSES)}")
            filename = upload.filename or "upload"
            if purpose == "batch" and not filename.endswith(".jsonl"):
                text = "Invalid file format for Batch API. Must be .jsonl"
                raise RequestRefusedError(Problem(status=400, message=text))
            life_s = _life_s(
                {name: value for name, value in form.items() if isinstance(value, str)}
            )
            content = await upload.read()
        if len(content) > MAX_FILE_BYTES:
            raise RequestRefusedError(Problem(status=413, message=_TOO_LARGE))
        if life_s is None and purpose == "batch":
            life_s = _BATCH_LIFE_S
        return json_response(
            _file_object(self._store(account, filename, str(purpose), content, life_s))
        )

    async def _list(self, request: Request, account: str) -> Response:
        query = request.query_params
        limit = page_limit(query, _MAX_PAGE, _MAX_PAGE)
        order, purpose = query.get("order", "desc"), query.get("purpose")
        if order not in ("asc", "desc"):
            raise bad_parameter("order", "expected asc or desc")
        files = [
            stored
            for stored in self._files.values()
            if stored.account == account and purpose in (None, stored.purpose)
        ]
        if order == "desc":
            files.reverse()
        shown, more = page_after(files, query.get("after"), limit)
        return json_response(list_object([_file_object(stored) for stored in shown], more=more))

    async def _retrieve(self, request: Request, account: str) -> Response:
        return json_response(_file_object(self._file(request, account)))

    async def _content(self, request: Request, account: str) -> Response:
        stored = self._file(request, account)
        return Response(stored.content, media_type="application/octet-stream")

    async def _delete(self, request: Request, account: str) -> Response:
        stored = self._file(request, account)
        del self._files[stored.object_id]
        return json_response({"id": stored.object_id, "object": "file", "deleted": True})

    def _file(self, request: Request, account: str) -> StoredFile:
        name: str = request.path_params["file_id"]
        stored = self.get(account, name)
        if stored is None:
            raise missing("File object", name)
        return stored


_TOO_LARGE = f"The file is larger than {MAX_FILE_BYTES} bytes."


def list_object(data: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page as OpenAI writes it."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": more,
    }


def _life_s(fields: Mapping[str, str]) -> int | None:
    """Seconds from ``expires_after``; None where it is not sent."""
    seconds = fields.get("expires_after[seconds]")
    anchor = fields.get("expires_after[anchor]")
    if seconds is None and anchor is None:
        return None
    if anchor != "created_at" or seconds is None or not (seconds.isascii() and seconds.isdigit()):
        raise bad_parameter("expires_after", "expected the anchor created_at, and seconds")
    if not 3600 <= int(seconds[:9]) <= 2_592_000:
        raise bad_parameter("expires_after", "expected between 3600 and 2592000 seconds")
    return int(seconds)


def _file_object(stored: StoredFile) -> dict[str, Any]:
    return {
        "id": stored.object_id,
        "object": "file",
        "bytes": len(stored.content),
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "status": "processed",
        "status_details": None,
    }
