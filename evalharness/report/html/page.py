"""Rendering of a self-contained page, whose Content-Security-Policy forbids everything else.

Every text that a template shows is made printable (control and direction-changing characters as
escapes) and then escaped; only drawings that :mod:`.svg` rebuilt are markup. The page names the
hashes of its one style sheet and its one script; no other style, script, image, font, frame, form
or connection can load.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.report.html import palette
from evalharness.report.words.sanitize import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_page(template: str, **values: Any) -> str:
    """Fill one of the package's templates."""
    from markupsafe import Markup

    style, script = _style(), page_sources().script
    page = _environment().get_template(template)
    return page.render(
        style=Markup(style),  # noqa: S704 — our own style sheet
        script=Markup(script),  # noqa: S704 — our own script
        policy=_policy(style, script),
        **values,
    )


def render_fragment(template: str, **values: Any) -> Markup:
    """Fill one of the package's templates that is a part of a page."""
    from markupsafe import Markup

    content = _environment().get_template(template).render(**values)
    return Markup(content)  # noqa: S704 — our own template, whose values are escaped


def render_part(template: str, **values: Any) -> Markup:
    """Fill the template of one part of a page, which may use the macros as ``m``."""
    from markupsafe import Markup

    source = '{% import "macros.html.j2" as m %}' + template
    content = _environment().from_string(source).render(**values)
    return Markup(content)  # noqa: S704 — our own template, whose values are escaped


class PageSources(NamedTuple):
    """The style sheets and the script of the page, for a server that serves them as files.

    ``dark`` redraws ``light`` and the plots for a dark page; ``print`` comes after both.
    """

    light: str
    dark: str
    print: str
    script: str


def page_sources() -> PageSources:
    """What every page has within it."""
    dark = _source("dark.css") + palette.dark_rules()
    return PageSources(_source("style.css"), dark, _source("print.css"), _source("script.js"))


def _policy(style: str, script: str) -> str:
    rules = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _style() -> str:
    sources = page_sources()
    screen_dark = f"@media screen and (prefers-color-scheme: dark) {{\n{sources.dark}\n}}\n"
    return sources.light + screen_dark + sources.print


@cache
def _source(name: str) -> str:
    return (files("evalharness.report.html") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("evalharness.report.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable_value,
        trim_blocks=True,
    )


def _printable_value(value: Any) -> Any:
    """Make plain texts printable before they are escaped; markup passes as it is."""
    return printable(value) if type(value) is str else value
