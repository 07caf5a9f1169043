"""Strict YAML: the core schema of YAML 1.2, without repeated keys.

PyYAML follows YAML 1.1, where ``no`` is false, ``012`` is ten, ``12:30:45`` is 45045, ``1e-3`` is
text and the last of two equal keys wins silently. Here ``no``, ``012`` and ``12:30:45`` stay
the text they are, ``1e-3`` is a number, dates stay text, and a repeated key is an error with its
line. U+0085, U+2028 and U+2029 are characters, not line breaks (:mod:`.yaml_breaks`). ``.inf`` and
``.nan`` are refused because neither JSON nor money knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from evalharness.config.yaml_breaks import hide_separators
from evalharness.errors import ConfigError

MAX_DEPTH = 100
MAX_NODES = 5_000_000  # values after aliases are expanded: an alias bomb stays small on disk

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
# With a leading zero, as in 007, it stays text. The core schema would make it seven.
_INT = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"  # the tag of a scalar without quotes and tag: its text decides its type


class YamlError(ConfigError):
    """A YAML text that cannot be taken as it is written. ``line`` and ``column`` count from 1."""

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(problem)
        self.line = line
        self.column = column


class YamlItem(NamedTuple):
    """One element of a top-level list with the line it starts on, from 1."""

    line: int
    value: Any


def parse_yaml(text: str, *, number: Callable[[str], Any] = float) -> Any:
    """The one document in ``text`` as plain dicts, lists, texts, numbers, booleans and None.

    Args:
        text: the YAML document.
        number: makes a value of a number that is not an integer, from its own text;
            ``decimal.Decimal`` keeps money exact.

    Raises:
        YamlError: malformed YAML, a repeated key, a tag, ``.nan`` or ``.inf``, an alias bomb.
    """
    return _compose(text, lambda node, build: None if node is None else build(node), number)


def parse_yaml_items(text: str) -> list[YamlItem]:
    """The elements of a YAML document that is a list, each with its line.

    Raises:
        YamlError: as :func:`parse_yaml`, or the document is not a list.
    """
    import yaml

    def items(node: Any, build: Callable[[Any], Any]) -> list[YamlItem]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise YamlError("expected a list of rows, each beginning with '- '", _line(node))
        children: list[Any] = node.value
        return [YamlItem(_line(child), build(child)) for child in children]

    return _compose(text, items, float)


def split_documents(text: str) -> list[str]:
    """The documents of a stored configuration: one, or one for each job of a multirun.

    A line that begins with ``---`` parts them; comments before the first one are no document.
    """
    first, *others = re.split(r"^---.*\n?", text, flags=re.MULTILINE)
    is_empty = all(not line.strip() or line.startswith("#") for line in first.split("\n"))
    return others if others and is_empty else [first, *others]


def _compose(
    text: str, use: Callable[[Any, Callable[[Any], Any]], Any], number: Callable[[str], Any]
) -> Any:
    """Compose the document, check its size, and hand it to ``use`` with a value builder."""
    import yaml

    text, show_separators = hide_separators(text)
    try:
        _check_depth(text)
        loader: Any = _loader()(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        _check_size(node)
        return use(node, lambda child: _value(child, _Values(number, show_separators)))
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        where = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        raise YamlError(f"malformed YAML: {problem}", *where) from None
    except yaml.YAMLError as error:
        raise YamlError(f"malformed YAML: {error}") from None


class _Values(NamedTuple):
    """How scalars become values: ``number`` of a text, and ``text`` of what was parsed."""

    number: Callable[[str], Any]
    text: Callable[[str], str]


@cache
def _loader() -> Any:
    """PyYAML's safe loader, with libyaml where it is there, without any YAML 1.1 resolver."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def resolve(self: Any, kind: Any, value: Any, implicit: Any) -> str:
        """The tag of a node written without one; plain scalars get a mark of their own."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TAG + "str"
        return _TAG + ("seq" if kind is yaml.SequenceNode else "map")

    return type("_Composer", (base,), {"resolve": resolve})


def _check_depth(text: str) -> None:
    """Refuse deep nesting before composing: libyaml's composer recurses in C until it crashes."""
    import yaml

    depth = 0
    parse: Any = getattr(yaml, "parse")  # noqa: B009  # untyped: its stub is partial
    for event in parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlError("values are nested too deeply", _line(event), _column(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _column(node: Any) -> int:
    return int(node.start_mark.column) + 1


def _check_size(root: Any) -> None:
    """Count values as if every alias were written out; refuse bombs and self-containing values."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if isinstance(node.value, str):
            return 1
        key = id(node)
        if key in sizes:
            return sizes[key]
        if key in open_nodes:
            raise YamlError("a value contains itself", _line(node), _column(node))
        open_nodes.add(key)
        parts: list[Any] = node.value
        total = 1
        for part in parts:
            total += size(part[0]) + size(part[1]) if isinstance(part, tuple) else size(part)
        open_nodes.discard(key)
        if total > MAX_NODES:
            raise YamlError("aliases expand to too many values", _line(node), _column(node))
        sizes[key] = total
        return total

    if root is not None:
        size(root)


def _value(node: Any, make: _Values) -> Any:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, make)
    if isinstance(node, yaml.SequenceNode):
        _check_tag(node, "seq")
        elements: list[Any] = node.value
        return [_value(element, make) for element in elements]
    _check_tag(node, "map")
    result: dict[str, Any] = {}
    lines: dict[str, int] = {}
    pairs: list[tuple[Any, Any]] = node.value
    for key_node, value_node in pairs:
        key = _value(key_node, make)
        if not isinstance(key, str):
            raise YamlError(
                f"key {key!r} is not text; put it in quotes", _line(key_node), _column(key_node)
            )
        if key in result:
            raise YamlError(
                f"key {key!r} appears twice (first on line {lines[key]})",
                _line(key_node),
                _column(key_node),
            )
        result[key] = _value(value_node, make)
        lines[key] = _line(key_node)
    return result


def _scalar(node: Any, make: _Values) -> Any:
    text = make.text(node.value)
    if node.tag == _TAG + "str":
        return text
    if node.tag != _PLAIN:
        raise YamlError(f"tags such as {node.tag!r} are not read", _line(node), _column(node))
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return _integer(text, node)
    if _NOT_FINITE.match(text):
        raise YamlError(f"{text} is not a finite number", _line(node), _column(node))
    if _FLOAT.match(text):
        value = make.number(text)
        if value in (float("inf"), float("-inf")):
            raise YamlError(f"{text} is out of range", _line(node), _column(node))
        return value
    return text


def _integer(text: str, node: Any) -> int:
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    try:
        return int(text)
    except ValueError:  # the interpreter's own limit on digits
        raise YamlError("an integer has too many digits", _line(node), _column(node)) from None


def _check_tag(node: Any, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise YamlError(f"tags such as {node.tag!r} are not read", _line(node), _column(node))
