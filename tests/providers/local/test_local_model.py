"""The real model behind the real server: what a run relies on, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from evalharness.config.models import ProviderConfig
from evalharness.errors import ProviderError
from evalharness.providers import check_provider, open_endpoint
from evalharness.providers.endpoint import Endpoint
from evalharness.providers.local import lifecycle, weights
from tests.process.child_checks import MessageLog, has_ended, linux_only

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALIAS = "smollm2-135m-instruct"
# One thread: steady on a machine that is busy with other tests.
CONFIG = ProviderConfig(kind="local", name="local", model=ALIAS, threads=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[Endpoint]:
    """The default model; its weights come into the user's cache when they are nowhere yet."""
    log = MessageLog()
    async with open_endpoint(CONFIG, say=log) as opened:
        yield opened
    assert not [line for line in log if "ended by itself" in line]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(endpoint: Endpoint) -> AsyncIterator[httpx.AsyncClient]:
    # llama.cpp closes a connection after a stream without saying so: each request has its own.
    alone = httpx.Limits(max_keepalive_connections=0)
    base_url = f"{endpoint.base_url}/"
    async with httpx.AsyncClient(base_url=base_url, timeout=120, limits=alone) as opened:
        yield opened


def body(text: str, **params: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": ALIAS, "messages": messages, "temperature": 0, "max_tokens": 8, **params}


async def ask(client: httpx.AsyncClient, text: str, **params: Any) -> dict[str, Any]:
    response = await client.post("chat/completions", json=body(text, **params))
    assert response.status_code == 200, response.text
    return response.json()


def content(answer: dict[str, Any], choice: int = 0) -> str:
    return answer["choices"][choice]["message"]["content"]


async def test_the_endpoint_says_who_answers(endpoint: Endpoint) -> None:
    """The identity is the weights; the hint is how many requests are worked on at once."""
    assert endpoint.identity == "local:b179c9523d0e6a0f"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", endpoint.base_url)
    assert endpoint.concurrency_hint == 4
    assert endpoint.key is None


async def test_a_question_is_answered_under_the_alias(client: httpx.AsyncClient) -> None:
    """A real answer, with usage, and no file path anywhere in what comes back."""
    question = "What is the capital of France? Answer with one word."
    response = await client.post("chat/completions", json=body(question))
    answer = response.json()
    assert "Paris" in content(answer)
    assert answer["model"] == ALIAS
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    models = (await client.get("models")).text
    assert [model["id"] for model in json.loads(models)["data"]] == [ALIAS]
    assert "gguf" not in (response.text + models).replace('"format":"gguf"', "")


async def test_the_same_prompt_again_is_counted_as_cached(client: httpx.AsyncClient) -> None:
    """``cached_tokens`` is there, and is a part of the prompt's tokens."""
    for _ in range(2):
        usage = (await ask(client, "Name a river in Portugal."))["usage"]
    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]


async def test_a_seed_is_honoured_and_without_one_answers_differ(
    client: httpx.AsyncClient,
) -> None:
    """Equal seeds give equal texts, other seeds others; no seed means a new one each time."""

    async def texts(*seeds: int | None) -> list[str]:
        params = [{} if seed is None else {"seed": seed} for seed in seeds]
        story = "Write one sentence about the sea."
        answers = [await ask(client, story, temperature=1.5, max_tokens=12, **p) for p in params]
        return [content(answer) for answer in answers]

    one, again, other = await texts(7, 7, 8)
    assert one == again != other
    assert len(set(await texts(None, None, None))) > 1


async def test_a_stream_ends_with_usage_and_says_the_same(client: httpx.AsyncClient) -> None:
    """Server-sent events up to usage and ``[DONE]``; together they are the same text."""
    question = "What is the capital of Japan?"
    whole = await ask(client, question)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", "chat/completions", json=body(question, **options)) as stream:
        lines = [line async for line in stream.aiter_lines()]
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == content(whole)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert {chunk["model"] for chunk in chunks} == {ALIAS}


