"""``evalharness view``: the runs in a browser, until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, OpenPage, Option, Positional
from evalharness.errors import EXIT_INTERRUPTED, EXIT_OK, ConfigError

_LAST_PORT = 65_535


class ViewOptions(NamedTuple):
    """The arguments of ``evalharness view``; ``place`` is empty where none was given."""

    place: Annotated[
        Sequence[str], Positional("PLACE", "folders or URLs with runs (results/), or runs")
    ] = ()
    port: Annotated[int, Option("0 takes a free one")] = 8787
    host: Annotated[str, Option("another address; the link then has a token", "ADDRESS")] = (
        "127.0.0.1"
    )
    open_page: OpenPage = False
    marks: Annotated[bool, Option("records may be marked pass or fail, with notes")] = False
    control: Annotated[bool, Option("running runs may be paused and changed")] = False


def run(options: ViewOptions) -> int:
    """Serve the pages until Ctrl-C; they are read-only unless marks or control are allowed.

    A server has no other end than Ctrl-C (or SIGTERM, SIGHUP): once it has answered, that is 0.

    Raises:
        ConfigError: nothing can listen there.
        RunNotFoundError: a place holds no runs.
    """
    try:
        return _serve(options)
    except KeyboardInterrupt:
        print("evalharness: interrupted before the pages were there", file=sys.stderr)
        return EXIT_INTERRUPTED


def _serve(options: ViewOptions) -> int:
    from evalharness.view.open_link import LinkOpener
    from evalharness.view.runs import ViewedRuns
    from evalharness.view.server import open_server
    from evalharness.view.settings import ViewSettings

    if not 0 <= options.port <= _LAST_PORT:
        raise ConfigError(f"--port {options.port}: a port is 0 to {_LAST_PORT}", hint="--port 0")
    ViewedRuns(options.place).find_all()  # a place without runs is refused at once
    settings = ViewSettings(
        places=list(options.place),
        host=options.host,
        port=options.port,
        marks=options.marks,
        control=options.control,
    )

    server, opener = open_server(settings), LinkOpener()

    def say() -> None:
        print(server.link, flush=True)
        print("Ctrl-C ends it", file=sys.stderr)
        if options.open_page:
            opener.open(server.link, is_secret=server.settings.token is not None)

    server.on_ready, server.on_end = say, opener.close
    server.run()
    return EXIT_OK


COMMAND = Command(
    "view",
    description="Shows the runs in a browser: list, figures, records, prompts, comparisons. It "
    "answers this machine alone unless --host is given, and changes nothing unless --marks or "
    "--control is.",
    examples=(
        Example("evalharness view --open", "all runs under results/"),
        Example("evalharness view quickstart --marks --port 0", "one run, to mark its records"),
    ),
    options=ViewOptions,
    run=run,
)
