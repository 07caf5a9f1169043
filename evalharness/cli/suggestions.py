"""What to type instead of a key, an option or a flag that does not exist, and where the key is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from evalharness.cli.command_list import find_command
from evalharness.cli.parser import flags as command_flags
from evalharness.config.models import (
    DatasetConfig,
    ExecutionConfig,
    LimitsConfig,
    LoadConfig,
    OrderConfig,
    Profile,
    ProviderConfig,
    RunConfig,
)
from evalharness.config.package_data import package_data_dir
from evalharness.config.workload import WorkloadConfig
from evalharness.config.yaml_breaks import ESCAPES, SEPARATORS
from evalharness.errors import ConfigError
from evalharness.parameters import KNOWN_PARAMS
from evalharness.process.text import closest, did_you_mean

_LOADS = "load=closed|constant|poisson|gamma|ramp|replay|saturation|sweep"
_WORKLOADS = ("chat", "code", "rag", "summarize")
#: Hydra's own flags; Hydra itself completes a shortened one.
HYDRA_FLAGS = (
    "--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun",
    "--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun",
    "--info",
)  # fmt: skip
# Their short forms; a value may follow without a space (`-cjob`).
_SHORT_FLAGS = ("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i")
_EXAMPLES = {
    "provider.model": "provider.model=NAME",
    "provider.base_url": "provider.base_url=http://127.0.0.1:8000/v1",
    "dataset.path": "dataset.path=my.jsonl",
    "dataset.workload.trace.path": "dataset.workload.trace.path=traces/example.jsonl",
}


@cache
def keys_by_group() -> dict[str, tuple[str, ...]]:
    """The keys of each group; the top level has the empty name."""
    return {
        "": RunConfig.__struct_fields__,
        "params": tuple(sorted(KNOWN_PARAMS)),
        "provider": ProviderConfig.__struct_fields__,
        "provider.profile": Profile.__struct_fields__,
        "dataset": DatasetConfig.__struct_fields__,
        "dataset.workload": WorkloadConfig.__struct_fields__,
        "limits": LimitsConfig.__struct_fields__,
        "execution": ExecutionConfig.__struct_fields__,
        "order": OrderConfig.__struct_fields__,
        "load": LoadConfig.__struct_encode_fields__,
    }


def suggest_key(key: str, value: str = "") -> str | None:
    """The key that was probably meant by an unknown one, with the value typed for it."""
    if key == "pricing":  # a folder of tables that are all in use, not a choice of one
        return "shipped prices always apply; yours: pricing.files=[FILE] or pricing.prices=[…]"
    parts = keys_by_group()
    group, _, name = key.rpartition(".")
    given = f"={value}" if value else ""
    if workload := _suggest_workload(key, value):
        return workload
    if group == "load" and name in parts["load"]:
        return f"{key} needs a load that has it: {_LOADS}"
    if not group and name in parts["params"]:
        listed = f"=[{value},…]" if value else "=[…]"
        return f"params.{name}{given} fixes it, sweep.{name}{listed} sweeps it"
    if not group:
        homes = [g for g, names in parts.items() if g and name in names]
        if homes:
            return did_you_mean(f"{homes[0]}.{name}{given}")
    known = parts.get(group)
    if known is None:
        close = closest(group, parts)
        return _suggest_name(close, name, parts[close]) if close else None
    if not group and (param := closest(name, parts["params"])) and not closest(name, known):
        return did_you_mean(f"params.{param}{given}")
    return _suggest_name(group, name, known)


def _suggest_workload(key: str, value: str) -> str | None:
    """How a synthetic workload is typed, for a key that looks for one; None for other keys."""
    if key == "load.workload":
        chosen = value if value in _WORKLOADS else "chat"
        return f"a workload is a dataset: dataset={chosen} (known: {', '.join(_WORKLOADS)})"
    if key.startswith("dataset.workload.trace."):
        return (
            "dataset=trace dataset.workload.trace.path=traces/example.jsonl (docs/load-replay.md)"
        )
    if key.startswith("dataset.workload.prefixes."):
        return "dataset.workload.prefixes={count: 40, tokens: 2048, share: 1, zipf: 1}"
    group, _, name = key.rpartition(".")
    if group == "dataset.workload" and name in WorkloadConfig.__struct_fields__:
        return (
            f"it needs a workload: dataset={'|'.join(_WORKLOADS)}, or dataset.path=workload:mine "
            "'dataset.workload={prompt_tokens: 512, output_tokens: 128}'"
        )
    return None


def _suggest_name(group: str, name: str, known: Sequence[str]) -> str | None:
    """The key of a group that was probably meant; only keys that exist are named."""
    close = name if name in known else closest(name, known)
    if close is not None:
        return did_you_mean(f"{group}.{close}" if group else close)
    if group == "params":
        return f"a field that only one provider knows goes into params.extra.{name}"
    return f"keys of {group}: {', '.join(known)}" if group else None


def suggest_option(group: str, name: str, options: Sequence[str]) -> str:
    """The option of a group that was probably meant, or all there are."""
    close = closest(name, options)
    known = f"known: {', '.join(options)}" if options else f"there is no configs/{group}/"
    return f"{did_you_mean(f'{group}={close}')} {known}" if close else known


def suggest_missing(keys: Sequence[str]) -> str:
    """What to type for keys that have no value."""
    return "add " + " ".join(_EXAMPLES.get(key, f"{key}=VALUE") for key in keys)


def suggest_list(override: str) -> str:
    """How to write several values that were typed with bare commas."""
    key, _, values = override.lstrip("+").partition("=")
    if key.startswith("sweep."):
        return f"{key}=[{values}]"
    name = key.removeprefix("params.")
    return f"sweep.{name}=[{values}], or -m {key}={values}"


def reorder_flags(arguments: Sequence[str], command: str) -> list[str]:
    """The arguments with flags after the overrides, the only order that Hydra's parser accepts.

    Args:
        arguments: of ``command``, without its own flags.
        command: ``run`` or ``plan``.

    Raises:
        ConfigError: a flag that does not exist.
    """
    flags: list[str] = []
    words: list[str] = []
    for argument in arguments:
        dashed = argument.startswith("-")
        (words if not dashed and ("=" in argument or argument[:1] == "~") else flags).append(
            argument
        )
    for flag in flags:
        if flag.startswith("--"):
            _refuse_unknown_flag(flag, command)
        elif flag.startswith("-") and not flag.startswith(_SHORT_FLAGS):
            raise ConfigError(f"there is no flag `{flag}`", hint=f"evalharness {command} --help")
    return [*words, *flags]


def _refuse_unknown_flag(flag: str, command: str) -> None:
    name, _, value = flag.partition("=")
    if any(known.startswith(name) for known in HYDRA_FLAGS):
        return
    own = {each: command_flags(find_command(each).options) for each in ("run", "plan")}
    other = next((each for each in own if each != command and name in own[each]), None)
    close = closest(name, [*HYDRA_FLAGS, *own[command]])
    bare = name.removeprefix("--")
    if other is not None:
        hint = f"it is a flag of evalharness {other}"
    elif close is None or value or bare in keys_by_group()[""]:
        hint = f"write {bare}={value or '…'}"
    else:
        hint = did_you_mean(close)
    raise ConfigError(f"there is no flag `{name}`", hint=hint)


_KEY_IN_MESSAGE = re.compile(r"`([a-z_]+(?:\.[A-Za-z0-9_]+)*)[`\[.]")


def with_location(
    error: ConfigError, overrides: Sequence[str], choices: Mapping[str, Any]
) -> ConfigError:
    """The error with the file and line of a project's own ``configs/`` that hold the key it names.

    ``choices`` are the options composed, by group. A key typed on the command line needs no file.
    """
    match = _KEY_IN_MESSAGE.search(error.message)
    if type(error) is not ConfigError or match is None:
        return error
    key = match[1]
    typed = {o.lstrip("+~").partition("=")[0] for o in overrides}
    if any(key == t or key.startswith(f"{t}.") or t.startswith(f"{key}.") for t in typed):
        return error
    for file, prefix in _project_files(choices):
        line = _find_line(file, prefix, key.split("."))
        if line is not None:
            return ConfigError(f"{_relative_path(file)}:{line}: {error.message}", hint=error.hint)
    return error


def _project_files(choices: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """The project's own files among those composed, by precedence, with their Hydra package."""
    own = Path.cwd() / "configs"
    if own.resolve() == package_data_dir("configs").resolve():
        return []
    options = [(f"{group}/{option}", str(group)) for group, option in choices.items()]
    # An experiment overrides what it is composed with; the primary configuration comes last.
    options.sort(key=lambda pair: pair[1] != "experiment")
    paths = [(own / f"{name}.yaml", group) for name, group in [*options, ("config", "")]]
    return [(path, group) for path, group in paths if path.is_file()]


