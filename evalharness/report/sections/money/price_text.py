"""Prices in words."""

from __future__ import annotations

from evalharness.pricing.price import usd_text
from evalharness.report.build.money import PriceEntry, UnpricedModel


def price_line(entry: PriceEntry) -> str:
    """One price with its table, date and source."""
    rates = entry.price_usd_per_mtok
    named = ((rates.prompt, "in"), (rates.cached, "cached"), (rates.cache_write, "cache writes"),
             (rates.cache_write_1h, "cache writes for an hour"),
             (rates.completion, "out"), (rates.reasoning, "reasoning"))  # fmt: skip
    shown = ", ".join(f"{usd_text(usd)} {text}" for usd, text in named if usd is not None)
    fee = f", {usd_text(entry.per_request_usd)} a request" if entry.per_request_usd else ""
    tiers = " and ".join(f"{tokens:,}" for tokens in entry.tiers_above_prompt_tokens)
    higher = f" (other prices above {tiers} in)" if tiers else ""
    whose = f" of {entry.provider}" if entry.provider else ""
    models = f"all models{whose}" if entry.model == "*" else entry.model
    if entry.batch_basis is not None:
        models += f" in batches ({entry.batch_basis})"
    return f"price of {models}: {shown} per million tokens{fee}{higher}; {price_origin(entry)}"


def price_origin(entry: PriceEntry) -> str:
    """Table, date and source of a price; what is missing is said."""
    dates = [
        f"{text} {day.isoformat()}"
        for day, text in ((entry.as_of, "of"), (entry.valid_from, "valid from"))
        if day
    ]
    table = entry.table or "table unknown"
    if table == "override":
        table = "set in pricing.prices"
    return f"{' '.join([table, *dates]) if dates else f'{table}, undated'}, " + (
        entry.source or "no source given"
    )


def missing_price_line(entry: UnpricedModel) -> str:
    """What is to be done about a model without a price."""
    model = f"{entry.model}" + (f" at {entry.provider}" if entry.provider else "")
    model += " in batches" if entry.in_batch else ""
    return (
        f"no price for {model}; to be added to a file for report --pricing FILE, or on the "
        f"command line as pricing.{entry.add.replace(': [', '=[', 1)}"
    )
