"""What is wrong with a request, in OpenAI's words."""

from __future__ import annotations

import re

from evalharness.emulator.validation.error_bodies import Problem
from evalharness.emulator.validation.validation_hints import Hint, HintKind


def refusal(path: str, message: str, code: str = "invalid_value", *, status: int = 400) -> Problem:
    """A refusal that names a parameter."""
    return Problem(status=status, message=message, code=code, hints=[Hint(path, message)])


def worded(hint: Hint) -> Problem:
    """The refusal of an invalid request."""
    path = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", hint.path)
    match hint.kind:
        case HintKind.MISSING:
            message = f"Missing required parameter: '{path}'."
            return refusal(path, message, "missing_required_parameter")
        case HintKind.UNKNOWN:
            path = f"{path}.{hint.detail}" if path else hint.detail
            return refusal(path, f"Unknown parameter: '{path}'.", "unknown_parameter")
        case HintKind.TYPE:
            article = "an" if hint.detail[:1] in "aeio" else "a"
            got = next((name for kind, name in _TYPE_NAMES if type(hint.value) is kind), "null")
            message = f"expected {article} {hint.detail}, but got {got} instead."
            return refusal(path, f"Invalid type for '{path}': {message}", "invalid_type")
        case HintKind.CHOICE | HintKind.KIND:
            options = ", ".join(f"'{option}'" for option in hint.detail.split())
            message = f"Invalid value: '{hint.value}'. Supported values are: {options}."
            return refusal(path, message)
        case HintKind.BELOW | HintKind.ABOVE:
            return _out_of_range(hint, path)
        case _:
            return refusal(path, hint.message, "invalid_request")


def _out_of_range(hint: Hint, path: str) -> Problem:
    kind = "integer" if isinstance(hint.value, int) else "decimal"
    if hint.kind is HintKind.BELOW:
        side, bound, code = "below minimum", f">= {hint.detail}", f"{kind}_below_min_value"
    else:
        side, bound, code = "above maximum", f"<= {hint.detail}", f"{kind}_above_max_value"
    expected = f"Expected a value {bound}, but got {hint.value} instead."
    return refusal(path, f"Invalid '{path}': {kind} {side} value. {expected}", code)


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (str, "a string"),
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (list, "an array"),
    (dict, "an object"),
)
