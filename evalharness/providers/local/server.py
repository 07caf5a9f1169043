"""The child process: llama.cpp with one model, speaking chat completions on a loopback port.

llama.cpp's own HTTP server does the serving (no Python is involved in a request). The model goes by
an alias, so that no file path appears in a response. Nothing listens beyond loopback, no web page
may read from it (CORS), and what it does not need to offer is off: web interface, slot listing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalharness.process.child import exit_with_parent
from evalharness.process.tuning import limit_openmp_spinning

# llama.cpp's level for "errors only": the parent shows them when the server fails.
_ERRORS_ONLY = 1


def start(
    model_path: Path,
    *,
    alias: str,
    parallel: int,
    context_tokens: int,
    threads: int | None = None,
    port: int = 0,
) -> Any:
    """Read the model and serve it; the server lives as long as the returned object.

    Args:
        model_path: a GGUF file.
        alias: the model's name in responses and in ``/v1/models``.
        parallel: requests generated at once; more than that wait inside the server.
        context_tokens: prompt and completion tokens one request may have together.
        threads: threads that compute; None lets llama.cpp choose.
        port: port on 127.0.0.1; 0 takes a free one.

    Returns:
        The ``xllamacpp.Server``; its ``listening_address`` is a URL without ``/v1``.

    Raises:
        RuntimeError: the file cannot be loaded or the port cannot be had; llama.cpp has written
            why to standard error.
    """
    limit_openmp_spinning()
    # A compiled module without types.
    llama: Any = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(model_path)
    params.model_alias = {alias}
    params.n_parallel = parallel
    params.n_ctx = parallel * context_tokens
    params.port = port
    params.verbosity = _ERRORS_ONLY
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "http://127.0.0.1"
    # A second prompt cache in RAM, up to 8 GiB by default. Each slot keeps its last prompt anyway.
    params.cache_ram_mib = 0
    if threads is not None:
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
    return llama.Server(params)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until the input ends (``--exit-with-parent``) or a signal comes.

    Prints ``{"ready": true, "base_url": …, "model": …}`` on one line once it serves.
    """
    options = _parser().parse_args(argv)
    if options.exit_with_parent:
        exit_with_parent()
    try:
        server = start(
            options.model_path,
            alias=options.alias,
            parallel=options.parallel,
            context_tokens=options.context_tokens,
            threads=options.threads,
            port=options.port,
        )
    except (ImportError, RuntimeError) as error:
        sys.exit(f"llama.cpp could not serve {options.model_path}: {error}")
    base_url = f"{server.listening_address}/v1"
    print(json.dumps({"ready": True, "base_url": base_url, "model": options.alias}), flush=True)
    threading.Event().wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evalharness.providers.local")
    parser.add_argument("--model-path", type=Path, required=True, metavar="GGUF")
    parser.add_argument("--alias", required=True, help="the model's name in responses")
    parser.add_argument("--parallel", type=int, default=4, help="requests generated at once")
    parser.add_argument(
        "--context-tokens", type=int, default=2048, help="tokens a request may have"
    )
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--exit-with-parent", action="store_true", help="leave when stdin ends")
    return parser
