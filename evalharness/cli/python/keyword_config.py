"""From the keywords of ``evalharness.run(…)`` to a composed configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from evalharness.errors import ConfigError
from evalharness.store.folder import durable_files

if TYPE_CHECKING:
    from evalharness.cli.compose import ComposedConfig

_GROUPS = ("provider", "dataset", "sweep", "scoring", "limits", "execution", "load", "experiment")
# Keys of a provider that may be given without its name.
_PROVIDER_KEYS = ("model", "base_url", "api_key_env", "call")


class Keywords(NamedTuple):
    """What was given, sorted: options of groups, and values by dotted key."""

    options: dict[str, str]
    values: dict[str, Any]


def compose_keywords(overrides: Sequence[str], given: Mapping[str, Any]) -> ComposedConfig:
    """Compose the configuration as ``evalharness run`` does.

    Args:
        overrides: as on the command line (``limits.rpm=60``).
        given: keyword by keyword: ``provider="openai"`` chooses an option of a group, a mapping
            sets its keys, ``"limits.rpm"`` (or ``limits__rpm``) one of them; ``dataset`` may also
            be a path, a list of rows or a DataFrame, ``call`` a function.

    Raises:
        ConfigError: a key or value that cannot be.
    """
    from evalharness.cli.hydra_main import compose_with_values
    from evalharness.config.secret_scan import refuse_secrets_in_overrides

    refuse_secrets_in_overrides(list(overrides))
    keywords = _sort(given)
    chosen = [f"{group}={option}" for group, option in keywords.options.items()]
    values = {key: _plain(key, value) for key, value in keywords.values.items()}
    return compose_with_values([*chosen, *overrides], values)


def _sort(given: Mapping[str, Any]) -> Keywords:
    options: dict[str, str] = {}
    values: dict[str, Any] = {}
    named = {name.replace("__", "."): value for name, value in given.items() if value is not None}
    if "dataset" in named or "dataset.path" in named:
        options["experiment"] = "none"  # the quickstart's sweep and scoring fit its own rows
    if "call" in given and given["call"] is None:
        raise ConfigError("`call` is None: no function")
    call = named.pop("call", named.pop("provider.call", None))
    if call is not None and not {"dataset", "dataset.path"} & named.keys():
        raise ConfigError(
            "`dataset` is missing: what is your function asked?", hint='dataset=["a question"]'
        )
    if call is not None:
        options["provider"] = "python"
        values["provider.call"] = call if isinstance(call, str) else _register(call)
        values["provider.model"] = values["provider.call"].rpartition(":")[2].rpartition(".")[2]
    dataset = named.pop("dataset", None)
    if dataset is not None:
        options["dataset"] = "file"
        values |= _dataset_values(dataset, named)
    for name, value in named.items():
        if name in _GROUPS and isinstance(value, str):
            options[name] = value
        elif name in ("provider", "limits", "execution", "load") and isinstance(value, Mapping):
            values |= {f"{name}.{key}": item for key, item in cast("dict[str, Any]", value).items()}
        elif name in _PROVIDER_KEYS:
            values[f"provider.{name}"] = value
        elif name == "scoring":
            values[name] = _scorers(value)
        else:
            values[name] = value
    if "sweep" in values:
        options["sweep"] = "none"
    return Keywords(options, values)


def _register(function: Callable[..., Any]) -> str:
    from evalharness.providers.python.reference import register_function

    return register_function(function)


def _dataset_values(dataset: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(dataset, Mapping):
        return {f"dataset.{key}": value for key, value in cast("dict[str, Any]", dataset).items()}
    if isinstance(dataset, str | Path):
        return {"dataset.path": str(dataset)}
    rows = _rows(dataset)
    root = Path(str(named.get("results_dir", "results")))
    if "://" in str(root) or ":/" in str(root):
        root = Path("results")
    content = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    path = root / ".datasets" / f"{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
    if not path.exists() or path.read_bytes() != content:
        durable_files.make_folder(path.parent)
        durable_files.write_bytes_durably(path, content)
    return {"dataset.path": str(path)}


def _rows(dataset: Any) -> list[dict[str, Any]]:
    """The rows of a list or a DataFrame; a text alone is a prompt, a missing value null.

    Raises:
        ConfigError: it is neither, it is empty, or a value cannot be written as JSON.
    """
    if hasattr(dataset, "to_dict") and hasattr(dataset, "columns"):
        items: list[Any] = dataset.to_dict(orient="records")
    elif isinstance(dataset, Sequence):
        items = list(cast("Sequence[Any]", dataset))
    else:
        raise ConfigError(
            "`dataset` must be a path, a list of rows or a DataFrame, got "
            f"{type(dataset).__name__}",
            hint='dataset=[{"prompt": "…", "target": "…"}]',
        )
    if not items:
        raise ConfigError("`dataset` has no rows", hint='dataset=[{"prompt": "…"}]')
    return list(_checked_rows(items))


def _checked_rows(items: list[Any]) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(items):
        if isinstance(item, str):
            yield {"prompt": item}
            continue
        if not isinstance(item, Mapping):
            raise ConfigError(
                f"`dataset[{number}]` must be a row or a text, got {type(item).__name__}"
            )
        entries = cast("Mapping[Any, Any]", item).items()
        row = {str(k): _plain(f"dataset[{number}].{k}", v) for k, v in entries}
        yield {key: value for key, value in row.items() if value is not None}


def _scorers(scoring: Any) -> list[Any]:
    items = cast("list[Any]", scoring) if isinstance(scoring, list) else [scoring]
    return [{"name": item} if isinstance(item, str) else item for item in items]


def _plain(key: str, value: Any) -> Any:
    """A value as configuration holds it: pandas' missing values are null, numpy's numbers numbers.

    Raises:
        ConfigError: it is nothing that JSON has.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {str(k): _plain(f"{key}.{k}", item) for k, item in entries.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{key}[{n}]", item) for n, item in enumerate(cast("list[Any]", value))]
    if hasattr(value, "item") or hasattr(value, "tolist"):
        return _plain(key, value.tolist() if hasattr(value, "tolist") else value.item())
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Path | Decimal | date):
        return str(value)
    raise ConfigError(f"`{key}` must be a value that JSON has, got {type(value).__name__}")
