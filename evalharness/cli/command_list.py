"""The list of commands, which imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from evalharness.cli.parser import Command

#: The commands with their line in --help, in its order. The line is here so that --help imports no
#: command: the options of thirteen took 25 of its 120 ms.
COMMANDS = {
    "run": "run a sweep, or continue and extend it",
    "plan": "what a run would send and cost; sends nothing",
    "control": "pause a running run, let it go on, change its limits",
    "judge": "a language model grades a run's outputs, or picks the better",
    "list": "all runs, with status, figures, cost, tags and notes",
    "note": "a note and tags of a run",
    "mark": "a person's pass, fail or note for single records",
    "report": "tables of one or more runs",
    "compare": "settings against a baseline, paired by prompt",
    "card": "which parameters a server honours, from runs of experiment=card",
    "trend": "figures of runs over dates, and whether they changed",
    "show": "all outputs of one prompt, side by side",
    "view": "the runs in a browser",
    "check": "a gate for CI: exit 1 when something does not hold",
    "import": "responses from elsewhere become a run",
    "export": "records, or tables of figures, to a file",
    "verify": "check the integrity of a run folder",
    "reconcile": "the provider's own log (/v2/logs) against what a run recorded",
    "serve": "the local model or an emulator, as an endpoint on loopback",
    "plugins": "what other installed packages add, and what of it fails to load",
    "init": "a starter project: configs, a dataset, a CI workflow",
    "schema": "the JSON Schema of configuration files, for editors",
    "completion": "completion of commands, flags, runs and keys in a shell",
}


def find_command(name: str) -> Command[Any]:
    """The command called ``name``; nothing of the others is imported."""
    module = "import_" if name == "import" else name  # a keyword is no name of a module
    command: Command[Any] = import_module(f"evalharness.cli.commands.{module}").COMMAND
    return command
