"""Texts and lengths of a plan's requests, without building each of a million of them."""

from __future__ import annotations

from evalharness.planning.estimate.request_text import RequestText, read_request_text
from evalharness.planning.plan import Plan
from evalharness.records import Trial, canonical_json


class RequestShapes:
    """Request texts and lengths by prompt and setting.

    Settings that share template, system prompt and tools send the same text and differ in a few
    parameters; such a *shape* is rendered once a prompt.

    Attributes:
        shape_of_setting: the shape of each setting, by its index in the plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.shape_of_setting: list[int] = []
        self._first: list[int] = []  # the setting each shape is rendered with
        self._rendered: dict[int, tuple[list[RequestText], list[int]]] = {}
        known: dict[tuple[str | None, str | None, bytes], int] = {}
        for index, setting in enumerate(plan.settings):
            extras = [setting.params.get(name) for name in ("tools", "response_format")]
            key = (setting.template, setting.system, canonical_json(extras))
            if key not in known:
                known[key] = len(self._first)
                self._first.append(index)
            self.shape_of_setting.append(known[key])

    def texts(self, shape: int) -> list[RequestText]:
        """The text of each prompt in a shape."""
        return self._render(shape)[0]

    def lengths(self, setting: int) -> list[int]:
        """Bytes of each prompt's request body under a setting, without answers to earlier turns."""
        shape = self.shape_of_setting[setting]
        lengths = self._render(shape)[1]
        first = self._first[shape]
        if setting == first or not lengths:
            return lengths
        plain = next((i for i, p in enumerate(self._plan.prompts) if not p.params), None)
        more = 0 if plain is None else len(self._body(plain, setting)) - lengths[plain]
        return [
            len(self._body(i, setting)) if prompt.params else lengths[i] + more
            for i, prompt in enumerate(self._plan.prompts)
        ]

    def _render(self, shape: int) -> tuple[list[RequestText], list[int]]:
        if shape not in self._rendered:
            setting = self._first[shape]
            bodies = [self._body(row, setting) for row in range(len(self._plan.prompts))]
            self._rendered[shape] = (
                [read_request_text(body) for body in bodies],
                [len(b) for b in bodies],
            )
        return self._rendered[shape]

    def _body(self, prompt: int, setting: int) -> bytes:
        plan = self._plan
        row = plan.prompts[prompt]
        earlier = ("",) * ((row.turn or 1) - 1)  # their text is counted by earlier_answers
        return plan.body(Trial("", row, plan.settings[setting], 0, 0, earlier))
