"""``evalharness schema config``: the JSON Schema of configuration files, for editors."""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple, get_args

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.cli.project.key_descriptions import Group
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.text import closest, did_you_mean


class SchemaOptions(NamedTuple):
    """The arguments of ``evalharness schema``; ``what`` is ``config``."""

    what: Annotated[str, Positional("config")]
    group: Annotated[Group, Option("of the files configs/GROUP/*.yaml")] = "experiment"


def run(options: SchemaOptions) -> int:
    """Print the schema.

    Raises:
        ConfigError: there is no schema of this name.
    """
    if options.what != "config":
        close = closest(options.what, ["config", *get_args(Group)])
        hint = did_you_mean(
            "evalharness schema config"
            if close in (None, "config")
            else f"evalharness schema config --group {close}"
        )
        raise ConfigError(f"there is no schema `{options.what}`", hint=hint)
    from evalharness.cli.project.config_schema import config_schema

    print(json.dumps(config_schema(options.group), indent=2, ensure_ascii=False))
    return EXIT_OK


COMMAND = Command(
    "schema",
    description="Prints the JSON Schema of configuration files, by which an editor completes keys, "
    "explains them and marks what is wrong. The files that `evalharness init` writes name it.",
    examples=(
        Example("evalharness schema config", "of a whole configuration, as experiments are"),
        Example("evalharness schema config --group provider", "of configs/provider/*.yaml"),
    ),
    options=SchemaOptions,
    run=run,
)
