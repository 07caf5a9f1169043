"""What settings are called where one is chosen; an earlier one with what differs from today's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalharness.records import Setting
from evalharness.report.words.format_numbers import parameter_text

_EARLIER = re.compile(r" \(earlier(?: \d+)?\)$")  # as the run folder names them


def setting_labels(settings: Sequence[Setting]) -> dict[str, str]:
    """Labels by id: ``T=0``, and ``T=0 (earlier): max_tokens not set``.

    Args:
        settings: of all plans of a run.
    """
    by_label = {setting.label: setting for setting in settings}
    return {setting.setting_id: _label(setting, by_label) for setting in settings}


def _label(setting: Setting, by_label: Mapping[str, Setting]) -> str:
    newest = by_label.get(_EARLIER.sub("", setting.label))
    if newest is None or newest is setting:
        return setting.label
    differences = ", ".join(_differences(setting, newest))
    return f"{setting.label}: {differences}" if differences else setting.label


def _differences(setting: Setting, newest: Setting) -> Iterator[str]:
    """What shapes the requests of a setting and not those of another in the same way."""
    for name in ("provider", "model", "endpoint"):
        if getattr(setting, name) != getattr(newest, name):
            yield f"{name} {getattr(setting, name)}"
    for name in sorted({*setting.params, *newest.params}):
        value: Any = setting.params.get(name)
        if value != newest.params.get(name):
            yield f"{name} not set" if value is None else f"{name}={parameter_text(value)}"
    for name in ("system", "template"):
        if getattr(setting, name) != getattr(newest, name):
            yield f"another {name}"
