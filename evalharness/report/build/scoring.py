"""The scoring and the prices of *now* for stored records, and what was left without a score.

Report, ``show`` and ``export`` read scores here, so that all three say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.config.strict_yaml import load as load_yaml
from evalharness.judging import bind
from evalharness.pricing import PriceBook
from evalharness.scoring import Extractor, Scorer, parse_answer_spec, parse_scoring
from evalharness.scoring.run_scores import Grader, Scored, score_records
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.columnar.row_store import Keys
    from evalharness.columnar.text_pool import Texts
    from evalharness.store.parts.streaming_read import Snapshot

REASONS = 5  # reasons a scorer that are named; the texts of exceptions can be without number


class Options(NamedTuple):
    """What a report command may override.

    ``everything`` also shows settings and prompts that are no longer in the plan; ``scoring`` and
    ``answer`` replace the run's own, None keeps it, and ``answer`` False takes none; ``prices``
    are entries of a price table and ``pricing`` is a price file, over the run's own and the shipped
    ones; ``volume`` is a number of requests to project the cost to.
    """

    everything: bool = False
    scoring: list[dict[str, Any]] | None = None
    answer: Any = None
    prices: list[Any] | None = None
    pricing: Path | None = None
    volume: float | None = None


class StoredConfig(msgspec.Struct):
    """The part of a stored configuration that a report reads; the rest is ignored."""

    scoring: list[dict[str, Any]] = []
    answer: Any = None
    pricing: dict[str, Any] = {}
    provider: dict[str, Any] = {}
    providers: dict[str, dict[str, Any]] = {}
    load: dict[str, Any] | None = None

    def price_aliases(self) -> dict[str, str]:
        """Provider name → the name it is priced under, where that is another."""
        everyone = [self.provider, *self.providers.values()]
        sources = {p.get("name", ""): p.get("profile", {}).get("price_source") for p in everyone}
        return {name: source for name, source in sources.items() if source}


def stored_config(run: Run) -> StoredConfig:
    """Read the configuration a run was made with; the defaults for an imported one."""
    text = run.config_yaml
    if text is None:
        return StoredConfig()
    first = text.split("\n--- ", 1)[0] if "--- # job" not in text else text.split("--- # job")[1]
    first = first.split("\n", 1)[1] if "--- # job" in text else first
    return msgspec.convert(load_yaml(first), StoredConfig)


def price_book(options: Options, config: StoredConfig) -> PriceBook:
    """The prices of now: those of the options over the run's own, over the shipped ones.

    Raises:
        ConfigError: a price table cannot be read.
    """
    return PriceBook.load(
        prices=options.prices or (),
        files=[] if options.pricing is None else [options.pricing],
        overrides=config.pricing,
        aliases=config.price_aliases(),
    )


def scored_run(run: Run, records: pa.Table, prompts: pa.Table, options: Options) -> Scored:
    """Judge records of a run by its scoring, or by the one that replaces it.

    Raises:
        ConfigError: the scoring cannot be read.
    """
    scorers, extractor = _scoring(run, options)
    supplied = run.manifest.answers_supplied
    return score_records(records, prompts, scorers, extractor, answers_supplied=supplied)


def grader(
    run: Run,
    prompts: pa.Table,
    options: Options,
    texts: Texts,
    keys: Mapping[str, Keys],
    stored: Snapshot,
    *,
    aside: bool,
) -> Grader:
    """What judges the records of a run as they are read, by the same scoring.

    Args:
        run: the run.
        prompts: those that are reported.
        options: may replace the run's scoring.
        texts, keys: what the codes of outputs and of columns of few values stand for.
        stored: the records, to look for answers that came with them.
        aside: judge in a copy of this process.

    Raises:
        ConfigError: the scoring cannot be read.
    """
    scorers, extractor = _scoring(run, options)
    supplied = run.manifest.answers_supplied
    if supplied is None:
        supplied = extractor is None and bool(stored.filled(["answer"]))
    return Grader(
        prompts,
        scorers,
        extractor,
        supplied=extractor is None and supplied,
        texts=texts,
        keys=keys,
        aside=aside,
    )


def _scoring(run: Run, options: Options) -> tuple[list[Scorer], Extractor | None]:
    config = stored_config(run)
    scorers = parse_scoring(options.scoring if options.scoring is not None else config.scoring)
    answer = config.answer if options.answer is None else options.answer or None
    return bind(scorers, run), parse_answer_spec(answer)


def scoring_facts(scored: Scored) -> dict[str, Any]:
    """Say what the scoring came to, for ``report --json``.

    Returns:
        ``scorers``, the first of which is the score of the tables: ``name``, ``records``, of which
        ``scored`` have a score, and ``unscored``, ``{"reason", "n"}`` of the others, most frequent
        first; reasons beyond the first five are summed as ``other reasons``. ``answers``: records
        by what the extraction came to (``parsed``, ``unparsed``, ``failed``: it could not be tried,
        ``none``: an error), null where no answers are defined.

    """
    return {
        "scorers": [_scorer(scored, name) for name in scored.scores],
        "answers": _answers(scored),
    }


def _scorer(scored: Scored, name: str) -> dict[str, Any]:
    reasons = list(scored.why_null(name).items())
    shown = [{"reason": reason, "n": count} for reason, count in reasons[:REASONS]]
    rest = sum(count for _, count in reasons[REASONS:])
    if rest:
        shown.append({"reason": "other reasons", "n": rest})
    records = len(scored.scores[name])
    unscored = sum(count for _, count in reasons)
    return {"name": name, "records": records, "scored": records - unscored, "unscored": shown}


def _answers(scored: Scored) -> dict[str, int] | None:
    if scored.answer_status is None:
        return None
    words = map(str, scored.answer_status.dictionary.to_pylist())
    codes = np.asarray(scored.answer_status.indices)
    counts: list[int] = np.bincount(codes, minlength=len(scored.answer_status.dictionary)).tolist()
    return dict(zip(words, counts, strict=True))


def unscored(reasons: list[dict[str, Any]]) -> str:
    """Why records have no score, with how many."""
    return "; ".join(f"{one['reason']} ({one['n']:,})" for one in reasons)
