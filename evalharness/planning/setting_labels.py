"""What settings are called: only what varies between them, in the order it was given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from evalharness.errors import ConfigError
from evalharness.records import Setting, canonical_json

_SHORT = {"temperature": "T", "load.rate": "rate", "load.concurrency": "concurrency"}


def label(settings: Sequence[Setting]) -> list[Setting]:
    """Give every setting a label naming only what varies, and refuse two that are the same.

    Raises:
        ConfigError: two combinations ask exactly the same.
    """
    described = [_description(s) for s in settings]
    keys = list(dict.fromkeys(key for d in described for key in d))
    varying = [k for k in keys if len({canonical_json(d.get(k)) for d in described}) > 1]
    labelled: list[Setting] = []
    seen: dict[str, Setting] = {}
    for setting, description in zip(settings, described, strict=True):
        if setting.setting_id in seen:
            raise ConfigError(
                f"two settings ask exactly the same: {setting.axes} and "
                f"{seen[setting.setting_id].axes}",
                hint="drop one of the values that make no difference",
            )
        seen[setting.setting_id] = setting
        shown = ", ".join(f"{_SHORT.get(k, k)}={_show(description.get(k))}" for k in varying)
        axes = {**setting.axes, **{k: description.get(k) for k in varying}}
        labelled.append(structs.replace(setting, label=shown or setting.model, axes=axes))
    return labelled


def named(settings: Sequence[Setting], names: Sequence[str]) -> list[Setting]:
    """As :func:`label`, but called by ``names``, which also give the order of the axes."""
    first = f", {names[0]}" if names else ""

    def place(axis: tuple[str, Any]) -> int:
        at = first.find(f", {_SHORT.get(axis[0], axis[0])}=")
        return at if at >= 0 else len(first)

    return [
        structs.replace(one, label=name, axes=dict(sorted(one.axes.items(), key=place)))
        for one, name in zip(label(settings), names, strict=True)
    ]


def by_axes(settings: Sequence[Setting]) -> list[Setting]:
    """Settings that :func:`label` gave their axes, in the order in which a sweep has them.

    The first axis varies most slowly. Numbers rise, after null; values of an axis that has others,
    too, come in order of first appearance.
    """
    places: dict[str, dict[bytes, int]] = {}
    for name in dict.fromkeys(name for setting in settings for name in setting.axes):
        values = [setting.axes.get(name) for setting in settings]
        if all(value is None or _is_number(value) for value in values):
            values.sort(key=lambda value: (value is not None, value))
        places[name] = {
            key: at for at, key in enumerate(dict.fromkeys(map(canonical_json, values)))
        }
    return sorted(
        settings, key=lambda s: [at[canonical_json(s.axes.get(n))] for n, at in places.items()]
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _description(setting: Setting) -> dict[str, Any]:
    shaping: dict[str, Any] = {"provider": setting.provider, "model": setting.model}
    params = {k: v for k, v in setting.params.items() if k != "extra"}
    extra: dict[str, Any] = setting.params.get("extra") or {}
    # Axes first and in the order given: a label reads like the sweep that made it.
    order = dict.fromkeys(setting.axes)
    rest: dict[str, Any] = {
        **shaping,
        **params,
        **{f"extra.{k}": v for k, v in extra.items()},
        "system": setting.system,
        "template": setting.template,
        **{f"load.{k}": v for k, v in setting.load.items()},
    }
    return {**{k: rest.get(k) for k in order}, **rest}


def _show(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 24 else text[:23] + "…"
