"""Answers whose usage does not add up: said, counted, and billed once the provider's rule is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.end_to_end.handler_server import serve_handler

# 50 prompt and 20 completion tokens; the total also has the 200 reasoning tokens.
USAGE = {
    "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 270,
    "completion_tokens_details": {"reasoning_tokens": 200},
}  # fmt: skip
COST = (50 * 3 + 220 * 5) / 10**6
PRICE = "pricing.prices=[{model: m, price_usd_per_mtok: {prompt: 3, completion: 5}}]"


@contextmanager
def _server(asked: list[bytes]) -> Iterator[str]:
    """A server that answers every request alike; its base URL."""
    choice = {"index": 0, "message": {"content": "Paris"}, "finish_reason": "stop"}
    content = json.dumps({"choices": [choice], "usage": USAGE}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with serve_handler(Handler) as url:
        yield url


def _run(prompts: Path, url: str, *more: str) -> list[str]:
    return [
        "run", "provider=openai_compatible", f"provider.base_url={url}", "provider.model=m",
        "dataset=file", f"dataset.path={prompts}", "dataset.limit=4", "name=apart", "sweep=none",
        "scoring=none", "repeats=1", "params.max_tokens=20", PRICE, *more,
    ]  # fmt: skip


def test_a_rule_makes_the_cost_of_recorded_answers_known(in_process: Any, prompts: Path) -> None:
    """Unknown and said without the rule; with it the total is billed, and nothing is asked again."""
    asked: list[bytes] = []
    with _server(asked) as url:
        assert in_process(*_run(prompts, url)).returncode == 0
        assert len(asked) == 4
        report = json.loads(in_process("report", "apart", "--json").stdout)
        [setting] = report["settings"]
        assert setting["cost_usd"]["total"] is None
        assert setting["cost_usd"]["unknown_reasons"] == {"usage_contradicts": 4}
        text = " ".join(in_process("report", "apart").stdout.split())
        assert "Usage of 4 answers contradicts itself" in text
        assert "cost unknown for 4 (usage contradicts itself)" in text
        rule = "+provider.profile.usage_rule=reasoning_outside"
        assert in_process(*_run(prompts, url, rule)).returncode == 0
        assert len(asked) == 4
    report = json.loads(in_process("report", "apart", "--json").stdout)
    [setting] = report["settings"]
    assert setting["cost_usd"]["total"] == 4 * COST
    assert setting["cost_usd"]["by_usage_rule"] == 4
    assert [entry["usage_rule"] for entry in report["prices"]["used"]] == ["reasoning_outside"]
    text = " ".join(in_process("report", "apart").stdout.split())
    assert "billed by the total (usage_rule: reasoning_outside)" in text
    assert "contradicts itself" not in text


def test_the_money_limit_stops_by_the_higher_reading(in_process: Any, prompts: Path) -> None:
    """Each answer counts with its reasoning, which is more than was set aside for it."""
    asked: list[bytes] = []
    with _server(asked) as url:
        arguments = _run(prompts, url, "limits.max_cost_usd=0.003", "limits.concurrency=1")
        stopped = in_process(*arguments)
    assert stopped.returncode == 4, stopped.stderr
    assert f"spent ${len(asked) * COST:.5f}".rstrip("0") in stopped.stderr
    assert len(asked) == 2


def test_an_unknown_rule_is_refused(in_process: Any, prompts: Path) -> None:
    """The message names the rules that there are; nothing is sent."""
    refused = in_process(
        *_run(prompts, "http://127.0.0.1:9/v1", "+provider.profile.usage_rule=outside")
    )
    assert refused.returncode == 2
    assert "usage_rule" in refused.stderr
