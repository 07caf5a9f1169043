"""Values as cells of CSV and as JSON, in files that people open elsewhere."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from unicodedata import category

# A spreadsheet takes a cell that begins like this for a formula (OWASP, CSV injection); the last
# four are the full-width forms, which some take for the plain ones.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# Some skip what cannot be seen before it: blanks, and these categories and characters.
_UNSEEN_CATEGORIES = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs", "Mn"))
_UNSEEN = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # fillers and the empty braille cell

#: Characters that JSON has as they are and that many programs end a line at.
LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def json_value(value: Any) -> Any:
    """A value that JSON has no type for, as ``import`` reads it."""
    if isinstance(value, Decimal):
        return float(value)  # a number, as import wants it; exact to 15 digits
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()  # as import reads it
    raise TypeError(type(value).__name__)


def cell_text(value: Any, *, raw: bool) -> Any:
    """A value as a cell of CSV; ``raw`` keeps what a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if not raw and _is_formula(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value if isinstance(value, int | float) else json_value(value)


def _is_formula(text: str) -> bool:
    if text.startswith(_FORMULA_STARTS):
        return True
    first = next((character for character in text if not _is_unseen(character)), "")
    return first != "" and first in _FORMULA_STARTS


def _is_unseen(character: str) -> bool:
    return category(character) in _UNSEEN_CATEGORIES or character in _UNSEEN
