"""Kills, Ctrl-C and lost answers: whatever happens, each request is bought once."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from evalharness.store.journal.batch_files import BatchStage, read_states
from tests.batch.conftest import BatchRun
from tests.batch.server import Json, expired, nth_call, served

FILES, CREATE = "POST /v1/files", "POST /v1/batches"
LIST = "GET /v1/batches"


KILLS = [
    (when, call, number)
    for call, numbers in (
        (FILES, (1, 2, 3)),
        (CREATE, (1, 2, 3)),
        ("GET /v1/batches/", (1, 4)),
        ("GET /v1/files/", (1, 3)),
    )
    for number in numbers
    for when in ("before", "after")
]


@pytest.mark.parametrize(("when", "call", "number"), KILLS)
def test_kill_and_resume(run: BatchRun, when: str, call: str, number: int) -> None:
    """A run killed at any call, before or after it was served, goes on and buys nothing twice."""
    few = "+provider.profile.batch.max_requests=5"
    setattr(run.provider, when, nth_call(call, number, run.kill))
    killed = run(few)
    assert killed.returncode == -9
    run.provider.before = run.provider.after = lambda _: False
    verified = run.command("verify", "r")
    assert verified.returncode == 0, verified.stdout
    done = run(few)
    assert done.returncode == 0, done.stderr
    run.assert_bought_once()
    assert not {a["outcome"] for a in run.rows("attempts")} & {"in_doubt"}


def test_kill_twice(run: BatchRun) -> None:
    """Killed again while it looks for what it may have sent."""
    run.provider.after = nth_call(CREATE, 1, run.kill)
    assert run().returncode == -9
    run.provider.after = nth_call(LIST, 1, run.kill)
    assert run().returncode == -9
    run.provider.after = lambda _: False
    assert run().returncode == 0
    run.assert_bought_once()


@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_a_lost_answer_is_looked_up(run: BatchRun, keeps_metadata: bool) -> None:
    """The creation was served and its answer lost: the batch is found, by its token or its file."""
    run.provider.keeps_metadata = keeps_metadata
    run.provider.after = nth_call(CREATE, 1, lambda: None)
    done = run()
    assert done.returncode == 0, done.stderr
    assert "it may exist, and is looked for" in done.stderr
    assert "batch 0001: found at openai_compatible as batch-0" in done.stderr
    run.assert_bought_once()


def test_a_lost_answer_is_looked_up_by_wrong_clocks(run: BatchRun) -> None:
    """The provider's clock is hours behind: a token is a token."""
    create = run.provider._create

    def create_in_the_past(wanted: Json) -> Json:
        name = create(wanted)["id"]
        run.provider.batches[name]["created_at"] -= 7_200
        return run.provider._shown(run.provider.batches[name])

    run.provider._create = create_in_the_past
    run.provider.after = nth_call(CREATE, 1, lambda: None)
    done = run()
    assert done.returncode == 0, done.stderr
    run.assert_bought_once()


def test_a_slow_creation_does_not_use_up_the_lookup(run: BatchRun) -> None:
    """However long ago it was asked for: one list without it does not mean that there is none."""
    run.provider.after = nth_call(CREATE, 1, run.kill)
    assert run().returncode == -9
    state = read_states(run.root)[0]
    assert state.create_at_ns is not None
    state.create_at_ns -= 200 * 10**9
    state.save(run.root)
    run.provider.after = lambda _: False
    run.provider.refuse = {LIST: (200, {"data": []})}
    second = nth_call(LIST, 2, run.provider.refuse.clear)
    run.provider.before = lambda call: second(call) and False
    done = run("execution.lookup_s=120")
    assert done.returncode == 0, done.stderr
    assert "found at openai_compatible" in done.stderr
    run.assert_bought_once()


def test_a_lost_answer_is_noted_when_it_is_lost(run: BatchRun) -> None:
    """The time for looking counts from there, and is on disk before the first look."""
    run.provider.after = nth_call(CREATE, 1, lambda: None)
    run.provider.before = nth_call(LIST, 1, run.kill)
    assert run().returncode == -9
    state = read_states(run.root)[0]
    assert state.create_at_ns is not None
    assert state.in_doubt_since_ns is not None
    assert state.in_doubt_since_ns > state.create_at_ns


@pytest.mark.parametrize("oldest_first", [True, False])
def test_a_batch_is_found_on_any_page(run: BatchRun, oldest_first: bool) -> None:
    """Behind others of the account, in whichever order the provider lists them."""
    run.provider.page, run.provider.oldest_first = 2, oldest_first
    for number in range(7):
        run.provider.batches[f"other-{number}"] = {
            "id": f"other-{number}", "lines": [], "polls": 0, "metadata": {}, "endpoint": "",
            "input_file_id": "file-x", "created_at": 1_700_000_000 + number,
        }  # fmt: skip
    run.provider.after = nth_call(CREATE, 1, lambda: None)
    done = run()
    assert done.returncode == 0, done.stderr
    assert "found at openai_compatible as batch-7" in done.stderr
    run.assert_bought_once()


