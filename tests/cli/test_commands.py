"""The table of commands: each has its help, its options, and examples that can be typed."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.cli import commands, main, parse_command
from evalharness.cli.command_list import COMMANDS, find_command
from evalharness.cli.commands import serve
from evalharness.cli.parser import Example
from evalharness.emulator import options_from_arguments

# The libraries that only the work of a command needs.
_HEAVY = """
import sys, contextlib
from evalharness.cli import main
with contextlib.suppress(SystemExit): main(sys.argv[1:])
heavy = {"pandas", "pyarrow", "numpy", "scipy", "hydra", "omegaconf", "httpx", "rich", "pyreqwest",
         "httptools", "msgspec", "asyncio", "jinja2", "sqlite3", "tqdm"} & set(sys.modules)
print("HEAVY", sorted(heavy))
"""


def test_every_module_is_in_the_list() -> None:
    """A command that is not listed cannot be called; a listed one is called as its module."""
    modules = {path.stem.rstrip("_") for path in Path(commands.__path__[0]).glob("[a-z]*.py")}
    assert modules == set(COMMANDS)
    assert [find_command(name).name for name in COMMANDS] == list(COMMANDS)


def test_the_list_of_commands_imports_none_of_them() -> None:
    """`evalharness --help` shows a line for each and waits for no module of one."""
    code = (
        "import contextlib, sys\n"
        "from evalharness.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "names = [name for name in sys.modules if name.startswith('evalharness.cli.commands.')]\n"
        "print('LOADED', names)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ")]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_complete(name: str) -> None:
    """Help, description, two examples, and immutable options."""
    command = find_command(name)
    assert COMMANDS[name]
    assert not COMMANDS[name].endswith(".")
    assert command.description.endswith(".")
    assert issubclass(command.options, tuple)
    assert command.options.__name__ == f"{name.capitalize()}Options"
    assert len({example.command for example in command.examples}) == 2
    assert all(example.text for example in command.examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_parse(name: str) -> None:
    """An example in the help is a command line that this command accepts."""
    for example in find_command(name).examples:
        program, typed, *arguments = shlex.split(example.command)
        assert (program, typed) == ("evalharness", name)
        command, options = parse_command([typed, *arguments])
        assert command is find_command(name)
        assert isinstance(options, command.options)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_description_and_examples(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--help of each command, in a terminal of the usual width."""
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    command = find_command(name)
    assert command.description in " ".join(shown.split())
    assert all(example.command in shown for example in command.examples)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([n, "--help"] for n in COMMANDS if n != "run")],
    ids=" ".join,
)  # fmt: skip
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """--help stays fast: it loads no library for data, HTTP or configuration; `run` has Hydra's."""
    done = subprocess.run(
        [sys.executable, "-c", _HEAVY, *arguments],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["report", "r", "--jsn"], "did you mean --json?"),
        (["check", "r", "--min-agrement", "0.5"], "did you mean --min-agreement?"),
        (["verify", "a", "b"], "evalharness verify --help"),
        (["show", "r", "p", "--entirely"], "evalharness show --help"),
        (["export", "r", "--frmat", "csv"], "did you mean --format?"),  # not: --format is missing
        (["judge", "r", "--yess"], "did you mean --yes?"),
        (["serve", "local", "--prot", "1"], "did you mean --port?"),
    ],
)
def test_an_argument_that_no_command_takes_is_named(
    typed: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says which command and which argument, and what to type."""
    assert main(typed) == 2
    shown = capsys.readouterr().err
    assert f"`evalharness {typed[0]}` takes no `" in shown
    assert told in shown


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["export", "r", "--format", "cvs"], "did you mean csv?"),
        (["serve", "emulator", "--ledgr=x"], "did you mean --ledger?"),
        (["serve", "lokal"], "did you mean local?"),
        (["--verion"], "did you mean --version?"),
        (["run", "--yse"], "did you mean --yes?"),
        (["run", "--json"], "it is a flag of evalharness plan"),
        (["plan", "--retry-errors"], "it is a flag of evalharness run"),
        (["run", "-x"], "there is no flag `-x`"),
        (["show"], "the following arguments are required: RUN, PROMPT_ID\n"),
        (["report", "r", "--json", "--markdown"], "both write to stdout"),
        (["compare", "r", "--margin", "nan"], "--margin nan: a difference of shares lies between"),
        (["compare", "r", "--margin", "-1"], "--margin -1: a difference of shares lies between"),
        (["compare", "r", "--margin", "2"], "--margin 0.02"),
        (["compare", "r", "--margin", "0"], "--margin 0: a difference of shares lies between"),
        (["serve", "local", "--port", "65536"], "--port 65536: a port is 0 to 65535"),
        (["serve", "local", "--parallel", "0"], "--parallel 0: at least 1"),
        (["run", "--resolve"], "can only be used in conjunction with --cfg"),
        (["run", "--run", "--multirun"], "Only one of"),
        (["plan", "--config-name", "nix"], "there is no configuration `nix`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_do_not_exist_or_do_not_fit(
    typed: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lines, as for a misspelt key: what is wrong, and what to type."""
    assert main(typed) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) == 2


@pytest.mark.parametrize(
    ("kind", "examples"), [("local", serve._LOCAL_EXAMPLES), ("emulator", serve._EMULATOR_EXAMPLES)]
)
def test_the_help_of_what_is_served(
    kind: str, examples: tuple[Example, Example], capsys: pytest.CaptureFixture[str]
) -> None:
    """Below `serve` are two more helps; their examples can be typed."""
    with contextlib.suppress(SystemExit):
        assert main(["serve", kind, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Serves" in shown
    for example in examples:
        assert example.command in shown
        program, *arguments = shlex.split(example.command)
        _, options = parse_command(arguments)
        assert (program, options.kind) == ("evalharness", kind)
        if kind == "emulator":
            options_from_arguments(options.emulator)  # refuses a value that it does not know
