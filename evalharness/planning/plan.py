"""The plan of a run: prompts × settings × repeats → trials, and the order they are sent in.

A plan never holds its trials. Their order is a seeded shuffle computed block by block: 10^6 trials
start at once, and a server that drifts over time does not look like an effect of a setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.request_body import BodyTemplate, body_template, build_body
from evalharness.columnar.arrow_ops import index_in
from evalharness.config.models import Profile, ProtocolName, RunConfig
from evalharness.datasets import Renderer, prompt_digest
from evalharness.datasets.workload.salts import row_salt, salted_together, with_salt
from evalharness.planning.conversation_rows import ConversationRows, is_first
from evalharness.planning.load_points import is_background, max_repeats
from evalharness.planning.optional_rows import LeftOutRow
from evalharness.planning.replayed_run import ReplaySchedule
from evalharness.planning.shuffle import FeistelPermutation
from evalharness.records import Prompt, Setting, Trial, digest, with_answers
from evalharness.store.parts.replay_file import ReplaySource

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_BLOCK_SIZE = 4_096


class Plan:
    """The trials of a run: prompts × settings × repeats.

    Attributes:
        prompts: the statistical units, in dataset order.
        digests: for each prompt, a hash of everything that shapes its requests.
        settings: the columns of the comparison.
        protocols: by provider; one that is not named speaks chat completions.
        measured_rows: the rows of ``prompts`` that are measured: of a benchmark those that are no
            background.
        background_rows: the others.
        conversations: the rows by conversation.
        left_out: optional rows of the dataset that the providers cannot be sent.
        schedule: the requests of a run that is replayed; None where there is none.
        replay: what a replay of a trace or a run sends; None without one.
        repeats: K, how often each prompt is sent under each setting; in a benchmark the largest
            number, as far as that is known before.
    """

    def __init__(
        self,
        config: RunConfig,
        prompts: list[Prompt],
        settings: list[Setting],
        profiles: Mapping[str, Profile],
        protocols: Mapping[str, ProtocolName] = MappingProxyType({}),
        left_out: Sequence[LeftOutRow] = (),
        schedule: ReplaySchedule | None = None,
        replay: ReplaySource | None = None,
    ) -> None:
        self.config = config
        self.left_out = left_out
        self.prompts = prompts
        self.digests = [prompt_digest(p) for p in prompts]
        self.settings = settings
        apart = config.load is not None
        rows = [apart and is_background(prompt) for prompt in prompts]
        self.measured_rows = [row for row, background in enumerate(rows) if not background]
        self.background_rows = [row for row, background in enumerate(rows) if background]
        self.conversations = ConversationRows(prompts)
        self.schedule, self.replay = schedule, replay
        self.repeats = (
            max_repeats(config, settings, len(self.session_rows))
            if schedule is None
            else schedule.most_repeats
        )
        self._profiles = profiles
        self.protocols = protocols
        self._renderers = _renderers(settings)
        self._body_templates: dict[str, BodyTemplate] = {}

    @property
    def session_rows(self) -> list[int]:
        """The measured rows that are sent by themselves: all but later turns of conversations."""
        if not self.conversations.exist:
            return self.measured_rows
        return [row for row in self.measured_rows if is_first(self.prompts[row])]

    @property
    def turns_per_session(self) -> float:
        """The mean number of requests of a measured row; 1 without conversations."""
        return len(self.measured_rows) / max(1, len(self.session_rows))

    def __len__(self) -> int:
        return len(self.prompts) * len(self.settings) * self.repeats

    def renderer(self, setting: Setting) -> Renderer:
        """The renderer that makes the messages of a prompt under a setting."""
        return self._renderers[setting.setting_id]

    def profile(self, provider: str) -> Profile:
        """The profile of a provider, by its name."""
        return self._profiles[provider]

    def protocol(self, provider: str) -> ApiProtocol:
        """The protocol of a provider, by its name."""
        return get_protocol(self.protocols.get(provider, "chat"))

    def body(self, trial: Trial) -> bytes:
        """The request body of a trial, as canonical JSON."""
        setting, prompt = trial.setting, trial.prompt
        messages = self._renderers[setting.setting_id].messages(prompt)
        if trial.earlier:
            messages = with_answers(messages, trial.earlier)
        if salt := row_salt(self.config.dataset, prompt):
            scope = salted_together(trial)
            messages = with_salt(messages, salt, f"{self.config.name} {scope}")
        profile, protocol = self._profiles[setting.provider], self.protocol(setting.provider)
        if prompt.params or not protocol.one_list:
            return build_body(setting, prompt, messages, profile, protocol)
        template = self._body_templates.get(setting.setting_id)
        if template is None:
            template = body_template(setting, profile, protocol)
            self._body_templates[setting.setting_id] = template
        return template.body(messages)

    def trials(
        self,
        done: NDArray[np.bool_] | None = None,
        *,
        provider: str | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Trial]:
        """Every trial that is not ``done``, in the seeded order.

        ``done`` is indexed as :meth:`done_map` returns it. ``provider`` selects the trials of one
        provider, ``start`` and ``stop`` those at positions ``start`` ≤ p < ``stop`` of the order
        (None: to its end).
        """
        prompts, settings = self.prompts, self.settings
        is_selected = [provider in (None, setting.provider) for setting in settings]
        width = len(settings)
        for position, cells, repeats in self._blocks(start, len(self) if stop is None else stop):
            keep = None if done is None else ~done[repeats * (len(prompts) * width) + cells]
            rows: Iterator[tuple[int, int]] = zip(cells.tolist(), repeats.tolist(), strict=True)
            for offset, (cell, repeat) in enumerate(rows):
                if keep is not None and not keep[offset]:
                    continue
                row, column = divmod(cell, width)
                if not is_selected[column]:
                    continue
                yield self._trial(row, settings[column], repeat, position + offset)

    def first_trials(
        self, done: NDArray[np.bool_] | None = None, *, provider: str | None = None
    ) -> Iterator[Trial]:
        """The first turns of conversations that are not all ``done``, and trials that are no turns.

        Arguments and order are those of :meth:`trials`; :meth:`next_turn` gives the later turns.
        """
        import numpy as np

        flags = np.zeros(len(self), dtype=np.bool_) if done is None else done
        shape = (self.repeats, len(self.prompts), len(self.settings))
        return self.trials(self.conversations.opening_map(flags, shape), provider=provider)

    def answered_turns(self, done: NDArray[np.bool_] | None) -> list[str]:
        """The ids of the trials that are ``done`` in conversations of which others are not."""
        if done is None:
            return []
        shape = (self.repeats, len(self.prompts), len(self.settings))
        turns = self.conversations.unfinished_turns(done, shape)
        return [self.trial_id(row, self.settings[column], k) for k, row, column in turns]

    def next_turn(self, trial: Trial, answer: str) -> Trial | None:
        """The turn that follows a turn with its answer; None where it was the last, or no turn."""
        row = self.conversations.next_row(trial.prompt)
        if row is None:
            return None
        following = self._trial(row, trial.setting, trial.repeat, trial.position)
        return structs.replace(following, earlier=(*trial.earlier, answer))

    def round_trials(
        self, settings: Sequence[Setting], repeat: int, *, background: bool = False
    ) -> Iterator[Trial]:
        """Every prompt under each of these settings once, shuffled anew for every ``repeat``.

        Of the measured rows, without later turns, or of those that are ``background``.

        A benchmark asks for further rounds for as long as it needs requests, so ``repeat`` has no
        upper end there. Positions count from ``repeat`` × the size of a round.
        """
        rows = self.background_rows if background else self.session_rows
        width = len(settings)
        cells = len(rows) * width
        seed = self.config.order.shuffle_seed * 1_000_003 + repeat
        order: list[int] = FeistelPermutation(cells, seed).take(0, cells).tolist()
        for offset, cell in enumerate(order):
            row, column = divmod(cell, width)
            yield self._trial(rows[row], settings[column], repeat, repeat * cells + offset)

    def cells(self, settings: Sequence[Setting]) -> int:
        """Requests of a load point that sends each row, or each of a replayed run, once."""
        rows = self.session_rows if self.schedule is None else self.schedule.rows
        return len(rows) * len(settings)

    def scheduled_trials(
        self, schedule: ReplaySchedule, setting: Setting, first_repeat: int
    ) -> Iterator[Trial]:
        """The requests of a replayed run; each time that a row comes again is a further repeat."""
        sent: Counter[int] = Counter()
        start = first_repeat * len(schedule.rows)
        for position, row in enumerate(schedule.rows, start):
            yield self._trial(row, setting, first_repeat + sent[row], position)
            sent[row] += 1

    def dataset_trials(self, setting: Setting, repeat: int) -> Iterator[Trial]:
        """Every prompt under one setting once, in the order of the dataset; no later turns."""
        for row in self.conversations.first_rows:
            yield self._trial(row, setting, repeat, repeat * len(self.prompts) + row)

    def _trial(self, row: int, setting: Setting, repeat: int, position: int) -> Trial:
        trial_id = self.trial_id(row, setting, repeat)
        return Trial(trial_id, self.prompts[row], setting, repeat, position)

    def trial_id(self, row: int, setting: Setting, repeat: int) -> str:
        """The id of the trial of a prompt, given by its place in :attr:`prompts`."""
        return digest(
            setting.setting_id.encode(),
            self.digests[row].encode(),
            self.prompts[row].prompt_id.encode(),
            repeat.to_bytes(4, "little"),
        )

    def recorded_at(self, done: NDArray[np.bool_], start: int, stop: int) -> NDArray[np.bool_]:
        """Whether the trial at each position ``start`` ≤ p < ``stop`` of the order is ``done``."""
        import numpy as np

        width = len(self.prompts) * len(self.settings)
        blocks = [done[repeats * width + cells] for _, cells, repeats in self._blocks(start, stop)]
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.bool_)

    def _blocks(
        self, first: int, stop: int
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """A range of positions in sending order, as blocks of (first position, cells, repeats)."""
        import numpy as np

        cells = len(self.prompts) * len(self.settings)
        order = self.config.order
        if order.repeats == "blocked":
            repeats_per_cell = self.repeats
            shuffle = FeistelPermutation(cells, order.shuffle_seed)
            step = max(1, _BLOCK_SIZE // repeats_per_cell)
            for start in range(first // repeats_per_cell, -(-stop // repeats_per_cell), step):
                block = shuffle.take(start, start + step)
                repeats = np.tile(np.arange(repeats_per_cell, dtype=np.int64), len(block))
                cut = slice(
                    max(0, first - start * repeats_per_cell),
                    max(0, stop - start * repeats_per_cell),
                )
                yield (
                    start * repeats_per_cell + cut.start,
                    np.repeat(block, repeats_per_cell)[cut],
                    repeats[cut],
                )
            return
        for repeat in range(self.repeats):
            begin, end = max(0, first - repeat * cells), min(cells, stop - repeat * cells)
            if begin >= end:
                continue
            # A fresh order every round: no cell always follows the same neighbour.
            shuffle = FeistelPermutation(cells, order.shuffle_seed * 1_000_003 + repeat)
            for start in range(begin, end, _BLOCK_SIZE):
                block = shuffle.take(start, min(start + _BLOCK_SIZE, end))
                yield repeat * cells + start, block, np.full(len(block), repeat, dtype=np.int64)

    def done_map(self, recorded: pa.Table) -> NDArray[np.bool_]:
        """Which trials have a record: flags indexed ``(repeat × prompts + prompt) × settings + s``.

        ``recorded`` has the columns prompt_id, setting_id and repeat; rows outside the plan are
        ignored.
        """
        import numpy as np

        done = np.zeros(len(self), dtype=np.bool_)
        if not len(recorded):
            return done
        rows = index_in(recorded["prompt_id"], [p.prompt_id for p in self.prompts])
        columns = index_in(recorded["setting_id"], [s.setting_id for s in self.settings])
        repeats: NDArray[np.int64] = np.asarray(recorded["repeat"].to_numpy(), dtype=np.int64)
        in_plan = (rows >= 0) & (columns >= 0) & (repeats < self.repeats)
        cells = rows[in_plan] * len(self.settings) + columns[in_plan]
        done[repeats[in_plan] * (len(self.prompts) * len(self.settings)) + cells] = True
        return done


def _renderers(settings: list[Setting]) -> dict[str, Renderer]:
    shared: dict[tuple[str | None, str | None], Renderer] = {}
    for setting in settings:
        key = (setting.template, setting.system)
        if key not in shared:
            shared[key] = Renderer(*key)
    return {s.setting_id: shared[s.template, s.system] for s in settings}
