"""``regex``: a pattern matches the text."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Literal

from evalharness.scoring.base import Sample, Score, UnscorableError, accepted_targets, binary_score
from evalharness.scoring.bounds import Bounds, pattern_bounds
from evalharness.scoring.safe_regex import (
    DEFAULT_TIMEOUT_S,
    PatternTimeoutError,
    Seconds,
    compile_pattern,
    search,
)
from evalharness.scoring.text_options import TextScorer


class RegexScorer(TextScorer, frozen=True, kw_only=True):
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
            pattern = compile_pattern(self.pattern, ignore_case=self.ignore_case)
        except ValueError as error:
            raise ValueError(f"`pattern`: {error}") from None
        known: list[int | str] = [*range(pattern.groups + 1), *pattern.groupindex]
        if self.group is not None and self.group not in known:
            raise ValueError(f"`group`: the pattern has no group {self.group!r}")

    def bounds(self) -> Bounds:
        """The pattern has a time limit of its own."""
        return pattern_bounds(self.timeout_s)

    def warning(self) -> str | None:
        """A group that captures something nobody compares."""
        if self.pattern is None or self.group is not None:
            return None
        if not compile_pattern(self.pattern, ignore_case=self.ignore_case).groups:
            return None
        return (
            "its pattern captures a group, which is not compared with the target without "
            "`group: 1`: every match scores 1 (write (?:…) where nothing is to be captured)"
        )

    def evaluate(self, sample: Sample) -> Score:
        """Search the text."""
        text = self.text_to_score(sample)
        if self.pattern is None:
            if sample.target is None:
                raise UnscorableError("no target, and no `pattern`")
            return self._match_any(accepted_targets(sample.target), text)
        if self.group is None:
            return self._match_any([self.pattern], text)
        if sample.target is None:
            raise UnscorableError("no target to compare the group with")
        return self._compare_group(self.pattern, self.group, text, sample.target)

    def _match_any(self, patterns: list[str], text: str) -> Score:
        end = time.process_time() + self.timeout_s
        for pattern in patterns:
            left_s = end - time.process_time()
            if left_s <= 0:  # it holds for all of them together
                raise PatternTimeoutError
            try:
                regex = compile_pattern(pattern, ignore_case=self.ignore_case)
            except ValueError as error:
                raise UnscorableError(f"the target is {error}") from None
            match = search(regex, text, mode=self.mode, timeout_s=left_s)
            if match is not None:
                return binary_score(True, match[0], "the pattern matches")
        return binary_score(False, None, "the pattern does not match")

    def _compare_group(self, pattern: str, group: int | str, text: str, target: Any) -> Score:
        match = search(
            compile_pattern(pattern, ignore_case=self.ignore_case),
            text,
            mode=self.mode,
            which=self.which,
            timeout_s=self.timeout_s,
        )
        captured = match[group] if match is not None else None
        if captured is None:
            return binary_score(False, None, "the pattern does not match")
        plain = self.comparable(captured)
        passed = any(plain == self.comparable(accepted) for accepted in accepted_targets(target))
        return binary_score(
            passed, captured, "equals the target" if passed else "is not the target"
        )
