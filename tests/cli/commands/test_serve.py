"""The endpoints of ``evalharness serve``."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request


def test_serve_emulator_answers_chat_completions() -> None:
    """The endpoint says where it listens and answers a request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evalharness", "serve", "emulator", "--exit-with-parent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    base_url = json.loads(process.stdout.readline())["base_url"]
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{base_url}/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert answer["choices"][0]["message"]["content"]
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    process.stdout.close()
