"""Datasets of the Hugging Face ``datasets`` library: ``hf:<name or folder>[:split]``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalharness.datasets.rows import Row, arrow_row
from evalharness.errors import DatasetError

PREFIX = "hf:"


def read_hub(text: str, root: Path) -> Iterator[Row]:
    """The rows of one split.

    A folder under ``root`` (or an absolute one) is read from disk, both what ``save_to_disk`` wrote
    and plain data files; any other name is looked up on the hub. The split may be left out
    when there is only one.

    Raises:
        DatasetError: the library is not installed, or the dataset or split cannot be loaded.
    """
    try:
        library: Any = importlib.import_module("datasets")
    except ImportError:
        library = None
    # A folder called datasets on the import path looks like a package without anything in it.
    if not hasattr(library, "load_dataset"):
        raise DatasetError(
            f"dataset.path: {text} needs the Hugging Face datasets library",
            hint="pip install 'evalharness[hf]'",
        )
    name, split = _name_and_split(text, root)
    data = _open_dataset(library, name, root, text)
    if hasattr(data, "keys"):
        data = _choose_split(data, split, text)
    elif split is not None and str(data.split) != split:
        raise DatasetError(
            f"dataset.path: {text} holds one split, {data.split}", hint="leave it out"
        )
    for number, columns in enumerate(data, 1):
        yield arrow_row(f"{text}:row {number}", columns)


def _name_and_split(text: str, root: Path) -> tuple[str, str | None]:
    name = text[len(PREFIX) :]
    if not (root / name).exists() and ":" in name:
        name, split = name.rsplit(":", 1)
        return name, split
    return name, None


def _open_dataset(library: Any, name: str, root: Path, text: str) -> Any:
    folder = root / name
    try:
        if folder.is_dir():
            saved = ("dataset_info.json", "dataset_dict.json", "state.json")
            if any((folder / file).is_file() for file in saved):
                return library.load_from_disk(str(folder))
            return library.load_dataset(str(folder))
        return library.load_dataset(name)
    except Exception as error:
        # The library raises many kinds (network, cache, formats); each means it cannot be loaded.
        raise DatasetError(
            f"dataset.path: {text} cannot be loaded: {type(error).__name__}: {str(error)[:300]}",
            hint="check the name; a folder is looked up from the working directory",
        ) from None


def _choose_split(data: Any, split: str | None, text: str) -> Any:
    names = [str(name) for name in data]
    if split is None and len(names) == 1:
        return data[names[0]]
    if split in names:
        return data[split]
    problem = (
        "which split is meant is not said" if split is None else f"there is no split {split!r}"
    )
    raise DatasetError(
        f"dataset.path: {text}: {problem}", hint=f"add one of {', '.join(names)} after a colon"
    )
