"""A run as numpy arrays: the one thing every analysis starts from.

Rows are records in a fixed order (setting, prompt, repeat), whatever order the table had, so that
every figure is free of the order of the rows. A *cell* is one prompt under one setting.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data import cell_means, encode, frame_builder, output_texts, variants
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.statuses import ERROR, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from evalharness.columnar.row_store import Held
    from evalharness.columnar.text_pool import Texts
    from evalharness.store.parts.streaming_read import Wide

_T = TypeVar("_T", bound=np.generic)

METRICS = ("score", "agreement", "agreement_answer", "latency_s", "completion_tokens", "cost_usd")

#: The record columns that an analysis reads; a reader may leave the others on disk.
COLUMNS = (
    "prompt_id", "setting_id", "repeat", "status", "text", "refusal", "tool_calls_json",
    "logprobs", "seed", "served_model", "system_fingerprint", "prompt_tokens",
    "completion_tokens", "cached_tokens", "reasoning_tokens", "billed_usd", "sent_at",
    "latency_s", "ttft_s", "in_flight", "answer", "score", "cost_usd_imported",
)  # fmt: skip


#: Those of them that are read for a few records alone.
WIDE = ("logprobs",)

_DECODED_BYTES = 64 * 2**20  # of columns of numbers that are kept once they were asked for


class Frame(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """Records of one run, encoded. Build it with :meth:`build`.

    Arrays have one entry a record, in the frame's order. ``rows`` are positions in ``records``.

    Attributes:
        setting_ids: settings in the order of the settings table, then any it lacks.
        prompt_ids: prompts in the order of the prompts table, then any it lacks.
        setting, prompt, repeat: codes (indices into the two lists) and the repeat's number.
        status: index into :data:`STATUSES`.
        output: code of what was said (text, refusal, tool calls), comparable within a prompt;
            -1 where it is not known (an import without texts).
        answer: code of the parsed answer, -1 unparsed; None when no answers were extracted.
        scores: by scorer, NaN where not scored. Errors are never scored; a refused record counts
            0 where its prompt has a target, else it is not scored. The first is the primary.
        cost_usd: cost in US dollars, NaN unknown; None when nothing was priced.
        has_target: one entry a prompt.
        clusters: one cluster number a prompt (a prompt without one is alone in its own); None
            when no prompt names a cluster.
        held: when given, the columns of outputs in ``records`` are numbers of its texts.
        wide: what gives columns that are too wide to be held, by the ``row`` column of records.

    """

    records: Any
    setting_ids: list[str]
    prompt_ids: list[str]
    setting_rows: list[dict[str, Any]]
    rows: Ints
    setting: Ints
    prompt: Ints
    repeat: Ints
    status: Ints
    output: Ints
    answer: Ints | None
    scores: dict[str, Floats]
    cost_usd: Floats | None
    has_target: Bools
    clusters: Ints | None
    held: Texts | None = None
    wide: Wide | None = None

    @classmethod
    def build(
        cls,
        records: pa.Table | Held,
        prompts: pa.Table,
        settings: pa.Table,
        *,
        answers: Any = None,
        scores: Mapping[str, npt.NDArray[Any]] | None = None,
        cost_usd: npt.NDArray[Any] | None = None,
        texts: Texts | None = None,
        wide: Wide | None = None,
    ) -> Frame:
        """Encode a run.

        Args:
            records: the columns of :data:`COLUMNS` that exist; absent ones count as all null.
            prompts: the prompts table; only ``prompt_id``, ``target_json``, ``cluster`` are read.
            settings: the settings table.
            answers: one a record: integer codes (negative: unparsed), or an object array or Arrow
                column of texts (None: unparsed). Default: the records' ``answer`` column when any
                row of it is filled.
            scores: by scorer name, float64, NaN not scored; the first is the primary. Default: the
                records' ``score`` column when any row of it is filled.
            cost_usd: one a record, NaN unknown. Default: the imported cost when any is filled.
            texts: what the numbers in the columns of outputs stand for, where they hold numbers.
            wide: see the attribute.

        Raises:
            DatasetError: a status that is not one of :data:`STATUSES`.

        """
        given = frame_builder.Given(answers, scores, cost_usd, texts)
        fields = frame_builder.encoded(records, prompts, settings, given)
        return cls(records=records, held=texts, wide=wide, **fields)

    # --- what there is -------------------------------------------------------------------------

    @cached_property
    def shape(self) -> tuple[int, int]:
        """``(prompts, settings)``."""
        return len(self.prompt_ids), len(self.setting_ids)

    @cached_property
    def cells(self) -> int:
        """Number of cells: prompts × settings."""
        return len(self.prompt_ids) * len(self.setting_ids)

    @cached_property
    def cell(self) -> Ints:
        """The cell of each record, ascending: ``setting * prompts + prompt``."""
        cells = self.setting.astype(np.int64)
        cells *= len(self.prompt_ids)
        cells += self.prompt
        return encode.narrow(cells)

    @cached_property
    def setting_of_cell(self) -> Ints:
        """The setting of each cell."""
        return np.repeat(np.arange(len(self.setting_ids)), len(self.prompt_ids))

    @cached_property
    def usable(self) -> Bools:
        """Records that hold an output: every status but ``error``."""
        return self.status != ERROR

    @cached_property
    def known(self) -> Bools:
        """Usable records whose output is known (an import may have none)."""
        return self.usable & (self.output != UNKNOWN)

    def rows_of(self, setting: int | str) -> slice:
        """Locate the records of a setting: a slice of every array here."""
        index = self.index(setting)
        return slice(*self._bounds[index : index + 2])

    @cached_property
    def _bounds(self) -> list[int]:
        """Where the records of each setting begin, and where the last ones end."""
        counts = np.bincount(self.setting, minlength=len(self.setting_ids))
        return [0, *np.cumsum(counts).tolist()]

    def index(self, setting: int | str) -> int:
        """Position of a setting given by position or id."""
        return setting if isinstance(setting, int) else self.setting_ids.index(setting)

    def label(self, setting: int | str) -> str:
        """Say what varies within the run, in words."""
        return str(self.setting_rows[self.index(setting)]["label"])

    def params(self, setting: int | str) -> dict[str, Any]:
        """Parameter values, ``provider``, ``model``, ``system``, ``template`` and swept axes, flat.

        Keys that are null are absent. Axis values stand over parameters of the same name.
        """
        row = self.setting_rows[self.index(setting)]
        plain = {key: row.get(key) for key in ("provider", "model", "system", "template")}
        merged = {**plain, **row["params"], **row["axes"]}
        return {key: value for key, value in merged.items() if value is not None}

    def axes(self, setting: int | str) -> dict[str, Any]:
        """Swept keys with this setting's values."""
        return dict(self.setting_rows[self.index(setting)]["axes"])

    # --- columns -------------------------------------------------------------------------------

    def values(self, column: str) -> Floats:
        """Return a numeric column in the frame's order, NaN where null or when it does not exist.

        The array is read-only. Instants are seconds since the epoch.
        """
        if column not in self.records.column_names:
            return np.broadcast_to(np.nan, len(self.rows))  # takes no memory
        if column in self._decoded:
            return self._decoded[column]
        found = encode.picked(encode.floats(self.records[column]), self.rows)
        found.flags.writeable = False
        if found.nbytes * (len(self._decoded) + 1) <= _DECODED_BYTES:
            self._decoded[column] = found
        return found

    @cached_property
    def _decoded(self) -> dict[str, Floats]:
        """Numeric columns that somebody asked for, as many as fit :data:`_DECODED_BYTES`."""
        return {}

    def usable_values(self, column: str) -> Floats:
        """The same, NaN also where a record is no output (status ``error``)."""
        values = self.values(column)
        return np.where(self.usable, values, np.nan) if values.strides[0] else values

    def codes(self, column: str) -> tuple[Ints, list[str]]:
        """Return a text column of few distinct values as codes and names; null is -1."""
        if column not in self.records.column_names:
            return np.full(len(self.rows), UNKNOWN, np.int8), []
        if column not in self._coded:
            codes, names = encode.dictionary_of(self.records, column)
            narrow = encode.narrow(codes, least=np.int8)
            self._coded[column] = encode.picked(narrow, self.rows), names.to_pylist()
        return self._coded[column]

    @cached_property
    def _coded(self) -> dict[str, tuple[Ints, list[str]]]:
        """Text columns as codes, as far as somebody asked for them: mostly a byte a record."""
        return {}

    def texts(self, rows: Ints, column: str = "text") -> list[str | None]:
        """Texts of a few records, given by their places in the frame's order."""
        return output_texts.texts(self, rows, column)

    def counted_texts(self, rows: Ints) -> Iterator[tuple[Any, Ints]]:
        """The distinct texts of some records, as Arrow arrays, with how many records have each."""
        return output_texts.counted_texts(self, rows)

    def said(self, rows: Ints) -> list[str]:
        """Return a few records' outputs as one text each: text, then refusal, then tool calls."""
        return output_texts.said(self, rows)

    def said_in_turn(self, groups: Sequence[Ints]) -> Iterator[list[str]]:
        """Return :meth:`said` of groups of records, of which one is in memory at a time."""
        return output_texts.said_in_turn(self, groups)

    # --- prompts × settings --------------------------------------------------------------------

    @cached_property
    def output_variants(self) -> variants.Variants:
        """Variants of the whole output in each cell, errors left out."""
        return variants.count_variants(self.cell, self.output, self.cells, self.known)

    @cached_property
    def answer_variants(self) -> variants.Variants | None:
        """Variants of the parsed answer; each unparsed one is alone. None without answers."""
        if self.answer is None:
            return None
        return variants.count_variants(self.cell, self.answer, self.cells, self.usable)

    def per_prompt(self, metric: str) -> Floats:
        """Return a metric of each prompt under each setting: the mean over its usable repeats.

        Computed once; the array is read-only.

        Args:
            metric: one of :data:`METRICS`, or ``score.NAME`` for a scorer that is not the primary.
                The two agreements are the cell's pairwise agreement.

        Returns:
            prompts × settings, NaN where the prompt has no usable repeat with a value (fewer than
            two usable repeats, for the agreements).

        Raises:
            KeyError: an unknown metric.

        """
        return self._averaged(metric)[0]

    def repeats(self, metric: str) -> Ints:
        """How many usable repeats stand behind each value of :meth:`per_prompt`; same shape."""
        return self._averaged(metric)[1]

    def _averaged(self, metric: str) -> tuple[Floats, Ints]:
        if metric not in self._averages:
            by_cell = cell_means.average(self, metric)
            means, counts = (np.full(self.cells, np.nan), None) if by_cell is None else by_cell
            counts = np.zeros(self.cells, np.int64) if counts is None else counts
            means.flags.writeable = counts.flags.writeable = False
            self._averages[metric] = self.matrix(means), self.matrix(counts)
        return self._averages[metric]

    @cached_property
    def _averages(self) -> dict[str, tuple[Floats, Ints]]:
        """Means of prompts, and how many repeats they are of, as far as somebody asked for them."""
        return {}

    def counts(self, status: str | None = None) -> Ints:
        """Trials of each prompt under each setting, of one status or of all; prompts × settings."""
        rows = slice(None) if status is None else self.status == STATUSES.index(status)
        return self.matrix(np.bincount(self.cell[rows], minlength=self.cells))

    def matrix(self, by_cell: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """One value a cell, as prompts × settings."""
        return by_cell.reshape(len(self.setting_ids), len(self.prompt_ids)).T
