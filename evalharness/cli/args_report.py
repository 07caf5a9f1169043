"""Arguments of the commands that read runs: report, compare, check, show."""

from __future__ import annotations

import argparse

from evalharness.cli.parser import Commands, add_page, add_pricing, add_scoring


def add_report(commands: Commands) -> None:
    """Add ``report``."""
    parser = commands.add_parser("report", help="tables of one or more runs")
    parser.add_argument(
        "run", nargs="+", metavar="RUN", help="a name under results/, a path or a URL"
    )
    parser.add_argument("--json", action="store_true", help="the whole result as JSON on stdout")
    add_page(parser, "one self-contained page")
    parser.add_argument("--markdown", action="store_true", help="for a pull request or CI summary")
    parser.add_argument("--volume", type=float, metavar="N", help="project the cost to N requests")
    parser.add_argument("--all", action="store_true", help="also settings no longer in the plan")
    add_pricing(parser)
    parser.set_defaults(call=_report)


def _report(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.report import ReportOptions, report

    options = ReportOptions(
        as_json=arguments.json,
        markdown=arguments.markdown,
        html=arguments.html,
        open_html=arguments.open,
        include_inactive=arguments.all,
        pricing=arguments.pricing,
        volume=arguments.volume,
    )
    return report(arguments.run, options)


def add_compare(commands: Commands) -> None:
    """Add ``compare``."""
    parser = commands.add_parser("compare", help="settings against a baseline, paired by prompt")
    parser.add_argument(
        "run", nargs="+", metavar="RUN", help="a name under results/; scoring=… replaces its own"
    )
    parser.add_argument("--by", metavar="AXIS", help="temperature, model, …, or run")
    parser.add_argument("--baseline", metavar="VALUE", help="default: the lowest or first value")
    parser.add_argument(
        "--margin", type=float, metavar="SHARE", help="also test equivalence within ± this (0.02)"
    )
    parser.add_argument(
        "--strata", action="store_true", help="also within each value of the other axes"
    )
    parser.add_argument("--json", action="store_true", help="all comparisons as JSON on stdout")
    parser.set_defaults(call=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.compare import CompareOptions, compare

    options = CompareOptions(
        by=arguments.by,
        baseline=arguments.baseline,
        margin=arguments.margin,
        strata=arguments.strata,
        as_json=arguments.json,
    )
    return compare(arguments.run, options)


GATES = {
    "min_agreement": "least pairwise agreement of raw text (0–1), every setting",
    "min_answer_agreement": "least pairwise agreement of answers (0–1)",
    "min_score": "least mean score (0–1)",
    "max_error_share": "most failed trials (0–1)",
    "max_latency_p50_s": "most median latency, seconds",
    "max_latency_p95_s": "most 95th percentile of latency, seconds",
    "max_cost_usd": "most the run may have cost, US dollars (computed or billed, the larger)",
}


def add_check(commands: Commands) -> None:
    """Add ``check``."""
    parser = commands.add_parser("check", help="a gate for CI: exit 1 when something does not hold")
    parser.add_argument("run", metavar="RUN")
    add_scoring(parser)
    for name, text in GATES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X", help=text)
    parser.add_argument(
        "--confident", action="store_true", help="hold the interval's worse bound to the limit"
    )
    parser.add_argument(
        "--setting", action="append", default=[], metavar="LABEL",
        help="only this setting, by label or id (may be repeated)",
    )  # fmt: skip
    parser.add_argument("--partial", action="store_true", help="also a run that is not complete")
    add_pricing(parser)
    parser.add_argument("--junit", metavar="FILE", help="write the verdicts as JUnit XML")
    parser.set_defaults(call=_check)


def _check(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.check import CheckOptions, check

    limits = {name: value for name in GATES if (value := getattr(arguments, name)) is not None}
    options = CheckOptions(
        confident=arguments.confident,
        junit=arguments.junit,
        settings=arguments.setting,
        overrides=arguments.overrides,
        pricing=arguments.pricing,
        partial=arguments.partial,
    )
    return check(arguments.run, limits, options)


def add_show(commands: Commands) -> None:
    """Add ``show``."""
    parser = commands.add_parser("show", help="all outputs of one prompt, side by side")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("prompt_id", metavar="PROMPT_ID")
    add_scoring(parser)
    parser.add_argument(
        "--diff",
        action="store_true",
        help="the two commonest outputs of each setting by word",
    )
    add_page(parser, "the prompt as a page of its own")
    parser.set_defaults(call=_show)


def _show(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.show import ShowOptions, show

    options = ShowOptions(diff=arguments.diff, html=arguments.html, open_html=arguments.open)
    return show(arguments.run, arguments.prompt_id, options, arguments.overrides)
