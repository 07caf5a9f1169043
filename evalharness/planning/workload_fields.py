"""What a synthetic workload may ask of the providers that a run sends to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from evalharness.config.models import DatasetConfig, Profile, ProtocolName, RunConfig
from evalharness.config.workload import ExactOutputField
from evalharness.datasets.workload.generate import ASKED_PROMPT, WORDS_NAME
from evalharness.errors import ConfigError
from evalharness.planning.plan import Plan
from evalharness.records import Setting

_KEY = "dataset.workload.exact_output"


def with_context(dataset: DatasetConfig, configs: Sequence[RunConfig]) -> DatasetConfig:
    """The dataset, its workload bounded by the smallest context that is known.

    That is ``max_context``, or else ``context_tokens`` of a local model.
    """
    workload = dataset.workload
    if workload is None or workload.max_context is not None:
        return dataset
    providers = [p for config in configs for p in (config.provider, *config.providers.values())]
    known = [p.context_tokens for p in providers if p.kind == "local"]
    if not known:
        return dataset
    return structs.replace(dataset, workload=structs.replace(workload, max_context=min(known)))


def made_tokens(plan: Plan, model: tuple[str, str]) -> NDArray[np.float64] | None:
    """Tokens that each prompt of a synthetic workload is made to have, by the model's own count.

    None where there is no workload, or where the model's count is not measured: it is that of the
    first setting's model, after calibration.
    """
    workload = plan.config.dataset.workload
    first = plan.settings[0]
    if workload is None or not workload.calibrate or model != (first.provider, first.model):
        return None
    lengths = [prompt.fields.get(ASKED_PROMPT) for prompt in plan.prompts]
    return None if None in lengths else np.array(lengths, np.float64)


def exact_outputs(plan: Plan) -> NDArray[np.bool_]:
    """Whether each setting's outputs are as long as their limit: no stop sequence ends them."""
    dataset = plan.config.dataset
    workload = None if dataset.path == WORDS_NAME else dataset.workload
    is_exact = workload is not None and workload.exact_output
    return np.array([is_exact and not setting.params.get("stop") for setting in plan.settings])


def exact_output_fields(
    dataset: DatasetConfig,
    settings: Sequence[Setting],
    profiles: Mapping[str, Profile],
    protocols: Mapping[str, ProtocolName],
) -> tuple[ExactOutputField, ...]:
    """The fields that every provider of the settings takes; empty where none is asked for.

    Raises:
        ConfigError: outputs of an exact length are asked for, and a provider takes no such field,
            or nothing says how long they are.
    """
    workload = dataset.workload
    if workload is None or not workload.exact_output:
        return ()
    if workload.output_tokens is None and workload.trace is None:
        raise ConfigError(
            f"{_KEY}=true, and no length of outputs is set",
            hint="dataset.workload.output_tokens=128",
        )
    names = sorted({setting.provider for setting in settings})
    for name in names:
        if not profiles[name].exact_output or protocols[name] != "chat":
            raise ConfigError(
                f"{_KEY}=true, and provider {name} is not known to take a field that keeps outputs "
                "from ending early",
                hint=f"{_KEY}=false; or, where the server takes them with chat completions, "
                "provider.profile.exact_output=[ignore_eos,min_tokens] (vLLM, SGLang) or "
                "[ignore_eos] (llama.cpp)",
            )
    first: list[ExactOutputField] = profiles[names[0]].exact_output
    taken: tuple[ExactOutputField, ...] = tuple(
        f for f in first if all(f in profiles[n].exact_output for n in names)
    )
    if not taken:
        raise ConfigError(
            f"{_KEY}=true, and providers {', '.join(names)} have no field in common that keeps "
            "outputs from ending early",
            hint="one provider a run",
        )
    return taken
