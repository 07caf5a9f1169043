"""How languages write numbers: the sign before decimals and the one between groups of digits."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class NumberLocale(NamedTuple):
    """Conventions of a locale.

    ``decimal`` is a point or a comma; ``group`` a comma, a point, an apostrophe or a space, which
    stands for the spaces of every width.
    """

    decimal: str
    group: str


POINT = NumberLocale(".", ",")
# By language, and by language and country where that is another: the signs of the Unicode CLDR
# (47) for Western digits.
_TABLE = (
    (POINT, """
        ak am ar as bn cy dv en fa fil ga gd gu ha he hi ig ja kn ko la ml mi mn mr ms mt my ne om
        or pa qu sa sd si sn so st sw ta te th ti tl tn ug ur yi yo yue za zh zu
        es-419 es-SV es-PR es-HN es-PA es-US es-GT es-DO es-NI es-CU es-PE es-MX es-BZ"""),
    (NumberLocale(".", "'"), "en-CH de-CH de-LI it-CH"),
    (NumberLocale(",", "'"), "fr-CH"),
    (NumberLocale(",", "."), """
        az bs ca da de el es eu fo fy hr id is it jv kl ku lb ln lo mk nl ps pt rn ro rw sc sg sl sr
        su tr vi wo ar-DZ ar-LB ar-LY ar-MA ar-TN en-BE en-DE en-DK en-NL fr-LU"""),
    (NumberLocale(",", " "), """
        af ba be bg br cs cv eo et fi fr gl ht hu hy ie ka kk ky lt lv nb nn no pl rm ru se sk sq ss
        sv tg tk tt uk uz ve en-FI en-SE en-ZA es-CR pt-AO pt-CH pt-CV pt-MZ pt-PT"""),
)  # fmt: skip
_FORMATS = {tag: form for form, tags in _TABLE for tag in tags.split()}
_TAG = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?"
    r"(?:[-_](?P<region>[A-Za-z]{2}|\d{3}))?(?:\.[\w-]+)?"
)


@lru_cache(maxsize=256)
def number_locale(locale: str | None) -> NumberLocale:
    """The conventions of a language tag such as ``de``, ``pt-BR`` or ``fr_CA``; None is ``en``.

    Raises:
        ValueError: not a language tag, or a language that is not in the table.

    """
    if locale is None:
        return POINT
    match = _TAG.fullmatch(locale)
    language = "" if match is None else match["language"].lower()
    if match is None or language not in _FORMATS:
        raise ValueError(f"{locale!r} is not the tag of a known language, as `de` or `pt-BR` are")
    by_region = _FORMATS.get(f"{language}-{(match['region'] or '').upper()}")
    return by_region or _FORMATS[language]
