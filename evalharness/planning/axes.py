"""Axes of a sweep, as they are written: lists, named values and ranges.

``sweep`` maps axis names to a list of values, to an object that gives each value a name, or to a
range ``{min, max}`` for the sampling methods. Axis names are parameter names, ``extra.<key>``,
``extra``, ``load.<key>``, ``load``, ``model``, ``provider``, ``system`` and ``template`` (also
written ``dataset.system``, ``dataset.template``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

from evalharness.config.parameter_values import plain_number
from evalharness.errors import ConfigError
from evalharness.parameters import KNOWN_PARAMS
from evalharness.planning.load_points import LOAD_AXES as LOAD_AXES
from evalharness.planning.value_files import FileValue, read_value
from evalharness.process.text import closest, did_you_mean
from evalharness.records import canonical_json

SWEEP_OPTIONS = ("method", "samples", "sample_seed")
SETTING_KEYS = ("model", "provider", "system", "template")
_RANGE_KEYS = frozenset(("min", "max", "scale"))
MAX_NAME = 40


class AxisValue(NamedTuple):
    """One value of an axis.

    ``name`` stands for it in labels and tables; None: the value itself does. ``file`` is where it
    was read from; None: it was given as it is. ``sha256`` is of the file or the value; None: a
    sampled number.
    """

    value: Any
    name: str | None = None
    file: str | None = None
    sha256: str | None = None


class AxisRange(NamedTuple):
    """A continuous axis for sampling methods; ``log`` samples the exponent evenly."""

    lowest: float
    highest: float
    log: bool


Axis = list[AxisValue] | AxisRange


def parse_axes(sweep: Mapping[str, Any], root: Path | None = None) -> dict[str, Axis]:
    """Check and flatten the ``sweep`` mapping; its options (method, samples) are not axes.

    ``root`` is the folder that names of files start from; None is the working directory.

    Raises:
        ConfigError: an unknown axis, no values, repeated values or names, a file that cannot be
            read, or a malformed range.
    """
    axes: dict[str, Axis] = {}
    for key, value in _flatten(sweep):
        name = key.removeprefix("dataset.").removeprefix("params.")
        if value is None:  # `sweep.seed=null` takes a preset axis away
            continue
        is_known = name in KNOWN_PARAMS or name in SETTING_KEYS or name in LOAD_AXES
        if not is_known and name != "extra" and not name.startswith("extra."):
            raise ConfigError(f"unknown sweep axis `sweep.{key}`", hint=_suggest_axis(name))
        axes[name] = _axis(key, name, value, root)
    return axes


def _flatten(sweep: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in sweep.items():
        if key in SWEEP_OPTIONS:
            continue
        is_group = isinstance(value, Mapping) and key in ("extra", "dataset", "params", "load")
        if is_group and not (
            key in ("extra", "load") and _names_objects(key, cast("Mapping[str, Any]", value))
        ):
            for inner, item in cast("Mapping[str, Any]", value).items():
                yield f"{key}.{inner}", item
        else:
            yield key, value


def _names_objects(key: str, value: Mapping[str, Any]) -> bool:
    """Whether ``sweep.extra`` or ``sweep.load`` names whole objects, rather than lists for fields.

    Raises:
        ConfigError: some entries are objects and others lists.
    """
    given = {name: item for name, item in value.items() if key == "extra" or item is not None}
    objects = [name for name, item in given.items() if isinstance(item, Mapping)
               and (not item or not item.keys() <= _RANGE_KEYS)]  # fmt: skip
    if not objects:
        return False
    if len(objects) < len(given):
        raise ConfigError(
            f"`sweep.{key}`: `{objects[0]}` is an object of fields, and others are lists of values",
            hint=f"sweep.{key}.FIELD=[…] sweeps one field; sweep.{key}={{NAME: {{FIELD: …}}, …}} "
            "names whole objects of fields",
        )
    return True


def _suggest_axis(name: str) -> str:
    close = closest(name, [*KNOWN_PARAMS, *SETTING_KEYS, *LOAD_AXES])
    if close:
        return did_you_mean(f"sweep.{close}")
    return f"a provider's own parameter is swept as sweep.extra.{name}=[…]"


def _axis(key: str, name: str, value: Any, root: Path | None) -> Axis:
    if isinstance(value, Mapping):
        mapping = dict(cast("Mapping[str, Any]", value))
        if mapping.keys() & _RANGE_KEYS and mapping.keys() <= _RANGE_KEYS:
            return _range(key, mapping)
        return _named_values(key, name, mapping, root)
    if not isinstance(value, list):
        raise ConfigError(
            f"`sweep.{key}` must be a list of values, or an object that names them, got {value!r}",
            hint=f"sweep.{key}=[{value}] sweeps one value; {_fixed_key(name)}={value} fixes it",
        )
    items = cast("list[Any]", value)
    _refuse_none(key, items)
    contents = [read_value(name, f"sweep.{key}", item, root) for item in items]
    _refuse_objects(key, name, contents)
    _refuse_equal(key, [repr(item) for item in items], contents)
    names = _file_names([content.file for content in contents])
    return [
        AxisValue(content.value, file_name, content.file, content.sha256)
        for content, file_name in zip(contents, names, strict=True)
    ]


def _fixed_key(name: str) -> str:
    if name in ("system", "template"):
        return f"dataset.{name}"
    if name == "model":
        return "provider.model"
    if name == "provider" or name.startswith("load."):
        return name
    return f"params.{name}"


def _named_values(
    key: str, name: str, named: Mapping[str, Any], root: Path | None
) -> list[AxisValue]:
    if name == "load":  # a preset load that an override takes away
        named = {given: value for given, value in named.items() if value is not None}
    names = [str(given).strip() for given in named]
    _refuse_none(key, names)
    for given in names:
        if not given or len(given) > MAX_NAME or not given.isprintable():
            raise ConfigError(
                f"`sweep.{key}`: {given!r:.60} is no name: 1 to {MAX_NAME} printable characters"
            )
    if len(set(names)) < len(names):
        raise ConfigError(f"`sweep.{key}` has one name twice: {', '.join(names)}")
    contents = [read_value(name, f"sweep.{key}", item, root) for item in named.values()]
    _refuse_objects(key, name, contents)
    _refuse_equal(key, [f"`{given}`" for given in names], contents)
    return [
        AxisValue(content.value, given, content.file, content.sha256)
        for given, content in zip(names, contents, strict=True)
    ]


def _refuse_objects(key: str, name: str, contents: Sequence[FileValue]) -> None:
    """Refuse objects and numbers where only a text can be."""
    for content in contents:
        if name in SETTING_KEYS and not isinstance(content.value, str | None):
            raise ConfigError(
                f"`sweep.{key}`: a value must be a text, got {content.value!r:.60}",
                hint='a number or a word of YAML in quotes is a text: "1"',
            )


def _refuse_none(key: str, values: Sequence[Any]) -> None:
    if not values:
        raise ConfigError(
            f"`sweep.{key}` has no values", hint=f"sweep.{key}=null takes the axis away"
        )


def _refuse_equal(key: str, shown: Sequence[str], contents: Sequence[FileValue]) -> None:
    """Refuse two values that are the same; ``shown`` says them in the message."""
    seen: dict[bytes, str] = {}
    for value_text, content in zip(shown, contents, strict=True):
        mark = canonical_json(plain_number(content.value))
        if mark in seen:
            same = f"{seen[mark]} and {value_text} are the same value"
            if seen[mark] == value_text:
                same = f"the value {value_text} stands there twice"
            raise ConfigError(f"`sweep.{key}`: {same}", hint="leave one of them out")
        seen[mark] = value_text


def _file_names(files: Sequence[str | None]) -> list[str | None]:
    """Names for values from files: the file's stem where that is unique, else the whole name."""
    stems = Counter(PurePosixPath(file).stem for file in files if file is not None)
    return [
        None if file is None else stem if stems[stem := PurePosixPath(file).stem] == 1 else file
        for file in files
    ]


def _range(key: str, value: dict[str, Any]) -> AxisRange:
    scale = value.pop("scale", "linear")
    low, high = value.pop("min", None), value.pop("max", None)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high))
    if value or not numbers or scale not in ("linear", "log"):
        raise ConfigError(
            f"`sweep.{key}` must be a list of values, an object that names them, or "
            "{min: …, max: …, scale: linear|log}"
        )
    if not low < high or (scale == "log" and low <= 0):
        raise ConfigError(f"`sweep.{key}`: min must be below max (and above 0 for a log scale)")
    return AxisRange(float(low), float(high), scale == "log")
