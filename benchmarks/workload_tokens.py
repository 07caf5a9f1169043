"""Synthetic workloads: how near prompts and outputs come to the lengths asked for.

``python -m benchmarks.workload_tokens`` sends each preset to the emulator, with outputs of an exact
length, and compares what was asked for with the server's usage. ``--local`` adds the embedded model
(minutes). Further arguments go to ``evalharness run``, for a server of one's own:
``provider=vllm provider.model=M dataset.workload.requests=50``. The exit code is 1 where prompts
are more than 2 % off on the whole, or fewer than 95 % of them are within 2 %.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from typing import Any, NamedTuple

from evalharness.cli import main as evalharness

_TOLERANCE, _SHARE = 0.02, 0.95
_SMALL = ("dataset.workload.requests=24", "load.requests=24")


class Case(NamedTuple):
    """A workload and what it is sent to."""

    name: str
    arguments: tuple[str, ...]


_EMULATOR = "provider=emulator"
CASES = (
    Case("chat", (_EMULATOR, "dataset=chat")),
    Case("code", (_EMULATOR, "dataset=code")),
    Case("rag", (_EMULATOR, "dataset=rag")),
    Case("summarize", (_EMULATOR, "dataset=summarize")),
    Case("fixed 1,000", (_EMULATOR, "dataset=chat", "dataset.workload.prompt_tokens=1000")),
    Case("rag, salted", (_EMULATOR, "dataset=rag", "dataset.workload.salt=true")),
)
LOCAL = (
    Case(
        "summarize, local model",
        ("provider=local", "dataset=summarize", "load.concurrency=2", *_SMALL,
         "dataset.workload.prompt_tokens=normal 400 150 96..900",
         "dataset.workload.output_tokens=normal 16 4 8..32"),
    ),
    Case(
        "prefixes, local model",
        ("provider=local", "dataset=rag", "load.concurrency=2", *_SMALL,
         "dataset.workload.prefixes={count: 4, tokens: 300, share: 0.7, zipf: 1.0}",
         "dataset.workload.prompt_tokens=lognormal 120 0.5 64..400",
         "dataset.workload.output_tokens=8"),
    ),
)  # fmt: skip


def measure(case: Case, more: list[str]) -> dict[str, Any]:
    """The lengths of a run of the case, as its report has them."""
    name = "".join(letter for letter in case.name if letter.isalnum())
    arguments = [
        "run", "--yes", f"name={name}", "sweep=none", "repeats=1", "load=closed",
        "load.concurrency=8", "dataset.workload.exact_output=true", *case.arguments, *more,
    ]  # fmt: skip
    shown = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(shown):
        code = evalharness(arguments)
    # 1: the load point was not held, which does not matter here.
    if code not in (0, 1):
        raise SystemExit(f"{case.name}: exit code {code}\n{shown.getvalue()}")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        evalharness(["report", name, "--json"])
    return json.loads(out.getvalue())["workload_lengths"][0]


def row(name: str, kind: str, lengths: dict[str, Any]) -> str:
    """A line of the table."""
    ends = lengths["error_ci95"]
    interval = "" if ends is None else f" [{ends[0]:+.2%}, {ends[1]:+.2%}]"
    cells = (
        name, kind, str(lengths["requests"]), f"{lengths['wanted']:,.1f}",
        f"{lengths['measured']:,.1f}", f"{lengths['error']:+.2%}{interval}",
        f"{lengths['within']:.0%}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print the table; 1 where prompts are further off than 2 %."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--local", action="store_true", help="the embedded model, too")
    parser.add_argument("--only", nargs="+", help="these cases, by their names")
    parser.add_argument("more", nargs="*", help="arguments of `evalharness run`")
    options = parser.parse_intermixed_args()
    cases = [*CASES, *(LOCAL if options.local else ())]
    print("| workload | of | requests | asked for | measured | mean error [95 % CI] | within 2 % |")
    print("|---|---|---:|---:|---:|---:|---:|", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for case in cases:
            if options.only and case.name not in options.only:
                continue
            lengths = measure(case, options.more)
            for kind in ("prompt", "output"):
                if lengths[kind] is not None:
                    print(row(case.name, kind, lengths[kind]), flush=True)
            prompt = lengths["prompt"]
            failed |= prompt is None or abs(prompt["error"]) > _TOLERANCE
            failed |= prompt is None or prompt["within"] < _SHARE
        os.chdir("/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
