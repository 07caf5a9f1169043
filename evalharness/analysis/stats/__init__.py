"""The statistics under the analysis: intervals, tests, repeat formulas, planning.

Pure functions of numbers and arrays, without any record. In the analysis only this package imports
scipy.
"""

from evalharness.analysis.stats.design import (
    TYPICAL_COMPONENTS,
    VarianceComponents,
    detectable,
    minimum_detectable,
    prompts_needed,
    variance_components,
)
from evalharness.analysis.stats.intervals import (
    Interval,
    divergence_bound,
    geometric_mean_ratio,
    max_standard_error,
    mean_ci,
    percentile_ci,
    ratio_ci,
    standard_error,
    wilson,
)
from evalharness.analysis.stats.label_shuffle import label_permutation
from evalharness.analysis.stats.paired import (
    benjamini_hochberg,
    cochran_q,
    holm,
    mcnemar_mid_p,
    page_trend,
    tost,
)
from evalharness.analysis.stats.permutation import DRAWS, SignFlips, sign_flip
from evalharness.analysis.stats.quantile_intervals import Quantile, quantile_difference, quantiles
from evalharness.analysis.stats.repeats import (
    all_of_each_k,
    g_pass_at_k,
    pass_at_k,
    pass_hat_k,
    tar_at_k,
)

__all__ = [
    "DRAWS",
    "TYPICAL_COMPONENTS",
    "Interval",
    "Quantile",
    "SignFlips",
    "VarianceComponents",
    "all_of_each_k",
    "benjamini_hochberg",
    "cochran_q",
    "detectable",
    "divergence_bound",
    "g_pass_at_k",
    "geometric_mean_ratio",
    "holm",
    "label_permutation",
    "max_standard_error",
    "mcnemar_mid_p",
    "mean_ci",
    "minimum_detectable",
    "page_trend",
    "pass_at_k",
    "pass_hat_k",
    "percentile_ci",
    "prompts_needed",
    "quantile_difference",
    "quantiles",
    "ratio_ci",
    "sign_flip",
    "standard_error",
    "tar_at_k",
    "tost",
    "variance_components",
    "wilson",
]
