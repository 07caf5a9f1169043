"""The results of a judging: its replies, and the grades as scores of the judged run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.columnar.arrow_ops import where_in
from evalharness.errors import ConfigError
from evalharness.judging.config import JudgeConfig, judging_root, read_judge_config
from evalharness.judging.verdict_parsing import parse_reply
from evalharness.records import Status
from evalharness.scoring.base import Scorer
from evalharness.scoring.scorers.judge import Grade, JudgeScorer, StoredGradeScorer
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST

if TYPE_CHECKING:
    import pyarrow as pa


class JudgeReply(msgspec.Struct, frozen=True):
    """One reply of the judge: about ``key`` in ``order``; ``verdict`` None when unreadable."""

    key: str
    order: str | None
    repeat: int
    failed: bool
    verdict: str | None


class Judging:
    """A judging of a run, open for reading."""

    def __init__(self, run: Run, config: JudgeConfig) -> None:
        self.run = run
        self.config = config

    @property
    def name(self) -> str:
        """Its name, which is that of its folder."""
        return self.run.root.name

    @cached_property
    def prompts(self) -> pa.Table:
        """The prompts of the current plan."""
        table = self.run.table("prompts")
        return table.filter(table["in_current_plan"])

    @cached_property
    def settings(self) -> pa.Table:
        """The setting of the current plan: its rubric and model."""
        table = self.run.table("settings")
        return table.filter(table["in_current_plan"])

    def records(self, columns: list[str]) -> pa.Table:
        """Replies to the current plan; those to an earlier rubric or model are left out."""
        wanted = list(dict.fromkeys([*columns, "prompt_id", "setting_id"]))
        table = where_in(
            self.run.table("records", wanted), "setting_id", self.settings["setting_id"]
        )
        return where_in(table, "prompt_id", self.prompts["prompt_id"])

    @cached_property
    def replies(self) -> list[JudgeReply]:
        """Every reply, with the output it is about."""
        rows_of_prompts = self.prompts.select(["prompt_id", "fields_json"]).to_pylist()
        about: dict[str, dict[str, Any]] = {
            str(row["prompt_id"]): msgspec.json.decode(str(row["fields_json"]))
            for row in rows_of_prompts
        }
        table = self.records(["repeat", "status", "text"])
        names = ("prompt_id", "repeat", "status", "text")
        rows = zip(*(table[name].to_pylist() for name in names), strict=True)
        replies: list[JudgeReply] = []
        for prompt_id, repeat, status, text in rows:
            failed = status == Status.ERROR
            verdict = None if failed else parse_reply(text, self.config)
            fields = about[str(prompt_id)]
            replies.append(
                JudgeReply(fields["judged"], fields.get("order"), repeat, failed, verdict)
            )
        return replies

    def grades(self) -> dict[str, Grade]:
        """The grade of every judged output, by its key."""
        by_key: dict[str, list[JudgeReply]] = defaultdict(list)
        for reply in self.replies:
            by_key[reply.key].append(reply)
        return {key: self._grade(replies) for key, replies in by_key.items()}

    def _grade(self, replies: Sequence[JudgeReply]) -> Grade:
        values = [float(r.verdict) for r in replies if r.verdict is not None]
        if values:
            # Sorted, so that the order in which replies came cannot move the last bit.
            mean = sum(sorted(values)) / len(values)
            return Grade(mean, f"graded {mean:.4g} by `{self.name}` ({len(values)} replies)")
        failed = sum(reply.failed for reply in replies)
        if failed == len(replies):
            return Grade(None, f"the judge `{self.name}` gave no answer: its requests failed")
        return Grade(None, f"the judge `{self.name}` answered without a grade on its scale")


def open_judging(run: Run, name: str) -> Judging | None:
    """A judging of ``run``; None when there is none of that name.

    Raises:
        ConfigError: its configuration is damaged.
    """
    root = judging_root(run.root, name)
    if not (root / MANIFEST).is_file():
        return None
    config = read_judge_config(root)
    return None if config is None else Judging(Run.open(_explicit(root)), config)


def _explicit(root: Path) -> Path:
    # An absolute path cannot be taken for a name below results/.
    return root.resolve()


def attach_grades(scorers: Sequence[Scorer], run: Run) -> list[Scorer]:
    """Give every ``judge`` scorer the grades of its judging; without a judging its scores are null.

    Raises:
        ConfigError: the judging compares pairs, which is no score of an output.
    """
    return [_with_grades(s, run) if isinstance(s, JudgeScorer) else s for s in scorers]


def _with_grades(scorer: JudgeScorer, run: Run) -> Scorer:
    judging = open_judging(run, scorer.source)
    if judging is None:
        return scorer
    if judging.config.mode != "grade":
        raise ConfigError(
            f"the judging `{scorer.source}` compares two settings and gives outputs no grade",
            hint=f"evalharness judge {run.location} --name grade",
        )
    return StoredGradeScorer(
        label=scorer.label, negated=scorer.negated, source=scorer.source, grades=judging.grades()
    )
