"""P16: a canary key through the real commands is found nowhere afterwards, in no form."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evalharness.cli import main
from evalharness.errors import EXIT_DEFECT
from tests.durability.processes import ForkServer

# Characters that JSON and URLs escape, and lengths at which base64 pads.
KEY = 'sk-canary/9f+Q"7b=Zx\\k2%Lw~42aB'
PLAIN = "canary0123456789abcdefghijKLMNOP"
VARIABLE = "EVH_CANARY"  # a name that says nothing of what it holds
PLAN = (
    "sweep=none",
    "scoring=none",
    "params.max_tokens=8",
    "dataset.limit=4",
    "repeats=4",
    "limits.max_attempts=2",
)


def forms(key: str) -> list[bytes]:
    """Every spelling the key must not be found in."""
    raw = key.encode()
    found = {raw, json.dumps(key)[1:-1].encode(), urllib.parse.quote(key, safe="").encode()}
    found |= {urllib.parse.quote_plus(key).encode(), urllib.parse.quote(key).encode()}
    for text in (raw, b"Bearer " + raw, b"Authorization: Bearer " + raw):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(text).rstrip(b"="))
    return sorted(found)


class Server:
    """Answers chat completions, and says back everything it was sent, in every spelling."""

    def __init__(self, key: str) -> None:
        self.keys: list[str | None] = []
        self.elsewhere: list[str | None] = []
        outer = self
        echoes = b" ".join(forms(key)).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                sent = self.headers.get("authorization")
                if self.path.startswith("/other"):
                    outer.elsewhere.append(sent)
                outer.keys.append(sent)
                status, headers, answer = outer.answer(body, f"{sent} {echoes}", len(outer.keys))
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                outer.keys.append(self.headers.get("authorization"))
                content = json.dumps({"error": f"not you, {outer.keys[-1]} {echoes}"}).encode()
                self.send_response(401)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self.redirect = False
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(
        self, body: dict[str, Any], echo: str, number: int
    ) -> tuple[int, dict[str, str], Any]:
        """A different reply in turn: answers, refusals, pages, broken bodies."""
        if self.redirect:
            return 307, {"location": self.base_url.replace("/v1", "/other")}, b""
        # Escapes that spell the key only once they are read; a header must be one line.
        hidden = "".join(f"\\u{ord(c):04x}" for c in echo[:80])
        line = {"x-request-id": echo[:200], "x-ratelimit-note": echo[:90], "x-echo": echo[:200]}
        error = {"error": {"message": f"who is {echo}?", "code": f"c-{echo[:60]}"}}
        text = {"role": "assistant", "content": f"You are {echo}"}
        delivered = {
            "id": f"id-{echo[:40]}", "object": "chat.completion", "model": "m",
            "system_fingerprint": echo[:50],
            "choices": [{"index": 0, "finish_reason": "stop", "message": text}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }  # fmt: skip
        return [
            (200, line, delivered),
            (503, line, error),
            (422, line, error),
            (500, line, f"<html><body>{echo}</body></html>".encode()),
            (200, line, json.dumps(delivered).encode()[:-9]),
            (422, line, f'{{"error": {{"message": "{hidden}"}}}}'.encode()),
            (200, line, f'{{"said": "{hidden}", "choices": []}}'.encode()),
            (400, line, b"\xff\xfe" + echo.encode()),
        ][number % 8]

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(key: str) -> Iterator[Server]:
    server = Server(key)
    try:
        yield server
    finally:
        server.close()


def _provider(server: Server) -> list[str]:
    return [
        "provider=openai_compatible", f"provider.base_url={server.base_url}", "provider.model=m",
        f"provider.api_key_env={VARIABLE}",
    ]  # fmt: skip


def traces(folder: Path, key: str) -> list[str]:
    """Files (and values in Parquet and SQLite, whatever their compression) that hold the key."""
    wanted = forms(key)
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if any(form in str(path).encode() for form in wanted):
            found.append(f"name {path}")
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(pq.read_table(path).to_pylist()).encode("utf-8", "surrogatepass")
            content += repr(pq.read_metadata(path).metadata).encode()
        found += [f"{path}: {form!r}" for form in wanted if form in content]
    return found


def clean(said_by_it: str, key: str) -> None:
    said = said_by_it.encode()
    assert not [form for form in forms(key) if form in said]


@pytest.mark.parametrize("key", [KEY, PLAIN])
def test_a_key_is_found_nowhere_after_the_commands(
    fork_server: ForkServer, tmp_path: Path, key: str
) -> None:
    """A server that echoes the key in every field and spelling; run, reports, exports, crashes."""
    with serving(key) as server:
        run = ["run", "name=r", *_provider(server), *PLAN, "limits.concurrency=4"]
        debug = {"HYDRA_FULL_ERROR": "1", "PYTHONASYNCIODEBUG": "1"}
        # This transport logs every header it receives when asked to be verbose.
        verbose = [*run, "hydra.verbose=true", "transport=httpx"]
        done = fork_server.run(tmp_path, *verbose, **{VARIABLE: key}, **debug)
        assert done.code == 1, done.err
        assert len(server.keys) > 16
        assert set(server.keys) == {f"Bearer {key}"}
        clean(done.out + done.err, key)
        after = [
            ["report", "r", "--html", "page.html"],
            ["report", "r", "--json"],
            ["report", "r", "--markdown"],
            ["export", "r", "--format", "jsonl", "--out", "out.jsonl"],
            ["verify", "r"],
            ["reconcile", "r"],
            ["judge", "r", *_provider(server), "rubric=good", "limits.max_attempts=1"],
            [*run, "params.temperature=0.5", "hydra.verbose=true"],
        ]
        for arguments in after if key == KEY else after[-1:]:
            done = fork_server.run(tmp_path, *arguments, **{VARIABLE: key})
            clean(done.out + done.err, key)
    attempts = [
        row
        for path in tmp_path.glob("results/r/attempts/*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    # It was there to be found: what the server said back is kept, without the key.
    assert any("[redacted]" in (row["error_message"] or "") for row in attempts)
    assert any("[redacted]" in (row["response_json"] or "") for row in attempts)
    assert all("x-echo" not in (row["headers_json"] or "") for row in attempts)
    assert traces(tmp_path, key) == []


def test_the_search_would_find_it(tmp_path: Path) -> None:
    """The oracle itself: a key in any form, in a file, a Parquet cell, a name, is reported."""
    import pyarrow as pa

    for number, form in enumerate(forms(KEY)):
        (tmp_path / f"{number}.txt").write_bytes(b"x" + form)
    pq.write_table(pa.table({"a": [f"…{PLAIN}…"]}), tmp_path / "t.parquet", compression="zstd")
    assert len({t.split(":")[0] for t in traces(tmp_path, KEY)}) == len(forms(KEY))
    assert traces(tmp_path, PLAIN)


_CRASH = """
import logging, sys
from evalharness.chat_api import client
from evalharness.cli import main
from tests.durability.processes import ForkServer
real = client.interpret
def broken(exchange, **more):
    logging.getLogger("x").error("about to fail: %s", exchange)
    raise RuntimeError(f"a defect, with everything in reach: {more} {exchange!r}")
