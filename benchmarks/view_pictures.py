"""The pictures of ``evalharness view`` in the docs: two real runs on the emulator, photographed.

``python -m benchmarks.view_pictures`` makes its runs in a temporary folder, serves them by the
command, and writes ``docs/images/view-compare.png`` (1280 px, dark) and
``docs/images/view-record.png`` (400 px, light). It needs Chromium and the extra ``dev``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.view_speed import ViewProcess

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DATASET = ROOT / "datasets" / "quickstart.jsonl"
MAX_BYTES = 150_000  # of a picture
_PATIENCE_MS = 60_000
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> None:
    """Make both pictures again."""
    path = next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if path is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        results = make_runs(Path(folder))
        with ViewProcess(results) as view, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            take_comparison(browser, view.url)
            take_record(browser, view.url)
            browser.close()


def make_runs(folder: Path) -> Path:
    """A run ``monday`` whose answers are mostly right, and ``tuesday`` of a worse model.

    Returns:
        The folder of both.
    """
    answers, results = folder / "answers.jsonl", folder / "results"
    rows = [json.loads(line) for line in DATASET.read_text("utf-8").splitlines()]
    known = [
        {"prompt": row["prompt"], "answer": f"The answer is {row['target']}."}
        for row in rows
        if row.get("target") and "prompt" in row
    ]
    answers.write_text("".join(f"{json.dumps(row)}\n" for row in known))
    shared = [
        "provider=emulator", f"provider.emulator.answers={answers}", "scoring=includes",
        "provider.emulator.ttft_ms=60", "provider.emulator.itl_ms=8", "params.stream=true",
        "provider.emulator.delay_sigma=0.4", "sweep.temperature=[0,0.7]", "repeats=5",
        f"results_dir={results}",
    ]  # fmt: skip
    own = {
        "monday": ["provider.emulator.accuracy=0.97"],
        "tuesday": [
            "provider.model=qwen-max", "provider.emulator.accuracy=0.6",
            "provider.emulator.error_rate=0.15",
        ],
    }  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for name, arguments in own.items():
        command = [sys.executable, "-m", "evalharness", "run", *shared, *arguments, f"name={name}"]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return results


def take_comparison(browser: Browser, url: str) -> None:
    """What regressed between both runs."""
    page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="dark")
    page.goto(f"{url}/compare?run=monday&run=tuesday")
    page.locator("#content section").first.wait_for(timeout=_PATIENCE_MS)
    _save(page, "view-compare.png")


def take_record(browser: Browser, url: str) -> None:
    """A record that took several attempts: what it said, when, and what it cost."""
    page = browser.new_page(viewport={"width": 400, "height": 1000}, color_scheme="light")
    page.goto(f"{url}/run/tuesday/records?column=attempts&sort=attempts&reverse=1&wait=1")
    page.locator("#records tbody th a").first.click(timeout=_PATIENCE_MS)
    page.locator("#attempts-heading").wait_for()
    # The page from its output on.
    page.locator("#output-heading").evaluate("(heading) => heading.scrollIntoView()")
    _save(page, "view-record.png")


def _save(page: Page, name: str) -> None:
    target = IMAGES / name
    page.screenshot(path=target)
    size = target.stat().st_size
    assert size < MAX_BYTES, f"{target}: {size:,} bytes"
    print(f"{target.relative_to(ROOT)}: {size:,} bytes")


if __name__ == "__main__":
    main()
