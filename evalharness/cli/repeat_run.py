"""``evalharness run --from RUN``: a run's stored configuration again, and what differs now."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from evalharness.cli.compose import AXES_OBJECT, ComposedConfig
from evalharness.config.package_version import __version__
from evalharness.config.stored_config import flat_values
from evalharness.config.strict_yaml import YamlError, parse_yaml, split_documents
from evalharness.errors import ConfigError
from evalharness.process.text import plural
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import environment

if TYPE_CHECKING:
    from evalharness.cli.execution.prepare import PreparedRun

GROUPS = ("provider", "dataset", "sweep", "scoring", "limits", "execution", "load")
_MAX_LISTED = 5
_UNSET = object()


def compose_repeat(run: Run, overrides: Sequence[str]) -> list[ComposedConfig]:
    """The stored configuration of each job of a run, with overrides over it.

    Raises:
        ConfigError: it cannot be repeated, no name was given, or an override does not fit.
    """
    from evalharness.cli.hydra_main import compose_over

    _check_overrides(run, overrides)
    return [compose_over(_base(stored, overrides), overrides) for stored in stored_configs(run)]


def stored_configs(run: Run) -> list[dict[str, Any]]:
    """The whole stored configuration of each job, as plain data.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    text = run.config_yaml
    if text is None:
        raise ConfigError(
            f"run `{run.name}` has no {run.root / 'config.yaml'}, so there is nothing to repeat",
            hint="an imported run was not made here",
        )
    try:
        documents: list[dict[str, Any]] = [
            parse_yaml(document) or {} for document in split_documents(text)
        ]
    except YamlError as error:
        raise ConfigError(f"the run's config.yaml cannot be read: {error}") from None
    if not all("provider" in document and "dataset" in document for document in documents):
        raise ConfigError(f"run `{run.name}` is no run of `evalharness run`")
    return documents


def _check_overrides(run: Run, overrides: Sequence[str]) -> None:
    for word in overrides:
        if word.startswith("-"):
            raise ConfigError(
                f"--from takes overrides and no `{word}`",
                hint="evalharness run --from RUN name=NEW [KEY=VALUE…]",
            )
        if word.startswith("experiment="):
            raise ConfigError(
                f"`{word}` is another experiment, and --from repeats that of `{run.name}`",
                hint="change single keys: KEY=VALUE",
            )
    if not any(word.startswith("name=") for word in overrides):
        raise ConfigError(
            "--from needs a name for the new run",
            hint=f"add name=NEW; name={run.name} continues and extends `{run.name}` itself",
        )


