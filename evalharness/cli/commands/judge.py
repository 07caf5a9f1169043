"""``evalharness judge RUN``: a language model grades a run's outputs, or picks of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from evalharness.cli.parser import (
    Command,
    Example,
    Option,
    Parser,
    Positional,
    add_arguments,
    help_texts,
    options_from,
)


class JudgeOptions(NamedTuple):
    """The arguments of ``evalharness judge``; ``overrides`` go over the file of ``config``."""

    run: Annotated[str, Positional("RUN", "a name under results/, a path or a URL")]
    overrides: Annotated[
        Sequence[str],
        Positional(
            "KEY=VALUE",
            "provider, model, rubric, scale, repeats, params.…, limits.…; mode=pairwise a=… b=…",
        ),
    ] = ()
    name: Annotated[str | None, Option("of this judging (grade; better with mode=pairwise)")] = None
    config: Annotated[str | None, Option("YAML with the same keys", "FILE")] = None
    yes: Annotated[bool, Option("send without asking, however expensive")] = False


def run(options: JudgeOptions) -> int:
    """Judge what is not judged yet; print the verdicts, their cost and their agreement."""
    from evalharness.cli.execution.judge_outputs import judge_outputs

    return judge_outputs(
        options.run,
        options.overrides,
        name=options.name,
        config_file=options.config,
        yes=options.yes,
    )


def _parse(arguments: list[str]) -> JudgeOptions:
    """Parse with a parser of its own: ``KEY=VALUE`` may stand on both sides of an option."""
    parser = Parser(prog="evalharness judge", allow_abbrev=False, **help_texts(COMMAND))
    add_arguments(parser, JudgeOptions)
    return options_from(JudgeOptions, parser.parse_intermixed_args(arguments))


COMMAND = Command(
    "judge",
    description="Sends a run's outputs to a judging model, records its verdicts inside the run and "
    "prints them with their cost. An output that was judged once is not paid for again.",
    examples=(
        Example("evalharness judge quickstart provider=local reply=json", "grades, as JSON"),
        Example(
            "evalharness judge quickstart mode=pairwise provider=local "
            'a="T=0, seed=42" b="T=0.7, seed=42"',
            "the better of two settings, prompt by prompt",
        ),
    ),
    options=JudgeOptions,
    run=run,
    parse=_parse,
)
