"""Machines that share nothing but a network: namespaces of this kernel, made without privileges.

Each has a network namespace with one address on a common bridge, a mount namespace in which
:attr:`Machines.own` and ``/dev/shm`` are its own, and no way to the test's loopback. The program
itself is the same for all, as it would be installed on each.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.durability.processes import PATIENCE_S, Emulator

ADDRESSES = {"driver": "10.77.0.1", "other": "10.77.0.2", "server": "10.77.0.3"}
_ROOT = Path(__file__).parents[2]
_HOLD = "echo ready; exec cat"  # alive until its standard input is closed
_BRIDGE = "mount -t tmpfs none /dev/shm; ip link set lo up; ip link add lan type bridge; ip link set lan up"


class Machines:
    """Machines of the names in :data:`ADDRESSES`.

    Attributes:
        own: the path of a folder that is another one on each machine.
        base: the folder in which a test finds these folders, by the machine's name.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        # Ray's sockets are in it, whose paths may have 107 characters.
        self.base = Path(stack.enter_context(_short_folder()))
        self.own = self.base / "own"
        self.own.mkdir()
        self._holders: dict[str, int] = {}
        outer = _hold(stack, ["unshare", "-U", "-r", "-n", "-m"], _BRIDGE)
        self._holders["lan"] = outer
        for name, address in ADDRESSES.items():
            (self.base / name).mkdir()
            mounts = f"mount --bind {self.base / name} {self.own}; mount -t tmpfs none /dev/shm"
            holder = _hold(stack, [*self.enter("lan"), "unshare", "-n", "-m"], mounts)
            self._holders[name] = holder
            self.run("lan", f"ip link add {name} type veth peer name eth0 netns {holder}")
            self.run("lan", f"ip link set {name} master lan up")
            self.run(
                name, f"ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up"
            )
        stack.callback(self._end_all)

    def enter(self, name: str) -> list[str]:
        """What a command begins with to run on a machine."""
        spaces = ["-U", "-n", "-m", "--preserve-credentials"]
        return ["nsenter", "-t", str(self._holders[name]), *spaces]

    def run(self, name: str, script: str) -> None:
        """Run a shell script on a machine."""
        done = subprocess.run(
            [*self.enter(name), "sh", "-ec", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program on a machine, in its own folder; it ends with the block."""
        log = (self.base / name / "log").open("ab")
        self._stack.enter_context(log)
        variables = {
            **os.environ, "HOME": str(self.own), "TMPDIR": str(self.own), "PYTHONPATH": str(_ROOT),
            "EVALHARNESS_STAGING": f"{self.own}/copies", **environment,
        }  # fmt: skip
        process = subprocess.Popen(
            # It ends with the test also where that is killed.
            [*self.enter(name), "setpriv", "--pdeathsig", "KILL", "env", "-C", str(self.own), *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=variables,
        )  # fmt: skip
        self._stack.callback(_close, process)
        return process

    def separate(self) -> None:
        """Cut the network between driver and the other machine; both still reach the server."""
        self.run("other", f"ip route add blackhole {ADDRESSES['driver']}")

    def join(self) -> None:
        """Bring that network back."""
        self.run("other", f"ip route del blackhole {ADDRESSES['driver']}")

    def start_ray(self) -> str:
        """A Ray of driver (3 processors) and the other machine (2); its address."""
        health = {  # a lost node is noticed within two seconds rather than twenty
            "RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3",
            "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        address = f"{ADDRESSES['driver']}:6379"
        common = ("--block", "--object-store-memory=100000000", "--disable-usage-stats")
        ray = str(Path(sys.executable).with_name("ray"))
        head = ("--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.own}/ray")
        for name, role, processors in (
            ("driver", head, 3),
            ("other", (f"--address={address}",), 2),
        ):
            self.start(
                name, ray, "start", *role, f"--node-ip-address={ADDRESSES[name]}",
                f"--num-cpus={processors}", *common, **health,
            )  # fmt: skip
            count = {"driver": 1, "other": 2}[name]
            self._wait_for_nodes(address, count)
        return address

    def _wait_for_nodes(self, address: str, count: int) -> None:
        program = (
            "import ray, sys, time\n"
            "until = time.monotonic() + 60\n"
            "while True:\n"
            "    try:\n"
            f"        ray.init({address!r}, log_to_driver=False, logging_level='ERROR')\n"
            f"        if sum(n['Alive'] for n in ray.nodes()) >= {count}: break\n"
            "        ray.shutdown()\n"
            "    except (ConnectionError, RuntimeError, ValueError):\n"
            "        if time.monotonic() > until: raise\n"
            "    time.sleep(0.1)\n"
        )
        process = self.start("driver", sys.executable, "-c", program)
        assert process.wait(2 * PATIENCE_S) == 0, (self.base / "driver" / "log").read_text()

    def emulator(self, *arguments: str) -> RemoteEmulator:
        """An emulator on the server."""
        process = self.start(
            "server", sys.executable, "-m", "evalharness.emulator", "--exit-with-parent",
            f"--host={ADDRESSES['server']}", *arguments,
        )  # fmt: skip
        assert process.stdout is not None
        return RemoteEmulator(self, json.loads(process.stdout.readline())["base_url"])

    def _end_all(self) -> None:
        """End whatever still runs in the namespaces made here."""
        holders = self._holders.values()
        spaces = {Path(f"/proc/{holder}/ns/net").readlink() for holder in holders}
        spaces.discard(Path("/proc/self/ns/net").readlink())
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "ns/net").readlink() in spaces and int(process.name) not in holders:
                    os.kill(int(process.name), signal.SIGKILL)


class RemoteEmulator(Emulator):
    """An emulator that only machines reach, asked from one of them."""

    def __init__(self, machines: Machines, base_url: str) -> None:
        super().__init__(base_url, Path())
        self._machines = machines

    def _get(self, what: str) -> bytes:
        address = f"{self.base_url.removesuffix('/v1')}/_emulator/{what}"
        program = f"import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen({address!r}).read())"
        command = [*self._machines.enter("server"), sys.executable, "-S", "-c", program]
        return subprocess.run(command, capture_output=True, check=True).stdout


@contextlib.contextmanager
def machines() -> Generator[Machines]:
    """Machines for the length of the block; skips the test where the kernel does not permit them."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    for program in ("unshare", "nsenter", "setpriv", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: machines of namespaces cannot be made")
    probe = "ip link add lan type bridge && ip link add probe0 type veth peer name probe1"
    done = subprocess.run(
        ["unshare", "-U", "-r", "-n", "-m", "sh", "-ec", probe],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"namespaces are not permitted here: {done.stderr.strip()}")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield Machines(stack)


@contextlib.contextmanager
def _short_folder() -> Generator[str]:
    folder = tempfile.mkdtemp(prefix="evh-m-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _hold(stack: contextlib.ExitStack, enter: Sequence[str], script: str) -> int:
    """A process that keeps namespaces alive; its id."""
    process: Any = subprocess.Popen(
        [*enter, "sh", "-ec", f"{script}; {_HOLD}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    stack.callback(_close, process)
    assert process.stdout.readline() == b"ready\n"
    return process.pid


def _close(process: Any) -> None:
    """End a process and close its pipes."""
    process.stdin.close()
    if process.poll() is None:
        process.kill()
    process.wait(30)
    process.stdout.close()


def wait_until(condition: Any, what: str) -> None:
    """Wait for an event that a test has caused."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
