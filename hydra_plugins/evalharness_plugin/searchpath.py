"""Search path: a project's own ``configs/``, the shipped one, then what other packages add."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class EvalharnessSearchPath(SearchPathPlugin):
    """Puts ``./configs`` of the working directory first and plugins last, for our commands only."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add both when the shipped configs are on the path."""
        from evalharness.config.package_data import package_data_dir

        own = Path.cwd() / "configs"
        shipped_path = package_data_dir("configs")
        ours = any(str(shipped_path) in (element.path or "") for element in search_path.get_path())
        if ours and own.is_dir() and own.resolve() != shipped_path.resolve():
            search_path.prepend("evalharness-project", f"file://{own}")
        if ours:
            search_path.append("evalharness-plugins", "evalharness-plugins://installed")
