"""Runs the command line in forks of one process that has imported everything.

A command takes a tenth of the time of a fresh interpreter that way, and is still a process of its
own, which dies of SIGKILL like any other. One JSON object a line on standard input: ``start`` a
command, ``wait`` for one; one JSON object a line comes back. Not a test.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def _load() -> None:
    """Import what a run and its report import, by using it, so that forks need not."""
    import pandas  # noqa: F401 - Arrow looks for it

    import evalharness.cli.execution.execute_run
    import evalharness.cli.execution.final_report
    import evalharness.cli.gates
    import evalharness.cli.junit
    import evalharness.http.auto
    import evalharness.http.reqwest_transport
    import evalharness.report.build.open_run
    import evalharness.report.console_report
    import evalharness.store.parts.verify  # noqa: F401
    from evalharness.cli import main as command
    from evalharness.pricing import PriceBook

    # A plan warms Hydra, the dataset and the prices, and starts no thread.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        command(["plan", "dataset.limit=1", "provider=emulator"])
    PriceBook.read(overrides={}, aliases={}).find("nobody", "nothing")


_composed: dict[tuple[str, ...], list[Any]] = {}


def _compose(arguments: list[str]) -> list[Any]:
    """What Hydra makes of the arguments of ``run``, worked out once."""
    from evalharness.cli.compose import CommandResult
    from evalharness.cli.hydra_main import hydra_command

    jobs_of_command: list[Any] = []

    def keep(jobs: list[Any]) -> CommandResult:
        jobs_of_command.extend(jobs)
        return CommandResult(0)

    if tuple(arguments) not in _composed:
        hydra_command(arguments, keep)
        _composed[tuple(arguments)] = jobs_of_command
    return _composed[tuple(arguments)]


def _become(command: dict[str, Any]) -> int:
    """Turn this fork into the command; its exit code."""
    os.chdir(command["cwd"])
    for number, name in ((1, "out"), (2, "err")):
        fd = os.open(command[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests are run by `nohup`
    os.environ.update(command["env"])
    if command["seal_trials"] is not None:
        from evalharness.store.parts import seal

        seal.SEAL_TRIALS = command["seal_trials"]
    if command["seal_here"]:
        from evalharness.store.parts.seal_process import SealProcess

        SealProcess.start_with_next_part = lambda _: None
    fault = command["fault"]
    if fault is not None:
        preloaded = ctypes.CDLL(None)
        preloaded.faults_seen.restype = preloaded.faults_resyncs.restype = ctypes.c_long
        preloaded.faults_arm(b"results", ctypes.c_long(fault["at"]), fault["action"])
    if command["composed"]:
        import evalharness.cli.compose

        jobs = _compose(command["arguments"][1:])
        evalharness.cli.hydra_main.hydra_command = lambda _, execute: execute(jobs).exit_code
    if command["quiet"]:
        import evalharness.cli.execution.final_report

        evalharness.cli.execution.final_report.print_report = lambda _: None
    from evalharness.cli import main

    code = main(command["arguments"])
    if fault is not None:
        print(f"\nfaults: {preloaded.faults_seen()} {preloaded.faults_resyncs()}", flush=True)
    return code


def _start(command: dict[str, Any]) -> int:
    if command["composed"]:
        _compose(command["arguments"][1:])
    pid = os.fork()
    if pid:
        return pid
    code = 70  # a defect: whatever main() does not turn into an exit code
    try:
        code = _become(command)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve commands until standard input ends."""
    _load()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "wait" in command:
            pid, status = os.waitpid(command["wait"], 0 if command["block"] else os.WNOHANG)
            done = os.waitstatus_to_exitcode(status) if pid else None
            print(json.dumps({"code": done}), flush=True)
        else:
            print(json.dumps({"pid": _start(command)}), flush=True)


if __name__ == "__main__":
    main()
