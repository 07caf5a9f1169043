"""Options that other packages add: ``provider=NAME`` and ``scoring=NAME`` of their entry points.

Hydra asks a source for what the ones before it do not have. Names come from the metadata of the
packages; only the one that is chosen is imported.
"""

from __future__ import annotations

from typing import Any

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

# Groups of options, with the kind of plugins that are in them.
_GROUPS: dict[str, Any] = {"provider": "providers", "scoring": "scorers"}


class InstalledPluginsSource(ConfigSource):
    """The options of plugins as configuration files that are nowhere on disk."""

    @staticmethod
    def scheme() -> str:
        """As in ``evalharness-plugins://installed``."""
        return "evalharness-plugins"

    def available(self) -> bool:
        """There is always an installation, if of nothing."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether this is a group to which packages can add."""
        return config_path.strip("/") in _GROUPS

    def is_config(self, config_path: str) -> bool:
        """Whether a package has this option."""
        from evalharness.plugins import plugin_names

        group, name = _split(config_path)
        return group in _GROUPS and name in plugin_names(_GROUPS[group])

    def load_config(self, config_path: str) -> ConfigResult:
        """The option as a file of its group would be.

        Raises:
            PluginError: it cannot be used.
        """
        from evalharness.providers.plugin_configs import find_plugin_provider

        group, name = _split(config_path)
        package = "_global_" if group == "scoring" else None
        if group == "scoring":  # the scorer itself is imported where it is parsed
            content: Any = {"scoring": [{"name": name}]}
        else:
            content = find_plugin_provider(name)
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{config_path}",
            config=OmegaConf.create(content),
            header={"package": package},
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The groups, or the options of one."""
        from evalharness.plugins import plugin_names

        path = config_path.strip("/")
        if not path:
            return [] if results_filter == ObjectType.CONFIG else sorted(_GROUPS)
        if path not in _GROUPS or results_filter == ObjectType.GROUP:
            return []
        return plugin_names(_GROUPS[path])


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.strip("/").removesuffix(".yaml").rpartition("/")
    return group, name
