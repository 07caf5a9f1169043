"""Settings of earlier plans, whose labels and names must not be taken for those of the newest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import structs

from evalharness.records import Setting


def distinguish(current: Sequence[Setting], earlier: Sequence[Setting]) -> list[Setting]:
    """The earlier settings, marked where a label or a name now stands for something else.

    A file that changed, for instance, gives a new setting that is called like the old one.
    """
    hash_of = {(axis, v.name): v.sha256 for s in current for axis, v in s.variants.items()}
    labels = {setting.label for setting in current}
    distinct: list[Setting] = []
    for setting in earlier:
        named = _rename(setting, hash_of)
        label = _free(named.label, labels)
        labels.add(label)
        distinct.append(structs.replace(named, label=label))
    return distinct


def _rename(setting: Setting, hash_of: dict[tuple[str, str], str]) -> Setting:
    """The setting with other names for values whose name has another value; ``hash_of`` grows."""
    axes, variants = dict(setting.axes), dict(setting.variants)
    for axis, variant in setting.variants.items():
        others = {n for (a, n), sha256 in hash_of.items() if a == axis and sha256 != variant.sha256}
        name = _free(variant.name, others)
        hash_of[axis, name] = variant.sha256
        variants[axis] = structs.replace(variant, name=name)
        if axes.get(axis) == variant.name:
            axes[axis] = name
    return structs.replace(setting, axes=axes, variants=variants)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or the first of ``name (earlier)``, ``name (earlier 2)``, … that is free."""
    free, number = name, 1
    while free in taken:
        free = f"{name} (earlier)" if number == 1 else f"{name} (earlier {number})"
        number += 1
    return free