async def test_logprobs_come_with_alternatives(client: httpx.AsyncClient) -> None:
    """At temperature 0 each token is the most likely of its alternatives."""
    answer = await ask(client, "What is 2 + 3?", logprobs=True, top_logprobs=3, max_tokens=3)
    tokens = answer["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == content(answer)
    for token in tokens:
        assert len(token["top_logprobs"]) == 3
        assert token["logprob"] == max(other["logprob"] for other in token["top_logprobs"])


async def test_a_json_schema_is_kept_even_when_sampling_wildly(client: httpx.AsyncClient) -> None:
    """``response_format`` with a schema constrains what can be generated."""
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Ann", "Tom"]}, "adult": {"type": "boolean"}},
        "required": ["name", "adult"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    params = {"temperature": 2, "max_tokens": 60, "seed": 3, "response_format": form}
    person = json.loads(content(await ask(client, "Ann is 30 years old. As JSON:", **params)))
    assert person["name"] in ("Ann", "Tom")
    assert isinstance(person["adult"], bool)


async def test_several_choices_come_from_one_request(client: httpx.AsyncClient) -> None:
    """``n`` choices, indexed; as many as the server works on at once."""
    answer = await ask(client, "Invent a name for a bakery.", n=3, temperature=1.5, seed=1)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({content(answer, index) for index in range(3)}) > 1
    refused = await client.post("chat/completions", json=body("Hi", n=5))
    assert refused.status_code == 400


async def test_a_prompt_beyond_the_context_is_refused_and_the_server_lives(
    client: httpx.AsyncClient,
) -> None:
    """Too long a prompt is a 400 that says so, not a crash and not a cut prompt."""
    response = await client.post("chat/completions", json=body("word " * 3000))
    assert response.status_code == 400
    assert "context size (2048 tokens)" in response.json()["error"]["message"]
    assert content(await ask(client, "What is the capital of Japan?"))


async def test_parallel_requests_get_the_answers_they_get_alone(
    client: httpx.AsyncClient,
) -> None:
    """Four requests at once are four right answers, each to its own prompt."""
    countries = ["France", "Japan", "Kenya", "Peru"]
    questions = [f"What is the capital of {country}?" for country in countries]
    alone = [content(await ask(client, question)) for question in questions]
    together = await asyncio.gather(*(ask(client, question) for question in questions))
    assert [content(answer) for answer in together] == alone
    assert len(set(alone)) == 4


async def test_a_web_page_may_not_read_from_the_server(client: httpx.AsyncClient) -> None:
    """A page in the user's browser gets no permission to use the local model."""
    response = await client.get("models", headers={"Origin": "https://evil.example"})
    assert response.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


async def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    """llama.cpp's own last words are in the message."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    config = msgspec.structs.replace(CONFIG, model_path=str(broken))
    with pytest.raises(ProviderError, match="the local model server could not start") as caught:
        async with open_endpoint(config, say=MessageLog()):
            pass
    assert "gguf_init" in caught.value.message
    assert str(broken) in caught.value.message


async def test_another_gguf_file_answers_under_its_own_name(tmp_path: Path) -> None:
    """``model_path`` and ``model`` replace the default model; the identity is the file's hash."""
    link = tmp_path / "mine.gguf"
    link.symlink_to(weights.ensure(None, say=MessageLog()).path)
    changes: dict[str, Any] = {"model_path": str(link), "model": "mine", "parallel": 1}
    config = msgspec.structs.replace(CONFIG, **changes)
    async with open_endpoint(config, say=MessageLog()) as opened:
        assert (opened.identity, opened.concurrency_hint) == ("local:b179c9523d0e6a0f", 1)
        async with httpx.AsyncClient(timeout=120) as client:
            url = f"{opened.base_url}/chat/completions"
            response = await client.post(url, json=body("Hi", max_tokens=1))
            assert response.json()["model"] == "mine"


async def test_a_missing_engine_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without xllamacpp the command that installs it is in the message."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ProviderError, match="xllamacpp is not installed") as caught:
        check_provider(CONFIG)
    assert "pip install" in str(caught.value.hint)
    check_provider(CONFIG, sends=False)  # a plan needs none


PARENT = """
import asyncio
from evalharness.config.models import ProviderConfig
from evalharness.providers.local.lifecycle import local_server
CONFIG = ProviderConfig(kind="local", name="local", model="m", threads=1)
async def main():
    async with local_server(CONFIG, say=print) as (base_url, child):
        print(child.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@linux_only
async def test_kill_9_of_the_command_ends_the_model() -> None:
    """However the command ends, the model does not stay behind."""
    weights.ensure(None, say=MessageLog())
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert has_ended(pid)


async def test_serve_answers_on_its_port_until_ctrl_c() -> None:
    """In the foreground: the address and an example, real answers, and a clean end on Ctrl-C."""
    weights.ensure(None, say=MessageLog())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import functools, msgspec\n"
        "from evalharness.providers.local.lifecycle import DEFAULT, serve\n"
        "config = msgspec.structs.replace(DEFAULT, threads=1)\n"
        f"serve(config, port={port}, say=functools.partial(print, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/v1" in process.stdout.readline()
        assert process.stdout.readline().startswith(f"curl http://127.0.0.1:{port}/v1/chat/")
        async with httpx.AsyncClient(timeout=120) as client:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            assert (await client.post(url, json=body("Hi", max_tokens=1))).status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_a_port_in_use_is_said() -> None:
    """Serving on a port somebody else has is an error that names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ProviderError, match=f"port: {port}"):
            async with lifecycle.local_server(CONFIG, say=MessageLog(), port=port):
                pass
