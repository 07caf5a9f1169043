"""Map columns of Parquet as objects; Arrow gives them as lists of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from evalharness.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa


def has_map(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are maps, or hold some."""
    return _is_map(kind) or any(has_map(field.type) for field in _children(kind))


def map_objects(value: Any, kind: pa.DataType, location: str) -> Any:
    """The Python value of an Arrow type with its maps as objects, at whatever depth.

    Keys that are numbers or dates become their usual text, as JSON wants it.

    Raises:
        DatasetError: a key stands twice in a map.
    """
    if value is None or not has_map(kind):
        return value
    children = _children(kind)
    if _is_map(kind):
        pairs = cast("list[tuple[Any, Any]]", value)
        result: dict[str, Any] = {}
        for key, item in pairs:
            name = str(key)
            if name in result:
                raise DatasetError(
                    f"{location}: key {name!r} appears twice in one map",
                    hint="keep one of them; which was meant cannot be known",
                )
            result[name] = map_objects(item, children[1].type, f"{location}.{name}")
        return result
    if isinstance(value, dict):
        types = {field.name: field.type for field in children}
        items = cast("dict[str, Any]", value).items()
        return {key: map_objects(item, types[key], f"{location}.{key}") for key, item in items}
    elements = cast("list[Any]", value)
    return [map_objects(element, children[0].type, location) for element in elements]


def _is_map(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return isinstance(kind, pa.MapType)


def _children(kind: Any) -> list[Any]:
    """The fields of a struct, key and value of a map, the element of a list; else nothing."""
    if _is_map(kind):
        return [kind.key_field, kind.item_field]
    return [kind.field(position) for position in range(kind.num_fields)]
