"""JudgeConfig: the judging model, the rubric, and the form of the verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evalharness.config.models import LimitsConfig, ProviderConfig
from evalharness.config.strict_yaml import parse_yaml
from evalharness.config.validation import convert
from evalharness.errors import ConfigError
from evalharness.store.folder.run_folder import MANIFEST

CONFIG_FILE = "judge.yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_GRADE_RUBRIC = (
    "How well does the output answer the question? The best grade is for an output that is right, "
    "complete and does what was asked; the worst for one that is wrong or does not answer."
)
_PAIR_RUBRIC = (
    "Which output answers the question better? Being right counts most, then being complete, then "
    "being brief and clear. Length alone is no merit."
)


def default_params() -> dict[str, Any]:
    """Default parameters of a judge's requests: the likeliest reply, of bounded length."""
    return {"temperature": 0, "max_tokens": 512}


class JudgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One judging, as kept in its folder in ``judge.yaml``.

    Attributes:
        provider: who judges.
        mode: ``grade`` every output, or pick the better of two settings' outputs (``pairwise``).
        rubric: what counts; None takes a general one.
        scale: worst and best grade; mapped to 0 and 1.
        reply: how the judge answers: ``text`` that ends in a line with the grade, or ``json``
            held to a schema by ``response_format``, where the provider has it.
        reference: show the prompt's target to the judge.
        a, b: the settings compared, by label or id (pairwise only).
        orders: ask about each pair in ``both`` orders, or in ``one``, drawn by ``seed``.
        repeats: how often each is judged; two or more give the judge's own agreement.
        seed: of the order of requests and, with ``orders: one``, of who stands first.
        params, limits, pricing, transport: as in a run.

    """

    provider: ProviderConfig
    mode: Literal["grade", "pairwise"] = "grade"
    rubric: str | None = None
    scale: tuple[float, float] = (1, 5)
    reply: Literal["text", "json"] = "text"
    reference: bool = True
    a: str | None = None
    b: str | None = None
    orders: Literal["both", "one"] = "both"
    repeats: Annotated[int, Meta(ge=1, le=1000)] = 1
    seed: int = 0
    params: dict[str, Any] = msgspec.field(default_factory=default_params)
    limits: LimitsConfig = LimitsConfig()
    pricing: dict[str, Any] = {}
    transport: Literal["auto", "reqwest", "httpx"] = "auto"

    def __post_init__(self) -> None:
        if not self.scale[0] < self.scale[1]:
            raise ValueError("`scale`: the worst grade must be below the best, as in [1, 5]")
        if (self.mode == "pairwise") != (self.a is not None and self.b is not None):
            raise ValueError("`mode`: pairwise needs the settings a and b, and only it has them")
        if self.mode == "grade" and (self.a is not None or self.b is not None):
            raise ValueError("`a`: only mode=pairwise compares two settings")
        if self.a is not None and self.a == self.b:
            raise ValueError("`b`: is the same setting as a")

    @property
    def rubric_text(self) -> str:
        """The rubric: as configured, else the general one of the mode."""
        return self.rubric or (_GRADE_RUBRIC if self.mode == "grade" else _PAIR_RUBRIC)


def judging_root(run_root: Path, name: str) -> Path:
    """The folder of a judging.

    Raises:
        ConfigError: ``name`` cannot be a folder's name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a judging cannot be called {name!r}", hint="letters, digits, `.`, `_` and `-`"
        )
    return run_root / "judge" / name


def judging_names(run_root: Path) -> list[str]:
    """Names of the judgings of a run, in alphabetical order."""
    return sorted(path.parent.name for path in run_root.glob(f"judge/*/{MANIFEST}"))


def read_judge_config(root: Path) -> JudgeConfig | None:
    """The configuration of a judging; None where there is none yet.

    Raises:
        ConfigError: the file cannot be read as one.
    """
    path = root / CONFIG_FILE
    if not path.exists():
        return None
    try:
        data: Any = parse_yaml(path.read_text("utf-8"))
        if not isinstance(data, dict):
            raise ConfigError("it holds no keys")
        return convert(data, JudgeConfig)
    except (ConfigError, ValueError) as error:
        problem = error.message if isinstance(error, ConfigError) else str(error)
        raise ConfigError(
            f"{path} cannot be read: {problem}",
            hint="put a copy of it back, or choose another --name",
        ) from None


def as_yaml(config: JudgeConfig) -> bytes:
    """The file's content: JSON, which is YAML, and reads back exactly."""
    encoded = msgspec.json.encode(config, order="sorted")
    return b"# Written by evalharness judge.\n" + msgspec.json.format(encoded, indent=2) + b"\n"
