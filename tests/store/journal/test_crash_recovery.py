"""What an earlier process left in the journal: intents without a result, unfinished trials."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from evalharness.store.folder.run import Run
from evalharness.store.journal.waiting import waiting_keys
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import intent, open_store, result


async def test_an_intent_without_a_result_is_in_doubt(tmp_path: Path) -> None:
    """What was sent and not answered before a kill is listed, and tried again as attempt 2."""
    store = open_store(tmp_path / "run")
    store.start()
    await store.append(intent(0))
    store.close()
    again = open_store(tmp_path / "run")
    assert [i.prompt_id for i in again.recovery.newly_in_doubt] == ["p0"]
    state = again.recovery.unfinished[intent(0).trial_id]
    assert (state.attempts, state.in_doubt) == (1, 1)
    again.start()
    await again.append(intent(0, attempt=2))
    await again.append(result(0, attempt=2))
    await again.finish(status="complete", reason=None)
    attempts = Run.open(tmp_path / "run").attempts().sort_values("attempt")
    assert attempts["outcome"].tolist() == ["in_doubt", "delivered"]
    assert attempts["error_kind"].tolist()[0] == "interrupted"


async def test_attempts_of_an_unfinished_trial_stay_in_the_journal(tmp_path: Path) -> None:
    """Sealing takes finished trials only, so that attempt numbers go on after a resume."""
    store = open_store(tmp_path / "run")
    store.start()
    await store.append(intent(0))
    await store.append(result(0, final=False))
    await store.append(intent(1))
    await store.append(result(1))
    await store.finish(status="interrupted", reason="test")
    again = open_store(tmp_path / "run")
    assert again.recovery.unfinished[intent(0).trial_id].attempts == 1
    assert again.done_keys()["prompt_id"].to_pylist() == ["p1"]
    again.close()
    assert len(Run.open(tmp_path / "run").attempts()) == 2


async def test_an_intent_in_a_batch_waits(tmp_path: Path) -> None:
    """Its request is in a file that the provider may have: neither in doubt nor tried again."""
    store = open_store(tmp_path / "run")
    store.start()
    await store.append(structs.replace(intent(0), batch_file="0001"))
    store.close()
    report = verify_folder(tmp_path / "run")
    assert (report.waiting, report.in_doubt, report.is_sound) == (1, 0, True)
    assert waiting_keys(tmp_path / "run")["prompt_id"].to_pylist() == ["p0"]
    again = open_store(tmp_path / "run")
    assert [i.prompt_id for i in again.recovery.waiting] == ["p0"]
    assert not again.recovery.newly_in_doubt
    assert not again.recovery.unfinished
    again.start()
    await again.append(result(0))
    await again.finish(status="complete", reason=None)
    assert len(waiting_keys(tmp_path / "run")) == 0
