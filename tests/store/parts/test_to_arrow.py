"""Which value fills a column."""

from __future__ import annotations

from msgspec.structs import replace

from evalharness.store.parts.to_arrow import record_table
from tests.store.sample_run import result


def test_reasoning_and_its_times_have_columns() -> None:
    final = result(1)
    reply = replace(final.reply, reasoning="hm", ttfr_s=0.1, last_reasoning_s=0.4, ttfo_s=0.5)
    (row,) = record_table([replace(final, reply=reply)], {}).to_pylist()
    assert (row["reasoning_text"], row["reasoning"]) == ("hm", "hm")
    assert (row["ttfr_s"], row["last_reasoning_s"], row["ttfo_s"]) == (0.1, 0.4, 0.5)
