"""Which runs the list shows, and in which order: as an address says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams

from evalharness.errors import ConfigError
from evalharness.listing.run_row import STATUSES
from evalharness.listing.selection import SORT_KEYS, has_model, select_rows, sort_rows
from evalharness.view.queries.record_filter import BadParameterError
from evalharness.view.runs import RunRow

PARAMETERS = ("q", "model", "tag", "status", "sort", "reverse")


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the list of runs.

    Attributes:
        text: words that are all in the name, the models, the tags, the note or the status.
        models: patterns or parts of names, of which one fits.
        tags: all of which a run has.
        status: of the run; empty for all.
        sort: one of ``SORT_KEYS``.
        reverse: the other way round.
    """

    text: str = ""
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    status: str = ""
    sort: str = "date"
    reverse: bool = False

    @classmethod
    def of_query(cls, query: QueryParams) -> RunFilter:
        """What an address says; what it does not say is the default.

        Raises:
            BadParameterError: a parameter is unknown, or its value means nothing.
        """
        for name in query:
            if name not in PARAMETERS:
                raise ConfigError(
                    f"there is no filter `{name[:80]}`", hint=f"one of: {', '.join(PARAMETERS)}"
                )
        return cls(
            text=_single(query, "q").strip(),
            models=_several(query, "model"),
            tags=_several(query, "tag"),
            status=_one_of(query, "status", STATUSES),
            sort=_one_of(query, "sort", SORT_KEYS) or "date",
            reverse=_one_of(query, "reverse", ("0", "1")) == "1",
        )

    def url(self) -> str:
        """The address that says it."""
        pairs = [("q", self.text)] if self.text else []
        pairs += [("model", model) for model in self.models]
        pairs += [("tag", tag) for tag in self.tags]
        pairs += [("status", self.status)] if self.status else []
        pairs += [("sort", self.sort)] if self.sort != "date" else []
        pairs += [("reverse", "1")] if self.reverse else []
        return "/" + (f"?{urlencode(pairs)}" if pairs else "")

    def sorted_by(self, key: str) -> RunFilter:
        """The same by another column; by the same one, the other way round."""
        reverse = self.sort == key and not self.reverse
        return msgspec.structs.replace(self, sort=key, reverse=reverse)

    def with_tag(self, tag: str) -> RunFilter:
        """The same, of runs that have a tag, too."""
        tags = self.tags if tag in self.tags else (*self.tags, tag)
        return msgspec.structs.replace(self, tags=tags)

    def select(self, rows: Sequence[RunRow]) -> list[RunRow]:
        """The rows in their order."""
        keys = {row.run: key for key, row in rows}
        chosen = select_rows([row for _, row in rows], models=self.models, tags=self.tags)
        if self.models:  # of a damaged run it may not be known
            chosen = [row for row in chosen if has_model(row, self.models)]
        if self.status:
            chosen = [row for row in chosen if row.status == self.status]
        ordered = sort_rows(chosen, self.sort, reverse=self.reverse)
        words = self.text.casefold().split()
        texts = (
            (RunRow(keys[row.run], row), " ".join(
                [keys[row.run], row.status, *row.models, *row.tags, row.note or ""]
            ).casefold())
            for row in ordered
        )  # fmt: skip
        return [row for row, text in texts if all(word in text for word in words)]


def _several(query: QueryParams, name: str) -> tuple[str, ...]:
    """The values of a parameter; an empty one takes all of them away, as in a form."""
    values = query.getlist(name)
    return () if "" in values else tuple(dict.fromkeys(values))


def _single(query: QueryParams, name: str) -> str:
    values = list(dict.fromkeys(filter(None, query.getlist(name))))
    if len(values) > 1:
        raise BadParameterError(name, " and ".join(values), "one value")
    return "".join(values)


def _one_of(query: QueryParams, name: str, choices: Iterable[str]) -> str:
    value = _single(query, name)
    if value and value not in choices:
        raise BadParameterError(name, value, choices)
    return value
