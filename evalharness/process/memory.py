"""Recognises that the system gives this process no more memory.

What cannot be read for that reason is not damaged.
"""

from __future__ import annotations

import errno

from evalharness.errors import EvalharnessError, OutOfMemoryError

# Where libraries make another error of it, only the words say so.
_WORDS = (
    "can't start new thread", "cannot allocate memory", "failed to map segment", "out of memory",
    "failed to launch worker thread", "malloc of size", "std::bad_alloc",
)  # fmt: skip


class Exhaustion:
    """Whether this process ran out of memory.

    Attributes:
        seen: it did. Libraries may then crash while the interpreter ends, with another exit code.
    """

    seen = False


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error is a want of memory, or was caused by one.

    Our own errors say what they are: they may quote a server that has no memory.
    """
    while error is not None and not isinstance(error, EvalharnessError):
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        text = str(error).lower()
        if any(words in text for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise in words what is a want of memory; return for any other error.

    Raises:
        OutOfMemoryError: it is one.
    """
    if is_out_of_memory(error):
        raise OutOfMemoryError from error
