"""The gates that a run is held to, from the command line and from a file of gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import structs

from evalharness.cli.check.allowances import INCREASE, REGRESSION, ChangeLimit, allowances_of
from evalharness.cli.check.prompt_gates import require_share
from evalharness.cli.gates import GATES, check_limits
from evalharness.config.strict_yaml import YamlError, parse_yaml
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean

LIMITS = tuple(gate.flag for gate in GATES)
#: Keys of a file of gates that are for all of its entries.
_OF_THE_FILE = ("baseline", "allow_incomplete", "partial", "also")
_PROMPT_GATES = ("min_prompt_pass", "max_new_failures", "max_new_errors")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Gates that are held together.

    Attributes:
        limits: of the figures of each setting, by gate.
        allowances: how much worse than the baseline each metric may be.
        min_prompt_pass: share of its repeats that each prompt must pass; None: not checked.
        max_new_failures, max_new_errors: prompts that may fail, or have an error, where the
            baseline did not; None: not checked.
        confident: intervals decide against the run in place of for it.
        setting, tag: only these settings, only prompts with these tags (each by itself); empty for
            all.
        over: typed gates, which stand over the same ones of these where both are for the same
            setting and tag; None where there are none.
    """

    limits: dict[str, float] = {}
    allowances: list[ChangeLimit] = []
    min_prompt_pass: float | None = None
    max_new_failures: int | None = None
    max_new_errors: int | None = None
    confident: bool = False
    setting: list[str] = []
    tag: list[str] = []
    over: Rules | None = None

    @property
    def names(self) -> set[str]:
        """The flags of its limits and prompt gates, and the metrics of its allowances."""
        flags = [flag for flag in _PROMPT_GATES if getattr(self, flag) is not None]
        return {*self.limits, *flags, *(allowance.name for allowance in self.allowances)}

    @property
    def need_baseline(self) -> str | None:
        """The flag of a gate that has no meaning without a baseline; None without such a gate."""
        if self.allowances:
            increase = self.allowances[0].metric.increase
            return f"--{(INCREASE if increase else REGRESSION).replace('_', '-')}"
        for flag in ("max_new_failures", "max_new_errors"):
            if getattr(self, flag) is not None:
                return f"--{flag.replace('_', '-')}"
        return None

    @property
    def has_gates(self) -> bool:
        """Whether anything is checked."""
        return bool(self.limits or self.need_baseline or self.min_prompt_pass is not None)

    def check(self) -> None:
        """Check the limits.

        Raises:
            ConfigError: there are none, or one that no figure could meet or miss.
        """
        if self.limits or not self.has_gates:
            check_limits(self.limits)
        if self.min_prompt_pass is not None:
            require_share(self.min_prompt_pass)
        for flag in ("max_new_failures", "max_new_errors"):
            most = getattr(self, flag)
            if most is not None and most < 0:
                raise ConfigError(f"--{flag.replace('_', '-')} {most}: must not be below 0")


class GivenRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the flags of a command line say, a file of gates, or both together.

    Attributes:
        rules: of flags: one; of a file: its gates, then those of each entry of ``also``.
        baseline: the run to compare with; None where none is named.
        allow_incomplete, partial: as the flags.
    """

    rules: list[Rules]
    baseline: str | None = None
    allow_incomplete: bool = False
    partial: bool = False


class _RulesKeys(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The keys of gates as YAML has them; those of plain limits are apart."""

    max_regression: dict[str, str | float] = {}
    max_increase: dict[str, str | float] = {}
    min_prompt_pass: float | None = None
    max_new_failures: int | None = None
    max_new_errors: int | None = None
    confident: bool | None = None
    setting: str | list[str] = []
    tag: str | list[str] = []


class _FileKeys(msgspec.Struct, kw_only=True):
    baseline: str | None = None
    allow_incomplete: bool = False
    partial: bool = False
    also: list[dict[str, Any]] = []


def read_gates_file(path: str) -> GivenRules:
    """Read a YAML file of gates, whose keys are the flags of ``check`` with underscores.

    Raises:
        ConfigError: it cannot be read, or holds a key or a value that is none of a gate.
    """
    try:
        data: Any = parse_yaml(_beside_configuration(path).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"--gates {path}: there is no such file, here or in configs/",
            hint="name a YAML file, such as gates.yaml",
        ) from None
    except OSError as error:
        raise ConfigError(f"--gates {path}: {error.strerror}", hint="name a YAML file") from None
    except (YamlError, UnicodeDecodeError) as error:
        line = getattr(error, "line", None)
        where = path if line is None else f"{path}:{line}"
        raise ConfigError(f"--gates {where}: {error}") from None
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"--gates {path}: it holds no gates", hint="min_score: 0.8")
    items = cast("dict[Any, Any]", data)
    keys = {str(key): value for key, value in items.items()}
    own = _convert({k: keys[k] for k in _OF_THE_FILE if k in keys}, _FileKeys, path)
    first = _rules({k: v for k, v in keys.items() if k not in _OF_THE_FILE}, path)
    others = [
        _rules({"confident": first.confident, **entry}, f"{path}: also[{number}]")
        for number, entry in enumerate(own.also)
    ]
    given = [rules for rules in (first, *others) if rules.has_gates]
    if not given or len(given) < len(others):
        raise ConfigError(f"--gates {path}: an entry without a gate", hint="min_score: 0.8")
    return GivenRules(
        rules=given,
        baseline=own.baseline,
        allow_incomplete=own.allow_incomplete,
        partial=own.partial,
    )


