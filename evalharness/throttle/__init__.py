"""How fast requests may leave, when a failed one goes again, and what may be spent.

Everything here is plain logic on an injected clock; only :mod:`.limiter` and :mod:`.clock` touch
asyncio. The reasons for the numbers are in ``docs/decisions/0003-throttle.md``.
"""
