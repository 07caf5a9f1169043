"""The emulator: a server of three protocols, to rehearse against without spending.

It validates requests by the references of their APIs, samples text from real distributions
(temperature, ``top_p``, seed), bills exactly, and misbehaves on demand. ``docs/emulator.md`` lists
every option. Importing this package is cheap: the server itself is imported when it is started.

* :class:`EmulatorOptions` — every option, typed; feeds the command line and ``provider.emulator``.
* :func:`add_arguments` and :func:`options_from_arguments` — the same options for argparse.
* :func:`serve` — run until stopped.

::

    text/         what it says: grammar, sampling, known answers, values for a JSON Schema
    validation/   what it accepts: the OpenAPI document, OpenAI's further rules, error bodies
    batches/      files and batches, OpenAI's and Anthropic's
    dialects/     how each protocol writes requests, answers, streams and errors
    delivery/     how an answer goes out: framing, timing, broken bodies and connections
    faults.py     what can go wrong, by name
    pipeline.py   one request from its bytes to an answer, a refusal or a fault
"""

from __future__ import annotations

from evalharness.emulator.arguments import add_arguments, options_from_arguments
from evalharness.emulator.options import EmulatorOptions

__all__ = ["EmulatorOptions", "add_arguments", "options_from_arguments", "serve"]


def serve(
    options: EmulatorOptions,
    host: str = "127.0.0.1",
    port: int = 0,
    exit_with_parent: bool = False,
) -> int:
    """Serve until a signal (or the parent's end) stops it; the exit status.

    Prints one line of JSON on standard output once it accepts connections:
    ``{"ready": true, "base_url": "http://HOST:PORT/v1"}``. Port 0 takes a free one.

    Raises:
        ConfigError: a file that the options name cannot be read as written.
        ProviderError: the address cannot be listened on.
    """
    from evalharness.emulator import server

    return server.serve(options, host, port, exit_with_parent=exit_with_parent)
