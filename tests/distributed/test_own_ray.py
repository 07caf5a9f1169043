"""A Ray that a run starts for itself: who may reach it, who has the key, and what if it dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness import errors
from evalharness.distributed.ray_cluster.keys import serve_keys, without_secrets
from tests.distributed.test_ray_runs import descendants, ends, wait_for_workers
from tests.durability.processes import Emulator, FinishedCommand, ForkServer

KEY = "sk-nobody-else-has-this-one"


def has_no_escape_codes(done: FinishedCommand) -> None:
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err


def test_a_dead_raylet_ends_the_run_with_74_and_the_same_command_goes_on(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """Also: nobody else may enter the session's folder, and no process of Ray's has the key."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    arguments = (
        "run", "name=own", *emulator.provider, "provider.api_key_env=ITS_CREDENTIAL",
        "dataset.limit=6", "repeats=600", "scoring=none", "params.max_tokens=8",
        "limits.concurrency=8", "execution=ray", "execution.workers=2",
    )  # fmt: skip
    command = fork_server.start(tmp_path, *arguments, quiet=True, ITS_CREDENTIAL=KEY)
    emulator.wait_until_received(len(emulator.ledger()) + 60)
    wait_for_workers(tmp_path / "results" / "own", 2)
    family = descendants(command.pid)
    raylet = next(pid for pid in family if Path(f"/proc/{pid}/exe").readlink().name == "raylet")
    folder = session_folder(raylet)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [pid for pid in family if KEY.encode() in environment(pid)] == []
    os.kill(raylet, signal.SIGKILL)
    done = command.wait()
    assert done.code == errors.EXIT_STORAGE, done.err
    assert "raylet is gone" in done.err
    assert "to go on: evalharness run name=own" in done.last_line
    has_no_escape_codes(done)
    # Two agents of Ray's look for their raylet once a minute.
    ends([pid for pid in family if b"Agent" not in arguments_of(pid)])
    assert not folder.exists()
    rest = fork_server.run(
        tmp_path, *arguments, "execution=local", "repeats=40", quiet=True, ITS_CREDENTIAL=KEY
    )
    assert rest.code == errors.EXIT_OK, rest.err


def session_folder(raylet: int) -> Path:
    """The outermost folder among the temporary files that a raylet's sockets are in."""
    arguments = Path(f"/proc/{raylet}/cmdline").read_text().split("\0")
    named = next(a for a in arguments if a.startswith("--raylet_socket_name="))
    path = Path(named.partition("=")[2])
    return next(parent for parent in path.parents if parent.name.startswith("evh-ray-"))


def arguments_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_ray_that_does_not_start_ends_with_74(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """Here its sockets would have names that are too long."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    done = fork_server.run(
        tmp_path, "run", "name=no", *emulator.provider, "dataset.limit=2", "scoring=none",
        "execution=ray", "execution.workers=2", quiet=True, TMPDIR=str(deep),
    )  # fmt: skip
    assert done.code == errors.EXIT_STORAGE, done.err
    assert "Ray did not start" in done.err
    assert "TMPDIR" in done.err
    has_no_escape_codes(done)
    assert list(deep.iterdir()) == []


def test_keys_reach_whoever_asks_at_the_socket_and_no_other_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITS_API_KEY", KEY)
    monkeypatch.setenv("OTHER_API_KEY", "another")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "ray")
    asks = (
        "import os; from evalharness.distributed.ray_cluster.keys import receive_keys\n"
        "print(*(os.environ.get(n) for n in ('ITS_API_KEY', 'RAY_AUTH_TOKEN')))\n"
        f"receive_keys({str(tmp_path / 'keys')!r})\n"
        "print(*(os.environ.get(n) for n in ('ITS_API_KEY', 'OTHER_API_KEY')))"
    )
    with serve_keys(tmp_path / "keys", {"ITS_API_KEY"}), without_secrets():
        command = [sys.executable, "-c", asks]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["None ray", f"{KEY} None"]
    assert os.environ["ITS_API_KEY"] == KEY
    assert not (tmp_path / "keys").exists()
