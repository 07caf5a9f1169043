"""``evalharness init DIR``: a starter project that runs as it is."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Positional
from evalharness.errors import EXIT_OK, ConfigError

_EXPERIMENT = """\
# @package _global_
# evalharness run experiment=mine
defaults:
  - override /provider: local # aimlapi, openai, openrouter, dashscope, openai_compatible, emulator
  - override /dataset: file
  - override /sweep: mine
  - override /scoring: includes

name: mine
repeats: 5
dataset:
  path: datasets/mine.jsonl
params:
  max_tokens: 32
# limits:
#   rpm: 60
#   max_cost_usd: 1.00
"""

_SWEEP = """\
# Every combination of these values is one setting; null leaves a parameter out.
temperature: [0, 0.7]
"""

_PROMPTS = [
    {"id": "capital-italy", "prompt": "What is the capital of Italy? One word.", "target": "Rome"},
    {"id": "sum-4-5", "prompt": "What is 4 + 5? Answer with a number.", "target": "9"},
    {"id": "slogan", "prompt": "Write a slogan for a bicycle shop.", "tags": ["open"]},
]

_IGNORE = "results/\n"


class InitOptions(NamedTuple):
    """The arguments of ``evalharness init``."""

    folder: Annotated[str, Positional("DIR")]


def run(options: InitOptions) -> int:
    """Write the project's files; where one of them exists, nothing is written.

    Raises:
        ConfigError: one of the files exists already.
    """
    import json
    from pathlib import Path

    root = Path(options.folder)
    contents = {
        "configs/experiment/mine.yaml": _EXPERIMENT,
        "configs/sweep/mine.yaml": _SWEEP,
        "datasets/mine.jsonl": "".join(json.dumps(row) + "\n" for row in _PROMPTS),
        ".gitignore": _IGNORE,
    }
    for name in contents:
        if (root / name).exists():
            raise ConfigError(f"{root / name} exists already", hint="choose a new folder")
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    print(f"wrote {len(contents)} files under {root}/; now:")
    print(f"  cd {root} && evalharness run experiment=mine")
    return EXIT_OK


COMMAND = Command(
    "init",
    description="Writes an experiment, a sweep and three prompts to change. Files that exist are "
    "never overwritten.",
    examples=(
        Example("evalharness init mine", "a new folder; it says what to type next"),
        Example("evalharness init .", "here"),
    ),
    options=InitOptions,
    run=run,
)
