"""What the finish reasons of servers mean."""

from __future__ import annotations

import re
from enum import StrEnum


class FinishKind(StrEnum):
    """What a finish_reason says about an answer, whatever word a server has for it."""

    ORDINARY = "ordinary"  # the model ended by itself, or at a stop sequence
    CUT = "cut"  # a limit of tokens or of the context
    FILTERED = "filtered"  # a filter, or the model's refusal
    BROKEN = "broken"  # the server gave up: no answer
    UNKNOWN = "unknown"  # a word that is not known here


# Words of servers in lower case, without punctuation and the prefix of an enumeration.
_FINISH_WORDS: dict[FinishKind, str] = {
    FinishKind.ORDINARY: """
        stop stopped stopsequence eos eostoken endoftext endturn end complete completed done
        finish finished success toolcall toolcalls tooluse functioncall""",
    FinishKind.CUT: """
        length maxlength modellength maxtoken maxtokens maxnewtokens maxoutputtokens
        maxcompletiontokens tokenlimit lengthlimit errorlimit limit contextlength
        contextlengthexceeded contextwindowexceeded modelcontextwindowexceeded incomplete
        pauseturn truncated""",
    FinishKind.FILTERED: """
        contentfilter contentfiltered safety recitation blocklist prohibitedcontent spii
        imagesafety sensitive refusal guardrailintervened errortoxic moderation""",
    FinishKind.BROKEN: """
        error errorfinish servererror internalerror networkerror abort aborted cancel canceled
        cancelled usercancel failed failure interrupted timeout insufficientsystemresource
        malformedfunctioncall malformedtoolcall""",
}
_FINISH_KINDS = {word: kind for kind, words in _FINISH_WORDS.items() for word in words.split()}
_NO_LETTERS = re.compile(r"[^a-z]+")


def finish_kind(finish_reason: str | None) -> FinishKind:
    """The meaning of a finish_reason; one that was not delivered is ordinary."""
    if finish_reason is None or finish_reason == "stop":
        return FinishKind.ORDINARY
    word = _NO_LETTERS.sub("", finish_reason[:80].casefold()).removeprefix("finishreason")
    return _FINISH_KINDS.get(word, FinishKind.UNKNOWN)
