"""What can stop a command, and with which exit code.

::

    EvalharnessError                exit code
    ├── ConfigError                 2    bad configuration; nothing was sent
    │   ├── DatasetError            2    bad data; names file and line
    │   ├── UnknownIdError          2    a run has no such record or prompt
    │   └── RunNotFoundError        2    no such run folder, or nothing readable in it
    ├── ProviderError               2    an endpoint cannot be opened (no key, no weights)
    ├── AccountError                3    key or credit refused; resumable
    ├── BudgetReachedError          4    the money limit holds; resumable
    ├── StorageError                74   local disk or journal failed; resumable
    │   └── OutOfMemoryError        74   the system gives no more memory; resumable
    ├── ProcessLostError            74   a helper process was killed; the run is complete
    └── RunInUseError               75   another process writes this run folder

Exit code 1 is not an error: the command worked, and some trials failed or a gate did not hold.
Any other exception is a defect of this package: 70 (``EX_SOFTWARE``), with its traceback.

Every message names the file, line or key at fault; ``hint`` is what to type next. Nothing in
here may hold a key: messages are built from names of variables, never from their values.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_ACCOUNT = 3
EXIT_BUDGET = 4
EXIT_DEFECT = 70
EXIT_STORAGE = 74
EXIT_IN_USE = 75
EXIT_INTERRUPTED = 130


class EvalharnessError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        message: one sentence that names what is at fault.
        hint: what to type or change next, or None.
    """

    exit_code: int = EXIT_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  → {self.hint}"


class ConfigError(EvalharnessError):
    """The configuration cannot be run as written; nothing was sent."""

    exit_code = EXIT_CONFIG


class DatasetError(ConfigError):
    """A dataset cannot be read as written; the message names file and line."""


class UnknownIdError(ConfigError):
    """A run holds no record or prompt of this id."""


class RunNotFoundError(ConfigError):
    """The named run folder does not exist or holds nothing readable."""


class SchemaVersionError(RunNotFoundError):
    """A run folder was written with another storage schema."""


class LostManifestError(RunNotFoundError):
    """A run folder whose ``run.json`` is missing or cannot be read; the hint repairs it."""


class ProviderError(EvalharnessError):
    """An endpoint cannot be opened: no key, no weights, a server that will not start."""

    exit_code = EXIT_CONFIG


class AccountError(EvalharnessError):
    """The provider refused the account itself (key, credit); the run can be resumed."""

    exit_code = EXIT_ACCOUNT


class BudgetReachedError(EvalharnessError):
    """``limits.max_cost_usd`` leaves no room for another request; the run can be resumed."""

    exit_code = EXIT_BUDGET


class StorageError(EvalharnessError):
    """A local write, sync or read failed; sending stopped, the run can be resumed."""

    exit_code = EXIT_STORAGE


class ProcessLostError(EvalharnessError):
    """A helper process of a report was killed; the run itself is complete."""

    exit_code = EXIT_STORAGE


class OutOfMemoryError(StorageError):
    """The system gives this process no more memory; the run can be resumed."""

    def __init__(self) -> None:
        super().__init__(
            "out of memory: the system gives this process no more; what was recorded is kept",
            hint="end other programs or raise the limit (ulimit -v, a container's); a run needs "
            "less with a lower limits.concurrency or limits.max_response_mib",
        )


class RunInUseError(EvalharnessError):
    """Another process holds the run folder."""

    exit_code = EXIT_IN_USE
