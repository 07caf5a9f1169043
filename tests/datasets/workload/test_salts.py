"""Salts: every request has its own, of as many words, and nothing else of it changes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.config.workload import RUN_ROWS
from evalharness.datasets.workload.salts import row_salt, with_salt
from evalharness.records import Prompt

SALT = "about above after again along began"


def messages(*texts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def test_every_request_has_its_own_salt() -> None:
    made = messages(f"{SALT} brown house.")
    sent = [with_salt(made, SALT, f"run {n}")[0]["content"] for n in range(500)]
    assert len(set(sent)) == 500
    assert SALT not in " ".join(sent)
    assert {len(text) for text in sent} == {len(made[0]["content"])}
    assert with_salt(made, SALT, "run 7") == with_salt(made, SALT, "run 7")
    assert made == messages(f"{SALT} brown house.")


@given(st.text(), st.text())
def test_the_rest_stays(before: str, after: str) -> None:
    (sent,) = with_salt(messages(f"{before}{SALT}{after}"), SALT, "run")
    at = f"{before}{SALT}{after}".index(SALT)
    assert sent["content"][:at] == f"{before}{SALT}"[:at]
    assert sent["content"].endswith(after)
    assert sent["role"] == "user"


def test_replayed_rows_get_new_salts_where_they_were_made() -> None:
    """A column of a person's own dataset may have this name, and holds no salt."""
    rows = DatasetConfig(path=RUN_ROWS)
    own = Prompt(prompt_id="a", fields={"salt": "sea"}, source="mine.jsonl:1")
    salted = Prompt(prompt_id="a", fields={"salt": SALT}, source="workload:chat:row 1")
    assert row_salt(rows, own) is None
    assert row_salt(rows, salted) == SALT


def test_what_is_no_text_stays() -> None:
    parts = messages("no salt", [{"type": "text", "text": SALT}], None)
    assert with_salt(parts, SALT, "run") == parts
