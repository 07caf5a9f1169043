"""Style sheets and scripts: the view's own, and those of the report's page."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.report.html.page import page_sources

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class StaticFile(NamedTuple):
    """A file as it is served."""

    content: bytes
    media_type: str
    tag: str


@cache
def static_files() -> dict[str, StaticFile]:
    """All files by name; what is not in here is not served."""
    sources = page_sources()
    texts = {
        "report.css": sources.light + sources.print,
        "report-dark.css": sources.dark,
        "report.js": sources.script,
    }
    contents = {name: text.encode() for name, text in texts.items()}
    for file in (files("evalharness.view") / "static").iterdir():
        if file.name.rpartition(".")[2] in _TYPES:
            contents[file.name] = file.read_bytes()
    return {
        name: StaticFile(
            content,
            _TYPES[name.rpartition(".")[2]],
            f'"{hashlib.sha256(content).hexdigest()[:16]}"',
        )
        for name, content in contents.items()
    }


def routes() -> list[Route]:
    """The address of the files."""
    return [Route("/static/{name}", _serve)]


async def _serve(request: Request) -> Response:
    file = static_files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    headers = {"etag": file.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
