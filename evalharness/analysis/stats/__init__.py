"""The statistics under the analysis: intervals, tests, repeat formulas, planning.

Pure functions of numbers and arrays, without any record. In the analysis only this package imports
scipy.
"""

from evalharness.analysis.stats.change_point import MIN_RUNS, ChangeTest, change_test
from evalharness.analysis.stats.classification import (
    ClassCounts,
    ClassFigures,
    ShareEstimate,
    class_figures,
    macro_f1,
    share_of,
)
from evalharness.analysis.stats.cluster_robust import (
    effective_clusters,
    effective_units,
    estimate_mean,
    unit_sums,
)
from evalharness.analysis.stats.design import (
    TYPICAL_COMPONENTS,
    VarianceComponents,
    minimum_detectable,
    prompts_needed,
    variance_components,
)
from evalharness.analysis.stats.intervals import (
    ENOUGH_FOR_AMOUNTS,
    Interval,
    deviation_ci,
    divergence_bound,
    mean_ci,
    ratio_ci,
    standard_error,
    wilson,
)
from evalharness.analysis.stats.joint_flips import (
    RankedSettings,
    joint_tests,
)
from evalharness.analysis.stats.kappa import RaterAgreement, rater_agreement
from evalharness.analysis.stats.label_shuffle import label_permutation, shuffle_labels
from evalharness.analysis.stats.paired import (
    benjamini_hochberg,
    cochran_q,
    holm,
    mcnemar_mid_p,
    page_trend,
    tost,
)
from evalharness.analysis.stats.power import (
    bound_standard_error,
    detectable,
    detectable_mean,
    factor_growth,
    mcnemar_detectable,
    mcnemar_power,
    no_growth,
    pass_rate_growth,
)
from evalharness.analysis.stats.quantile_intervals import (
    Quantile,
    quantile_difference,
    quantiles,
)
from evalharness.analysis.stats.repeat_change import mean_change_p, pass_change_p
from evalharness.analysis.stats.repeats import (
    all_of_each_k,
    g_pass_at_k,
    pass_at_k,
    pass_hat_k,
    tar_at_k,
)
from evalharness.analysis.stats.sign_flips import (
    ALPHA,
    MIN_UNITS,
    FlipTests,
    SignFlips,
    difference_test,
    sign_flip,
)
from evalharness.analysis.stats.sign_patterns import DRAWS
from evalharness.analysis.stats.unit_differences import UnitDifferences

__all__ = [
    "ALPHA",
    "DRAWS",
    "ENOUGH_FOR_AMOUNTS",
    "MIN_RUNS",
    "MIN_UNITS",
    "TYPICAL_COMPONENTS",
    "ChangeTest",
    "ClassCounts",
    "ClassFigures",
    "FlipTests",
    "Interval",
    "Quantile",
    "RankedSettings",
    "RaterAgreement",
    "ShareEstimate",
    "SignFlips",
    "UnitDifferences",
    "VarianceComponents",
    "all_of_each_k",
    "benjamini_hochberg",
    "bound_standard_error",
    "change_test",
    "class_figures",
    "cochran_q",
    "detectable",
    "detectable_mean",
    "deviation_ci",
    "difference_test",
    "divergence_bound",
    "effective_clusters",
    "effective_units",
    "estimate_mean",
    "factor_growth",
    "g_pass_at_k",
    "holm",
    "joint_tests",
    "label_permutation",
    "macro_f1",
    "mcnemar_detectable",
    "mcnemar_mid_p",
    "mcnemar_power",
    "mean_change_p",
    "mean_ci",
    "minimum_detectable",
    "no_growth",
    "page_trend",
    "pass_at_k",
    "pass_change_p",
    "pass_hat_k",
    "pass_rate_growth",
    "prompts_needed",
    "quantile_difference",
    "quantiles",
    "rater_agreement",
    "ratio_ci",
    "share_of",
    "shuffle_labels",
    "sign_flip",
    "standard_error",
    "tar_at_k",
    "tost",
    "unit_sums",
    "variance_components",
    "wilson",
]
