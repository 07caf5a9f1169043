"""Reading the dataset of a configuration: find the file, read it, select rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalharness.config.models import DatasetConfig
from evalharness.config.package_data import package_data_dir
from evalharness.config.workload import ExactOutputField
from evalharness.datasets import hub, template
from evalharness.datasets.content_files import ContentFiles
from evalharness.datasets.conversations import group_rows
from evalharness.datasets.mapped_columns import map_columns
from evalharness.datasets.plugin_rows import find_reader, read_plugin_rows, suggest_reader
from evalharness.datasets.prompts import COLUMNS, rows_to_prompts
from evalharness.datasets.rows import SUFFIXES, Row, read_rows
from evalharness.datasets.sandbox_client import shared_sandbox
from evalharness.datasets.workload import generate
from evalharness.datasets.workload.token_counts import LinearCounts
from evalharness.datasets.workload.traces import prompt_lengths, trace_rows
from evalharness.errors import DatasetError
from evalharness.process.text import closest, closest_few, did_you_mean, first_names
from evalharness.records import Prompt, digest


def read_prompts(
    config: DatasetConfig,
    *,
    root: Path,
    templates: Sequence[str] = (),
    counts: LinearCounts | None = None,
    exact_output: Sequence[ExactOutputField] = (),
) -> list[Prompt]:
    """The prompts of a dataset, in the file's order, checked and selected.

    Every row of the file is checked, also those that ``where``, ``sample`` and ``limit`` leave out,
    which apply in this order. ``sample`` draws by a hash of seed and id: the same seed gives the
    same prompts, and a row added to the file changes the sample by at most that row.

    Args:
        config: path, selection, and the template that rows with fields alone need.
        root: folder relative paths start from; the shipped datasets come after it.
        templates: further templates that may use the rows, such as those of a sweep.
        counts: how many tokens words are on the server, for a synthetic workload; None guesses.
        exact_output: the fields with which an output ends at its limit and not before; they are
            sent where the workload says so.

    Raises:
        DatasetError: naming file and line, and what to do.
    """
    texts = [t for t in (config.template, *templates) if t is not None]
    resolved = (template.resolve_template(text, root) for text in texts)
    names = {name for text in resolved if text for name in template.template_variables(text)}
    cells = False
    folder: Path | None = None
    if config.workload is not None or config.path.startswith(generate.PREFIX):
        rows: Iterator[Row] = _workload(config, root, counts, exact_output)
    elif config.path.startswith(hub.PREFIX):
        rows = hub.read_hub(config.path, root)
    elif (plugin := find_reader(config.path, root)) is not None:
        rows = read_plugin_rows(plugin, config.path, root)
    else:
        path, name = _find_file(config.path, root)
        cells = path.suffix.lower() == ".csv"
        folder = path.parent
        rows = read_rows(path, name)
    if config.columns:
        rows = iter(map_columns(rows, config.columns, template_names=names))
    files = ContentFiles(folder, config.max_file_mib)
    prompts = rows_to_prompts(
        rows, template_names=names if texts else None, cells=cells, files=files
    )
    if not prompts:
        raise DatasetError(
            f"{config.path}: the dataset has no rows",
            hint="add at least one row, or check the path",
        )
    selected = group_rows(prompts)
    if config.where is not None:
        selected = _filter(config.where, selected, config.columns)
    if config.sample is not None:
        selected = _sample(selected, config.sample, config.sample_seed)
    return [prompt for row in selected[: config.limit] for prompt in row]


def _workload(
    config: DatasetConfig,
    root: Path,
    counts: LinearCounts | None,
    exact_output: Sequence[ExactOutputField],
) -> Iterator[Row]:
    """The rows of a synthetic workload.

    Raises:
        DatasetError: path or workload is missing.
    """
    if config.workload is None:
        raise DatasetError(
            f"dataset.path: {config.path} needs dataset.workload",
            hint="dataset=chat has one; or dataset.workload={requests: 200, prompt_tokens: "
            "512, output_tokens: 128}",
        )
    if not config.path.startswith(generate.PREFIX):
        raise DatasetError(
            f"dataset.workload makes prompts, and dataset.path={config.path} names a file",
            hint=f"dataset.path={generate.PREFIX}mine, or dataset.workload=null",
        )
    trace = config.workload.trace
    if config.path == generate.WORDS_NAME:
        lengths = None if trace is None else prompt_lengths(config.workload, trace, root)
        return generate.word_rows(config.workload, config.path, lengths)
    if trace is not None:
        for key in ("where", "sample"):
            if (value := getattr(config, key)) is not None:
                raise DatasetError(
                    f"dataset.{key}={value} takes requests out of the middle of a trace, whose "
                    "load would be another one",
                    hint=f"dataset.{key}=null; a window: dataset.workload.trace.from_s=60 "
                    "dataset.workload.trace.to_s=120",
                )
        return trace_rows(config.workload, trace, root, counts, exact_output, limit=config.limit)
    return generate.workload_rows(config.workload, config.path, root, counts, exact_output)


def _find_file(text: str, root: Path) -> tuple[Path, str]:
    """The file, and its name for messages, as the user wrote it."""
    given = Path(text).expanduser()
    folder = package_data_dir("datasets")
    # `datasets/x.jsonl` is how the shipped files are called in a checkout.
    candidates = [root / given, folder / given, folder.parent / given]
    for candidate in candidates:
        if candidate.is_file():
            return candidate, text
    if (root / given).is_dir():
        raise DatasetError(
            f"dataset.path: {text} is a folder",
            hint=_choices("files in it", _names(root / given)) or "name a file in it",
        )
    if hint := suggest_reader(text):
        raise DatasetError(f"dataset.path: there is no file {text}", hint=hint)
    close = closest_few(given.name, _names((root / given).parent), 3, cutoff=0.5)
    if close:
        hint = did_you_mean(*(str(given.with_name(name)) for name in close))
    else:
        hint = _choices("shipped datasets", _names(folder)) or "check dataset.path"
        other = closest(given.name, _names(folder), cutoff=0.5)
        if other:
            hint = did_you_mean(f"{other} (shipped)")
    raise DatasetError(f"dataset.path: there is no file {text}", hint=hint)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    except OSError:
        return []


def _choices(what: str, names: list[str]) -> str:
    return f"{what}: {', '.join(names[:10])}" if names else ""


def _filter(
    condition: str, selected: list[list[Prompt]], columns: Mapping[str, str]
) -> list[list[Prompt]]:
    """The rows for which the condition is true; a mapped column has its own name, too.

    Of a conversation the condition sees the last turn, whose messages are those of all.
    """
    prompts = [row[-1] for row in selected]
    rows = [_condition_variables(prompt) for prompt in prompts]
    for row in rows:
        row |= {c: row[meaning] for meaning, c in columns.items() if c not in COLUMNS}
    values, failure = shared_sandbox().run("where", condition, rows)
    if failure is not None:
        if failure.kind == "syntax":
            raise DatasetError(
                f"dataset.where: malformed condition {condition!r}: {failure.message}",
                hint="""for example: "math" in tags and target != null""",
            )
        location = prompts[len(values)].source
        hint = "the value must be true or false: compare it with something"
        if failure.kind == "undefined":
            hint = f"rows have: {first_names(sorted(rows[len(values)]))}; ask `x is defined` first"
        raise DatasetError(f"dataset.where: {failure.message} ({location})", hint=hint)
    chosen = [row for row, keep in zip(selected, values, strict=True) if keep]
    if not chosen:
        raise DatasetError(
            f"dataset.where: none of {len(prompts)} rows meets {condition!r}",
            hint="loosen the condition, or leave dataset.where out",
        )
    return chosen


def _condition_variables(prompt: Prompt) -> dict[str, Any]:
    return {
        **prompt.fields,
        "id": _row_id(prompt),
        "prompt_id": _row_id(prompt),
        "prompt": template.last_user_text(prompt),
        "messages": prompt.messages,
        "target": prompt.target,
        "tags": prompt.tags,
        "cluster": prompt.cluster,
        "scoring": prompt.scoring,
        "params": prompt.params,
        "fields": prompt.fields,
    }


def _sample(rows: list[list[Prompt]], size: int, seed: int) -> list[list[Prompt]]:
    """At most ``size`` rows: those with the smallest hash of seed and id, in file order."""
    salt = str(seed).encode()
    ranked = sorted(rows, key=lambda row: digest(salt, _row_id(row[0]).encode()))
    chosen = {_row_id(row[0]) for row in ranked[:size]}
    return [row for row in rows if _row_id(row[0]) in chosen]


def _row_id(prompt: Prompt) -> str:
    return prompt.conversation or prompt.prompt_id