client.interpret = broken
sys.exit(main(sys.argv[1:]))
"""


def test_a_crash_shows_no_key(tmp_path: Path) -> None:
    """A defect in the middle of a reply: the traceback, with its values, holds no key."""
    with serving(PLAIN) as server:
        done = subprocess.run(
            [sys.executable, "-c", _CRASH, "run", "name=r", *_provider(server), *PLAN],
            cwd=tmp_path, env={**os.environ, VARIABLE: PLAIN, "HYDRA_FULL_ERROR": "1"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == EXIT_DEFECT
    assert "a defect, with everything in reach" in done.stderr
    assert "about to fail" in done.stderr
    clean(done.stdout + done.stderr, PLAIN)
    assert traces(tmp_path, PLAIN) == []


def test_a_redirect_gets_nothing(fork_server: ForkServer, tmp_path: Path) -> None:
    """307 to another address: not followed, exit 2, nothing arrives there."""
    with serving(PLAIN) as server:
        server.redirect = True
        for transport in ("auto", "reqwest", "httpx"):
            done = fork_server.run(
                tmp_path, "run", f"name={transport}", *_provider(server), *PLAN,
                f"transport={transport}", **{VARIABLE: PLAIN},
            )  # fmt: skip
            assert done.code == 2, done.err
            assert "redirects to" in done.err
            clean(done.out + done.err, PLAIN)
        assert server.elsewhere == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_children_get_no_key(tmp_path: Path) -> None:
    """No command line holds it, and no child's environment; after Ctrl-C neither do the files."""
    command = [
        sys.executable, "-m", "evalharness", "run", "name=c", "provider=emulator",
        f"provider.api_key_env={VARIABLE}", "provider.emulator.require_key='*'",
        "provider.emulator.ttft_ms=300", "sweep=none", "scoring=none", "repeats=50",
    ]  # fmt: skip
    other = {"SOME_API_KEY": "another-canary-aBcDeF012345"}
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, VARIABLE: PLAIN, **other},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        journal = tmp_path / "results" / "c" / "journal" / "journal.sqlite"
        while not _has_results(journal):
            assert process.poll() is None
        seen = {pid: _proc(pid) for pid in _descendants(process.pid)}
        own = _proc(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert any("evalharness.emulator" in line.decode() for line, _ in seen.values())
    for secret in (PLAIN, other["SOME_API_KEY"]):
        for line, environment in seen.values():
            assert secret.encode() not in line + environment
        assert secret.encode() not in own[0]
        assert secret not in out + err
        assert traces(tmp_path, secret) == []


def _has_results(journal: Path) -> bool:
    if not journal.exists():
        return False
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM entry WHERE kind = 2").fetchone()[0] > 3
    except sqlite3.OperationalError:
        return False


def _proc(pid: int) -> tuple[bytes, bytes]:
    """Command line and environment of a process, once it shows them; empty when it has ended."""
    root = Path(f"/proc/{pid}")
    seen = b"", b""
    with suppress(FileNotFoundError, ProcessLookupError):
        while not all(seen) and "zombie" not in (root / "status").read_text():
            with suppress(PermissionError):
                seen = (root / "cmdline").read_bytes(), (root / "environ").read_bytes()
    return seen


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    direct = [int(n) for file in children for n in file.read_text().split()]
    return [*direct, *(n for child in direct for n in _descendants(child))]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ([f"provider.headers.X-Thing={PLAIN}"], "provider.headers.X-Thing"),
        ([f"params.extra.user=me-{PLAIN}-too"], "params.extra.user"),
        ([f"provider.emulator.require_key={PLAIN}"], "provider.emulator.require_key"),
        ([f"dataset.system=use {PLAIN}"], "dataset.system"),
        (["dataset=file", "dataset.path=rows.jsonl"], "rows.jsonl:2"),
        (["dataset.template=@row.j2"], "dataset.template"),
    ],
)
def test_a_key_where_none_belongs_is_refused(
    overrides: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever its variable is called, a key in the configuration or in a row stops the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, PLAIN)
    (tmp_path / "rows.jsonl").write_text(
        json.dumps({"id": "a", "prompt": "x"})
        + "\n"
        + json.dumps({"id": "b", "prompt": f"my key is {PLAIN}"})
        + "\n"
    )
    (tmp_path / "row.j2").write_text(f"{PLAIN}: {{{{ prompt }}}}")
    arguments = ["run", "provider=emulator", f"provider.api_key_env={VARIABLE}", *overrides]
    assert main(arguments) == 2
    printed = "".join(capfd.readouterr())
    assert named in printed
    assert PLAIN not in printed
    assert not list(tmp_path.glob("results/*/run.json"))