def _find_line(file: Path, package: str, key: list[str]) -> int | None:
    import yaml

    text = file.read_text("utf-8")
    if "@package _global_" not in text and package:
        if key[: package.count("/") + 1] != package.split("/"):
            return None
        key = key[package.count("/") + 1 :]
    node = cast("Any", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    line: int | None = None
    for name in key:
        pairs: list[Any] = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next(((k, v) for k, v in pairs if k.value == name), None)
        if pair is None:
            return None
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


def refuse_separators(choices: Mapping[str, Any]) -> None:
    """Refuse U+0085, U+2028 and U+2029 in the project's own files among those composed.

    Hydra's YAML reader takes them for line breaks, and would change a text without a word.

    Raises:
        ConfigError: naming file, line and the escape that YAML has for the character.
    """
    for file, _ in _project_files(choices):
        text = file.read_text("utf-8")
        separator = SEPARATORS.search(text)
        if separator is not None:
            line = text.count("\n", 0, separator.start()) + 1
            where = f"{_relative_path(file)}:{line}"
            escape = ESCAPES[separator[0]]
            raise ConfigError(
                f"{where}: U+{ord(separator[0]):04X} would be read as a line break",
                hint=f"put the text into double quotes, with {escape} for the character",
            )


def yaml_error(error: Any) -> ConfigError:
    """A YAML syntax error of a file under ``configs/``, as PyYAML raises it, in one line."""
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f"{_relative_path(Path(mark.name))}:{mark.line + 1}: "
    return ConfigError(f"{where}malformed YAML: {error.problem or error.context}")


def _relative_path(file: Path) -> str:
    """The file as seen from the working folder."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
