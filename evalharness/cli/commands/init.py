"""``evalharness init DIR``: a starter project that runs as it is."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.cli.project.starter_kinds import Kind
from evalharness.errors import EXIT_OK, ConfigError


class InitOptions(NamedTuple):
    """The arguments of ``evalharness init``."""

    folder: Annotated[str, Positional("DIR")]
    kind: Annotated[Kind, Option("what is to be evaluated")] = "qa"


def run(options: InitOptions) -> int:
    """Write the project's files; where one of its own exists, nothing is written.

    A README, ``.gitignore`` or workflow that is there already is kept.

    Raises:
        ConfigError: one of the files exists already.
    """
    import shlex
    from pathlib import Path

    from evalharness.cli.project.starter_files import RUN, starter_files

    root = Path(options.folder)
    files = starter_files(options.kind)
    for name in files.own:
        if (root / name).exists():
            raise ConfigError(f"{root / name} exists already", hint="choose a new folder")
    present = [name for name in files.common if (root / name).exists()]
    contents = {
        name: text for name, text in (files.own | files.common).items() if name not in present
    }
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    if present:
        print(f"kept as they are: {', '.join(present)} (results/ is to be ignored by git)")
    print(f"wrote {len(contents)} files under {root}/; now:")
    print(f"  cd {shlex.quote(str(root))} && {RUN}")
    return EXIT_OK


COMMAND = Command(
    "init",
    description="Writes a project to change: an experiment, a sweep, a dataset of the kind, a "
    "README and a CI workflow. Files that exist are never overwritten.",
    examples=(
        Example("evalharness init mine", "a new folder; it says what to type next"),
        Example("evalharness init . --kind classification", "here, with two prompts that sort"),
    ),
    options=InitOptions,
    run=run,
)
