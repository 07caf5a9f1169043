"""Limits on sending: concurrency, rates, pauses, retries and the budget.

Everything here is plain logic on an injected clock; only :mod:`.limiter` and :mod:`.clock` touch
asyncio. The reasons for the numbers are in ``docs/decisions/0003-throttle.md``.
"""
