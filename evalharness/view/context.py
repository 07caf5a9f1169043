"""What every page is made with: the runs, what may be changed, and the templates."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from evalharness.report.words.format_numbers import plain_number
from evalharness.report.words.sanitize import printable
from evalharness.view.content.cache import ContentCache
from evalharness.view.links import compare_url, prompt_url, record_url, records_url, row_id, run_url
from evalharness.view.queries.record_indexes import RecordIndexes
from evalharness.view.runs import ViewedRuns
from evalharness.view.security import make_token
from evalharness.view.settings import ViewSettings

if TYPE_CHECKING:
    from jinja2 import Environment


class ViewContext:
    """Shared by all pages of one server.

    Args:
        settings: what it was started with.

    Attributes:
        settings: the same.
        runs: the runs that are viewed.
        contents: figures that take seconds.
        records: the records of runs, to be queried.
        csrf: the token that a change must carry.
    """

    def __init__(self, settings: ViewSettings) -> None:
        self.settings = settings
        self.runs = ViewedRuns(settings.places)
        self.contents = ContentCache()
        self.records = RecordIndexes()
        self.csrf = make_token()
        self._environment = _environment(self)

    def render(self, template: str, **values: Any) -> str:
        """Fill one of the templates; every text is made printable and escaped."""
        return self._environment.get_template(template).render(**values)

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as an answer."""
        return HTMLResponse(self.render(template, **values), status)

    def require_marks(self) -> None:
        """Refuse a mark where none may be made.

        Raises:
            HTTPException: 403.
        """
        _require(self.settings.marks, "--marks")

    def require_control(self) -> None:
        """Refuse a command to a running run where none may be given.

        Raises:
            HTTPException: 403.
        """
        _require(self.settings.control, "--control")


def _require(allowed: bool, flag: str) -> None:
    if not allowed:
        raise HTTPException(
            HTTPStatus.FORBIDDEN, f"not allowed: start evalharness view with {flag}"
        )


def _environment(context: ViewContext) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evalharness.view", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, Any]", environment.filters)  # pyright: ignore[reportUnknownMemberType]
    filters["typed"] = context.runs.as_typed
    shared = cast("dict[str, Any]", environment.globals)  # pyright: ignore[reportUnknownMemberType]
    shared.update(
        csrf=context.csrf,
        settings=context.settings,
        pairs=_pairs,
        run_url=run_url,
        record_url=record_url,
        row_id=row_id,
        records_url=records_url,
        prompt_url=prompt_url,
        compare_url=compare_url,
        plain_number=plain_number,
    )
    return environment


def _pairs(values: Iterable[str], chosen: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Options of a choice that are shown as they are; what is chosen is among them."""
    return [(value, value) for value in dict.fromkeys((*values, *chosen))]


def _printable_value(value: Any) -> Any:
    """Make plain texts printable before they are escaped; markup passes as it is."""
    return printable(value) if type(value) is str else value
