"""The environment that templates and conditions are compiled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import (
    ImmutableSandboxedEnvironment,
    SandboxedEscapeFormatter,
    SandboxedFormatter,
)
from markupsafe import Markup

from evalharness.templates.values import (
    Null,
    argument,
    for_format,
    no_such_part,
    of_row,
    refuse_null,
    to_json,
    to_text,
)

# Filters that make text of their value, and the name of the one that is put before them.
_TEXT_FILTERS = frozenset((
    "capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower", "replace",
    "safe", "string", "striptags", "title", "trim", "truncate", "upper", "urlize", "wordcount",
    "wordwrap",
))  # fmt: skip
_TO_TEXT = "to text"  # no name that a template could write
# Filters that make a number of their value, and would take a null for 0 or complain of a type.
_NUMBER_FILTERS = ("int", "float", "round", "abs", "length", "count", "filesizeformat")


class _Undefined(jinja2.StrictUndefined):
    """Says what has no such part by its place in the row, not by the name of a Python type."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint or self._undefined_obj is jinja2.utils.missing:
            return super()._undefined_message
        return no_such_part(self._undefined_obj, self._undefined_name)


class _Formatter(SandboxedFormatter):
    """Of ``str.format``: also what a format takes out of an argument has to be text."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        name = "an argument" if isinstance(first, int) else field_name
        return for_format(value, name), first


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same of a text that is escaped."""


class Environment(ImmutableSandboxedEnvironment):
    """The strict sandbox, made deterministic; a mapping's keys win over Python's dict methods."""

    intercepted_binops = frozenset({"%"})

    def __init__(self) -> None:
        super().__init__(undefined=_Undefined)
        names = cast("dict[str, Any]", self.globals)  # pyright: ignore[reportUnknownMemberType]
        filters = cast("dict[str, Any]", self.filters)  # pyright: ignore[reportUnknownMemberType]
        for name in ("lipsum", "cycler", "joiner"):  # lipsum is random, the others mutable
            names.pop(name, None)
        names["null"] = None
        filters.pop("random", None)  # the same prompt must render to the same text
        filters |= {
            _TO_TEXT: to_text, "join": _join, "format": _format, "tojson": _tojson,
            "pprint": _pprint,
        }  # fmt: skip
        filters |= {name: _of_no_null(name, filters[name]) for name in _NUMBER_FILTERS}
        tests = cast("dict[str, Any]", self.tests)  # pyright: ignore[reportUnknownMemberType]
        tests["none"], tests["sameas"] = _is_null, _is_same

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``row.items`` is the column called items, not the method of a dict."""
        if isinstance(obj, Mapping) and attribute in obj:
            return cast("Mapping[str, Any]", obj)[attribute]
        return super().getattr(obj, attribute)

    def text_template(self, source: str) -> jinja2.Template:
        """The template; what it makes text of goes through :func:`~.values.to_text`."""
        tree = self.parse(source)
        for output in tree.find_all(nodes.Output):
            output.nodes = [self._as_text(node) for node in output.nodes]
        for joined in tree.find_all(nodes.Concat):
            joined.nodes = [self._as_text(node) for node in joined.nodes]
        for filtered in tree.find_all(nodes.Filter):
            if filtered.name in _TEXT_FILTERS and filtered.node is not None:
                filtered.node = self._as_text(filtered.node)
        tree.set_environment(self)
        return self.from_string(tree)

    def _as_text(self, node: nodes.Expr) -> nodes.Expr:
        if isinstance(node, nodes.TemplateData):
            return node
        name = nodes.Const(_source(node))
        return nodes.Filter(node, _TO_TEXT, [name], [], None, None, lineno=node.lineno)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``'…' % value`` is text of the value, too."""
        if isinstance(left, str):
            if isinstance(right, tuple):
                right = tuple(argument(item) for item in cast("tuple[Any, ...]", right))
            elif isinstance(right, dict):
                right = of_row(right, "an argument")
            else:
                right = argument(right)
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``'…'.format(value)`` is text of the value, too."""
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        formatter = (
            _EscapeFormatter(self, escape=text.escape)
            if isinstance(text, Markup)
            else _Formatter(self)
        )
        is_map = value.__name__ == "format_map"

        def call(*args: Any, **kwargs: Any) -> str:
            if is_map:
                (named,), args = args, ()
            else:
                named = kwargs
            return type(text)(formatter.vformat(text, args, named))

        return call


def _of_no_null(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses a null, except where its default is given: ``| int(-1)``."""

    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        if not (name in ("int", "float") and (args or "default" in kwargs)):
            refuse_null(value)
        return function(value, *args, **kwargs)

    return filtered


def _source(node: nodes.Node) -> str:
    """An expression as a template writes it, as far as it names something."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_source(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_source(node.node)}[{node.arg.value!r}]"
    if isinstance(node, nodes.Filter) and node.node is not None:
        return f"{_source(node.node)} | {node.name}"
    return f"{_source(node.node)}()" if isinstance(node, nodes.Call) else "an expression"


@jinja2.pass_environment
def _join(
    environment: jinja2.Environment, value: Iterable[Any], d: Any = "", attribute: Any = None
) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return to_text(d, "the separator").join(to_text(item, "an element") for item in value)


def _format(value: str, *args: Any, **kwargs: Any) -> str:
    named = {key: argument(item) for key, item in kwargs.items()}
    return value % (named or tuple(argument(item) for item in args))


def _tojson(
    value: Any,
    indent: int | None = None,
    ensure_ascii: bool = False,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As the templates of chat models have it: plain JSON, with nothing escaped for web pages."""
    return to_json(
        value, indent=indent, ensure_ascii=ensure_ascii, separators=separators, sort_keys=sort_keys
    )


def _pprint(value: Any) -> str:
    return to_json(value, indent=2)


def _is_null(value: Any) -> bool:
    return value is None or isinstance(value, Null)


def _is_same(value: Any, other: Any) -> bool:
    return value is other or (_is_null(value) and _is_null(other))
