"""The budget of a run: worst cases reserved before sending, real costs settled after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from evalharness.chat_api.content_parts import media_parts, prompt_token_bound
from evalharness.errors import BudgetReachedError, ConfigError
from evalharness.parameters import merge_params, output_limit
from evalharness.pricing import PriceBook, usd_text
from evalharness.records import Outcome, Prompt, Reply, Setting, Trial, Usage
from evalharness.store.folder.run import Run
from evalharness.throttle.budget import Budget

if TYPE_CHECKING:
    import pyarrow as pa


class RequestPrice(Protocol):
    """The part of a price the runner needs (see :mod:`evalharness.pricing`)."""

    def highest_cost(self, usage: Usage) -> Decimal | None:
        """US dollars for this usage, of its dearest reading where it contradicts itself.

        None when it is incomplete.
        """
        ...

    def is_free(self) -> bool:
        """Whether no request costs anything."""
        ...

    def worst_case(self, prompt_tokens: int, max_tokens: int | None, n: int = 1) -> Decimal | None:
        """The most a request can cost; None when nothing bounds it."""
        ...


class RunBudget:
    """A :class:`~evalharness.throttle.budget.Budget` that knows the prices of settings.

    Args:
        limit: ``limits.max_cost_usd``; None is no limit.
        prices: by setting_id; None where no price is known.
        batch_prices: the same of requests in a batch.
        part_tokens: the most tokens of an image, recording or file, by provider and type of part.
        spent: what earlier sessions of the run spent.
        in_doubt: worst cases of their attempts of unknown outcome.

    Attributes:
        on_freed: called when room under the limit may have become free.
    """

    def __init__(
        self,
        limit: Decimal | None,
        prices: Mapping[str, RequestPrice | None],
        *,
        batch_prices: Mapping[str, RequestPrice | None] = MappingProxyType({}),
        part_tokens: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
        spent: Decimal = Decimal(0),
        in_doubt: Decimal = Decimal(0),
    ) -> None:
        self._limit = limit
        self._budget = Budget(limit, spent_usd=spent, in_doubt_usd=in_doubt)
        self._prices, self._batch_prices = prices, batch_prices
        self._part_tokens = part_tokens
        self._counts_earlier = limit is not None
        self.on_freed: Callable[[], None] = lambda: None

    @property
    def committed_usd(self) -> Decimal:
        """Spent so far, and in doubt at its worst case."""
        return self._budget.committed_usd

    @property
    def spent_usd(self) -> Decimal:
        """Charged so far; by earlier sessions, too, where there is a limit or was one."""
        return self._budget.spent_usd

    @property
    def in_doubt_usd(self) -> Decimal:
        """Worst cases of attempts that may have been charged."""
        return self._budget.in_doubt_usd

    @property
    def counts_earlier(self) -> bool:
        """Whether what earlier sessions spent is counted."""
        return self._counts_earlier

    def count_earlier(self, earlier: EarlierSpend) -> None:
        """Count what earlier sessions spent: without a limit that was not necessary."""
        if not self._counts_earlier:
            self._counts_earlier = True
            self._budget.add(spent_usd=earlier.spent, in_doubt_usd=earlier.in_doubt)

    def change_limit(self, limit: Decimal | None) -> None:
        """Let another limit hold from now on; what is reserved and spent stays."""
        self._limit = self._budget.limit_usd = limit
        self.on_freed()

    def exceeded_error(self) -> BudgetReachedError | None:
        """The error where more is spent than the limit allows, without what is in flight."""
        budget = self._budget
        if self._limit is None or budget.committed_usd <= self._limit:
            return None
        return BudgetReachedError(
            f"limits.max_cost_usd={self._limit} is below what was spent: "
            f"{usd_text(budget.spent_usd)}, and in doubt {usd_text(budget.in_doubt_usd)}",
            hint="raise limits.max_cost_usd to go on",
        )

    def worst_case(self, trial: Trial, body: bytes, *, in_batch: bool = False) -> Decimal | None:
        """The most one attempt may cost, in US dollars; None without a price.

        A text cannot have more tokens than bytes, so the body's length bounds them; what an image
        may become, the provider's profile states.

        Raises:
            ConfigError: there is a limit, and nothing bounds what this request may cost.
        """
        price = self._price(trial, in_batch=in_batch)
        if price is None:
            return None
        params = merge_params(trial.setting.params, trial.prompt.params)
        known = self._part_tokens.get(trial.setting.provider, {})
        tokens = prompt_token_bound(len(body), trial.prompt.messages, known)
        if tokens is None and not price.is_free():
            if self._limit is not None:
                raise _unknown_parts_error(trial.prompt, known)
            return None
        worst = price.worst_case(tokens or 0, output_limit(params), params.get("n") or 1)
        if worst is None and self._limit is not None:
            raise _unbounded_error(trial.setting.model)
        return worst

    def reserve(self, key: str, worst: Decimal | None, *, model: str) -> bool:
        """Reserve the worst case of one attempt; False where what is in flight must end first.

        Call it when the attempt is about to be sent: a waiting one must not block others.

        Raises:
            BudgetReachedError: there would be no room even if all that is in flight were free of
                charge.
            ConfigError: there is a limit, and no price.
        """
        if self._budget.reserve(key, worst, model=model):
            return True
        assert worst is not None
        if self._budget.is_exhausted(worst):
            raise self._reached_error(worst)
        return False

    def hold(self, key: str, worst: Decimal | None) -> None:
        """Reserve for an attempt that an earlier session has sent, whatever the limit is now."""
        self._budget.hold(key, worst)

    def cancel(self, key: str) -> None:
        """Release a reservation: nothing was sent."""
        self._budget.settle(key, Decimal(0))
        self._notify_freed()

    def settle(
        self, key: str, trial: Trial, reply: Reply, *, in_batch: bool = False
    ) -> Decimal | None:
        """Replace a reservation by what the attempt really cost; None when that is unknown.

        Rejected and unsent attempts cost nothing; an attempt in doubt keeps its reservation.
        """
        cost = self._cost(trial, reply, in_batch=in_batch)
        if reply.outcome is Outcome.IN_DOUBT:
            self._budget.settle_in_doubt(key)
        else:
            self._budget.settle(key, cost)
        self._notify_freed()
        return cost

    def _notify_freed(self) -> None:
        if self._limit is not None:
            self.on_freed()

    def _price(self, trial: Trial, *, in_batch: bool) -> RequestPrice | None:
        prices = self._batch_prices if in_batch else self._prices
        return prices.get(trial.setting.setting_id)

    def _cost(self, trial: Trial, reply: Reply, *, in_batch: bool) -> Decimal | None:
        if reply.billed_usd is not None:
            return reply.billed_usd
        if reply.outcome in (Outcome.REJECTED, Outcome.NOT_SENT):
            return Decimal(0)
        price = self._price(trial, in_batch=in_batch)
        return None if price is None else price.highest_cost(reply.usage)

    def _reached_error(self, worst: Decimal) -> BudgetReachedError:
        budget = self._budget
        return BudgetReachedError(
            f"limits.max_cost_usd={self._limit} leaves no room for another request: spent "
            f"{usd_text(budget.spent_usd)}, in doubt {usd_text(budget.in_doubt_usd)}, and the next "
            f"one may cost {usd_text(worst)}",
            hint="raise limits.max_cost_usd: the next request needs at least "
            f"{usd_text(budget.spent_usd + budget.in_doubt_usd + worst)}",
        )


def _unbounded_error(model: str) -> ConfigError:
    return ConfigError(
        f"limits.max_cost_usd is set, and nothing bounds how long an answer of {model} may be",
        hint="params.max_tokens=512, for instance (params.max_completion_tokens=512 where the "
        "model takes that instead), or limits.max_cost_usd=null",
    )


def _unknown_parts_error(prompt: Prompt, part_tokens: Mapping[str, int]) -> ConfigError:
    kind = next(k for k in media_parts(prompt.messages) if k not in part_tokens)
    return ConfigError(
        f"limits.max_cost_usd is set, and how many tokens the {kind} of "
        f"{prompt.source or f'prompt {prompt.prompt_id}'} become is not known",
        hint=f"provider.profile.part_tokens.{kind}=N, the most that one may become, or "
        "limits.max_cost_usd=null",
    )


# ── before the first request ─────────────────────────────────────────────────────────────────────


def check_bounded(
    settings: Sequence[Setting],
    prices: Mapping[str, RequestPrice | None],
    book: PriceBook,
    *,
    prompts: Sequence[Prompt] = (),
    part_tokens: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    in_batch: bool = False,
) -> None:
    """Check before anything is sent that a cost limit can hold at all.

    ``part_tokens`` is as in :class:`RunBudget`; ``in_batch``: the prices are those of batches.

    Raises:
        ConfigError: a setting has no price, or a price and no ``max_tokens``; or a prompt holds an
            image, a recording or a file of unknown tokens.
    """
    for setting in settings:
        price = prices.get(setting.setting_id)
        if price is None:
            raise ConfigError(
                f"limits.max_cost_usd is set, and the price of {setting.model} at "
                f"{setting.provider}{' in batches' if in_batch else ''} is unknown",
                hint=book.missing_hint(setting.provider, setting.model, in_batch=in_batch),
            )
        params = setting.params
        if price.worst_case(1, output_limit(params), params.get("n") or 1) is None:
            raise _unbounded_error(setting.model)
        known = part_tokens.get(setting.provider, {})
        for prompt in prompts if not price.is_free() else ():
            if prompt_token_bound(0, prompt.messages, known) is None:
                raise _unknown_parts_error(prompt, known)


class EarlierSpend(NamedTuple):
    """What earlier sessions of a run folder spent, in US dollars.

    Attributes:
        spent: as billed, else as computed, else the worst case that was reserved.
        in_doubt: worst cases of attempts that may have been charged.
        unknown: attempts that are not counted: no bill, no price and no reservation.
    """

    spent: Decimal
    in_doubt: Decimal
    unknown: int


def earlier_spend(run: Run, book: PriceBook, *, before_ns: int | None = None) -> EarlierSpend:
    """Add up every attempt in a run folder, sealed or still in its journal.

    Call it once the folder is open for writing: recovery then has turned intents without a result
    into attempts in doubt. Each attempt is priced by the day it was sent; settings that are no
    longer in the plan count too, since the limit is the folder's.

    Args:
        run: the folder.
        book: today's prices.
        before_ns: only attempts admitted before that (Unix nanoseconds); None: all.
    """
    from evalharness.pricing.attempts import COLUMNS

    if before_ns is None:
        return attempts_spend(run.table("attempts", list(COLUMNS)), run.setting_list, book)
    columns = list(dict.fromkeys([*COLUMNS, "admitted_at"]))
    attempts = _admitted_before(run.table("attempts", columns), before_ns)
    return attempts_spend(attempts, run.setting_list, book)


def _admitted_before(attempts: pa.Table, before_ns: int) -> pa.Table:
    import pyarrow as pa

    moments = attempts["admitted_at"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    earlier: Any = pa.array(moments.to_numpy() < before_ns)
    return attempts.filter(earlier)


def attempts_spend(
    attempts: pa.Table, settings: Sequence[Setting], book: PriceBook
) -> EarlierSpend:
    """Add up attempts, given with the columns that :mod:`~evalharness.pricing.attempts` names."""
    from evalharness.pricing import picodollars
    from evalharness.pricing.attempts import AttemptCosts

    named = {s.setting_id: (s.provider or None, s.model or None) for s in settings}
    costs = AttemptCosts(attempts, named, book)
    assumed = ~costs.known & costs.reserved_known
    spent = picodollars.total(costs.pico[costs.known])
    return EarlierSpend(
        spent=spent + picodollars.total(costs.reserved[assumed & ~costs.in_doubt]),
        in_doubt=picodollars.total(costs.reserved[assumed & costs.in_doubt]),
        unknown=int((~costs.known & ~costs.reserved_known).sum()),
    )