def _beside_configuration(path: str) -> Path:
    """The file as typed; where there is none, that of the name in ``configs/``."""
    typed, configured = Path(path), Path("configs") / path
    return configured if not typed.exists() and configured.exists() else typed


def read_rules(keys: Mapping[str, Any], baseline: str | None) -> Rules:
    """The gates of a call from Python, by the keys of a file of gates.

    Raises:
        ConfigError: there are none, one does not exist, or one needs a baseline.
    """
    return merge_rules(GivenRules(rules=[_rules(keys, None)], baseline=baseline)).rules[0]


def _rules(keys: Mapping[str, Any], where: str | None) -> Rules:
    known = [*LIMITS, *_RulesKeys.__struct_fields__]
    for key in keys:
        if key not in known:
            if where is not None and key in _OF_THE_FILE:
                raise ConfigError(f"{_place(where)}`{key}` stands at the top, not in also")
            others = ("baseline",) if where is None else _OF_THE_FILE
            close = closest(key, [*known, *others])
            hint = did_you_mean(close) if close else f"keys: {', '.join(known)}"
            raise ConfigError(f"{_place(where)}there is no gate `{key}`", hint=hint)
    limits = _limits(keys, where)
    for key, amounts in ((REGRESSION, "score: 2pp"), (INCREASE, "cost: 10%")):
        if not isinstance(keys.get(key, {}), Mapping):
            message = f"{_place(where)}`{key}` takes amounts by metric, not `{keys[key]}`"
            raise ConfigError(message, hint=f"{key}: {{{amounts}}}")
    others = _convert({k: v for k, v in keys.items() if k not in LIMITS}, _RulesKeys, where)
    try:
        return _checked(limits, others)
    except ConfigError as error:
        raise ConfigError(f"{_place(where)}{error.message}", hint=error.hint) from None


def _limits(keys: Mapping[str, Any], where: str | None) -> dict[str, float]:
    limits: dict[str, float] = {}
    for flag in (flag for flag in LIMITS if flag in keys):
        value = keys[flag]
        if isinstance(value, bool) or not isinstance(value, int | float):
            shown = "null" if value is None else value
            raise ConfigError(f"{_place(where)}`{flag}` takes a number, not `{shown}`")
        limits[flag] = float(value)
    return limits


def _checked(limits: dict[str, float], others: _RulesKeys) -> Rules:
    rules = Rules(
        limits=limits,
        allowances=[
            *allowances_of(REGRESSION, others.max_regression),
            *allowances_of(INCREASE, others.max_increase),
        ],
        min_prompt_pass=others.min_prompt_pass,
        max_new_failures=others.max_new_failures,
        max_new_errors=others.max_new_errors,
        confident=bool(others.confident),
        setting=_list(others.setting),
        tag=_list(others.tag),
    )
    if rules.has_gates:
        rules.check()
    return rules


def _list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _place(where: str | None) -> str:
    return "" if where is None else f"--gates {where}: "


def _convert(data: Any, kind: Any, where: str | None) -> Any:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        text, _, key = str(error).partition(" - at `$.")
        named = f"`{key}: " if key else ""
        raise ConfigError(f"{_place(where)}{named}{text}") from None


def merge_rules(flags: GivenRules, file: GivenRules | None = None) -> GivenRules:
    """The gates of the flags over those of a file.

    ``--setting``, ``--tag`` and ``--confident`` are for the typed gates; without a typed gate they
    narrow those of the file.

    Raises:
        ConfigError: there is no gate at all, or one without the baseline that it needs.
    """
    (typed,) = flags.rules
    rules = [*(file.rules if file else ())]
    if typed.has_gates or not rules:
        typed.check()
        rules = [*(structs.replace(each, over=typed) for each in rules), typed]
    else:
        rules = [
            structs.replace(
                each,
                confident=each.confident or typed.confident,
                setting=typed.setting or each.setting,
                tag=typed.tag or each.tag,
            )
            for each in rules
        ]
    baseline = flags.baseline or (file.baseline if file else None)
    needing = next((flag for each in rules if (flag := each.need_baseline)), None)
    if needing is not None and baseline is None:
        raise ConfigError(f"{needing} needs a baseline", hint="--baseline RUN")
    if flags.baseline is not None and needing is None:
        raise ConfigError(
            f"--baseline {flags.baseline}: no gate compares with it",
            hint="--max-regression score=2pp",
        )
    return GivenRules(
        rules=rules,
        baseline=baseline,
        allow_incomplete=flags.allow_incomplete or bool(file and file.allow_incomplete),
        partial=flags.partial or bool(file and file.partial),
    )