def _base(stored: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The primary configuration: what is stored, without the groups that overrides replace."""
    replaced = {key for key in GROUPS if any(word.startswith(f"{key}=") for word in overrides)}
    base = {k: _escaped(v) for k, v in stored.items() if k not in replaced}
    # Apart from the axes that are typed, which replace one of the same name.
    base[AXES_OBJECT] = base.pop("sweep", {})
    groups: list[Any] = [{group: None} for group in GROUPS]
    plugins = [{"override hydra/launcher": "pooled"}, {"override hydra/job_logging": "none"},
               {"override hydra/hydra_logging": "none"}]  # fmt: skip
    return {**base, "defaults": ["parameters", "_self_", *groups, *plugins]}


def _escaped(value: Any) -> Any:
    """A value whose texts mean themselves: ``${`` is text, since everything is resolved."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, dict):
        return {k: _escaped(item) for k, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_escaped(item) for item in cast("list[Any]", value)]
    return value


# ── what differs now ─────────────────────────────────────────────────────────────────────────────


def difference_lines(run: Run, jobs: Sequence[ComposedConfig], prepared: PreparedRun) -> list[str]:
    """What is not as it was when a run was made: configuration, code, data, settings, prices."""
    now = [parse_yaml(job.yaml) for job in jobs]
    changed = [*dict.fromkeys(_config_changes(stored_configs(run), now))]
    facts = {
        "configuration": _listed(changed) or "as then",
        "code": "; ".join(_code_changes(run, prepared)) or f"as then (evalharness {__version__})",
        "data": _data(run, prepared),
        "settings": _settings(run, prepared),
        "prices": _prices(run, prepared),
    }
    head = f"repeats {run.name}, made {run.manifest.created_at[:10]}"
    return [head, *(f"  {name}: {text}" for name, text in facts.items())]


def _listed(items: Sequence[str]) -> str:
    left = len(items) - _MAX_LISTED
    return "; ".join(items[:_MAX_LISTED]) + (f"; and {left} more" if left > 0 else "")


def _config_changes(
    before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]
) -> Iterator[str]:
    for old, new in zip(before, now, strict=True):
        flat_old, flat_new = dict(flat_values(old)), dict(flat_values(new))
        for key in dict.fromkeys([*flat_old, *flat_new]):
            pair = flat_old.get(key, _UNSET), flat_new.get(key, _UNSET)
            if key not in ("name", "claim_lost_copy") and pair[0] != pair[1]:
                yield f"{key} {_shown(pair[1])} (then {_shown(pair[0])})"


def _shown(value: Any) -> str:
    text = "not set" if value is _UNSET else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _code_changes(run: Run, prepared: PreparedRun) -> Iterator[str]:
    from evalharness.report.build.run_differences import function_codes

    then_codes, now_codes = function_codes(run.setting_list), function_codes(prepared.plan.settings)
    for function, code in now_codes.items():
        if then_codes.get(function, code) != code:
            yield f"{function} is other code"
    if run.manifest.code_version != __version__:
        yield f"evalharness {__version__} (then {run.manifest.code_version})"
    then, now = run.manifest.environment, environment()
    if then and then.get("python") != platform.python_version():
        yield f"Python {platform.python_version()} (then {then.get('python')})"
    packages: dict[str, str] = then.get("packages") or {}
    for name, version in now["packages"].items():
        if name in packages and packages[name] != version:
            yield f"{name} {version} (then {packages[name]})"


def _data(run: Run, prepared: PreparedRun) -> str:
    table = run.table("prompts", ["prompt_id", "content_hash", "in_current_plan"])
    rows = table.to_pylist()
    then = {row["prompt_id"]: row["content_hash"] for row in rows if row["in_current_plan"]}
    plan = prepared.plan
    ids = [prompt.prompt_id for prompt in plan.prompts]
    now = dict(zip(ids, plan.digests, strict=True))
    if then == now:
        return f"the same {plural(len(now), 'prompt')}"
    groups = {
        "changed": [name for name in now if name in then and then[name] != now[name]],
        "new": [name for name in now if name not in then],
        "gone": [name for name in then if name not in now],
    }
    same = plural(sum(then.get(name) == now[name] for name in now), "prompt")
    parts = [f"{len(ids)} {word} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})"
             for word, ids in groups.items() if ids]  # fmt: skip
    return f"{same} as then; {', '.join(parts)}"


def _settings(run: Run, prepared: PreparedRun) -> str:
    table = run.table("settings", ["setting_id", "in_current_plan"])
    active = {row["setting_id"] for row in table.to_pylist() if row["in_current_plan"]}
    then = {s.setting_id: s for s in run.setting_list if s.setting_id in active}
    now = {s.setting_id: s for s in prepared.plan.settings}
    if then.keys() == now.keys():
        return f"the same {len(now)}"
    old_files = {(axis, v.name): v for s in then.values() for axis, v in s.variants.items()}
    parts = [f"{len(then.keys() & now.keys())} as then"]
    for axis, name, variant in dict.fromkeys(
        (axis, v.name, v) for s in now.values() for axis, v in s.variants.items()
    ):
        old = old_files.get((axis, name))
        if old is not None and old.sha256 != variant.sha256:
            where = f" ({variant.file})" if variant.file else ""
            hashes = f"sha256 {variant.sha256[:12]} (then {old.sha256[:12]})"
            parts.append(f"{axis} {name}{where} is another text: {hashes}")
    new = [s.label for key, s in now.items() if key not in then]
    dropped = [s.label for key, s in then.items() if key not in now]
    parts += [f"{len(labels)} {word}: {_listed(labels)}"
              for word, labels in (("new", new), ("gone", dropped)) if labels]  # fmt: skip
    return "; ".join(parts)


def _prices(run: Run, prepared: PreparedRun) -> str:
    """The prices of today against those of the run's newest report."""
    from evalharness.report.build.money import PriceEntry

    file = run.root / "summary.json"
    try:
        stored = json.loads(file.read_bytes())["prices"]["used"]
        then = msgspec.convert(stored, list[PriceEntry], strict=False)
    except (OSError, ValueError, KeyError, TypeError):
        return f"not known of then (no {file.name})"
    known = {(entry.provider, entry.model): entry for entry in then}
    changes: list[str] = []
    prices = [prepared.price(setting) for setting in prepared.plan.settings]
    for setting, price in zip(prepared.plan.settings, prices, strict=True):
        if price is None:
            continue
        old = known.get((price.provider, price.model))
        if old is None:
            changes.append(f"{setting.provider} {setting.model} had no price then, or another's")
        elif (old.price_usd_per_mtok, old.per_request_usd) != (price.rates, price.per_request_usd):
            rates, before = (msgspec.to_builtins(r) for r in (price.rates, old.price_usd_per_mtok))
            differing = [f"{key} ${rates[key]} (then ${before[key]})" for key in rates
                         if rates[key] != before[key]]  # fmt: skip
            changes.append(f"{setting.model}: {', '.join(differing) or 'another fee'}")
    if any(prices):
        return _listed([*dict.fromkeys(changes)]) or "as then"
    return "as then: none known" if not known else "none known (then there were)"
