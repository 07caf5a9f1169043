"""The report's money for people: sentences and tables, the same on a terminal, in HTML, Markdown.

Made from ``data["money"]`` and ``data["prices"]`` of ``report --json``; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalharness.pricing.bill_difference import UNEXPLAINED
from evalharness.report.words import format_numbers as n

Row = dict[str, Any]
_NAMED = 8  # labels listed in a sentence
_DEAREST = 5  # prompts where space is short
_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
_NAMES = {"cost_usd": "cost", "score": "score", "agreement": "agreement"}


class PlainTable(msgspec.Struct, frozen=True):
    """A table ready to print: the first cell of a row names it."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    more: int = 0


# ── sentences ────────────────────────────────────────────────────────────────────────────────────


def money_lines(data: Row) -> list[str]:
    """What the run cost and bought, in sentences; none where everything is free.

    Args:
        data: a whole report; ``data["money"]`` may be absent.
    """
    facts: Row | None = data.get("money")
    if facts is None:
        return []
    whole, prices = facts["whole"], data.get("prices", {})
    lines = [
        *_whole(whole),
        *_nothing(facts["attempts"]),
        *_bill(facts["billed"]),
    ]
    if whole["total_usd"]:
        lines += _answers(facts["settings"])
        lines += _frontier(facts["frontier"])
        lines += _cache(whole["cache"])
    lines += [_price(entry) for entry in prices.get("used", []) if not entry["free"]]
    lines += [
        f"no price for {_offer(entry)}; to be added to a file for report --pricing FILE, or on the "
        f"command line as pricing.{entry['add'].replace(': [', '=[', 1)}"
        for entry in prices.get("unpriced", [])
        if entry["model"] is not None
    ]
    return lines


def _offer(entry: Row) -> str:
    """The model, and who serves it where that is known."""
    return entry["model"] + (f" at {entry['provider']}" if entry["provider"] else "")


def _whole(whole: Row) -> list[str]:
    if not whole["total_usd"] and not whole["estimate_usd"]:
        return []
    line = f"{n.dollars(whole['total_usd'])} for {n.plural(whole['known'], 'record')} of known cost"
    if whole["estimated"]:
        line += (
            f"; not in it: about {n.dollars(whole['estimate_usd'])}, estimated for "
            f"{n.plural(whole['estimated'], 'record')} without complete usage"
        )
    if whole["unknown"]:
        line += f"; cost unknown for {whole['unknown']:,}"
    return [line]


def _nothing(attempts: Row | None) -> list[str]:
    if attempts is None:
        return []
    nothing = attempts["on_nothing"]
    if not nothing["usd"] and not nothing["at_worst_usd"]:
        return []
    names = {"failed": "failed", "retried": "tried again", "in_doubt": "in doubt"}
    parts = [
        f"{attempts[name]['attempts']:,} {text}"
        for name, text in names.items()
        if attempts[name]["attempts"]
    ]
    worst = nothing["at_worst_usd"]
    more = f", and at worst {n.dollars(worst)} more" if worst else ""
    return [f"spent on nothing: {n.dollars(nothing['usd'])}{more} (attempts: {', '.join(parts)})"]


def _bill(billed: list[Row]) -> list[str]:
    """The provider's bill beside the computation, and why they differ."""
    rows = [row for row in billed if row["billed"]]
    if not any(row["billed_usd"] for row in rows) and not any(row["reason"] for row in rows):
        return []
    total = sum(row["billed_usd"] for row in rows)
    both, count = sum(row["compared"] for row in rows), sum(row["billed"] for row in rows)
    head = f"billed by the provider: {n.dollars(total)} for {n.plural(count, 'record')}"
    if not any(row["reason"] for row in rows):
        same = "exactly as computed" if both == count else f"exactly as computed for {both:,}"
        return [f"{head}, {same if both else 'none of them computed'}"]
    lines = [head]
    for reason in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        differ = [row for row in rows if row["reason"] == reason]
        gap = sum(row["computed_minus_billed_usd"] for row in differ)
        where = "" if len(rows) == 1 else f" in {len(differ)} of {n.plural(len(rows), 'setting')}"
        why = "and" if reason.startswith(UNEXPLAINED) else "likely because"
        lines.append(
            f"computed {n.dollars(abs(gap))} {'above' if gap > 0 else 'below'} the bill{where}, "
            f"{why} {reason}"
        )
    return lines


