"""Runs whose records have everything that a record can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST
from evalharness.store.parts.part_files import write_part
from tests.report import runs

MARKDOWN = """# Answer

A **bold** word, `code`, and a [link](https://example.org/a?b=1).

| city | rain |
|---|---:|
| Lisbon | 3 mm |

- one
- two

```python
print("<b>no markup</b>")
```
"""
HOSTILE_MARKDOWN = (
    "[click](javascript:window.owned=1) ![x](http://127.0.0.1:9/x.png) <script>window.owned=2"
    '</script>\n\n<img src=x onerror="window.owned=3">\n\n[a]: data:text/html,<script>\n\n[b][a] '
    "<http://127.0.0.1:9/auto> | `<svg onload=window.owned=4>` &lt;script&gt;\n\n"
    '```js" onload="window.owned=5\ncode\n```'
)
DUE_NS = 1_700_000_000_000_000_000
REQUEST = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is in this picture, and does it rain in Lisbon?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 400}},
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/elsewhere.png"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function",
             "function": {"name": "weather", "arguments": '{"city":"Lisbon"}'}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3 mm"},
    ],
    "tools": [{"type": "function", "function": {
        "name": "weather", "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}],
}  # fmt: skip


def logprobs(tokens: int) -> str:
    """Tokens of falling probability, each with an alternative."""
    return json.dumps({"content": [
        {"token": f" word{i}" if i else "It\n", "logprob": -5.0 * i / tokens,
         "top_logprobs": [{"token": "<other>", "logprob": -0.7}, {"token": "It", "logprob": -2.0}]}
        for i in range(tokens)
    ]})  # fmt: skip


def write_rich_run(name: str = "rich", *, tokens: int = 60, folder: Path = Path("results")) -> Run:
    """One prompt under two settings in three repeats; the first record has everything.

    ``s0`` says Markdown, JSON and something that differs by a word; of ``s1`` one record is an
    error, one is empty, and one is a call of a tool alone.
    """
    text = ["ok"] * 6
    status = ["ok", "ok", "ok", "error", "empty", "ok"]
    text = [MARKDOWN, '{"city": "Lisbon", "mm": [3, 1.50]}', MARKDOWN.replace("3 mm", "4 mm"),
            None, "", None]  # fmt: skip
    first: dict[str, Any] = {
        "request_json": json.dumps(REQUEST), "reasoning_text": "Let me think: clouds.",
        "logprobs_json": logprobs(tokens), "response_json": '{"id":"r1","choices":[{"index":0}]}',
        "prompt_tokens": 1_000, "cached_tokens": 400, "completion_tokens": 200,
        "reasoning_tokens": 50, "total_tokens": 1_200, "sent_at": DUE_NS + 1_500_000_000,
        "scheduled_at": DUE_NS, "queue_s": 0.2, "ttft_s": 0.4, "latency_s": 1.5, "attempts": 2,
        "http_status": 200, "finish_reason": "stop", "response_model": "m-2024",
    }  # fmt: skip
    columns: dict[str, Any] = {column: [value, *[None] * 5] for column, value in first.items()}
    columns |= {
        "trial_id": [f"t/{i}?" for i in range(6)],
        "prompt_id": ["rain & shine/1"] * 6,
        "setting_id": ["s0"] * 3 + ["s1"] * 3,
        "repeat": [0, 1, 2, 0, 1, 2],
        "status": status,
        "text": text,
        "error_kind": [None] * 3 + ["server_error"] + [None] * 2,
        "error_message": [None] * 3 + ["upstream fell over"] + [None] * 2,
        "tool_calls_json": [None] * 5 + [json.dumps(REQUEST["messages"][2]["tool_calls"])],
        "score": [1.0, 0.0, 1.0, None, 0.0, 0.0],
        "model": "qwen-plus",
        "provider": "dashscope",
    }
    runs.write(
        folder,
        name,
        columns,
        {
            "prompt_id": ["rain & shine/1", "dry"],
            "messages_json": [json.dumps([{"role": "user", "content": "Does it rain?"}])] * 2,
            "target_json": ['{"mm":3}', None],
            "tags": [["weather", "tools"], []],
        },
        {
            "setting_id": ["s0", "s1"],
            "label": ["T=0", "T=1"],
            "provider": ["dashscope"] * 2,
            "model": ["qwen-plus"] * 2,
            "params_json": ["{}"] * 2,
            "axes_json": ['{"temperature":0}', '{"temperature":1}'],
        },
    )
    _add_attempts(folder / name)
    return Run.open((folder / name).absolute())


def _add_attempts(root: Path) -> None:
    """Two attempts of the first record: one refused, then a pause, then the answer."""
    table = runs.table("attempts", {
        "trial_id": ["t/0?"] * 2, "prompt_id": ["rain & shine/1"] * 2, "setting_id": ["s0"] * 2,
        "repeat": [0, 0], "attempt": [1, 2], "final": [False, True],
        "outcome": ["rejected", "delivered"], "status": ["error", "ok"],
        "http_status": [429, 200], "error_kind": ["rate_limited", None],
        "error_message": ["slow down", None], "client_request_id": ["a", "b"],
        "scheduled_at": [DUE_NS, DUE_NS], "admitted_at": [DUE_NS, DUE_NS],
        "sent_at": [DUE_NS + 100_000_000, DUE_NS + 1_500_000_000], "queue_s": [0.1, 0.2],
        "latency_s": [0.2, 1.5], "backoff_s": [1.0, None], "in_flight": [1, 1],
        "prompt_tokens": [None, 1_000], "completion_tokens": [None, 200],
        "cached_tokens": [None, 400], "reasoning_tokens": [None, 50],
        "response_json": ['{"error":{"message":"slow down"}}', None],
    }, 2)  # fmt: skip
    _add_part(root, table)


def add_attempts(root: Path, columns: dict[str, list[Any]]) -> None:
    """Attempts of records that have none; what is not given is the first of each, and its last."""
    count = len(columns["trial_id"])
    given = {
        "prompt_id": ["p"] * count, "setting_id": ["s"] * count, "repeat": [0] * count,
        "attempt": [1] * count, "final": [True] * count, "status": ["error"] * count,
        "client_request_id": ["a"] * count, "scheduled_at": [DUE_NS] * count,
        "admitted_at": [DUE_NS] * count, "sent_at": [DUE_NS] * count, "queue_s": [0.0] * count,
        "latency_s": [0.2] * count, "in_flight": [1] * count,
    }  # fmt: skip
    _add_part(root, runs.table("attempts", given | columns, count))


def _add_part(root: Path, table: Any) -> None:
    manifest = json.loads((root / MANIFEST).read_text())
    number = 1 + sum(part["path"].startswith("attempts/") for part in manifest["parts"])
    part = write_part(root, "attempts", number, table)
    manifest["parts"].append(msgspec.to_builtins(part))
    (root / MANIFEST).write_text(json.dumps(manifest))


def write_text_run(texts: list[str | None], name: str = "texts", **columns: Any) -> Run:
    """A prompt ``p`` with a record of each text, ``t0``, ``t1``, …, under one setting."""
    runs.write(
        Path("results"),
        name,
        {
            "prompt_id": ["p"] * len(texts),
            "setting_id": ["s"] * len(texts),
            "repeat": [*range(len(texts))],
            "text": texts,
            **columns,
        },
        {"prompt_id": ["p"]},
        {
            "setting_id": ["s"],
            "label": ["model=m"],
            "provider": ["x"],
            "model": ["m"],
            "params_json": ["{}"],
            "axes_json": ["{}"],
        },
    )
    return Run.open((Path("results") / name).absolute())


__all__ = [
    "HOSTILE_MARKDOWN",
    "MARKDOWN",
    "add_attempts",
    "logprobs",
    "write_rich_run",
    "write_text_run",
]
