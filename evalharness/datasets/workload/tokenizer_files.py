"""Tokenizers from files: a ``tokenizer.json`` of Hugging Face, or a ``.tiktoken`` vocabulary."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalharness.datasets.workload.token_counts import TextCounter, WordCounter
from evalharness.errors import DatasetError

_KEY = "dataset.workload.tokenizer"
_SUFFIX = ".tiktoken"
# A vocabulary comes without the pattern that splits texts into words. Made prompts have letters,
# single blanks and full stops alone, which all published patterns split alike.
_PATTERN = r"\s?\p{L}+|\s?[^\s\p{L}]+|\s+"


class _FileCounter:
    """Tokens as a tokenizer counts them."""

    guess: float = 1.0

    def __init__(self, encode: Callable[[str], int]) -> None:
        self._encode = encode

    def count(self, text: str) -> int:
        """As :meth:`TextCounter.count`."""
        return self._encode(text)


def open_counter(tokenizer: str | None, root: Path) -> TextCounter:
    """What counts texts: the tokenizer of a file, or words where none is named.

    Args:
        tokenizer: path of the file.
        root: folder that a relative path starts from.

    Raises:
        DatasetError: there is no such file, its library is not installed, or it is none.
    """
    if tokenizer is None:
        return WordCounter()
    path = root / Path(tokenizer).expanduser()
    if not path.is_file():
        raise DatasetError(
            f"{_KEY}: there is no file {tokenizer}",
            hint="the tokenizer.json of the model, as its repository has it, or a vocabulary such "
            f"as o200k_base{_SUFFIX}; {_KEY}=null counts by the server's usage",
        )
    read = _tiktoken if path.suffix == _SUFFIX else _tokenizer_json
    return _FileCounter(read(path, tokenizer))


def _tokenizer_json(path: Path, name: str) -> Callable[[str], int]:
    library = _library("tokenizers", name)
    try:
        tokenizer = library.Tokenizer.from_file(str(path))
    except Exception as error:
        raise DatasetError(f"{_KEY}: {name} is no tokenizer.json: {error}") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _tiktoken(path: Path, name: str) -> Callable[[str], int]:
    library = _library("tiktoken", name)
    ranks: dict[bytes, int] = {}
    try:
        for line in path.read_bytes().splitlines():
            if line:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
        encoding = library.Encoding(
            path.stem, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={}
        )
        encoding.encode_ordinary("a b.")
    except BaseException as error:
        # A vocabulary without single bytes makes the library panic, which is no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise DatasetError(
            f"{_KEY}: {name} is no vocabulary of tiktoken (a line a token: base64, blank, rank)"
        ) from None
    return lambda text: len(encoding.encode_ordinary(text))


def _library(name: str, file: str) -> Any:
    """A library that counts tokens.

    Raises:
        DatasetError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DatasetError(
            f"{_KEY}={file} needs the library {name}, which is not installed",
            hint=f"pip install 'evalharness[tokens]' (or {name}); {_KEY}=null counts by the "
            "server's usage",
        ) from None
