"""A label, and a name, stand for one thing in a run folder, whatever was planned before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.records import Setting, Variant
from evalharness.store.folder.earlier_settings import distinguish


def setting(number: int, label: str, name: str, sha256: str) -> Setting:
    return Setting(
        setting_id=f"s{number}", label=label, provider="p", endpoint="e", model="m",
        axes={"system": name}, variants={"system": Variant(name=name, file=None, sha256=sha256)},
    )  # fmt: skip


def test_a_changed_file_leaves_two_settings_that_are_told_apart() -> None:
    """The old text of ``terse`` is ``terse (earlier)`` under every temperature; others stay."""
    current = [setting(1, "system=terse, T=0", "terse", "new")]
    earlier = [
        setting(2, "system=terse, T=0", "terse", "old"),
        setting(3, "system=terse, T=1", "terse", "old"),
        setting(4, "system=terse, T=2", "terse", "new"),
    ]
    first, second, same = distinguish(current, earlier)
    assert first.label == "system=terse, T=0 (earlier)"
    assert first.axes["system"] == second.axes["system"] == "terse (earlier)"
    assert first.variants["system"].sha256 == "old"
    assert same == earlier[2]


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))), max_size=4))
def test_labels_and_names_are_unique_plan_after_plan(plans: list[list[tuple[str, str]]]) -> None:
    """Every plan makes the last one's settings earlier ones."""
    stored: list[Setting] = []
    number = 0
    for plan in plans:
        current: list[Setting] = []
        for name, sha256 in dict(plan).items():
            number += 1
            current.append(setting(number, f"system={name}", name, sha256))
        stored = [*current, *distinguish(current, stored)]
        labels = [s.label for s in stored]
        assert len(set(labels)) == len(labels)
        meanings = {(s.axes["system"], s.variants["system"].sha256) for s in stored}
        assert len({name for name, _ in meanings}) == len(meanings)
