"""What the provider says it billed for a response, in the forms in which providers say it.

A profile names the forms that its provider uses (``profile.bill``). An amount of another currency,
or what is no amount, is unknown: null, never 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from evalharness.chat_api.lenient_json import as_count, as_object, as_usd
from evalharness.chat_api.usage import find_usage
from evalharness.config.models import BillForm, Profile

_ALL = Profile().bill
_TICKS_PER_USD = Decimal(10) ** 10
_MONEY = Decimal(1).scaleb(-12)
# Names of the whole amount where a cost is an object; its other members are parts of it.
_TOTALS = ("total_cost", "total", "total_usd", "usd", "amount", "cost")


class BilledAmount(NamedTuple):
    """US dollars and the provider's own credits; None where it does not say."""

    usd: Decimal | None = None
    credits: int | None = None


def bill_forms(profile: Profile | None) -> tuple[BillForm, ...]:
    """The forms that a provider's bill has; all of them where nothing is known about it."""
    return _ALL if profile is None else profile.bill


def bill_in_body(top: dict[str, Any], profile: Profile | None = None) -> BilledAmount:
    """The bill in a completion (as sent, or merged from a stream)."""
    forms = bill_forms(profile)
    if "aimlapi" in forms:
        spent = as_object(as_object(top.get("meta")).get("usage"))
        bill = BilledAmount(as_usd(spent.get("usd_spent")), as_count(spent.get("credits_used")))
        if bill != BilledAmount():
            return bill
    usage = find_usage(top) or as_object(top.get("usage"))
    if "usage_cost" in forms and (usd := _usage_cost(usage)) is not None:
        return BilledAmount(usd)
    if "usage_cost_ticks" in forms:
        ticks = as_count(usage.get("cost_in_usd_ticks"))
        if ticks is not None:
            return BilledAmount((Decimal(ticks) / _TICKS_PER_USD).quantize(_MONEY))
    if "usage_estimated_cost" in forms:
        return BilledAmount(as_usd(usage.get("estimated_cost")))
    return BilledAmount()


def bill_in_headers(
    headers: dict[str, str], profile: Profile | None = None, *, streamed: bool = False
) -> BilledAmount:
    """The bill in response headers, whose names are lower-case.

    Args:
        headers: of the response.
        profile: of the provider.
        streamed: the body is a stream. What LiteLLM says before a stream begins is no bill: the
            cost is not known by then, and some versions say 0.
    """
    forms = bill_forms(profile)
    if "aimlapi" in forms:
        stated = headers.get("x-aimlapi-credits-used", "").strip()
        is_count = stated.isascii() and stated.isdigit() and len(stated) < 16
        bill = BilledAmount(
            as_usd(headers.get("x-aimlapi-usd-spent")), int(stated) if is_count else None
        )
        if bill != BilledAmount():
            return bill
    if "litellm_header" in forms:
        usd = as_usd(headers.get("x-litellm-response-cost"))
        if not streamed or usd:
            return BilledAmount(usd)
    return BilledAmount()


def _usage_cost(usage: dict[str, Any]) -> Decimal | None:
    """``usage.cost``: dollars, or an object that holds them."""
    currency = usage.get("currency")
    if currency is not None and str(currency).upper() != "USD":
        return None
    cost = usage.get("cost")
    if not isinstance(cost, dict):
        amount = as_usd(cost)
        if amount is None or usage.get("is_byok") is not True:
            return amount
        # With the user's own key, OpenRouter's cost is its fee; who runs the model bills the rest.
        details = as_object(usage.get("cost_details"))
        upstream = as_usd(details.get("upstream_inference_cost"))
        return None if upstream is None else amount + upstream
    parts = as_object(cost)
    currency = parts.get("currency")
    if currency is not None and str(currency).upper() != "USD":
        return None
    return next((as_usd(parts[name]) for name in _TOTALS if name in parts), None)
