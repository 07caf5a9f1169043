"""schemathesis, run from outside on the seed's OpenAPI, finds no violation."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalharness.emulator.validation import openapi_schema
from tests.emulator.conftest import Server
from tests.emulator.openapi_requests import amended_chunk_schema, response_schema

ARGUMENTS = ("--profile", "aimlapi")
# The document has no examples, and with one operation there is nothing to link.
PHASES = ("--phases", "coverage,fuzzing", "-n", "15")
# The document lists no response but 200, so every refusal of an invalid request is "undocumented";
# with valid requests alone the check applies, and nothing is left out.
UNDOCUMENTED = ("--exclude-checks", "status_code_conformance")


def checkable(chunk: dict[str, Any]) -> dict[str, Any]:
    """The document, with the schema of a chunk said of the *data* of each event.

    The document gives it as the schema of the event itself, whose members are ``data``, ``event``
    and ``id``: as written, no event stream fits it.
    """
    document = copy.deepcopy(openapi_schema.openapi_document())
    operation = document["paths"]["/v1/chat/completions"]["post"]
    data = {
        "anyOf": [
            {"enum": ["[DONE]"]},
            {"contentMediaType": "application/json", "contentSchema": chunk},
        ]
    }
    operation["responses"]["200"]["content"]["text/event-stream"]["schema"] = {
        "type": "object",
        "properties": {"data": data},
        "required": ["data"],
    }
    return document


def violations(
    server: Server, folder: Path, chunk: dict[str, Any], *options: str
) -> subprocess.CompletedProcess[str]:
    path = folder / "openapi.json"
    path.write_text(json.dumps(checkable(chunk)))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", server.root),
        *("--seed", "1", "--checks", "all", "--suppress-health-check", "all", *options),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, cwd=folder
    )


@pytest.mark.parametrize(
    ("mode", "options"),
    [("positive", ()), ("negative", UNDOCUMENTED)],
    ids=["valid requests", "invalid requests"],
)
def test_no_violation_is_found(
    server: Server, tmp_path: Path, mode: str, options: tuple[str, ...]
) -> None:
    """Valid requests are accepted and answered to schema, invalid ones refused, never a 5xx."""
    before = server.stats()["requests"]
    chunk = amended_chunk_schema()
    ended = violations(server, tmp_path, chunk, "--mode", mode, *PHASES, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert server.stats()["requests"] - before > 60
    if mode == "positive":
        assert any(row["stream"] for row in server.ledger()[before:])


def test_schemathesis_does_look_into_the_streams(server: Server, tmp_path: Path) -> None:
    """Without the one amendment (a null ``finish_reason``) it finds just that violation."""
    chunk = response_schema(streamed=True)
    ended = violations(
        server, tmp_path, chunk, "--mode", "positive", "--phases", "fuzzing", "-n", "20"
    )
    assert ended.returncode == 1
    assert "1 unique failure" in ended.stdout
    assert "SSE" in ended.stdout
