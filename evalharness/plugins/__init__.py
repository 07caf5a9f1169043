"""What other installed packages add: scorers, providers, dataset readers, sections of a report.

They say so by entry points of their metadata (``docs/extending.md``). :func:`find_plugin` reads the
metadata alone; only :meth:`Plugin.import_value` imports a package, once it is used.
"""

from evalharness.plugins.entry_points import (
    KINDS,
    Kind,
    Plugin,
    PluginError,
    find_plugin,
    installed_plugins,
    plugin_names,
)
from evalharness.plugins.section_content import Cell, SectionContent

__all__ = [
    "KINDS",
    "Cell",
    "Kind",
    "Plugin",
    "PluginError",
    "SectionContent",
    "find_plugin",
    "installed_plugins",
    "plugin_names",
]
