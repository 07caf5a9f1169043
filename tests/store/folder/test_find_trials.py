"""Records are found by their keys, also while the run is being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.errors import ConfigError
from evalharness.store.folder.annotations import Edit, Mark, change_annotations, read_annotations
from evalharness.store.folder.find_trials import find_trials
from evalharness.store.folder.run import Run
from tests.store.sample_run import fill, intent, open_store


async def test_a_run_that_is_being_written(tmp_path: Path) -> None:
    """Its records are in the journal alone, and its writer goes on after a mark."""
    store = open_store(tmp_path / "r", 5)
    await fill(store, range(3))
    run = Run.open(tmp_path / "r")
    [trial] = find_trials(run, prompt="p1", setting="T=0", repeat=0)
    assert trial.trial_id == intent(1).trial_id
    assert len(find_trials(run, setting="T=0")) == 3
    change_annotations(run.root, [Edit(trial=trial, reader="anna", mark=Mark.PASS)])
    await store.append(intent(3))
    with pytest.raises(ConfigError, match="no record of this trial `none`"):
        find_trials(run, trial_ids=[trial.trial_id, "none"])
    store.close()
    assert [row.trial_id for row in read_annotations(run.root).rows] == [trial.trial_id]
    assert find_trials(Run.open(run.root), trial_ids=[trial.trial_id]) == [trial]
