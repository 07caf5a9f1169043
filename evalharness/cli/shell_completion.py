"""What the Tab key completes, and the scripts by which bash, zsh and fish ask for it.

The scripts only split the line and call ``evalharness completion --words …``; what could be typed
is decided here, for all of them. Where nothing is printed the shell completes names of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from evalharness.cli.command_list import COMMANDS, find_command
from evalharness.cli.parser import Parser, flags, option_choices

# In the scripts: a word that ends in `=`, `.` or `/` goes on, so that no space is put behind it.
_BASH = r"""_evalharness() {
    local line="${COMP_LINE:0:COMP_POINT}" word prefix i
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word="${words[-1]}"
    mapfile -t COMPREPLY < <(evalharness completion --words "${words[@]:1}" 2> /dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace
    # bash replaces only what follows the last of its word breaks.
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        prefix="${word%"${word##*=}"}"
        for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"$prefix"}"; done
    fi
}
complete -o default -F _evalharness evalharness
"""

_ZSH = r"""#compdef evalharness
_evalharness() {
    local -a replies open closed
    replies=("${(@f)$(evalharness completion --words "${(@Q)words[2,CURRENT]}" 2> /dev/null)}")
    open=("${(@M)replies:#*[=./]}") closed=("${(@)replies:#(*[=./]|)}")
    if (( $#open + $#closed )); then
        (( $#open )) && compadd -S '' -- "${open[@]}"
        (( $#closed )) && compadd -- "${closed[@]}"
    else
        _files
    fi
}
if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit -i; fi
if [[ ${funcstack[1]} == _evalharness ]]; then _evalharness "$@"; else
    compdef _evalharness evalharness
fi
"""

_FISH = r"""function __evalharness_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l replies (evalharness completion --words $words[2..-1] 2> /dev/null)
    if test (count $replies) -gt 0
        string join \n -- $replies
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c evalharness -f -a '(__evalharness_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def candidates(words: Sequence[str]) -> list[str]:
    """What the last of ``words`` could become; empty where a file is to be named.

    Args:
        words: of a command line, without the program; the last may be empty.
    """
    *before, current = words
    if not before:
        return _starting(current, [*COMMANDS, "--help", "--version"])
    name = before[0]
    if name not in COMMANDS:
        return []
    command = find_command(name)
    if current.startswith("-"):
        return _starting(current, [*_flags(name, before), "--help"])
    last = before[-1]
    if last.startswith("--"):
        choices = option_choices(command.options, last)
        if last == "--from":
            return _starting(current, _runs())
        if choices is None or choices:
            return _starting(current, choices or [])
    return _starting(current, _positionals(name, before, current))


def _starting(current: str, words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(current)]


def _flags(name: str, before: Sequence[str]) -> list[str]:
    """The flags of a command; of ``serve`` those of what is served."""
    own = flags(find_command(name).options)
    if name in ("run", "plan"):
        from evalharness.cli.suggestions import HYDRA_FLAGS

        return [*own, *HYDRA_FLAGS]
    if name == "serve" and len(before) == 1:
        return []
    if name == "serve" and before[1] == "emulator":
        from evalharness.emulator import add_arguments as add_emulator_arguments

        parser = Parser(prog="evalharness serve emulator")
        add_emulator_arguments(parser)
        return parser.flags()
    return own


def _positionals(name: str, before: Sequence[str], current: str) -> list[str]:
    """What could stand where no flag does: kinds, runs, keys with their options."""
    if name == "serve":
        return ["local", "emulator"] if len(before) == 1 else []
    if name == "completion":
        return list(SCRIPTS)
    if name in ("init", "import", "list"):
        return []
    keys = _keys(name, current)
    if name in ("run", "plan"):
        return keys
    takes_more = name in ("report", "compare")
    first = not any(word for word in before[1:] if not word.startswith("-") and "=" not in word)
    return [*(_runs() if first or takes_more else []), *(keys if not first or current else [])]


def _runs() -> list[str]:
    """The runs under ``results/``."""
    return sorted(path.parent.name for path in Path("results").glob("*/run.json"))


def _keys(name: str, current: str) -> list[str]:
    """Keys that a command takes, each with its ``=``; of a group that was typed its options."""
    group, equals, _ = current.partition("=")
    options = _options_by_group()
    if equals:
        return [f"{group}={option}" for option in options.get(group, [])]
    if name == "judge":
        from evalharness.judging.config import JudgeConfig

        return [f"{key}=" for key in (*JudgeConfig.__struct_fields__, "model")]
    if name not in ("run", "plan"):
        return ["scoring=", "answer="] if name in _RESCORING else []
    from evalharness.cli.suggestions import keys_by_group

    own = [f"{key}=" for key in options]
    for section, keys in keys_by_group().items():
        own += [f"{section}.{key}=" if section else f"{key}=" for key in keys]
    return own


# The commands that score a run anew.
_RESCORING = ("report", "compare", "show", "check", "export")


def _options_by_group() -> dict[str, list[str]]:
    """The files of each group of configurations, the project's own and the shipped ones."""
    from evalharness.config.package_data import package_data_dir

    by_group: dict[str, set[str]] = {}
    for folder in (Path("configs"), package_data_dir("configs")):
        for path in folder.glob("*/*.yaml"):
            by_group.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(names) for group, names in sorted(by_group.items())}
