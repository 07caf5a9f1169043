"""``report --together``: the money of several runs, by what it was spent on.

Sums are exact: whole pico-dollars, added as integers. Every record counts, also of settings and
prompts that are no longer in the plan: they were paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.batches import in_batch
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing.picodollars import pico_sum
from evalharness.pricing.price import Price, PriceRates, to_usd
from evalharness.process.text import plural
from evalharness.report.build.field_groups import look_up_field, no_field_error
from evalharness.report.build.open_run import RunData, open_run
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.several_runs.price_periods import PricePeriod, price_sentences
from evalharness.store.folder.run import Run

_DAY_S = 86_400


class MoneyRow(msgspec.Struct, frozen=True, kw_only=True):
    """The money of some records of several runs.

    Attributes:
        name: what they have in common; null: they have none of it.
        records: how many there are.
        known: those with a known cost.
        total_usd: US dollars of these, exact; null where none has one.
        share: of the total of all runs, in [0, 1]; null where that is 0 or unknown.
    """

    name: str | None
    records: int
    known: int
    total_usd: Decimal | None
    share: float | None


class MoneyTogether(msgspec.Struct, frozen=True, kw_only=True):
    """What several runs cost together, in US dollars by the prices of each record's day.

    Attributes:
        total: all records.
        runs, providers, models, days: by run, by provider, by provider and model, by UTC day; each
            adds up to the total.
        tags: by tag; a prompt counts under each of its tags. Empty where no prompt has one.
        fields: by the field that ``--group-by`` names, a prompt under each of its values, prompts
            without it (or of runs without it) under null; null without ``--group-by``.
        group_by: that field; null without one.
        prices: the prices of each model, in the order of days.
    """

    total: MoneyRow
    runs: list[MoneyRow]
    providers: list[MoneyRow]
    models: list[MoneyRow]
    days: list[MoneyRow]
    tags: list[MoneyRow]
    fields: list[MoneyRow] | None
    group_by: str | None
    prices: list[PricePeriod]


class _Sum:
    """Records and exact money added up."""

    def __init__(self) -> None:
        self.records = self.known = self.pico = 0

    def add(self, records: int, known: int, pico: int) -> None:
        self.records += records
        self.known += known
        self.pico += pico

    def row(self, name: str | None, total: int) -> MoneyRow:
        return MoneyRow(
            name=name,
            records=self.records,
            known=self.known,
            total_usd=to_usd(self.pico) if self.known else None,
            share=self.pico / total if self.known and total else None,
        )


class _Period(NamedTuple):
    """A model on a day, at a price."""

    provider: str | None
    model: str | None
    day: date
    price: Price | None
    in_batch: bool


def _without_own_cost(frame: RunFrame) -> Bools:
    """The records of a frame that came with no cost of their own, which no price touches."""
    name = "cost_usd_imported"
    if name not in frame.records.column_names:
        return np.ones(len(frame.rows), np.bool_)
    blocks = [block[name].is_null().to_numpy() for block in frame.records.tables([name])]
    return np.concatenate(blocks)[frame.rows]


def _sums_of(rows: Ints, known: Bools, pico: Ints) -> tuple[int, int, int]:
    """How many records these are, how many of known cost, and the pico-dollars of those."""
    paid = rows[known[rows]]
    return len(rows), len(paid), pico_sum(pico[paid])


class _Ledger:
    """The sums of the runs read so far."""

    def __init__(self, group_by: str | None) -> None:
        self._group_by = group_by
        self._has_field = False
        self._known_fields: set[str] = set()
        self.by: dict[str, dict[str | None, _Sum]] = {
            kind: {} for kind in ("total", "runs", "providers", "models", "days", "tags", "fields")
        }
        self.periods: dict[_Period, _Sum] = {}

    def add_run(self, data: RunData) -> None:
        """Add the records of a run."""
        frame = data.frame
        pico, known = data.costs.pico[frame.rows], data.costs.known[frame.rows]
        seconds = frame.values("sent_at")
        dated = ~np.isnan(seconds)
        days = np.where(dated, np.floor(np.where(dated, seconds, 0) / _DAY_S), -1).astype(np.int64)
        settings = [frame.params(s) for s in range(len(frame.setting_ids))]
        tags = dict(
            zip(
                data.prompts["prompt_id"].to_pylist(), data.prompts["tags"].to_pylist(), strict=True
            )
        )
        fields = self._field_values(data)
        by_price, batches = _without_own_cost(frame), in_batch(frame)
        day_codes, day = np.unique(days, return_inverse=True)
        cell = (frame.setting.astype(np.int64) * len(frame.prompt_ids) + frame.prompt) * len(
            day_codes
        ) + day
        order = np.argsort(cell, kind="stable")
        _, starts = np.unique(cell[order], return_index=True)
        for rows in np.split(order, starts[1:]):
            sums = _sums_of(rows, known, pico)
            number = int(day_codes[day[rows[0]]])
            when = None if number < 0 else datetime.fromtimestamp(number * _DAY_S, UTC).date()
            prompt = frame.prompt_ids[int(frame.prompt[rows[0]])]
            values = settings[int(frame.setting[rows[0]])]
            provider, model = values.get("provider"), values.get("model")
            self._add("total", [None], sums)
            self._add("runs", [data.run.name], sums)
            self._add("providers", [provider], sums)
            self._add("models", [" · ".join(filter(None, (provider, model))) or None], sums)
            self._add("days", [None if when is None else when.isoformat()], sums)
            self._add("tags", list(dict.fromkeys(tags.get(prompt) or [])) or [None], sums)
            if fields is not None:
                self._add("fields", fields.get(prompt, [None]), sums)
            priced = rows[by_price[rows]]
            for batch in (False, True):
                part = priced[batches[priced] == batch]
                if when is None or not len(part):
                    continue
                price = (
                    None if model is None else data.book.find(provider, model, when, in_batch=batch)
                )
                key = _Period(provider, model, when, price, batch)
                self.periods.setdefault(key, _Sum()).add(*_sums_of(part, known, pico))

    def _field_values(self, data: RunData) -> dict[str, list[str | None]] | None:
        if self._group_by is None:
            return None
        columns = next(data.run.configs()).columns()
        column = look_up_field(data.prompts, self._group_by, columns)
        self._has_field |= column.values is not None
        self._known_fields |= column.known
        return column.values or {}

    def require_field(self) -> None:
        """Refuse a field that no prompt of any run has.

        Raises:
            ConfigError: there is none.
        """
        if self._group_by is not None and not self._has_field:
            raise no_field_error(self._group_by, self._known_fields, "the runs")

    def _add(self, kind: str, names: Sequence[str | None], sums: tuple[int, int, int]) -> None:
        for name in names:
            self.by[kind].setdefault(name, _Sum()).add(*sums)

    def rows(self, kind: str, *, by_cost: bool = True) -> list[MoneyRow]:
        """The sums of a kind, the dearest first, or in the order of names."""
        (total,) = self.by["total"].values()
        rows = [each.row(name, total.pico) for name, each in self.by[kind].items()]
        if by_cost:
            return sorted(rows, key=lambda row: (-(row.total_usd or Decimal(0)), row.name or ""))
        return sorted(rows, key=lambda row: (row.name is None, row.name or ""))


def money_together(runs: Sequence[Run], overrides: ReportOverrides) -> MoneyTogether:
    """Add up the money of any runs, read one after the other.

    Raises:
        ConfigError: one of them holds no records, or cannot be read, or no prompt of any has the
            field that the money is grouped by.
    """
    ledger = _Ledger(overrides.group_by)
    every = overrides._replace(include_inactive=True, group_by=None)
    for run in runs:
        ledger.add_run(open_run(run, every))
    ledger.require_field()
    (total,) = ledger.rows("total")
    has_tags = ledger.by["tags"].keys() - {None}
    return MoneyTogether(
        total=total,
        runs=ledger.rows("runs"),
        providers=ledger.rows("providers"),
        models=ledger.rows("models"),
        days=ledger.rows("days", by_cost=False),
        tags=ledger.rows("tags") if has_tags else [],
        fields=None if overrides.group_by is None else ledger.rows("fields"),
        group_by=overrides.group_by,
        prices=_periods(ledger.periods),
    )


def _periods(sums: dict[_Period, _Sum]) -> list[PricePeriod]:
    """Days in a row at one price of a model, as one period."""
    periods: list[PricePeriod] = []
    rates: tuple[PriceRates | None, Decimal | None]
    pico = 0
    order = sorted(
        sums.items(),
        key=lambda i: (i[0].provider or "", i[0].model or "", i[0].in_batch, i[0].day),
    )
    for key, each in order:
        price = key.price
        rates = (None, None) if price is None else (price.rates, price.per_request_usd)
        last = periods[-1] if periods else None
        whose = (key.provider, key.model, key.in_batch)
        same = last is not None and (last.provider, last.model, last.in_batch) == whose
        if last is not None and same and (last.price_usd_per_mtok, last.per_request_usd) == rates:
            pico += each.pico
            paid = last.total_usd is not None or each.known
            periods[-1] = msgspec.structs.replace(
                last,
                last_day=key.day,
                records=last.records + each.records,
                total_usd=to_usd(pico) if paid else None,
            )
            continue
        pico = each.pico
        periods.append(
            PricePeriod(
                provider=key.provider,
                model=key.model,
                first_day=key.day,
                last_day=key.day,
                price_usd_per_mtok=rates[0],
                per_request_usd=rates[1],
                records=each.records,
                total_usd=to_usd(pico) if each.known else None,
                changed=same,
                in_batch=key.in_batch,
            )
        )
    return periods


def money_sentences(money: MoneyTogether, not_pooled: str | None = None) -> list[str]:
    """Why the runs are not one report, the total, what it leaves out, each change of a price."""
    from evalharness.report.words.format_numbers import dollars

    total = money.total
    unknown = total.records - total.known
    sentences = [
        *([] if not_pooled is None else [not_pooled]),
        f"{plural(len(money.runs), 'run')} cost {dollars(total.total_usd)} together: "
        f"{plural(total.records, 'record')}"
        + (f", {unknown:,} of unknown cost, which are in no total." if unknown else "."),
    ]
    undated = sum(row.records for row in money.days if row.name is None)
    if undated:
        sentences.append(
            f"{plural(undated, 'record')} without a date, in no day and no span of a price: a "
            "column `sent_at` in the file of evalharness import gives them one."
        )
    return [*sentences, *price_sentences(money.prices)]
