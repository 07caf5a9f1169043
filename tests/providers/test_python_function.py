"""A Python function as a provider: whatever it does is one classified reply."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.cli.execution.prepare import check_execution
from evalharness.config.models import DatasetConfig, ExecutionConfig, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.providers.python.call import CallPrompt, CallReply
from evalharness.providers.python.client import FunctionClient
from evalharness.providers.python.reference import find_function, function_identity
from evalharness.records import ErrorKind, Outcome, Prompt, Reply, Status
from evalharness.throttle.retry_rules import Rule, rule_of

BODY = json.dumps(
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
     "model": "m", "temperature": 0.5}
).encode()  # fmt: skip


def call(function: Any, timeout_s: float = 30.0, request_id: str = "evh-x.2") -> Reply:
    client = FunctionClient(function, timeout_s=timeout_s)
    prompt = Prompt(prompt_id="p7", fields={"city": "Rome"}, tags=["t"], target="secret")
    return asyncio.run(client.complete(BODY, request_id, prompt=prompt, keep_chunk_times=True))


def test_a_function_gets_prompt_params_and_attempt() -> None:
    """As many as it takes; the row's fields, never its target."""
    seen: list[Any] = []

    async def three(prompt: CallPrompt, params: dict[str, Any], attempt: int) -> str:
        seen.extend([prompt, params, attempt])
        return prompt.upper()

    reply = call(three)
    prompt, params, attempt = seen
    assert (reply.text, reply.status, reply.outcome) == ("HI", Status.OK, Outcome.DELIVERED)
    assert (prompt, prompt.prompt_id, prompt.fields, prompt.tags) == (
        "hi", "p7", {"city": "Rome"}, ["t"],
    )  # fmt: skip
    assert [m["role"] for m in prompt.messages] == ["system", "user"]
    assert "secret" not in repr(vars(prompt))
    assert params == {"model": "m", "temperature": 0.5}
    assert attempt == 2
    assert call(lambda prompt: f"{prompt}!").text == "hi!"
    assert reply.latency_s is not None


def test_an_ordinary_function_runs_in_a_thread_of_its_own() -> None:
    """The loop is not held: two calls wait for each other."""
    barrier = threading.Barrier(2, timeout=30)

    def wait(prompt: str) -> str:
        barrier.wait()
        return threading.current_thread().name

    async def both() -> list[Reply]:
        client = FunctionClient(wait, timeout_s=60)
        return [*await asyncio.gather(client.complete(BODY, "a.1"), client.complete(BODY, "b.1"))]

    assert [reply.status for reply in asyncio.run(both())] == [Status.OK, Status.OK]


def test_a_generator_is_a_stream_and_ends_with_what_is_known() -> None:
    """Pieces are timed; usage and cost come with the last item."""

    async def pieces(prompt: str) -> AsyncIterator[Any]:
        yield "one "
        await asyncio.sleep(0)
        yield "two"
        yield CallReply(completion_tokens=2, cost_usd=0.25, finish_reason="length")

    reply = call(pieces)
    assert (reply.text, reply.status) == ("one two", Status.TRUNCATED)
    assert reply.usage.completion_tokens == 2
    assert reply.usage.prompt_tokens is None
    assert reply.billed_usd == Decimal("0.25")
    assert reply.ttft_s is not None
    assert reply.last_content_s is not None
    assert reply.chunk_times_s == [reply.ttft_s, reply.last_content_s]


class QuotaWentError(Exception):
    """One of the user's own."""


class RateLimitError(Exception):
    """Named as SDKs name theirs."""


@pytest.mark.parametrize(
    ("error", "kind", "outcome", "rule"),
    [
        (ValueError("odd"), ErrorKind.BAD_REQUEST, Outcome.REJECTED, Rule.PERMANENT),
        (RateLimitError("slow"), ErrorKind.RATE_LIMITED, Outcome.REJECTED, Rule.RATE_LIMITED),
        (ConnectionResetError(), ErrorKind.CONNECTION_LOST, Outcome.IN_DOUBT, Rule.IN_DOUBT),
        (ConnectionRefusedError(), ErrorKind.CONNECT, Outcome.NOT_SENT, Rule.NOT_SENT),
        (TimeoutError(), ErrorKind.TOTAL_TIMEOUT, Outcome.IN_DOUBT, Rule.IN_DOUBT),
        (QuotaWentError("gone"), ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED, Rule.PERMANENT),
    ],
)
def test_exceptions_are_errors_of_their_kind(
    error: Exception, kind: ErrorKind, outcome: Outcome, rule: Rule
) -> None:
    """By class, by the names that SDKs use, and by the user's own table."""

    async def raising(prompt: str) -> str:
        raise error

    raising.errors = {QuotaWentError: "out_of_credit"}  # type: ignore[attr-defined]
    reply = call(raising)
    assert (reply.status, reply.error_kind, reply.outcome) == (Status.ERROR, kind, outcome)
    assert rule_of(reply) is rule
    assert "raising, test_python_function.py:" in (reply.error_message or "")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned None, not a text"),
        (42, "returned an int, not a text"),
        (CallReply(text=7), "`text` of the reply is an int"),  # type: ignore[arg-type]
        (CallReply(prompt_tokens=-1), "`prompt_tokens` of the reply is -1"),
        (CallReply(cost_usd=float("nan")), "`cost_usd` of the reply is nan"),
        (CallReply(raw=object()), "`raw` of the reply is no JSON"),
    ],
)
def test_a_result_of_another_type_is_one_error_that_is_not_tried_again(
    result: Any, words: str
) -> None:
    """The message names function and line."""

    async def wrong(prompt: str) -> Any:
        return result

    reply = call(wrong)
    assert reply.error_kind is ErrorKind.BAD_RESPONSE
    assert rule_of(reply) is Rule.PERMANENT
    assert words in (reply.error_message or "")
    assert "(wrong, test_python_function.py:" in (reply.error_message or "")


