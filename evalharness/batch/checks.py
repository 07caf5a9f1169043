"""What a batch run cannot do, found before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping

from evalharness.batch.forms import get_form
from evalharness.chat_api.client import MODEL_IN_PATH
from evalharness.config.models import BatchRules, ProviderConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.parameters import merge_params
from evalharness.planning.plan import Plan
from evalharness.records import Setting

_LIVE = "execution=local sends single requests"
_TOKEN = "0" * 32
# Bytes a prompt token: an upper bound of tokens for most texts, which are 4 a token in English and
# 3 a token in Chinese.
_BYTES_A_TOKEN = 3
# Of a request's name: the number of the attempt has up to three digits.
_LONGEST_ATTEMPT = 100


def token_guess(body_bytes: int) -> int:
    """About how many prompt tokens a request has, rather more than less."""
    return -(-body_bytes // _BYTES_A_TOKEN)


def check_batch_run(config: RunConfig, providers: Mapping[str, ProviderConfig]) -> None:
    """Check whether these providers take batches.

    Raises:
        ConfigError: one does not, or the run is a benchmark.
    """
    if config.load is not None:
        raise ConfigError(
            "execution=batch, and load: a batch says nothing of latency and load", hint=_LIVE
        )
    for name, provider in providers.items():
        _check_provider(name, provider)


def _check_provider(name: str, provider: ProviderConfig) -> None:
    rules = provider.profile.batch
    if provider.kind in ("local", "python"):
        raise ConfigError(
            f"execution=batch, and provider {name!r} (kind {provider.kind}) answers on this "
            "machine, without batches",
            hint=_LIVE,
        )
    if rules is None:
        raise ConfigError(
            f"execution=batch, and provider {name!r} has no batch endpoint, as its profile says",
            hint=f"{_LIVE}; provider.profile.batch={{form: openai}} says that it has /files and "
            "/batches as OpenAI has them",
        )
    form = rules.form_for(provider.protocol)
    if (form == "anthropic") != (provider.protocol == "messages"):
        raise ConfigError(
            f"provider.profile.batch.form={form} does not go with "
            f"provider.protocol={provider.protocol}",
            hint="form anthropic goes with protocol messages, form openai with chat and responses",
        )
    if provider.base_urls:
        raise ConfigError(
            f"execution=batch, and provider {name!r} has several addresses: a batch is of one",
            hint="provider.base_url=URL provider.base_urls=[]",
        )
    if MODEL_IN_PATH in (provider.base_url or ""):
        raise ConfigError(
            f"execution=batch, and provider.base_url of {name!r} has an address for each model",
            hint=_LIVE,
        )


def check_batch_requests(plan: Plan, providers: Mapping[str, ProviderConfig]) -> None:
    """Check whether every request of a plan fits into a file, and is one that a batch answers.

    Raises:
        ConfigError: one is streamed, or too large; names the prompt.
    """
    from evalharness.planning.estimate.request_sizes import RequestShapes

    check_unstreamed(plan)
    shapes = RequestShapes(plan)
    for column, setting in enumerate(plan.settings):
        provider = providers[setting.provider]
        rules = provider.profile.batch or BatchRules()
        around = line_overhead(plan, setting, provider)
        for row, length in enumerate(shapes.lengths(column)):
            prompt = plan.prompts[row]
            _check_size(length, around, rules, prompt.source or f"prompt {prompt.prompt_id}")


def check_unstreamed(plan: Plan) -> None:
    """Check whether no request of a plan is streamed.

    Raises:
        ConfigError: one is; names the prompt.
    """
    for setting in plan.settings:
        for prompt in (None, *plan.prompts):
            overrides = {} if prompt is None else prompt.params
            if prompt is not None and not overrides:
                continue
            if merge_params(setting.params, overrides).get("stream") is True:
                where = "" if prompt is None else f" ({prompt.source or prompt.prompt_id})"
                raise ConfigError(
                    f"params.stream=true{where}: a batch is not streamed",
                    hint="params.stream=null, or execution=local",
                )


def line_overhead(plan: Plan, setting: Setting, provider: ProviderConfig) -> int:
    """Bytes of a request's line in a file, its end included, besides its body."""
    rules = provider.profile.batch or BatchRules()
    form = get_form(rules.form_for(provider.protocol))
    custom_id = form.custom_id(_TOKEN, _LONGEST_ATTEMPT, _TOKEN)
    return len(form.line(custom_id, plan.protocol(setting.provider).path, b"{}")) - 1


def _check_size(length: int, around: int, rules: BatchRules, where: str) -> None:
    line = length + around
    for key, limit in (
        ("max_bytes", rules.max_bytes),
        ("max_request_bytes", rules.max_request_bytes),
    ):
        if limit is not None and line > limit:
            raise ConfigError(
                f"{where}: its request has {line:,} bytes in a batch, over "
                f"provider.profile.batch.{key}={limit:,}",
                hint="leave the row out (dataset.where), or execution=local",
            )
    limit = rules.max_enqueued_tokens
    if limit is not None and token_guess(length) > limit:
        raise ConfigError(
            f"{where}: its request has about {token_guess(length):,} tokens, over "
            f"provider.profile.batch.max_enqueued_tokens={limit:,}",
            hint="leave the row out (dataset.where), or execution=local",
        )
