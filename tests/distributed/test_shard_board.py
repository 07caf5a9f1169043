"""Who works on which shard: every position is finished once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.distributed.shard_board import Shard, ShardBoard


@given(planned=st.integers(0, 500), size=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_every_position_is_finished_once_whoever_dies(planned, size, seed):
    """Shards cover the plan exactly, also when workers are lost and others take over."""
    rng = random.Random(seed)
    board, finished, held = ShardBoard(planned, size), [], {"a": [], "b": []}
    while not board.done:
        name = rng.choice(["a", "b"])
        shard = board.take(name)
        if shard is not None:
            held[name].append(shard)
        if held[name] and rng.random() < 0.5:
            shard = held[name].pop()
            board.finish(name, shard)
            finished.append(shard)
        if rng.random() < 0.1:
            assert sorted(board.requeue(name)) == sorted(held[name])
            held[name] = []
    assert sorted(p for s in finished for p in range(s.start, s.stop)) == list(range(planned))
    assert board.take("a") is None


def test_a_lost_shard_is_the_next_to_go():
    """What somebody had begun is finished first."""
    board = ShardBoard(100, 10)
    board.take("a")
    board.take("b")
    assert board.requeue("a") == [Shard(0, 10)]
    assert board.take("b") == Shard(0, 10)
    with pytest.raises(ValueError, match="x not in list"):
        board.finish("b", Shard(50, 60))
