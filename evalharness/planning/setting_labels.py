"""Labels of settings: they name only what varies, in the order in which it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from evalharness.config.value_texts import numbered, value_hash, value_texts
from evalharness.errors import ConfigError
from evalharness.parameters import SHORT_LABELS
from evalharness.records import Setting, Variant, canonical_json

_SHORT_NAMES = {**SHORT_LABELS, "load.rate": "rate", "load.concurrency": "concurrency"}


def label_settings(settings: Sequence[Setting]) -> list[Setting]:
    """Give every setting a label that names only what varies, and refuse equal settings.

    No two labels are the same. A value is shown by its name, or as it is; a long text is cut to
    what differs from the axis's other values; labels that are still equal are numbered. What a
    long text or an object is shown as becomes its name, so that comparisons and plots show it too.

    Raises:
        ConfigError: two settings send exactly the same.
    """
    _refuse_equal(settings)
    descriptions = [_description(s) for s in settings]
    keys = list(dict.fromkeys(key for d in descriptions for key in d))
    varying = [k for k in keys if len({canonical_json(d.get(k)) for d in descriptions}) > 1]
    texts = {key: value_texts([d.get(key) for d in descriptions]) for key in varying}
    labels = [
        ", ".join(f"{_SHORT_NAMES.get(key, key)}={texts[key][index]}" for key in varying)
        or setting.model
        for index, setting in enumerate(settings)
    ]
    return [
        _named(
            structs.replace(
                setting,
                label=label,
                axes={**{k: description.get(k) for k in varying}, **setting.axes},
            ),
            {key: texts[key][index] for key in varying},
        )
        for index, (setting, description, label) in enumerate(
            zip(settings, descriptions, numbered(labels), strict=True)
        )
    ]


def _named(setting: Setting, shown: Mapping[str, str]) -> Setting:
    """The setting with a name for each value that ``shown`` does not show as it is."""
    added = {
        key: Variant(name=name, file=None, sha256=value_hash(value))
        for key, name in shown.items()
        if key not in setting.variants
        and key not in ("model", "provider")  # these are names already
        and isinstance(value := setting.axes.get(key), str | list | dict)
        and value != name
    }
    if not added:
        return setting
    names = {key: variant.name for key, variant in added.items()}
    return structs.replace(setting, axes=setting.axes | names, variants=setting.variants | added)


def _refuse_equal(settings: Sequence[Setting]) -> None:
    seen: dict[str, Setting] = {}
    for setting in settings:
        if setting.setting_id in seen:
            raise ConfigError(
                f"two settings ask exactly the same: {setting.axes} and "
                f"{seen[setting.setting_id].axes}",
                hint="drop one of the values that make no difference",
            )
        seen[setting.setting_id] = setting


def apply_labels(settings: Sequence[Setting], labels: Sequence[str]) -> list[Setting]:
    """As :func:`label_settings`, with these labels, which also give the order of the axes."""
    first_label = f", {labels[0]}" if labels else ""

    def position(axis: tuple[str, Any]) -> int:
        start = first_label.find(f", {_SHORT_NAMES.get(axis[0], axis[0])}=")
        return start if start >= 0 else len(first_label)

    return [
        structs.replace(setting, label=label, axes=dict(sorted(setting.axes.items(), key=position)))
        for setting, label in zip(label_settings(settings), labels, strict=True)
    ]


def sort_by_axes(settings: Sequence[Setting]) -> list[Setting]:
    """Labelled settings in the order of a sweep.

    The first axis varies most slowly. Numbers rise, after null; the values of an axis that is not
    all numbers come in order of first appearance.
    """
    ranks: dict[str, dict[bytes, int]] = {}  # by axis and value
    for name in dict.fromkeys(name for setting in settings for name in setting.axes):
        values = [setting.axes.get(name) for setting in settings]
        if all(value is None or _is_number(value) for value in values):
            values.sort(key=lambda value: (value is not None, value))
        ranks[name] = {
            value: rank for rank, value in enumerate(dict.fromkeys(map(canonical_json, values)))
        }
    return sorted(
        settings,
        key=lambda s: [rank[canonical_json(s.axes.get(axis))] for axis, rank in ranks.items()],
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _description(setting: Setting) -> dict[str, Any]:
    own_keys: dict[str, Any] = {"provider": setting.provider, "model": setting.model}
    params = {k: v for k, v in setting.params.items() if k != "extra"}
    extra: dict[str, Any] = setting.params.get("extra") or {}
    # Axes first, in the order given: a label reads like its sweep.
    order = dict.fromkeys(setting.axes)
    values: dict[str, Any] = {
        **own_keys,
        **params,
        **{f"extra.{k}": v for k, v in extra.items()},
        "system": setting.system,
        "template": setting.template,
        **{f"load.{k}": v for k, v in setting.load.items()},
    }
    names = {key: variant.name for key, variant in setting.variants.items()}
    for key in ("extra", "load"):  # one name for all of their fields
        if key in names:
            values = {k: v for k, v in values.items() if not k.startswith(f"{key}.")}
    return {**{k: values.get(k) for k in order}, **values, **names}
