"""``evalharness show RUN PROMPT_ID``: all outputs of one prompt, grouped by identical text."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, OpenPage, Option, Overrides, Positional
from evalharness.errors import EXIT_OK


class ShowOptions(NamedTuple):
    """The arguments of ``evalharness show``; ``html`` is a path as typed, None where not given."""

    run: Annotated[str, Positional("RUN")]
    prompt_id: Annotated[str, Positional("PROMPT_ID")]
    overrides: Overrides = ()
    diff: Annotated[bool, Option("the two commonest outputs of each setting by word")] = False
    html: Annotated[str | None, Option("the prompt as a page of its own", "FILE")] = None
    open_page: OpenPage = False


def run(options: ShowOptions) -> int:
    """Print a prompt and, setting by setting, its outputs; or write them as a page."""
    from evalharness.cli.output_files import open_in_browser
    from evalharness.cli.prompt_outputs import print_outputs, read_prompt, write_page
    from evalharness.report.build.open_run import require_plan
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.store.folder.run import Run

    report_overrides = parse_overrides(options.overrides)
    run = Run.open(options.run)
    require_plan(run)
    prompt = read_prompt(run, options.prompt_id)
    if options.html or options.open_page:
        page = write_page(run, options.prompt_id, report_overrides, options.html)
        if options.open_page:
            open_in_browser(page)
    else:
        print_outputs(run, prompt, report_overrides, diff=options.diff)
    return EXIT_OK


COMMAND = Command(
    "show",
    description="Prints a prompt and, setting by setting, its different outputs with their "
    "answers, scores and reasons. A mark shows where an output leaves the commonest one.",
    examples=(
        Example("evalharness show quickstart capital-france", "one prompt of the quickstart"),
        Example(
            "evalharness show quickstart capital-france --diff scoring=exact",
            "differences by word; scored anew",
        ),
    ),
    options=ShowOptions,
    run=run,
)
