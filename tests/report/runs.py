"""Run folders written without a server: small and hostile, or large."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evalharness.report.build_report import Report, build_report
from evalharness.schema import arrow_schema
from evalharness.store.folder.imported_run import write_imported_run
from evalharness.store.folder.run import Run

DEFAULTS: dict[str, dict[str, Any]] = {"attempts": {}, "records": {"in_doubt": False, "text_sanitized": False, "status": "ok"},
            "prompts": {"content_hash": "d", "tags": [], "in_current_plan": True},
            "settings": {"in_current_plan": True}}  # fmt: skip

#: What a model could say to whoever opens the report.
PAYLOADS = (
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 2</script>",
    "</style><style>body{display:none}</style>",
    '<img src="http://127.0.0.1:9/x.png" onerror="window.owned=3">',
    '"><svg onload="window.owned=4">',
    "' onmouseover='window.owned=5' x='",
    "{{ 7 * 7 }}{% raw %}",
    "]]><iframe src='javascript:window.owned=6'></iframe>",
    "<a href='javascript:window.owned=7'>click</a><meta http-equiv=refresh content='0;url=//x'>",
    "safe\u202egnp.exe\u2066 zero\u200bwidth \x00nul \x1b[31mred\x1b[0m bell\x07 \ud7ff\ufeff",
    "line\u2028separator\r\nand\ttab",
)


def table(name: str, columns: dict[str, Any], rows: int) -> pa.Table:
    """A table of the stored schema; columns that are not given are null or their default."""
    schema = arrow_schema(name)
    arrays = []
    for field in schema:
        value = columns.get(field.name, DEFAULTS[name].get(field.name))
        if isinstance(value, list | np.ndarray) and field.name in columns:
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.array([value], field.type).take(pa.array(np.zeros(rows, np.int64))))
    return pa.table(arrays, schema=schema)


def write(
    root: Path, name: str, records: dict[str, Any], prompts: dict[str, Any],
    settings: dict[str, Any],
) -> Report:  # fmt: skip
    """Write a run folder of these columns and summarise it."""
    n = len(records["prompt_id"])
    records.setdefault("trial_id", [f"t{i}" for i in range(n)])
    folder = write_imported_run(
        results_dir=root,
        name=name,
        records=table("records", records, n),
        prompts=table("prompts", prompts, len(prompts["prompt_id"])),
        settings=table("settings", settings, len(settings["setting_id"])),
        notes=[],
        answers_supplied=False,
        code_version="0",
    )
    return build_report(Run.open(folder))


def hostile(root: Path) -> Report:
    """Payloads everywhere that text from outside is shown: outputs, prompts, labels, errors."""
    values = [PAYLOADS[0], PAYLOADS[3], PAYLOADS[9]]
    labels = [f"model={value}" for value in values]
    rows: dict[str, list[Any]] = {
        k: [] for k in ("prompt_id", "setting_id", "repeat", "status", "text", "error_kind",
                        "error_message", "response_model", "system_fingerprint", "score",
                        "latency_s", "completion_tokens", "model")
    }  # fmt: skip
    prompts = [f"p{i}-{text}" for i, text in enumerate(PAYLOADS)]
    for p, prompt in enumerate(prompts):
        for s in range(3):
            for repeat in range(3):
                failed = repeat == 2 and s == 1
                text = f"{PAYLOADS[(p + repeat) % len(PAYLOADS)]} {repeat if s else ''}"
                row = (
                    prompt, f"s{s}", repeat, "error" if failed else "ok", None if failed else text,
                    "server_error" if failed else None, PAYLOADS[p] if failed else None,
                    PAYLOADS[p], PAYLOADS[repeat], None if failed else float(p % 2),
                    None if failed else 0.1 * (p + repeat + 1), None if failed else 10 + p,
                    values[s],
                )  # fmt: skip
                for column, value in zip(rows, row, strict=True):
                    rows[column].append(value)
    return write(
        root,
        "hostile",
        rows,
        {
            "prompt_id": prompts,
            "messages_json": [json.dumps([{"role": "user", "content": t}]) for t in PAYLOADS],
            "target_json": [json.dumps(t) for t in PAYLOADS],
        },
        {
            "setting_id": ["s0", "s1", "s2"],
            "label": labels,
            "provider": ["<b>p</b>"] * 3,
            "model": values,
            "params_json": ["{}"] * 3,
            "axes_json": [json.dumps({"model": v}) for v in values],
        },
    )


def sweep(
    root: Path, prompts: int, temperatures: int, repeats: int = 3, seeds: tuple[int | None, ...] = (1,)
) -> Report:  # fmt: skip
    """A synthetic sweep of temperature (and seeds): hotter settings repeat themselves less."""
    rng = np.random.default_rng(0)
    hot = np.linspace(0.0, 1.5, temperatures).round(3)
    settings = [(float(t), s) for t in hot for s in seeds]
    n = prompts * len(settings) * repeats
    p = np.repeat(np.arange(prompts), len(settings) * repeats)
    s = np.tile(np.repeat(np.arange(len(settings)), repeats), prompts)
    temperature = np.array([t for t, _ in settings])[s]
    strays = rng.random(n) < rng.random(prompts)[p] * temperature / 1.5
    variant = np.where(strays, rng.integers(1, 6, n), 0)
    prices = np.array([Decimal(f"{0.001 + 0.001 * t:.6f}") for t, _ in settings], dtype=object)
    names = np.array([f"prompt-{i:05d}" for i in range(prompts)], dtype=object)
    axes = [{"temperature": t, **({"seed": d} if len(seeds) > 1 else {})} for t, d in settings]
    return write(
        root,
        "sweep",
        {
            "prompt_id": names[p],
            "setting_id": np.array([f"s{i}" for i in range(len(settings))], dtype=object)[s],
            "repeat": np.tile(np.arange(repeats), prompts * len(settings)),
            "text": [f"Answer to {a}, in variant {b}." for a, b in zip(p, variant, strict=True)],
            "temperature": temperature,
            "model": "demo",
            "score": (rng.random(n) < 0.7 - 0.2 * temperature).astype(float),
            "latency_s": rng.lognormal(0.0, 0.5, n),
            "ttft_s": rng.lognormal(-2.0, 0.3, n),
            "sent_at": pa.array(
                (1.7e18 + 1e9 * rng.random(n) * 600).astype(np.int64), pa.timestamp("ns", "UTC")
            ).to_numpy(zero_copy_only=False),
            "prompt_tokens": rng.integers(10, 90, n),
            "completion_tokens": rng.integers(10, 90, n),
            "cost_usd_imported": prices[s],
        },
        {"prompt_id": list(names), "target_json": ['"x"'] * prompts},
        {
            "setting_id": [f"s{i}" for i in range(len(settings))],
            "label": [", ".join(f"{k}={v}" for k, v in a.items()) for a in axes],
            "provider": "demo",
            "model": "demo",
            "params_json": [json.dumps(a) for a in axes],
            "axes_json": [json.dumps(a) for a in axes],
        },
    )
