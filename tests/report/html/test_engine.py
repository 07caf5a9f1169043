"""The process that draws the plots."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from evalharness.errors import ProcessLostError
from evalharness.report.html_report import start_engine


def _texts(*shown: str) -> dict[str, Any]:
    """A plot with an axis of names: the longer they are, the wider it is."""
    return {
        "data": {"values": [{"a": name} for name in shown]},
        "mark": "point",
        "encoding": {"y": {"field": "a", "type": "nominal", "title": None}},
    }


def _width(svg: str) -> float:
    found = re.search(r'width="([\d.]+)"', svg)
    assert found is not None
    return float(found[1])


def test_plots_come_back_in_the_order_they_were_asked_for() -> None:
    """Each specification has the drawing of its own data."""
    names = [f"name{i}" for i in range(5)]
    drawn = start_engine().draw([_texts(name) for name in names])
    assert [set(re.findall(r"name\d", svg)) for svg in drawn] == [{name} for name in names]


def test_a_specification_that_vega_refuses_is_an_error() -> None:
    """With what Vega says about it."""
    engine = start_engine()
    with pytest.raises(ValueError, match="Vega ended with 1: Vega-Lite to SVG conversion failed"):
        engine.draw([_texts("a"), {"mark": "nothing like it"}])
    engine.close()  # nothing more to end


def test_a_drawing_loads_nothing() -> None:
    """Data from a URL are refused, whatever it is."""
    spec = {**_texts("a"), "data": {"url": "http://127.0.0.1:9/x.json"}}
    with pytest.raises(ValueError, match="not allowed"):
        start_engine().draw([spec])


def test_an_engine_that_is_not_needed_ends() -> None:
    """Closing ends the process and its pipes; a second time changes nothing.

    Ctrl-C in a terminal goes to the group of the command alone.
    """
    engine = start_engine()
    process = engine._process
    assert os.getpgid(process.pid) != os.getpgrp()
    engine.close()
    engine.close()
    assert process.returncode is not None


def test_a_killed_engine_is_an_error_in_words() -> None:
    """As when the system has no memory left; the run itself is whole."""
    engine = start_engine()
    engine._process.kill()
    with pytest.raises(ProcessLostError, match=r"draws plots was lost \(SIGKILL\)"):
        engine.draw([_texts("a")])


@pytest.mark.parametrize("text", ["a", "温度"])
def test_an_engine_ends_when_drawing_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Also the one that other scripts need."""
    engine = start_engine()
    communicate = subprocess.Popen.communicate

    def interrupted(process: Any, asked: bytes | None = None) -> Any:
        if asked is None:  # it is being ended
            return communicate(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt), closing(engine):
        engine.draw([_texts(text)])
    assert engine._process.returncode is not None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_an_engine_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever variable may hold one is left out of its environment."""
    monkeypatch.setenv("SOME_API_KEY", "canary-aBcDeF012345")
    with closing(start_engine()) as engine:
        environment = b""
        # Between the start of the new program and the kernel's note of it, it is empty or closed.
        while not environment and engine._process.poll() is None:
            with suppress(PermissionError):
                environment = Path(f"/proc/{engine._process.pid}/environ").read_bytes()
    assert b"FONTCONFIG_FILE" in environment
    assert b"canary" not in environment


def test_texts_are_measured_without_the_fonts_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only scripts that the font within vl-convert does not know need them."""
    seen: list[str | None] = []
    start = subprocess.Popen

    def noted(*args: Any, **options: Any) -> Any:
        seen.append(options["env"].get("FONTCONFIG_FILE"))
        return start(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setenv("FONTCONFIG_FILE", "theirs")
    long, short = start_engine().draw(
        [_texts("temperature − 0,7 · Größe · Ωμέγα · Имя"), _texts("i")]
    )
    assert _width(long) > _width(short) + 100
    assert len(seen) == 1
    assert seen[0] is not None
    assert seen[0].endswith("fonts.conf")
    start_engine().draw([_texts("温度")])
    assert seen[1:] == [seen[0], "theirs"]
