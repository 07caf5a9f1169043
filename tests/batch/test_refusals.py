"""What cannot be sent in a batch: one sentence, nothing sent."""

from __future__ import annotations

import json

import pytest

from tests.batch.conftest import BatchRun


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["load=closed"], "execution=batch, and load"),
        (["params.stream=true"], "a batch is not streamed"),
        (["provider.profile.batch=null"], "has no batch endpoint, as its profile says"),
        (["provider.profile.batch.form=anthropic"], "does not go with provider.protocol=chat"),
        (["+provider.profile.batch.max_bytes=100"], "over provider.profile.batch.max_bytes=100"),
        (
            ["+provider.profile.batch.max_enqueued_tokens=10"],
            "over provider.profile.batch.max_enqueued_tokens=10",
        ),
        (["execution.address=auto"], "execution.address=auto has no meaning"),
        (["limits.max_cost_usd=1", "params.max_tokens=null"], "nothing bounds how long an answer"),
        (["execution=local", "--cancel"], "--cancel is for the batches of a run"),
    ],
)
def test_what_cannot_be_sent(run: BatchRun, arguments: list[str], words: str) -> None:
    """Before anything is sent."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert run.provider.calls == []


def test_a_streamed_row_is_named(run: BatchRun) -> None:
    """A prompt may ask for a stream by itself."""
    row = {"id": "p0", "prompt": "question", "params": {"stream": True}}
    (run.folder / "prompts.jsonl").write_text(json.dumps(row) + "\n")
    done = run()
    assert (done.returncode, "prompts.jsonl:1" in done.stderr) == (2, True), done.stderr
    assert run.provider.calls == []


def test_what_answers_on_this_machine_has_no_batches(run: BatchRun) -> None:
    """The local model."""
    done = run.command("run", "execution=batch", "name=local", "scoring=none")
    assert (done.returncode, "answers on this machine" in done.stderr) == (2, True), done.stderr
