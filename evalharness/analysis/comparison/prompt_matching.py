"""Prompts of several runs matched: by id, else by a hash of what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from evalharness.analysis.data.frame import RunFrame

#: The prompts of a run: id to a hash of the content, None where it is not known.
ContentHashes = Mapping[str, str | None]


class PromptMatch(msgspec.Struct, frozen=True, kw_only=True):
    """Which prompts of a run are those of the baseline run.

    Attributes:
        run: the run.
        baseline: the run it is matched with.
        by_id: prompts with the same id.
        by_content: prompts with another id and the same content.
        renamed: of these, the id in the baseline run by the id here.
        other_content: ids in both runs under which something else was asked.
        new_prompts: ids that only this run has.
        gone_prompts: ids that only the baseline run has.
    """

    run: str
    baseline: str
    by_id: int
    by_content: int
    renamed: dict[str, str]
    other_content: list[str]
    new_prompts: list[str]
    gone_prompts: list[str]

    @property
    def common(self) -> int:
        """How many prompts are matched."""
        return self.by_id + self.by_content


def match_prompts(runs: Mapping[str, ContentHashes], baseline: str) -> list[PromptMatch]:
    """Match the prompts of each other run with those of ``baseline``, in the order of the runs.

    Of several prompts with one content the first ones are matched with each other. A prompt that
    neither id nor content ties to the baseline run may still be tied to an earlier run; it counts
    as new.
    """
    first = runs[baseline]
    known = dict(first)
    matches: list[PromptMatch] = []
    for run, prompts in runs.items():
        if run == baseline:
            continue
        renamed = _by_content(prompts, known)
        shared = [name for name in prompts if name in first]
        tied = {name: old for name, old in renamed.items() if old in first}
        matched = {*shared, *tied.values()}
        match = PromptMatch(
            run=run,
            baseline=baseline,
            by_id=len(shared),
            by_content=len(tied),
            renamed=renamed,
            other_content=[name for name in shared if _differs(prompts[name], first[name])],
            new_prompts=[name for name in prompts if name not in first and name not in tied],
            gone_prompts=[name for name in first if name not in matched],
        )
        matches.append(match)
        for name, content in prompts.items():
            known.setdefault(renamed.get(name, name), content)
    return matches


def _by_content(prompts: ContentHashes, known: ContentHashes) -> dict[str, str]:
    """The known id of each prompt whose own id is not known, by its content."""
    free: dict[str, list[str]] = {}
    for name, content in known.items():
        if content is not None and name not in prompts:
            free.setdefault(content, []).append(name)
    renamed: dict[str, str] = {}
    for name, content in prompts.items():
        candidates = None if content is None or name in known else free.get(content)
        if candidates:
            renamed[name] = candidates.pop(0)
    return renamed


def _differs(content: str | None, other: str | None) -> bool:
    return content is not None and other is not None and content != other


def with_matched_ids(frame: RunFrame, renamed: Mapping[str, str]) -> RunFrame:
    """The frame with the ids of the run it is compared with."""
    if not renamed:
        return frame
    ids = [renamed.get(name, name) for name in frame.prompt_ids]
    return msgspec.structs.replace(frame, prompt_ids=ids)
