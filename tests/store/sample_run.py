"""A small run of trials answered by nobody, but shaped like the real thing, and a store of it."""

from __future__ import annotations

from pathlib import Path

from evalharness.records import (
    AttemptResult,
    Intent,
    Outcome,
    Prompt,
    Reply,
    Setting,
    Status,
    Usage,
    canonical_json,
    digest,
)
from evalharness.store.folder.writer import RunStore

SETTING = Setting(
    setting_id="s" * 16, label="T=0", provider="local", endpoint="local:x", model="m",
    params={"temperature": 0}, axes={"temperature": 0},
)  # fmt: skip


def prompt(number: int) -> Prompt:
    """Prompt number ``number``."""
    text = f"question {number}"
    return Prompt(prompt_id=f"p{number}", messages=[{"role": "user", "content": text}])


def intent(number: int, attempt: int = 1, repeat: int = 0) -> Intent:
    """The intent of one attempt at trial ``number``."""
    trial_id = digest(str(number).encode(), str(repeat).encode())
    return Intent(
        trial_id=trial_id, prompt_id=f"p{number}", setting_id=SETTING.setting_id, repeat=repeat,
        position=number, attempt=attempt, client_request_id=f"evh-{trial_id}.{attempt}",
        admitted_at_ns=1_700_000_000_000_000_000, in_flight=1,
    )  # fmt: skip


def result(
    number: int, attempt: int = 1, *, final: bool = True, text: str | None = None, repeat: int = 0
) -> AttemptResult:
    """The result of that attempt: an answer when final, else a rejected try."""
    if final:
        reply = Reply(
            outcome=Outcome.DELIVERED, status=Status.OK, http_status=200,
            text=text if text is not None else f"answer {number}", finish_reason="stop",
            usage=Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
            sent_at_ns=1_700_000_000_500_000_000, latency_s=0.25,
        )  # fmt: skip
    else:
        reply = Reply(outcome=Outcome.REJECTED, status=Status.ERROR, http_status=503)
    body = canonical_json({"model": "m", "temperature": 0, "messages": []}) if final else None
    return AttemptResult(
        intent=intent(number, attempt, repeat), reply=reply, final=final,
        scheduled_at_ns=1_700_000_000_000_000_000, queue_s=0.5, body=body,
        backoff_s=None if final else 1.0,
    )  # fmt: skip


def digests(prompts: list[Prompt]) -> list[str]:
    """What the plan would say of these prompts."""
    return [digest(canonical_json(p.messages)) for p in prompts]


def open_store(root: Path, count: int = 3) -> RunStore:
    store = RunStore(root, code_version="test")
    prompts = [prompt(n) for n in range(count)]
    store.save_plan(
        config_yaml="name: x\n", prompts=prompts, digests=digests(prompts), settings=[SETTING],
        planned=count,
    )  # fmt: skip
    return store


async def fill(store: RunStore, numbers: range) -> None:
    store.start()
    for number in numbers:
        await store.append(intent(number))
        await store.append(result(number))
