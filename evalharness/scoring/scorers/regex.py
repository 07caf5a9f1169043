"""``regex``: a pattern matches the text."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from evalharness.scoring.base import Sample, Score, UnscorableError, alternatives, verdict
from evalharness.scoring.safe_regex import DEFAULT_TIMEOUT_S, Seconds, compiled, search
from evalharness.scoring.text_options import TextScorer


class Regex(TextScorer, frozen=True, kw_only=True):
    """1 when the pattern matches, else 0; with ``group``, when the group equals the target.

    Attributes:
        pattern: a regular expression in Python's syntax; None takes the target as the pattern
            (or patterns: any).
        group: number or name of a group to compare with the target, as ``exact`` does.
        mode: ``search`` anywhere in the text, or ``fullmatch``.
        which: the match that counts where ``group`` is given and there are several.
        timeout_s: processor seconds for one text; beyond it the value is null.

    The pattern sees the text as it is; ``ignore_case`` holds for it and for the comparison,
    the other text options for the comparison alone.

    """

    pattern: str | None = None
    group: int | str | None = None
    mode: Literal["search", "fullmatch"] = "search"
    which: Literal["first", "last"] = "first"
    timeout_s: Seconds = DEFAULT_TIMEOUT_S

    needs_target: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.pattern is None:
            if self.group is not None:
                raise ValueError("`group`: needs a `pattern`")
            return
        try:
            pattern = compiled(self.pattern, ignore_case=self.ignore_case)
        except ValueError as error:
            raise ValueError(f"`pattern`: {error}") from None
        known: list[int | str] = [*range(pattern.groups + 1), *pattern.groupindex]
        if self.group is not None and self.group not in known:
            raise ValueError(f"`group`: the pattern has no group {self.group!r}")

    def grade(self, sample: Sample) -> Score:
        """Search the text."""
        said = self.said(sample)
        if self.pattern is None:
            if sample.target is None:
                raise UnscorableError("no target, and no `pattern`")
            return self._any(alternatives(sample.target), said)
        if self.group is None:
            return self._any([self.pattern], said)
        if sample.target is None:
            raise UnscorableError("no target to compare the group with")
        return self._captured(self.pattern, self.group, said, sample.target)

    def _any(self, patterns: list[str], said: str) -> Score:
        for pattern in patterns:
            try:
                regex = compiled(pattern, ignore_case=self.ignore_case)
            except ValueError as error:
                raise UnscorableError(f"the target is {error}") from None
            match = search(regex, said, mode=self.mode, timeout_s=self.timeout_s)
            if match is not None:
                return verdict(True, match[0], "the pattern matches")
        return verdict(False, None, "the pattern does not match")

    def _captured(self, pattern: str, group: int | str, said: str, target: Any) -> Score:
        match = search(
            compiled(pattern, ignore_case=self.ignore_case),
            said,
            mode=self.mode,
            which=self.which,
            timeout_s=self.timeout_s,
        )
        captured = match[group] if match is not None else None
        if captured is None:
            return verdict(False, None, "the pattern does not match")
        plain = self.plain(captured)
        passed = any(plain == self.plain(one) for one in alternatives(target))
        return verdict(passed, captured, "equals the target" if passed else "is not the target")
