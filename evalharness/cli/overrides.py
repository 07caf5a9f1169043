"""Overrides as people type them, turned into what Hydra's grammar takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalharness.cli.axis_names import encode_names
from evalharness.cli.compose import AXES_OBJECT, NAMED_AXES, SCORER_LIST
from evalharness.config.models import Profile, ProviderConfig
from evalharness.errors import ConfigError
from evalharness.store.folder.run_folder import MANIFEST

# Keys of a provider that every file has.
_ALWAYS_THERE = frozenset({"kind", "name", "model", "api_key_env"})


def adapt_override(argument: str) -> list[str]:
    """One argument as Hydra accepts it: ``sweep.<axis>=…`` and others need no ``+``.

    Raises:
        ConfigError: an object that names one axis or one value twice, of which Hydra would keep
            the last.
    """
    name, _, value = argument.partition("=")
    if name.lstrip("+").partition(".")[0] == "sweep" and value.startswith("{"):
        value = encode_names(name.lstrip("+"), value)
        argument = f"{name}={value}"
    # Hydra reads a list or an object given to a group as names of options.
    if argument.startswith("scoring=["):
        return [f"++{SCORER_LIST}={value}"]
    if argument.startswith("sweep={"):
        return ["sweep=none", f"++{AXES_OBJECT}={value}"]
    if name.startswith("sweep.") and value.startswith("{"):
        # Elsewhere, since a preset's list cannot be merged with an object.
        return [f"++{NAMED_AXES}.{name.removeprefix('sweep.')}={value}"]
    if name == "results_dir" and re.match(r"\w+://[^'\"]*=[^'\"]*$", value):
        return [f"{name}='{value}'"]  # Hydra reads a `=` in a value only between quotes
    if argument.startswith(
        ("sweep.", "params.extra.", "dataset.max_file_mib=", "dataset.columns=", "dataset.columns.")
    ) or _is_provider_key(name):
        return [f"++{argument}"]
    return [argument]


def _is_provider_key(name: str) -> bool:
    """Whether this is a key of a provider, which its file may leave out."""
    group, _, rest = name.partition(".")
    key, _, inner = rest.partition(".")
    if group != "provider" or key not in ProviderConfig.__struct_fields__ or key in _ALWAYS_THERE:
        return False
    if key == "profile":
        return inner.partition(".")[0] in Profile.__struct_fields__
    return True


def refuse_run_folder(arguments: Sequence[str]) -> None:
    """Refuse a run folder as Hydra's configuration folder: it would run another experiment.

    Its ``config.yaml`` is laid over the quickstart's groups, or taken for ours.

    Raises:
        ConfigError: with the command that repeats the run.
    """
    for flag, value in _config_folders(arguments):
        folder = Path(value)
        if (folder / MANIFEST).is_file():
            raise ConfigError(
                f"{flag} {value} is the folder of a run: with its config.yaml as the primary "
                "configuration, another experiment would run",
                hint=f"evalharness run --from {value} name=NEW",
            )


def _config_folders(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The flags of Hydra that name a folder of configurations, shortened ones too."""
    for position, word in enumerate(arguments):
        flag, _, value = word.partition("=")
        is_long = len(flag) > len("--config-") and any(
            known.startswith(flag) for known in ("--config-dir", "--config-path")
        )
        if is_long or flag in ("-cd", "-cp"):
            following = [*arguments[position + 1 : position + 2], ""][0]
            yield flag, value or following
