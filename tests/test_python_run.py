"""``evalharness.run``: a run from Python is the command's run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import evalharness
from evalharness.errors import (
    AccountError,
    BudgetReachedError,
    ConfigError,
    RunInUseError,
)


async def echo(prompt: str, params: dict[str, Any]) -> str:
    """Answer with what was asked."""
    return f"{prompt} at {params.get('temperature')}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quiet(**given: Any) -> Any:
    return evalharness.run(progress=False, **given)


def test_keywords_are_the_configuration(folder: Path) -> None:
    """The stored configuration is what the command would have composed, and the command goes on."""
    run = quiet(
        call=echo, dataset=["a", "b"], sweep={"temperature": [0, 0.7]}, repeats=2, name="one",
        limits__concurrency=3, params={"max_tokens": 9},
    )  # fmt: skip
    assert len(run.records()) == 8
    assert sorted(run.records()["text"].unique()) == ["a at 0", "a at 0.7", "b at 0", "b at 0.7"]
    assert (folder / "results" / "one" / "report.html").exists()
    assert (folder / "results" / "one" / "summary.json").exists()
    assert (
        run.settings()["params_json"].map(lambda text: json.loads(text)["max_tokens"]).eq(9).all()
    )
    more = quiet(
        call=echo, dataset=["a", "b"], sweep={"temperature": [0, 0.7]}, repeats=3, name="one",
        params={"max_tokens": 9},
    )  # fmt: skip
    assert len(more.records()) == 12  # four new ones


@pytest.mark.parametrize(
    "dataset",
    [
        [{"prompt": "a", "target": "a at None"}, {"prompt": "b"}],
        pd.DataFrame({"prompt": ["a", "b"], "target": ["a at None", float("nan")]}),
        "rows.jsonl",
        {"path": "rows.jsonl", "limit": 2},
    ],
    ids=["rows", "frame", "path", "keys"],
)
def test_rows_come_from_anywhere(folder: Path, dataset: Any) -> None:
    """A list, a DataFrame, a path: the same prompts; a missing target is none."""
    (folder / "rows.jsonl").write_text(
        '{"prompt": "a", "target": "a at None"}\n{"prompt": "b", "target": null}\n'
    )
    run = quiet(call=echo, dataset=dataset, repeats=1, scoring="exact", name="r")
    scores = run.scores()
    assert (scores["mean"].tolist(), scores["n"].tolist()) == ([1.0], [1])
    assert len(run.records()) == 2


def test_the_loop_of_the_caller_goes_on() -> None:
    """``arun`` in a loop: something else runs meanwhile; ``run`` works inside a loop, too."""
    release = asyncio.Event()

    async def answer(prompt: str) -> str:
        caller.call_soon_threadsafe(release.set)
        return prompt

    async def main() -> int:
        nonlocal caller
        caller = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            evalharness.arun(call=answer, dataset=["a"], repeats=1, name="a", progress=False)
        )
        await release.wait()
        first_count = len((await task).records())
        second = quiet(call=answer, dataset=["a"], repeats=2, name="a")
        return first_count + len(second.records())

    caller: Any = None
    assert asyncio.run(main()) == 3


def test_cancelling_ends_as_ctrl_c_does() -> None:
    """What was in flight is waited for and recorded; the rest is left for the next call."""
    started = asyncio.Event()

    async def answer(prompt: str) -> str:
        caller.call_soon_threadsafe(started.set)
        await asyncio.sleep(0)
        return prompt

    async def main() -> None:
        nonlocal caller
        caller = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            evalharness.arun(
                call=answer, dataset=[f"p{n}" for n in range(3000)], repeats=1, name="c",
                progress=False, limits__concurrency=1,
            )
        )  # fmt: skip
        await started.wait()
        task.cancel()
        await task

    caller: Any = None
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    run = evalharness.load("c")
    assert run.manifest.status == "interrupted"
    assert 0 < len(run.records()) < 3000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset": "nope.jsonl"}, "there is no file nope.jsonl"),
        ({"dataset": ["x"], "repeatz": 3}, "unknown configuration key `repeatz`"),
        ({"dataset": [{"prompt": object()}]}, "`dataset[0].prompt` must be a value that JSON has"),
        ({"dataset": [3]}, "`dataset[0]` must be a row or a text, got int"),
        ({"dataset": []}, "`dataset` has no rows"),
        ({"dataset": 5}, "`dataset` must be a path, a list of rows or a DataFrame"),
        ({"dataset": ["x"], "provider": "opnai"}, "did you mean provider=openai?"),
        ({"dataset": ["x"], "scoring": "exat"}, "did you mean scoring=exact?"),
        ({"dataset": ["x"], "call": lambda: ""}, "must take (prompt)"),
        ({"dataset": None}, "`dataset` is missing: what is your function asked?"),
        ({"dataset": ["x"], "call": 7}, "`call` must be a function, got int"),
        ({"dataset": ["x"], "sweep": {"system": {"a": "@no.txt"}}}, "there is no file 'no.txt'"),
    ],
)
def test_bad_keywords_are_errors_with_hints(given: dict[str, Any], message: str) -> None:
    """The command's own messages, as exceptions; nothing is called."""
    with pytest.raises(ConfigError) as caught:
        quiet(**{"call": echo, "name": "bad", **given})
    assert message in str(caught.value)
    assert not Path("results/bad/run.json").exists()


