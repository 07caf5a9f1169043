"""The files of a starter project."""

from __future__ import annotations

import json
from typing import NamedTuple

from evalharness.cli.project.config_schema import config_schema
from evalharness.cli.project.starter_kinds import KINDS, Kind, StarterKind

RUN = "evalharness run experiment=mine"
# Kept where they exist: a folder may have them already.
README, IGNORE, WORKFLOW = "README.md", ".gitignore", ".github/workflows/evaluation.yml"

_EXPERIMENT = """\
# @package _global_
# yaml-language-server: $schema=../../schemas/experiment.json
# {run}
defaults:
  - override /provider: {provider} # aimlapi, openai, openrouter, dashscope, openai_compatible, …
  - override /dataset: file
  - override /sweep: mine
{options}
name: mine
{keys}# limits:
#   rpm: 60
#   max_cost_usd: 1.00
"""

_SWEEP = "# yaml-language-server: $schema=../../schemas/sweep.json\n"

_README = """\
# An evaluation

{summary}

```sh
{run}                    # again: continues, and sends nothing twice
evalharness report mine
evalharness compare mine --by {compare}
evalharness show mine {prompt}
evalharness check mine {gate}
```

| file | what to change |
|---|---|
| `datasets/mine.jsonl` | the rows: {columns} |
| `configs/experiment/mine.yaml` | provider, parameters, scorers, limits |
| `configs/sweep/mine.yaml` | what is compared |
{texts}| `.github/workflows/evaluation.yml` | what CI runs, and the gates that must hold |
| `schemas/*.json` | nothing: editors complete and check the configuration by them |

A provider needs its key in an environment variable: `evalharness run --help` lists providers,
`evalharness plan experiment=mine` says what a run would cost. `provider=emulator` rehearses without
a key. After an update of evalharness: `evalharness schema config > schemas/experiment.json`, and
with `--group sweep` the other.
"""

_WORKFLOW = """\
# Runs the evaluation, and fails when a gate does not hold.
name: evaluation
on:
  pull_request:
  workflow_dispatch:
permissions:
  contents: read
jobs:
  evaluation:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    # A provider's key: Settings > Secrets and variables > Actions.
    # env:
    #   OPENAI_API_KEY: ${{{{ secrets.OPENAI_API_KEY }}}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install 'evalharness[local]'
      - run: {run} --yes
      # Gates, such as --min-score 0.8: docs/gates.md of evalharness.
      - run: evalharness check mine {gate} --junit gates.xml
      - run: evalharness report mine --markdown >> "$GITHUB_STEP_SUMMARY"
        if: always()
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: results
          path: results/mine
"""


class StarterFiles(NamedTuple):
    """Contents by name: ``own`` may not exist yet, ``common`` are kept where they do."""

    own: dict[str, str]
    common: dict[str, str]


def starter_files(kind: Kind) -> StarterFiles:
    """The files of a project of a kind."""
    starter = KINDS[kind]
    own = {
        "configs/experiment/mine.yaml": _experiment(starter),
        "configs/sweep/mine.yaml": _SWEEP + starter.sweep,
        "datasets/mine.jsonl": "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in starter.rows
        ),
        **starter.texts,
        "schemas/experiment.json": json.dumps(config_schema("experiment"), indent=2) + "\n",
        "schemas/sweep.json": json.dumps(config_schema("sweep"), indent=2) + "\n",
    }
    common = {
        README: _readme(starter),
        IGNORE: "results/\n",
        WORKFLOW: _WORKFLOW.format(run=RUN, gate=starter.gate),
    }
    return StarterFiles(own, common)


def _experiment(starter: StarterKind) -> str:
    groups = {name: option for name, option in starter.options.items() if name != "provider"}
    return _EXPERIMENT.format(
        run=RUN,
        provider=starter.options.get("provider", "local"),
        options="".join(f"  - override /{name}: {option}\n" for name, option in groups.items()),
        keys=starter.experiment,
    )


def _readme(starter: StarterKind) -> str:
    return _README.format(
        run=RUN,
        summary=starter.summary,
        compare=starter.compare,
        prompt=starter.rows[0]["id"],
        gate=starter.gate,
        columns=starter.columns,
        texts="".join(f"| `{name}` | what is asked, and how |\n" for name in starter.texts),
    )
