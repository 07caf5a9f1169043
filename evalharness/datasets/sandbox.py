"""The sandbox process that runs templates and ``dataset.where``; :mod:`.sandbox_client` starts it.

Jinja's sandbox keeps a template away from Python's insides, but not from ``'a' * 10**9``, a width
of a billion, or loops inside loops. Guarding each operator and filter would be a list that is never
complete, so the kernel holds the limits instead: address space for memory, a CPU timer for
time. Whatever a template does, at worst this process dies and the parent names the template.

This file is run as a script, imports nothing of evalharness but :mod:`evalharness.templates`, which
is light, and can be started from any folder. On stdin and stdout: frames of a 4-byte little-endian
length and a JSON body. A request is
``{"kind", "source", "rows": [variables, …], "max_bytes", "cpu_s"}`` with one of the kinds
``render``, ``where`` and ``names`` (which names does the template take from outside?); the reply is
``{"values": [one a row]}``, with ``"error"`` when a row failed: the values are then those of the
rows before it.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import jinja2
import jinja2.meta
import msgspec

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: it shadows nothing

from evalharness.templates.environment import Environment
from evalharness.templates.values import NotTextError, NullError, of_row

MAX_SOURCES = 64  # compiled templates kept


class _TooLargeError(Exception):
    """The rendered text passes the cap."""


class _NotBooleanError(Exception):
    """``dataset.where`` gave something other than true or false."""


def _render(
    template: jinja2.Template, names: list[str], row: dict[str, Any], max_bytes: int
) -> str:
    parts: list[str] = []
    size = 0
    variables = {name: of_row(row[name], name) for name in names if name in row}
    for part in template.generate(variables):
        size += len(part.encode())
        if size > max_bytes:
            raise _TooLargeError(f"more than {max_bytes} bytes of text")
        parts.append(part)
    return "".join(parts)


def _evaluate(expression: Callable[..., Any], row: dict[str, Any]) -> bool:
    value = expression(row)
    if isinstance(value, jinja2.Undefined):
        bool(value)  # StrictUndefined raises, naming the variable
    if not isinstance(value, bool):
        raise _NotBooleanError(f"gives {type(value).__name__} {value!r:.60}, not true or false")
    return value


def _compile(
    environment: Environment, kind: str, source: str, max_bytes: int
) -> Callable[[dict[str, Any]], Any]:
    if kind == "where":
        expression = environment.compile_expression(source, undefined_to_none=False)
        return lambda row: _evaluate(expression, row)
    names = sorted(jinja2.meta.find_undeclared_variables(environment.parse(source)))
    if kind == "names":
        return lambda row: names
    template = environment.text_template(source)
    return lambda row: _render(template, names, row, max_bytes)


def _describe(error: BaseException) -> dict[str, Any]:
    """An error as plain data: a kind, a sentence, and the template line where there is one."""
    line: int | None = None
    if isinstance(error, jinja2.TemplateSyntaxError):
        return {"kind": "syntax", "message": error.message or "", "line": error.lineno}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    kinds: list[tuple[type[BaseException], str, str]] = [
        (jinja2.UndefinedError, "undefined", str(error)),
        (_TooLargeError, "too_large", str(error)),
        (_NotBooleanError, "not_boolean", str(error)),
        (NullError, "null", str(error)),
        (NotTextError, "not_text", str(error)),
        (MemoryError, "memory", "needs too much memory"),
        (RecursionError, "recursion", "recurses too deeply"),
    ]
    for cls, kind, message in kinds:
        if isinstance(error, cls):
            return {"kind": kind, "message": message, "line": line}
    message = f"{type(error).__name__}: {str(error)[:500]}"
    return {"kind": "failed", "message": message, "line": line}


def _answer(
    run: Callable[[dict[str, Any]], Any], rows: Iterable[dict[str, Any]], cpu_s: float
) -> dict[str, Any]:
    values: list[Any] = []
    for row in rows:
        # The default action of SIGPROF ends the process, also in the middle of one long C call.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        try:
            values.append(run(row))
        except Exception as error:
            return {"values": values, "error": _describe(error)}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return {"values": values}


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    return stream.read(struct.unpack("<I", head)[0])


def main() -> None:
    """Answer requests until stdin closes. ``argv[1]`` is the memory limit in MiB."""
    memory = int(sys.argv[1]) * 1024 * 1024
    with contextlib.suppress(ValueError, OSError):  # not every system limits address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C in a terminal reaches every process of the group; ending is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = Environment()
    compiled: dict[tuple[str, str, int], Callable[[dict[str, Any]], Any]] = {}
    while (frame := _read(sys.stdin.buffer)) is not None:
        request = msgspec.json.decode(frame)
        max_bytes = request["max_bytes"]
        key = (request["kind"], request["source"], max_bytes)
        signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
        try:
            if key not in compiled:
                if len(compiled) >= MAX_SOURCES:
                    compiled.clear()
                compiled[key] = _compile(environment, *key)
            reply = _answer(compiled[key], request["rows"], request["cpu_s"])
        except Exception as error:
            reply = dict[str, Any](values=[], error=_describe(error))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        body = msgspec.json.encode(reply)
        sys.stdout.buffer.write(struct.pack("<I", len(body)) + body)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