def test_what_stops_a_run_is_an_exception_that_says_what_is_kept() -> None:
    """Key refused, money at its end: the classes of the exit codes."""

    class AuthenticationError(Exception):
        pass

    async def refused(prompt: str) -> str:
        raise AuthenticationError("no such key")

    with pytest.raises(AccountError, match="0 of 30 trials are recorded"):
        quiet(call=refused, dataset=[f"p{n}" for n in range(30)], repeats=1, name="k")

    async def dear(prompt: str) -> evalharness.Reply:
        return evalharness.Reply(text="x", cost_usd=0.4, prompt_tokens=1, completion_tokens=1)

    price = {"model": "dear", "price_usd_per_mtok": {"prompt": 1, "completion": 1e4}}
    with pytest.raises(BudgetReachedError, match="of 30 trials are recorded"):
        quiet(
            call=dear, dataset=[f"p{n}" for n in range(30)], repeats=1, name="m",
            pricing={"prices": [price]}, params={"max_tokens": 40}, limits={"max_cost_usd": 2},
        )  # fmt: skip
    assert 0 < len(evalharness.load("m").records()) <= 5


def test_one_writer_here_too() -> None:
    """A second run of one name while the first goes on is refused."""
    release = asyncio.Event()

    async def main() -> None:
        inner: list[asyncio.AbstractEventLoop] = []

        async def answer(prompt: str) -> str:
            inner.append(asyncio.get_running_loop())
            caller.call_soon_threadsafe(started.set)
            await release.wait()
            return prompt

        caller, started = asyncio.get_running_loop(), asyncio.Event()
        task = asyncio.ensure_future(
            evalharness.arun(call=answer, dataset=["a"], repeats=1, name="w", progress=False)
        )
        await started.wait()
        with pytest.raises(RunInUseError):
            quiet(call=echo, dataset=["a"], repeats=1, name="w")
        inner[0].call_soon_threadsafe(release.set)
        await task

    asyncio.run(main())


_SCRIPT = """
import asyncio, sys
import evalharness

async def answer(prompt):
    print("called", flush=True)
    await asyncio.sleep(0)
    return prompt

if __name__ == "__main__":
    try:
        evalharness.run(call=answer, dataset=[f"p{n}" for n in range(20000)], repeats=1, name="s",
                        progress=False, limits__concurrency=1)
    except KeyboardInterrupt as error:
        print("interrupted:", error, flush=True)
"""


def test_ctrl_c_in_a_script_keeps_what_is_done(folder: Path) -> None:
    """As on the terminal: drained, sealed, and a KeyboardInterrupt for the caller."""
    (folder / "script.py").write_text(_SCRIPT)
    root = Path(evalharness.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "script.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(root)}, preexec_fn=_default_sigint,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "called\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert "interrupted: " in stdout, stderr
    assert "Traceback" not in stderr
    run = evalharness.load("s")
    assert run.manifest.status == "interrupted"
    assert len(run.records()) >= 1


def _default_sigint() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_a_real_notebook_kernel(folder: Path) -> None:
    """Both forms in Jupyter: functions of cells, the kernel's loop, the bar, the frames."""
    cells = [
        "import evalharness",
        """
        async def answer(prompt, params):
            return f"{prompt}!"
        """,
        """
        run = evalharness.run(call=answer, dataset=["a", "b"], repeats=2, name="n")
        len(run.records())
        """,
        """
        run = await evalharness.arun(call=answer, dataset=["a", "b"], repeats=3, name="n")
        len(run.records())
        """,
        "run.agreement()",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells]
    )
    root = str(Path(evalharness.__file__).parents[1])
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=120, resources=resources)
    client.execute(env={**os.environ, "PYTHONPATH": root})

    def shown(cell: int) -> str:
        return " ".join(
            output["data"]["text/plain"]
            for output in notebook.cells[cell].outputs
            if output["output_type"] == "execute_result"
        )

    assert (shown(2), shown(3)) == ("4", "6")
    assert "pairwise" in shown(4)
    assert any("trial" in json.dumps(output) for output in notebook.cells[2].outputs), "no bar"


def test_texts_are_texts() -> None:
    """What looks like an interpolation is sent as it is."""
    texts = ["home ${oc.env:HOME}", "${x}", r"\${y}"]
    run = quiet(
        call=lambda prompt: prompt.messages[0]["content"], dataset=["a"], repeats=1, name="t",
        sweep={"system": texts},
    )  # fmt: skip
    assert sorted(run.records()["text"]) == sorted(texts)


def test_rows_that_were_cut_off_are_written_anew(folder: Path) -> None:
    """A file of rows that a killed process left half written is not read for the whole."""
    rows = ["a", "b"]
    quiet(call=echo, dataset=rows, repeats=1, name="w")
    (file,) = (folder / "results" / ".datasets").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert len(quiet(call=echo, dataset=rows, repeats=2, name="w").records()) == 4
    assert file.read_bytes() == whole
