"""Dated prices, and what requests cost under them, exactly.

:class:`PriceBook` finds a price; :class:`Price` turns usage into dollars. Whole tables of records
are priced by :func:`evalharness.pricing.cost_columns.cost_columns`, which is imported from there
since it needs numpy.
"""

from evalharness.pricing.book import PriceBook
from evalharness.pricing.price import Price, PriceRates, PriceTier, usd_text

__all__ = ["Price", "PriceBook", "PriceRates", "PriceTier", "usd_text"]
