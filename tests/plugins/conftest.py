"""Packages as pip leaves them, on the import path of this process and of those that it starts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import evalharness

SAMPLE = Path(__file__).parent / "sample"


def write_dist_info(site: Path, name: str, version: str, entry_points: str) -> None:
    """The metadata of an installed package."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(entry_points)


def _install_by_hand(site: Path) -> None:
    """What pip leaves of the sample, where the package that builds it is not installed."""
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    ]
    shutil.copytree(SAMPLE / "acme_eval", site / "acme_eval")
    write_dist_info(site, project["name"], project["version"], "\n".join(lines))


@pytest.fixture(scope="session")
def sample_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the sample package is installed into."""
    site = tmp_path_factory.mktemp("plugins") / "site"
    if importlib.util.find_spec("hatchling") is None:
        _install_by_hand(site)
        return site
    source = shutil.copytree(SAMPLE, site.with_name("sample"))  # builds write beside the source
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site), str(source)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return site


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Put a folder of packages on the import path."""

    def put(site: Path) -> None:
        monkeypatch.syspath_prepend(str(site))
        root = str(Path(evalharness.__file__).parents[1])
        paths = [str(site), os.environ.get("PYTHONPATH", ""), root]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))

    return put


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