def _answers(settings: list[Row]) -> list[str]:
    lines: list[str] = []
    for key, what in (
        ("per_correct_usd", "cheapest correct answer"),
        ("per_reliably_correct_usd", "cheapest answer that is correct in every repeat"),
    ):
        named = [row for row in settings if row[key] is not None]
        if named:
            best = min(named, key=lambda row, key=key: row[key])
            lines.append(f"{what}: {n.dollars(best[key])} ({best['label']})")
    return lines


def _frontier(found: Row | None) -> list[str]:
    if found is None:
        return []
    by = ", ".join(_NAMES[name] for name in found["by"])
    shown = "; ".join(found["unbeaten"][:_NAMED])
    more = len(found["unbeaten"]) - _NAMED
    return [f"beaten by no other on {by}: {shown}{f' and {more} more' if more > 0 else ''}"]


def _cache(cache: Row) -> list[str]:
    if not cache["share"] or not cache["saved_usd"]:
        return []
    return [
        f"cached: {n.percent(cache['share'])} of prompt tokens, {n.dollars(cache['saved_usd'])} "
        "saved"
    ]


def _price(entry: Row) -> str:
    """One price with its table, date and source."""
    names = {"prompt": "in", "cached": "cached", "completion": "out", "reasoning": "reasoning"}
    rates = ", ".join(
        f"{_rate(entry['price_usd_per_mtok'][name])} {text}"
        for name, text in names.items()
        if entry["price_usd_per_mtok"][name] is not None
    )
    fee = f", {_rate(entry['per_request_usd'])} a request" if entry["per_request_usd"] else ""
    tiers = entry["tiers_above_prompt_tokens"]
    higher = f" (other prices above {' and '.join(f'{t:,}' for t in tiers)} in)" if tiers else ""
    whose = f" of {entry['provider']}" if entry["provider"] else ""
    models = f"all models{whose}" if entry["model"] == "*" else entry["model"]
    return f"price of {models}: {rates} per million tokens{fee}{higher}; {price_origin(entry)}"


def _rate(value: float) -> str:
    return f"${value:.10f}".rstrip("0").rstrip(".")


def price_origin(entry: Row) -> str:
    """Table, date and source of a price of ``data["prices"]["used"]``; what is missing is said."""
    dates = [
        f"{text} {entry[key]}"
        for key, text in (("as_of", "of"), ("valid_from", "valid from"))
        if entry[key]
    ]
    table = entry["table"] or "table unknown"
    if table == "override":
        table = "set in pricing.prices"
    return f"{' '.join([table, *dates]) if dates else f'{table}, undated'}, " + (
        entry["source"] or "no source given"
    )


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


_PRICED = "priced"


class _Column(msgspec.Struct, frozen=True):
    heading: str
    fill: Callable[[Row], str]
    brief: bool = True


def money_tables(data: Row, *, brief: bool, most: int) -> list[PlainTable]:
    """Tokens and dollars by setting, model, tag and prompt, and the projection to a volume.

    Args:
        data: a whole report; ``data["money"]`` may be absent.
        brief: fewer columns, for a terminal.
        most: rows of each table.

    Returns:
        None where everything is free or unknown.
    """
    facts: Row | None = data.get("money")
    if facts is None:
        return []
    tables: list[PlainTable] = []
    if facts["whole"]["total_usd"] or facts["whole"]["estimate_usd"]:
        many = len(facts["models"]) > 1
        parts: list[tuple[str, str, list[Row]]] = [
            ("setting", "label", facts["settings"]),
            ("model", "model", facts["models"] if many else []),
            ("tag", "tag", facts["tags"]),
            ("dearest\nprompts", "prompt_id", facts["prompts"]["most_expensive"]),
        ]
        tables += [_table(title, key, rows, brief, most) for title, key, rows in parts if rows]
        if brief and facts["prompts"]["most_expensive"]:
            tables[-1] = _first(tables[-1], _DEAREST)
    if facts["projection"] is not None:
        tables.append(_projected(facts["projection"], most))
    return tables