@pytest.mark.parametrize(
    "name", ["..", ".", ".hidden", "a/b", "/x", "a\\b", "é", "a\u202eb", "x" * 65, "a b", ""]
)
def test_a_run_s_name_cannot_leave_the_results(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No parent, no absolute path, nothing that only looks like another name."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["run", f"name='{name}'"], ["import", "rows.csv", name]):
        (tmp_path / "rows.csv").write_text("prompt_id,text\na,b\n")
        assert main(arguments) == 2, arguments
    assert "name" in capfd.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_run_folder_is_its_owner_s_and_no_link(fork_server: ForkServer, tmp_path: Path) -> None:
    """Folders 0700, files 0600, whatever the umask and whoever made the folder; no symbolic link."""
    made = tmp_path / "results" / "r"
    made.mkdir(parents=True)
    made.chmod(0o777)
    page = ("report", "r", "--html", str(tmp_path / "p.html"))
    for arguments in (("run", "provider=emulator", "name=r", *PLAN), page):
        done = subprocess.run(
            [sys.executable, "-m", "evalharness", *arguments],
            cwd=tmp_path, umask=0, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for path in (tmp_path / "results" / "r", *(tmp_path / "results" / "r").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "results" / "link").symlink_to(outside)
    refused = fork_server.run(tmp_path, "run", "provider=emulator", "name=link", *PLAN)
    assert refused.code == 2
    assert "symbolic link" in refused.err
    assert list(outside.iterdir()) == []
