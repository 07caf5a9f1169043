"""How much time and memory a scorer or an extraction gets, and in which process."""

from __future__ import annotations

from typing import NamedTuple

# Within it every scorer of the package but `similarity` by `partial` needs less than a second.
MAX_IN_PROCESS_CHARS = 16_384
CPU_S = 5.0
MEMORY_MIB = 2048
# Above it a pattern can fill gigabytes before its own time limit ends it.
MAX_IN_PROCESS_PATTERN_S = 5.0


class Bounds(NamedTuple):
    """What one text may cost, and where it is judged.

    Attributes:
        in_process_chars: longest text, and longest target as JSON, that is judged in the process
            of the report; longer ones are judged in a process that can be killed. 0: all are.
        cpu_s: processor seconds for one text in that process; None: no limit but ``wall_s``.
        wall_s: seconds for one text in that process; None: thirty times the processor seconds.
        memory_mib: memory of that process, in MiB.
        option: the argument that sets the time; None where there is none.
        user_function: a function of the user, which gets a process of its own with the whole
            environment; None for what the package does itself.
    """

    in_process_chars: int = MAX_IN_PROCESS_CHARS
    cpu_s: float | None = CPU_S
    wall_s: float | None = None
    memory_mib: int = MEMORY_MIB
    option: str | None = None
    user_function: str | None = None


def pattern_bounds(timeout_s: float) -> Bounds:
    """The bounds of what runs a pattern with a time limit of its own."""
    slow = timeout_s > MAX_IN_PROCESS_PATTERN_S
    return Bounds(in_process_chars=0 if slow else MAX_IN_PROCESS_CHARS, cpu_s=timeout_s + CPU_S)