def test_a_creation_that_was_not_served_is_repeated(run: BatchRun) -> None:
    """Only once the list of batches has shown that there is none."""
    run.provider.before = nth_call(CREATE, 1, lambda: None)
    done = run()
    assert done.returncode == 0, done.stderr
    calls = run.provider.calls
    assert calls.count(CREATE) == 1  # the first was not served
    assert calls.index(LIST) < calls.index(CREATE)
    assert calls.count(FILES) == 1
    run.assert_bought_once()


def test_ctrl_c_leaves_batches(run: BatchRun) -> None:
    """Exit 130, and what to type; the same command fetches the answers."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    stopped = run()
    assert stopped.returncode == 130, stopped.stderr
    assert "1 batch with 12 requests goes on at openai_compatible" in stopped.stderr
    assert "12 trials left; to go on: evalharness run" in stopped.stderr
    listed = run.command("list")
    assert "waiting" in listed.stdout
    verified = run.command("verify", "r")
    assert (verified.returncode, "12 requests in batches wait" in verified.stdout) == (0, True)
    reported = run.command("report", "r")
    assert "its requests are in 1 batch at the provider" in reported.stderr
    live = run("execution=local")
    assert live.returncode == 2
    assert "12 requests of this run are in batches at the provider" in live.stderr
    run.provider.polls, run.provider.after = 0, lambda _: False
    done = run()
    assert done.returncode == 0, done.stderr
    run.assert_bought_once()


def test_a_killed_run_is_listed_as_waiting(run: BatchRun) -> None:
    """Its manifest says running, and its batches go on."""
    run.provider.after = nth_call("GET /v1/batches/", 1, run.kill)
    assert run().returncode == -9
    assert "waiting" in run.command("list").stdout


def test_cancel(run: BatchRun) -> None:
    """``--cancel`` keeps what was answered, records the rest as not sent, and sends nothing."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    assert run().returncode == 130
    run.provider.after = lambda _: False
    run.provider.result = lambda line, _: served(line) if "question 1" in str(line) else None
    cancelled = run("--cancel")
    assert cancelled.returncode == 0, cancelled.stderr
    assert "1 batch of this run cancelled" in cancelled.stderr
    assert "to go on: evalharness run" in cancelled.stderr
    assert "--cancel" not in cancelled.stderr.split("to go on")[1]
    assert len(run.provider.batches) == 1
    assert {r["prompt_id"] for r in run.rows("records")} == {"p1"}
    rest = [a for a in run.rows("attempts") if a["prompt_id"] != "p1"]
    assert {(a["outcome"], a["error_kind"]) for a in rest} == {("not_sent", "cancelled")}
    assert {s.phase for s in read_states(run.root)} == {BatchStage.SETTLED}
    again = run("--cancel")
    assert (again.returncode, "no batch of this run" in again.stderr) == (0, True)
    run.provider.result, run.provider.polls = None, 0
    done = run()
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 12


def test_kill_while_results_are_recorded(run: BatchRun) -> None:
    """Results that are in the journal are not recorded again; the rest is."""
    calls = Counter[str]()

    def result(line: Json, batch: Json) -> Json:
        late = batch["id"] == "batch-0" and "question 5" in str(line["body"])
        return expired(line) if late else served(line)

    def after(call: str) -> bool:
        calls[call] += 1
        if call == FILES and calls[call] == 2:  # the first batch is settled, in the journal alone
            run.kill()
        return False

    run.provider.result, run.provider.after = result, after
    assert run().returncode == -9
    run.provider.after = lambda _: False
    done = run()
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 12
    names = Counter(run.provider.bought)
    assert max(names.values()) == 1
    assert len(names) == 14


def test_another_account_loses_nothing(run: BatchRun) -> None:
    """A batch that is not to be seen stops the run with one sentence; it is still known after."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    assert run().returncode == 130
    run.provider.after = lambda _: False
    run.provider.refuse = {"GET /v1/batches/.*": (404, {"error": {"message": "no such batch"}})}
    gone = run()
    assert gone.returncode == 2, gone.stderr
    assert "batch batch-0, with 12 requests of this run, is not at openai_compatible" in gone.stderr
    assert len(run.provider.batches) == 1
    run.provider.refuse, run.provider.polls = {}, 0
    assert run().returncode == 0
    run.assert_bought_once()


def test_what_cannot_be_seen_is_not_called_cancelled(run: BatchRun) -> None:
    """``--cancel`` gives it up, and says so: it may go on under another key."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    assert run().returncode == 130
    run.provider.after = lambda _: False
    run.provider.refuse = {"(GET|POST) /v1/batches/.*": (404, {"error": {"message": "gone"}})}
    given_up = run("--cancel")
    assert given_up.returncode == 0, given_up.stderr
    assert "0 batches of this run cancelled, 1 that cannot be seen given up" in given_up.stderr
    assert {a["outcome"] for a in run.rows("attempts")} == {"in_doubt"}


