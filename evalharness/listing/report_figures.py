"""The few figures of ``summary.json`` that a list shows; the rest of it is skipped undecoded."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa


class _SummaryRun(msgspec.Struct, frozen=True):
    updated_at: str = ""
    prompts: int | None = None


class _Mean(msgspec.Struct, frozen=True):
    mean: float | None = None


class _Pairwise(msgspec.Struct, frozen=True):
    pairwise: float | None = None


class _Agreement(msgspec.Struct, frozen=True):
    raw: _Pairwise = _Pairwise()
    answer: _Pairwise = _Pairwise()


class _SummarySetting(msgspec.Struct, frozen=True):
    params: dict[str, Any] = {}
    score: _Mean = _Mean()
    agreement: _Agreement = _Agreement()


class _Total(msgspec.Struct, frozen=True):
    total_usd: float | None = None
    known: int = 0
    unknown: int = 0


class _Money(msgspec.Struct, frozen=True):
    total: _Total | None = None
    settings: list[_Total] = []


class _LoadPoints(msgspec.Struct, frozen=True):
    points: list[msgspec.Raw] = []


class ReportFigures(msgspec.Struct, frozen=True):
    """What is known of a run's plan and results; the keys are those of ``summary.json``."""

    run: _SummaryRun = _SummaryRun()
    settings: list[_SummarySetting] = []
    money: _Money = _Money()
    load: _LoadPoints | None = None
    has_load: bool = False  # only where there is no report: from the settings themselves
    is_known: bool = True

    @classmethod
    def of_plan(cls, settings: bytes | None, prompts: bytes | None) -> ReportFigures:
        """What the files of the plan say; nothing where they are not there yet.

        Raises:
            StorageError: one is damaged.
        """
        if settings is None or prompts is None:
            return cls(is_known=False)
        rows = _current(settings, ["model", "load_json"])
        loads = rows["load_json"] if "load_json" in rows.column_names else None
        return cls(
            run=_SummaryRun(prompts=_count_current(prompts)),
            settings=[_SummarySetting(params={"model": m}) for m in rows["model"].to_pylist()],
            has_load=loads is not None and loads.null_count < len(rows),
        )

    @property
    def models(self) -> list[str]:
        """The models, each once, in the order of the settings."""
        return list(
            dict.fromkeys(str(s.params["model"]) for s in self.settings if s.params.get("model"))
        )

    @property
    def n_settings(self) -> int | None:
        """Settings of the plan; None where that is not known."""
        return len(self.settings) if self.is_known and self.run.prompts is not None else None

    @property
    def n_prompts(self) -> int | None:
        """Prompts of the plan; None where that is not known."""
        return self.run.prompts

    def repeats(self, planned: int | None) -> int | None:
        """Trials of each prompt and setting; None for a benchmark, and where no plan says."""
        cells = (self.n_settings or 0) * (self.n_prompts or 0)
        if planned is None or not cells or self.has_load or (self.load and self.load.points):
            return None
        return planned // cells

    @property
    def scores(self) -> list[float]:
        """Mean scores of the settings that have one."""
        return [s.score.mean for s in self.settings if s.score.mean is not None]

    @property
    def agreements(self) -> list[float]:
        """Agreements of raw text of the settings that have one."""
        values = [s.agreement.raw.pairwise for s in self.settings]
        return [value for value in values if value is not None]

    @property
    def answer_agreements(self) -> list[float]:
        """Agreements of answers of the settings that have one."""
        values = [s.agreement.answer.pairwise for s in self.settings]
        return [value for value in values if value is not None]

    @property
    def setting_scores(self) -> list[float | None]:
        """Mean scores of all settings, in the order of the report."""
        return [s.score.mean for s in self.settings]

    @property
    def setting_costs(self) -> list[float | None]:
        """What the trials of each setting with a known cost came to, US dollars."""
        return [total.total_usd if total.known else None for total in self.money.settings]

    @property
    def cost_usd(self) -> float | None:
        """What the trials with a known cost came to, US dollars; None where there is none."""
        total = self.money.total
        return total.total_usd if total is not None and total.known else None

    @property
    def cost_unknown(self) -> int | None:
        """Trials without a known cost; None where no report says."""
        return None if self.money.total is None else self.money.total.unknown


_decoder = msgspec.json.Decoder(ReportFigures)


def decode_figures(content: bytes) -> ReportFigures:
    """The figures of a ``summary.json``.

    Raises:
        msgspec.MsgspecError: it is damaged, or no report.
    """
    return _decoder.decode(content)


def _count_current(content: bytes) -> int:
    """Rows of the newest plan, from the file's footer where all rows are of one kind."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        footer: Any = parquet.ParquetFile(io.BytesIO(content)).metadata
        column = footer.schema.names.index("in_current_plan")
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        statistics = [group.column(column).statistics for group in groups]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StorageError(f"a file of the plan is damaged: {error}") from error
    if all(s is not None and s.has_min_max and s.min is True for s in statistics):
        return sum(group.num_rows for group in groups)
    return len(_current(content, []))


def _current(content: bytes, columns: list[str]) -> pa.Table:
    """Columns of the rows of the newest plan; a column that the file has not is left out."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        file: Any = parquet.ParquetFile(io.BytesIO(content))
        known = set(file.schema_arrow.names)
        table: Any = file.read(
            [c for c in [*columns, "in_current_plan"] if c in known], use_threads=False
        )
        return table.filter(table["in_current_plan"])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StorageError(f"a file of the plan is damaged: {error}") from error
