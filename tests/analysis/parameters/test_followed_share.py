"""How many requests follow their seed: the estimate, its interval, and their agreement with p."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.parameters.followed_share import SeedAgreement, followed_share

SEEDS, REPEATS = 2, 5
PAIRS, OVERLAPS = SEEDS * 10, SEEDS * 60


def _agreement(same: list[float], different: list[float]) -> SeedAgreement:
    return SeedAgreement(
        np.array(same), np.array(different),
        np.full(len(same), float(PAIRS)), np.full(len(same), float(OVERLAPS)),
    )  # fmt: skip


def _simulated(rng: np.random.Generator, prompts: int, share: float, outputs: int) -> SeedAgreement:
    """Agreement by prompt where a share of the requests follows the seed."""
    shape = (prompts, SEEDS, REPEATS)
    of_seed = rng.integers(0, outputs, (prompts, SEEDS, 1))
    text = np.where(rng.random(shape) < share, of_seed, rng.integers(0, outputs, shape))
    flat = text.reshape(prompts, -1)
    equal = flat[:, :, None] == flat[:, None, :]
    seed = np.repeat(np.arange(SEEDS), REPEATS)
    above = np.triu(np.ones((seed.size, seed.size), bool), 1)
    own = above & (seed[:, None] == seed)
    other = above & ~(seed[:, None] == seed)
    return _agreement(
        ((equal & own).sum((1, 2)) / own.sum()).tolist(),
        ((equal & other).sum((1, 2)) / other.sum()).tolist(),
    )


def test_the_share_of_a_worked_example() -> None:
    """Same 64 % and 36 %, different 20 % and 10 %: √((.44 + .26) / (.8 + .9)) = .642."""
    found = followed_share(_agreement([0.64, 0.36], [0.2, 0.1]), p=0.01)
    assert found is not None
    assert found.share == pytest.approx((0.70 / 1.70) ** 0.5)
    assert found.n == 2


def test_outputs_that_never_differ_say_nothing() -> None:
    """Without any different output there is no share, not a share of 0."""
    assert followed_share(_agreement([1.0, 1.0], [1.0, 1.0]), p=1.0) is None


def test_one_prompt_has_no_interval() -> None:
    """One prompt, or one cluster, shows no spread."""
    one = followed_share(_agreement([1.0], [0.0]), p=0.01)
    clustered = followed_share(
        _agreement([1.0, 0.9], [0.0, 0.0]), p=0.01, clusters=np.array([7, 7])
    )
    assert one is not None
    assert clustered is not None
    assert (one.share, one.ci95, clustered.ci95) == (1.0, None, None)


def test_prompts_that_all_agree_leave_room() -> None:
    """No spread is not certainty: the fewer prompts, the lower the low end."""
    ends = []
    for prompts in (4, 12, 60):
        found = followed_share(_agreement([1.0] * prompts, [0.3] * prompts), p=0.001)
        assert found is not None
        assert found.ci95 is not None
        assert found.ci95[1] == 1.0
        ends.append(found.ci95[0])
    assert 0.8 < ends[0] < ends[1] < ends[2] < 1.0


def test_whole_clusters_are_the_unit() -> None:
    """Prompts of a cluster that are alike are not so many observations."""
    rng = np.random.default_rng(2)
    agreement = _simulated(rng, 8, 0.6, 6)
    copies = SeedAgreement(*(np.repeat(values, 5) for values in agreement))
    clustered = followed_share(copies, p=0.01, clusters=np.repeat(np.arange(8), 5))
    alone = followed_share(agreement, p=0.01)
    apart = followed_share(copies, p=0.01)
    assert clustered is not None
    assert alone is not None
    assert apart is not None
    assert clustered.ci95 == pytest.approx(alone.ci95)
    assert clustered.ci95[0] < apart.ci95[0]


shares = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=30)


@given(shares, st.floats(0.0, 1.0))
def test_estimate_and_test_lie_in_the_interval(counts: list[tuple[int, int]], p: float) -> None:
    """The share is in its interval, which is in 0 to 1 and leaves 0 out where p is below .05."""
    found = followed_share(
        _agreement([a / 20 for a, _ in counts], [b / 20 for _, b in counts]), p=p
    )
    if found is None:
        assert all(b == 20 for _, b in counts)
        return
    assert found.ci95 is not None
    low, high = found.ci95
    assert 0.0 <= low <= found.share <= high <= 1.0
    assert (low > 0.0) == (p < 0.05)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("prompts", [6, 30])
def test_the_interval_holds_the_true_share(share: float, prompts: int) -> None:
    """At least 95 % less three standard errors of 300 runs, of outputs with six variants."""
    rng = np.random.default_rng(prompts)
    runs, held = 300, 0
    for _ in range(runs):
        # The low end of a test that always rejects 0: the one that claims most.
        found = followed_share(_simulated(rng, prompts, share, 6), p=0.0)
        assert found is not None
        assert found.ci95 is not None
        held += found.ci95[0] <= share <= found.ci95[1]
    assert held >= runs * 0.95 - 3 * (runs * 0.95 * 0.05) ** 0.5
