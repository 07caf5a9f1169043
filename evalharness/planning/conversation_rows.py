"""The conversations of a plan: which rows are turns of which, and which of them is sent next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from evalharness.errors import ConfigError
from evalharness.planning.load_points import is_background, load_from_identity
from evalharness.records import Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.config.models import LoadConfig, RunConfig
    from evalharness.records import Setting


class ConversationRows:
    """The rows of a plan by conversation; a prompt that is no turn is alone in its own.

    Args:
        prompts: of the plan; the turns of a conversation follow each other.

    Attributes:
        exist: whether there are turns at all.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = prompts
        self.exist = any(prompt.turn is not None for prompt in prompts)

    @cached_property
    def first_rows(self) -> list[int]:
        """The rows that begin a conversation, or are none."""
        return [row for row, prompt in enumerate(self._prompts) if is_first(prompt)]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {prompt.prompt_id: row for row, prompt in enumerate(self._prompts)}

    def next_row(self, prompt: Prompt) -> int | None:
        """The row of the turn after a prompt; None where there is none."""
        if prompt.turn is None:
            return None
        row = self._row_of[prompt.prompt_id] + 1
        if row == len(self._prompts) or self._prompts[row].conversation != prompt.conversation:
            return None
        return row

    def turns(self, prompt: Prompt) -> list[int]:
        """The rows of the conversation of a prompt, its own alone where it is no turn."""
        if prompt.turn is None:
            return [self._row_of[prompt.prompt_id]]
        rows = [self._row_of[prompt.prompt_id] - (prompt.turn - 1)]
        while (row := self.next_row(self._prompts[rows[-1]])) is not None:
            rows.append(row)
        return rows

    def opening_map(
        self, done: NDArray[np.bool_], shape: tuple[int, int, int]
    ) -> NDArray[np.bool_]:
        """``done`` with every later turn flagged, and a first turn where all turns are done.

        Args:
            done: flags of the trials, as of :meth:`~evalharness.planning.plan.Plan.done_map`.
            shape: repeats, prompts and settings.
        """
        import numpy as np

        by_row = done.reshape(shape)
        opening = np.ones(shape, dtype=np.bool_)
        opening[:, self.first_rows] = np.logical_and.reduceat(by_row, self.first_rows, axis=1)
        return opening.reshape(-1)

    def unfinished_turns(
        self, done: NDArray[np.bool_], shape: tuple[int, int, int]
    ) -> list[tuple[int, int, int]]:
        """Repeat, row and setting of each turn that is done where its conversation is not.

        Arguments are those of :meth:`opening_map`.
        """
        import numpy as np

        by_row = done.reshape(shape)
        every = np.logical_and.reduceat(by_row, self.first_rows, axis=1)
        lengths = np.diff([*self.first_rows, len(self._prompts)])
        places = np.argwhere(by_row & ~np.repeat(every, lengths, axis=1))
        return [(repeat, row, column) for repeat, row, column in places.tolist()]


def is_first(prompt: Prompt) -> bool:
    """Whether a prompt begins a conversation, or is none."""
    return prompt.turn in (None, 1)


def check_conversations(
    config: RunConfig, settings: Sequence[Setting], prompts: Sequence[Prompt]
) -> None:
    """Check, before anything is sent, that a run can hold the conversations of its dataset.

    Raises:
        ConfigError: its requests are sent apart from each other, or a key of the load counts
            something else than conversations.
    """
    turn = next((prompt for prompt in prompts if prompt.turn is not None), None)
    if config.load is not None:
        for setting in settings:
            _check_load(load_from_identity(setting.load, config.load), turn)
    if turn is None:
        return
    where = turn.source or f"prompt {turn.prompt_id}"
    if config.execution.engine == "ray":
        raise ConfigError(
            f"{where}: a turn needs the answers before it, and execution=ray sends each trial from "
            "whichever worker is free",
            hint="execution=local, or a dataset without turns",
        )
    if config.execution.engine == "batch":
        raise ConfigError(
            f"{where}: a turn needs the answers before it, and execution=batch sends all requests "
            "at once",
            hint="execution=local, or a dataset without turns",
        )
    background = next((p for p in prompts if p.turn is not None and is_background(p)), None)
    if config.load is not None and background is not None:
        raise ConfigError(
            f"{background.source or background.prompt_id}: a row with `background: true` has turns",
            hint="background rows are single requests: write the text under prompt",
        )


def _check_load(load: LoadConfig, turn: Prompt | None) -> None:
    """Refuse a load that counts requests of conversations, or conversations of requests."""
    if turn is None:
        for key, value in (("sessions", load.sessions), ("think_s", load.think_s)):
            if value is not None:
                raise ConfigError(
                    f"`load.{key}` is of conversations, and no row of the dataset has turns",
                    hint=f"load.{key}=null, or rows with turns (docs/load-conversations.md)",
                )
        return
    if load.requests is not None:
        raise ConfigError(
            "`load.requests` counts single requests, and the dataset has conversations",
            hint=f"load.requests=null load.sessions={load.requests}",
        )
    if load.warmup_requests:
        raise ConfigError(
            "`load.warmup_requests` counts single requests, and the dataset has conversations",
            hint="load.warmup_requests=0 load.warmup_s=10, for instance",
        )