def _first(table: PlainTable, rows: int) -> PlainTable:
    return PlainTable(table.title, table.headings, table.rows[:rows])


def _table(title: str, key: str, rows: list[Row], brief: bool, most: int) -> PlainTable:
    columns = [c for c in _columns() if c.brief or not brief]
    columns = [c for c in columns if any(c.fill(row) not in ("", n.DASH) for row in rows)]
    if brief and all(row["known"] == row["trials"] for row in rows):
        columns = [c for c in columns if c.heading != _PRICED]
    if key == "prompt_id" and not brief:
        columns.insert(1, _Column("share", lambda row: n.percent(row["share"])))
    return PlainTable(
        title,
        [title, *(c.heading for c in columns)],
        [[_name(row, key), *(c.fill(row) for c in columns)] for row in rows[:most]],
        max(0, len(rows) - most),
    )


def _name(row: Row, key: str) -> str:
    if key == "model":
        return " at ".join(str(row[k]) for k in ("model", "provider") if row[k] is not None)
    return "(no tag)" if row[key] is None else str(row[key])


def _columns() -> list[_Column]:
    return [
        _Column(_PRICED, lambda row: f"{row['known']:,}/{row['trials']:,}"),
        _Column("mean tokens in/\ncached/out/reas.", _tokens),
        _Column("total", _usd("total_usd")),
        _Column("estimated\nbeside", _usd("estimate_usd"), brief=False),
        _Column("mean", _usd("mean_usd"), brief=False),
        _Column("1,000 requests\n[95 % CI]", _per_1k),
        _Column("a correct\nanswer", _usd("per_correct_usd")),
        _Column("correct in\nall repeats", _usd("per_reliably_correct_usd")),
        _Column("cached", lambda row: n.percent(row["cache"]["share"]), brief=False),
        _Column("saved by\ncache", lambda row: n.dollars(row["cache"]["saved_usd"]), brief=False),
        *(_tokens_in_all(name) for name in _TOKENS),
    ]


def _usd(key: str) -> Callable[[Row], str]:
    return lambda row: n.dollars(row[key])


def _tokens(row: Row) -> str:
    means = [row["tokens"][name]["mean"] for name in _TOKENS]
    return n.DASH if means == [None] * len(means) else "/".join(_mean(mean) for mean in means)


def _tokens_in_all(name: str) -> _Column:
    heading = f"{name.replace('_', ' ')}\nin all"
    return _Column(heading, lambda row: n.count(row["tokens"][name]["total"]), brief=False)


def _per_1k(row: Row) -> str:
    ends = row["ci95"]
    return _with_ends(row["per_1k_requests"], None if ends is None else [1000 * e for e in ends])


def _projected(projection: Row, most: int) -> PlainTable:
    title = f"at {projection['volume']:,.0f} requests"
    rows: list[Row] = projection["settings"]
    return PlainTable(
        title,
        [title, "cost [95 % CI]", "prompt tokens", "completion tokens"],
        [
            [
                row["label"],
                _with_ends(row["usd"], row["ci95"]),
                n.count(row["prompt_tokens"]),
                n.count(row["completion_tokens"]),
            ]
            for row in rows[:most]
        ],
        max(0, len(rows) - most),
    )


def _mean(value: float | None) -> str:
    if value is None:
        return n.DASH
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _with_ends(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None or ends is None:
        return n.dollars(value)
    return f"{n.dollars(value)} [{_bare(ends[0])}, {_bare(ends[1])}]"


def _bare(value: float) -> str:
    return n.dollars(value).replace("$", "")
