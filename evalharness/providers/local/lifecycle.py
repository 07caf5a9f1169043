"""Starting the local model beside a run, or in the foreground for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from threading import Event

from evalharness.config.models import ProviderConfig
from evalharness.errors import ProviderError
from evalharness.process.child import ChildServer, child_server
from evalharness.providers.local import weights

SERVER_NAME = "the local model server"
# A large GGUF file is read from disk first; the default one takes about a second.
_LOAD_DEADLINE_S = 600.0

DEFAULT = ProviderConfig(kind="local", name="local", model="smollm2-135m-instruct")


def missing_engine() -> ProviderError | None:
    """The error that a command which sends would end with; None where llama.cpp is installed."""
    if importlib.util.find_spec("xllamacpp") is not None:
        return None
    return ProviderError(
        "the local model needs llama.cpp, and the package xllamacpp is not installed",
        hint=f"{Path(sys.executable).name} -m pip install xllamacpp",
    )


def check(config: ProviderConfig, *, sends: bool = True) -> None:
    """Everything that can be known without starting or fetching anything.

    Args:
        config: the provider.
        sends: the command will send requests; without that llama.cpp is not needed.

    Raises:
        ProviderError: llama.cpp is not installed.
        ConfigError: ``model_path`` is not a readable GGUF file.
    """
    missing = missing_engine() if sends else None
    if missing is not None:
        raise missing
    if config.model_path is not None:
        weights.check_model_path(config.model_path)


@contextlib.asynccontextmanager
async def local_server(
    config: ProviderConfig, *, say: Callable[[str], None], port: int = 0
) -> AsyncGenerator[tuple[str, ChildServer]]:
    """Serve the configured model for the length of the block.

    Yields:
        Its base URL, including ``/v1``, and the child process.

    Raises:
        ConfigError: ``model_path`` is not a readable GGUF file.
        ProviderError: llama.cpp or weights are missing, or the server does not start.
    """
    check(config)
    model = await _find_or_fetch(config, say)
    arguments = ["--model-path", str(model.path.absolute()), "--alias", config.model]
    arguments += [
        "--parallel",
        str(config.parallel),
        "--context-tokens",
        str(config.context_tokens),
    ]
    arguments += ["--port", str(port), "--exit-with-parent"]
    if config.threads is not None:
        arguments += ["--threads", str(config.threads)]
    async with child_server(
        "evalharness.providers.local",
        arguments,
        what=SERVER_NAME,
        say=say,
        deadline_s=_LOAD_DEADLINE_S,
    ) as child:
        yield child.ready_message["base_url"], child


async def _find_or_fetch(config: ProviderConfig, say: Callable[[str], None]) -> weights.Weights:
    """Find or fetch the weights without blocking the loop; cancelled, the fetch is given up."""
    stop = Event()
    try:
        return await asyncio.to_thread(weights.ensure, config.model_path, say=say, stop=stop)
    finally:
        stop.set()


def serve(
    config: ProviderConfig = DEFAULT, *, port: int = 8080, say: Callable[[str], None] = print
) -> None:
    """Serve the model in the foreground until Ctrl-C: ``evalharness serve local --port N``.

    Raises:
        ConfigError: ``model_path`` is not a readable GGUF file.
        ProviderError: it could not start, or ended by itself.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, port, say))


async def _serve(config: ProviderConfig, port: int, say: Callable[[str], None]) -> None:
    async with local_server(config, say=say, port=port) as (base_url, child):
        say(f"{config.model} answers at {base_url} (Ctrl-C ends it). Try:")
        say(
            f"curl {base_url}/chat/completions -H 'Content-Type: application/json' -d "
            f'\'{{"model": "{config.model}", "max_tokens": 24, "messages": '
            '[{"role": "user", "content": "What is the capital of France?"}]}\''
        )
        exit_text = await child.wait()
        raise ProviderError(f"{SERVER_NAME} ended by itself: {exit_text}")
