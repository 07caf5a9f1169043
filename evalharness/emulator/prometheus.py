"""The emulator's metrics under the names of vLLM, in Prometheus' text format."""

from __future__ import annotations

from evalharness.emulator.ledger import Ledger

_MODEL = '{model_name="emulator"}'


def prometheus_text(ledger: Ledger) -> str:
    """What the server knows of itself now; nothing waits here, so that figure is 0."""
    lines: list[str] = []
    for name, kind, value in (
        ("vllm:num_requests_running", "gauge", ledger.in_flight),
        ("vllm:num_requests_waiting", "gauge", 0),
        ("vllm:prompt_tokens_total", "counter", ledger.prompt_tokens),
        ("vllm:generation_tokens_total", "counter", ledger.completion_tokens),
    ):
        lines += [f"# TYPE {name} {kind}", f"{name}{_MODEL} {value}"]
    return "\n".join(lines) + "\n"