@pytest.mark.parametrize("change", ["removed", "edited"])
def test_a_file_of_requests_is_made_again(run: BatchRun, change: str) -> None:
    """What is recorded as sent is what was sent; where nobody can tell any more, it is said."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    assert run().returncode == 130
    run.provider.after, run.provider.polls = lambda _: False, 0
    path = run.root / "batches/0001.jsonl"
    changed = path.read_bytes().replace(b"question", b"QUESTION")
    path.unlink()
    if change == "edited":
        path.write_bytes(changed)
    refused = run("params.temperature=0.5")
    assert refused.returncode == 74, refused.stderr
    assert "0001.jsonl is missing or was changed" in refused.stderr
    assert "mv results/r/batches/0001.json " in refused.stderr
    done = run()
    assert done.returncode == 0, done.stderr
    assert all("question" in row["request_json"] for row in run.rows("records"))
    run.assert_bought_once()


@pytest.mark.parametrize("form", ["openai", "anthropic"])
def test_another_key_is_refused(run: BatchRun, form: str) -> None:
    """A batch is not looked for where it cannot be: there it would be made again."""
    key = "provider.api_key_env=EVH_TEST_KEY"
    run.environment["EVH_TEST_KEY"] = "first-key-of-an-account"
    create = CREATE if form == "openai" else "POST /v1/messages/batches"
    run.provider.after = nth_call(create, 1, run.kill)
    assert run(key, form=form).returncode == -9
    text = read_states(run.root)[0].path(run.root, ".json").read_text()
    assert "first-key" not in text
    run.environment["EVH_TEST_KEY"] = "second-key-of-another"
    run.provider.after = lambda _: False
    calls = len(run.provider.calls)
    refused = run(key, form=form)
    assert refused.returncode == 2, refused.stderr
    assert "these batches belong to another key" in refused.stderr
    assert len(run.provider.calls) == calls
    run.environment["EVH_TEST_KEY"] = "first-key-of-an-account"
    assert run(key, form=form).returncode == 0
    run.assert_bought_once()


@pytest.mark.parametrize("when", ["before the creation", "creation lost"])
def test_a_file_of_a_changed_plan_is_not_sent(run: BatchRun, when: str) -> None:
    """It was not created: none of its requests is bought, and those of the new plan are."""
    if when == "creation lost":
        run.provider.before = nth_call(CREATE, 1, run.kill)
    else:
        run.provider.after = nth_call(FILES, 1, run.kill)
    assert run().returncode == -9
    run.provider.before = run.provider.after = lambda _: False
    rows = (run.folder / "prompts.jsonl").read_text().replace("question 5", "problem 5")
    (run.folder / "prompts.jsonl").write_text(rows)
    done = run()
    assert done.returncode == 0, done.stderr
    bought = [str(line) for b in run.provider.batches.values() for line in b["lines"]]
    assert len(bought) == 12
    assert not any("question 5" in line for line in bought)


def test_answers_of_a_changed_plan_are_kept(run: BatchRun) -> None:
    """A batch that was paid for is recorded, also where the plan does not want it any more."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    assert run().returncode == 130
    run.provider.after, run.provider.polls = lambda _: False, 0
    done = run("params.temperature=0.5")
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 24
    assert {r["status"] for r in run.rows("records")} == {"ok"}
    assert len(run.provider.bought) == 24


def test_a_refused_batch_sends_nothing(run: BatchRun) -> None:
    """What the provider says of a batch that it refuses ends the run, with nothing in doubt."""
    run.provider.refuse = {CREATE: (400, {"error": {"message": "billing hard limit"}})}
    done = run()
    assert done.returncode in (2, 3), done.stderr
    assert "billing hard limit" in done.stderr
    assert {a["outcome"] for a in run.rows("attempts")} == {"not_sent"}
    run.provider.refuse = {}
    assert run().returncode == 0
    run.assert_bought_once()


def test_a_provider_that_is_away_is_waited_for(run: BatchRun) -> None:
    """Failed looks end nothing."""
    run.provider.refuse = {"GET /v1/batches/.*": (503, {"error": {"message": "maintenance"}})}
    counter = itertools.count()

    def before(call: str) -> bool:
        if call.startswith("GET /v1/batches/") and next(counter) > 3:
            run.provider.refuse = {}
        return False

    run.provider.before = before
    done = run("limits.max_attempts=2")
    assert done.returncode == 0, done.stderr
    assert "it is looked at later" in done.stderr
    run.assert_bought_once()