def test_a_function_that_hangs_ends_at_the_limit() -> None:
    """Async or in a thread: an error whose outcome nobody knows."""
    forever = threading.Event()

    async def hangs(prompt: str) -> str:
        await asyncio.Event().wait()
        return ""

    def blocks(prompt: str) -> str:
        forever.wait()
        return ""

    try:
        for function in (hangs, blocks):
            reply = call(function, timeout_s=0.05)
            assert (reply.error_kind, reply.outcome) == (ErrorKind.TOTAL_TIMEOUT, Outcome.IN_DOUBT)
            assert "limits.timeout_total_s=0.05" in (reply.error_message or "")
    finally:
        forever.set()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_result_is_one_reply(result: Any) -> None:
    """Never an exception, never a status that it does not have."""
    reply = call(lambda prompt: result)
    assert (reply.outcome is Outcome.DELIVERED) == isinstance(result, str)
    if isinstance(result, str):
        assert reply.status is (Status.OK if result else Status.EMPTY)


def test_other_code_is_another_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed helper or constant counts; a changed function that is not used does not."""
    monkeypatch.chdir(tmp_path)
    source = "A = 1\ndef helper():\n    return 'x'\ndef other():\n    return {0}\n"
    source += "def ask(prompt):\n    return helper() * A\n"
    identities: list[str] = []
    for name, text in {
        "first_code": source, "same_code": source.replace("{0}", "2"),
        "changed_helper": source.replace("'x'", "'y'"), "changed_number": source.replace("A = 1", "A = 2"),
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
        identities.append(function_identity(f"{name}:ask").rpartition(":")[2])
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("json:dump_all", "json has no 'dump_all'"),
        ("json", "must be module:function"),
        ("json:__doc__", "is no function"),
        ("broken_module:f", "broken_module cannot be imported: ZeroDivisionError"),
        ("needs_module:f", "needs_module needs absent_thing"),
    ],
)
def test_a_function_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    """Before anything is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    (tmp_path / "needs_module.py").write_text("import absent_thing\n")
    with pytest.raises(ConfigError) as caught:
        find_function(reference)
    assert message in str(caught.value)


def test_a_function_must_take_a_prompt() -> None:
    """No arguments, or too many: said with an example."""
    for function in (lambda: "", lambda a, b, c, d: ""):
        with pytest.raises(ConfigError, match="must take"):
            FunctionClient(function, timeout_s=1)


def test_ray_does_not_call_a_function_of_this_process() -> None:
    """Refused before anything is started."""
    provider = ProviderConfig(kind="python", name="python", model="f", call="m:f")
    config = RunConfig(
        name="x", provider=provider, dataset=DatasetConfig(path="d.jsonl"),
        execution=ExecutionConfig(engine="ray"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="a function of this process"):
        check_execution(config, {"python": provider})


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), GeneratorExit()])
def test_what_a_function_raises_ends_its_call_alone(error: BaseException) -> None:
    """Not the run: one record, with the line."""

    async def raising(prompt: str) -> str:
        raise error

    reply = call(raising)
    assert reply.status is Status.ERROR
    assert "raising, test_python_function.py:" in (reply.error_message or "")


def test_the_run_s_own_cancellation_is_no_error_of_the_function() -> None:
    """It goes on to whoever cancelled."""

    async def hangs(prompt: str) -> str:
        await asyncio.Event().wait()
        return ""

    async def main() -> None:
        client = FunctionClient(hangs, timeout_s=60)
        task = asyncio.ensure_future(client.complete(BODY, "a.1"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_function_that_catches_its_cancellation_is_left_behind() -> None:
    """The record comes at the limit, and the event loop can close."""

    async def stubborn(prompt: str) -> str:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    reply = call(stubborn, timeout_s=0.05)
    assert reply.error_kind is ErrorKind.TOTAL_TIMEOUT
    assert "(stubborn, test_python_function.py:" in (reply.error_message or "")


class SilentError(Exception):
    """Its words fail."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error", [SilentError(), SystemExit(3), StopIteration(1), KeyboardInterrupt()]
)
def test_a_thread_may_raise_anything(error: BaseException) -> None:
    """One record that names the user's line."""

    def raising(prompt: str) -> str:
        raise error

    reply = call(raising)
    assert reply.status is Status.ERROR
    assert "raising, test_python_function.py:" in (reply.error_message or "")
