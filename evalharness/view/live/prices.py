"""What attempts of a running run cost, by its prices; these are read once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.config.stored_config import parse_stored_configs
from evalharness.pricing import PriceBook
from evalharness.records import AttemptResult, Outcome, Setting
from evalharness.runner.budget import EarlierSpend, attempts_spend
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.pricing.price import Price


class RunPrices:
    """The prices of a run's settings.

    Args:
        root: the run folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._settings: dict[str, Setting] = {}
        self._prices: dict[tuple[str, bool], Price | None] = {}
        self._book: PriceBook | None = None

    def cost(self, value: AttemptResult) -> tuple[Decimal, Decimal]:
        """What an attempt cost, and its worst case where that is in doubt."""
        reply = value.reply
        if reply.billed_usd is not None:
            return reply.billed_usd, Decimal(0)
        reserved = value.intent.reserved_usd or Decimal(0)
        if reply.outcome is Outcome.IN_DOUBT:
            return Decimal(0), reserved
        if reply.outcome in (Outcome.REJECTED, Outcome.NOT_SENT):
            return Decimal(0), Decimal(0)
        price = self._price(value.intent.setting_id, in_batch=value.batch_id is not None)
        cost = None if price is None else price.highest_cost(reply.usage)
        return reserved if cost is None else cost, Decimal(0)

    def spend(self, attempts: pa.Table) -> EarlierSpend:
        """What the attempts of a part cost.

        Args:
            attempts: with the columns of :mod:`evalharness.pricing.attempts`.
        """
        if not self._settings:
            self._read_settings()
        return attempts_spend(attempts, list(self._settings.values()), self._price_book())

    def _price(self, setting_id: str, *, in_batch: bool) -> Price | None:
        key = (setting_id, in_batch)
        if key not in self._prices:
            setting = self._setting(setting_id)
            self._prices[key] = (
                None
                if setting is None
                else self._price_book().find(
                    setting.provider,
                    setting.model,
                    at=datetime.now(UTC).date(),
                    in_batch=in_batch,
                )
            )
        return self._prices[key]

    def _setting(self, setting_id: str) -> Setting | None:
        if setting_id not in self._settings:
            self._read_settings()
        return self._settings.get(setting_id)

    def _read_settings(self) -> None:
        run = Run.open(self._root)
        self._settings = {setting.setting_id: setting for setting in run.setting_list}

    def _price_book(self) -> PriceBook:
        if self._book is None:
            text = Run.open(self._root).config_yaml
            config = None if text is None else next(parse_stored_configs(text), None)
            self._book = (
                PriceBook.read()
                if config is None
                else PriceBook.read(
                    overrides=config.pricing,
                    aliases=config.price_aliases(),
                    usage_rules=config.usage_rules(),
                    batch_discounts=config.batch_discounts(),
                )
            )
        return self._book
