"""Finding plugins by the metadata of installed packages, and importing one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import Distribution, distributions
from typing import Any, Literal, NamedTuple

from evalharness.errors import ConfigError

Kind = Literal["scorers", "providers", "datasets", "report_sections"]
#: What the plugins of a group of entry points are; the group is ``evalharness.KIND``.
KINDS: Mapping[Kind, str] = {
    "scorers": "scorer",
    "providers": "provider",
    "datasets": "dataset reader",
    "report_sections": "report section",
}
_REFERENCE = re.compile(r"([\w.]+):([\w.]+)(?:\s*\[.*\])?")
_MAX_PROBLEM = 500  # characters


class PluginError(ConfigError):
    """A plugin that is used cannot be; the message names it and its package."""


class Plugin(NamedTuple):
    """One entry point.

    Attributes:
        kind: what it adds.
        name: what it is called by.
        reference: ``module:attribute``.
        distribution: the package that it comes from.
        version: of the package; None where its metadata does not say.
    """

    kind: Kind
    name: str
    reference: str
    distribution: str
    version: str | None

    @property
    def origin(self) -> str:
        """The package with its version."""
        return f"{self.distribution} {self.version}" if self.version else self.distribution

    def __str__(self) -> str:
        """The plugin in a sentence."""
        return f"{KINDS[self.kind]} `{self.name}` of {self.origin}"

    def problem(self, text: str) -> PluginError:
        """The error that says what is wrong with this plugin, in one line."""
        shown = " ".join(text.split())[:_MAX_PROBLEM]
        return PluginError(
            f"{self} ({self.reference}): {shown}", hint="`evalharness plugins` lists what works"
        )

    def import_value(self) -> Any:
        """Import what the entry point names.

        Raises:
            PluginError: whatever happens while it is imported.
        """
        match = _REFERENCE.fullmatch(self.reference)
        if match is None:
            raise self.problem("its entry point must be module:attribute")
        try:
            value: Any = import_module(match[1])
            for part in match[2].split("."):
                value = getattr(value, part)
        except (Exception, SystemExit) as error:
            raise self.problem(f"cannot be imported: {describe_error(error)}") from None
        return value


def describe_error(error: BaseException) -> str:
    """The type of an error and what it says."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def installed_plugins(kind: Kind) -> list[Plugin]:
    """The plugins of a kind by name. Nothing of them is imported."""
    return sorted(_read_metadata(kind), key=lambda plugin: (plugin.name, plugin.origin))


def plugin_names(kind: Kind) -> list[str]:
    """The names of the plugins of a kind."""
    return sorted({plugin.name for plugin in installed_plugins(kind)})


def find_plugin(kind: Kind, name: str) -> Plugin | None:
    """The plugin of a name, None where no package has it.

    Raises:
        PluginError: several packages have one of this name.
    """
    same_name = [plugin for plugin in installed_plugins(kind) if plugin.name == name]
    if len(same_name) > 1:
        origins = " and ".join(plugin.origin for plugin in same_name)
        raise PluginError(
            f"several packages have a {KINDS[kind]} `{name}`: {origins}",
            hint="uninstall all but one",
        )
    return next(iter(same_name), None)


def _read_metadata(kind: Kind) -> Iterator[Plugin]:
    """Read the entry points of every package on the import path, the first of a name only.

    The text is looked at before anything is parsed: few of some hundred packages have one, and
    metadata that is broken elsewhere must not matter.
    """
    group, names = f"evalharness.{kind}", set[str]()
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, UnicodeDecodeError):
            continue
        if text is None or group not in text:
            continue
        name, version = _name_and_version(distribution)
        normalised = re.sub(r"[-_.]+", "-", name).lower()
        if normalised in names:
            continue
        names.add(normalised)
        for entry in distribution.entry_points.select(group=group):
            yield Plugin(kind, entry.name, entry.value, name, version)


def _name_and_version(distribution: Distribution) -> tuple[str, str | None]:
    """Of a package; what an interrupted installation left may have neither."""
    try:
        metadata: Any = distribution.metadata
        name, version = metadata["Name"], metadata["Version"]
    except Exception:  # which one differs between versions of Python
        name, version = None, None
    return str(name or "an unnamed package"), None if version is None else str(version)
