"""The trials of a plan by their intents, and how often each was tried."""

from __future__ import annotations

from collections.abc import Iterable

from evalharness.planning.plan import Plan
from evalharness.process import session_clock
from evalharness.records import Intent, Prompt, Setting, Trial
from evalharness.runner.queue import Job
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.crash_recovery import UnfinishedTrial


class TrialFinder:
    """Finds trials by their intents.

    Args:
        plan: of the run.
        store: opened; knows what earlier sessions tried.
    """

    def __init__(self, plan: Plan, store: RunStore) -> None:
        self._plan = plan
        self._rows = {prompt.prompt_id: row for row, prompt in enumerate(plan.prompts)}
        self._settings = {setting.setting_id: setting for setting in plan.settings}
        self._tried = store.recovery.unfinished

    def is_planned(self, intent: Intent) -> bool:
        """Whether a trial is part of the plan, and its prompt what it was."""
        row, setting = self._rows.get(intent.prompt_id), self._settings.get(intent.setting_id)
        if row is None or setting is None or intent.repeat >= self._plan.repeats:
            return False
        return self._plan.trial_id(row, setting, intent.repeat) == intent.trial_id

    def are_planned(self, intents: Iterable[Intent]) -> bool:
        """Whether all of them are."""
        return all(self.is_planned(intent) for intent in intents)

    def trial(self, intent: Intent) -> Trial:
        """The trial of an intent; one that is not planned any more has its names alone."""
        if self.is_planned(intent):
            prompt = self._plan.prompts[self._rows[intent.prompt_id]]
            setting = self._settings[intent.setting_id]
        else:
            prompt = Prompt(prompt_id=intent.prompt_id)
            setting = Setting(
                setting_id=intent.setting_id, label="", provider="", endpoint="", model=""
            )
        return Trial(intent.trial_id, prompt, setting, intent.repeat, intent.position)

    def fresh_job(self, trial: Trial) -> Job:
        """A trial that is asked for the first time in this session."""
        job = Job(trial, b"", session_clock.now_ns())
        earlier = self._tried.get(trial.trial_id)
        if earlier is not None:
            job.attempt, job.in_doubt = earlier.attempts, earlier.in_doubt
            job.sent = earlier.sent
        return job

    def job(self, intent: Intent) -> Job:
        """The job of an attempt that is under way."""
        job = self.fresh_job(self.trial(intent))
        job.attempt, job.session_attempts = intent.attempt, 1
        return job

    def note_attempt(self, intent: Intent, *, sent: bool, in_doubt: bool = False) -> None:
        """An attempt ended without becoming the record of its trial."""
        tried = self._tried.setdefault(intent.trial_id, UnfinishedTrial())
        tried.attempts = max(tried.attempts, intent.attempt)
        tried.sent += sent
        tried.in_doubt += in_doubt
