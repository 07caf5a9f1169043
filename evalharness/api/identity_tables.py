"""The tables of a run on whether two settings are the same model."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from evalharness.api import figures, identity_figures

if TYPE_CHECKING:
    import pandas as pd

    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.equality.kernel import Unit


class IdentityTables:
    """What :class:`.RunFrames` says of identity."""

    @property
    @abstractmethod
    def frame(self) -> RunFrame:
        """The run as arrays."""

    def equality(
        self,
        *,
        by: str | None = None,
        baseline: Any = None,
        unit: Unit = "character",
        seed: int = 0,
    ) -> pd.DataFrame:
        """The model equality test: do settings give outputs of one distribution? One row a pair.

        Args:
            by: the axis, such as ``provider``; None tests every two of the first 24 settings.
            baseline: the value to compare with; None takes the lowest number or the first value.
            unit: what has a position in an output: ``character``, ``word``, or ``token``, which
                needs log probabilities.
            seed: of the permutations.

        Returns:
            The fields of ``model_equality`` in the JSON (``docs/report-json.md``) with ``lo`` and
            ``hi``, the interval of ``mmd2``, and ``sentence``, all of it in words.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.equality.model_equality import model_equality

        joined, pairs = identity_figures.paired_settings(self.frame, by, baseline)
        rows = model_equality(joined, pairs, unit=unit, seed=seed)
        return figures.as_table(identity_figures.equality_rows(rows), identity_figures.EQUALITY)

    def logprob_distance(
        self, *, by: str | None = None, baseline: Any = None, seed: int = 0
    ) -> pd.DataFrame:
        """How far the log probabilities of settings are apart, beyond noise: one row a pair.

        Args:
            by: the axis, such as ``provider``; None takes every two of the first 24 settings.
            baseline: the value to compare with; None takes the lowest number or the first value.
            seed: of the permutations.

        Returns:
            The fields of ``logprob_distance`` in the JSON (``docs/report-json.md``), those of
            ``own_a``, ``own_b`` and ``across`` as columns such as ``across_mean``; ``lo`` and
            ``hi``, the interval of ``excess``; and ``sentence``, all of it in words.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.logprobs.logprob_distance import logprob_distance

        joined, pairs = identity_figures.paired_settings(self.frame, by, baseline)
        rows = logprob_distance(joined, pairs, seed=seed)
        return figures.as_table(identity_figures.logprob_rows(rows), identity_figures.LOGPROBS)

    def tool_calls(
        self, *, by: str = "provider", baseline: Any = None, seed: int = 0
    ) -> pd.DataFrame:
        """Tool calls of settings against those of a reference: one row a setting.

        Args:
            by: the axis.
            baseline: the reference; None takes the lowest number or the first value.
            seed: of the permutations.

        Returns:
            The fields of ``tool_call_check`` in the JSON (``docs/report-json.md``), those of
            ``across``, ``own``, ``side`` and ``reference`` as columns such as ``across_f1`` and
            ``side_schema_accuracy``; and ``sentence``, all of it in words.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.tool_calls.tool_call_check import tool_call_check

        joined, pairs = identity_figures.paired_settings(self.frame, by, baseline)
        rows = tool_call_check(joined, pairs, seed=seed)
        return figures.as_table(identity_figures.tool_call_rows(rows), identity_figures.TOOL_CALLS)
