"""Addresses of pages; each is made here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote, urlencode

from starlette.datastructures import QueryParams

from evalharness.errors import ConfigError


def run_url(key: str, *parts: str) -> str:
    """The address of a run, or of something in it: ``run_url("a", "record", trial_id)``."""
    return "/".join(["", "run", quote(key, safe="/~"), *(quote(part, safe="") for part in parts)])


def records_url(
    key: str,
    *,
    settings: Sequence[str] = (),
    prompt: str | None = None,
    regressed: str | None = None,
) -> str:
    """The table of records of a run.

    Args:
        key: the run.
        settings: only those of these settings; empty for all.
        prompt: only those of this prompt.
        regressed: only those whose prompt scored higher in this run.
    """
    filters = {"setting": settings or None, "prompt": prompt, "regressed": regressed}
    return _with_query(run_url(key, "records"), filters)


def record_url(
    key: str,
    trial_id: str,
    *,
    shown: str | None = None,
    against: str | None = None,
    body: str | None = None,
    table: str | None = None,
) -> str:
    """A record.

    Args:
        key: the run.
        trial_id: of the record.
        shown: how its output is shown: ``markdown``, ``json`` or ``diff``; None is as it is.
        against: what it is compared with: ``trial:ID`` of the run, or ``run:KEY``.
        body: a text of the record alone, whole and as it was recorded.
        table: the query of the table of records it is seen from; None where it is from none.
    """
    query = {"as": shown, "against": against, "body": body, "from": table}
    return _with_query(run_url(key, "record", trial_id), query)


def row_id(trial_id: str) -> str:
    """The id that the row of a record has in the table."""
    return f"r-{trial_id}"


def prompt_url(key: str, prompt_id: str, *, against: str | None = None) -> str:
    """All outputs of a prompt; with those of the run ``against`` where one is given."""
    # A path cannot say every id: `..` and line breaks do not survive there.
    return _with_query(run_url(key, "prompt"), {"id": prompt_id, "against": against})


def asked_prompt(query: QueryParams) -> str:
    """The id in the query of :func:`prompt_url`.

    A form says it as ``quoted``, since browsers change the line breaks of what they submit.

    Raises:
        ConfigError: the query has none.
    """
    if "id" in query:
        return query["id"]
    if "quoted" in query:
        return unquote(query["quoted"])
    raise ConfigError("the address names no prompt", hint="its end is prompt?id=…")


def compare_url(*keys: str) -> str:
    """The comparison of runs with the first of them."""
    return "/compare?" + urlencode([("run", key) for key in keys])


def _with_query(path: str, filters: Mapping[str, str | Sequence[str] | None]) -> str:
    given = {name: value for name, value in filters.items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
