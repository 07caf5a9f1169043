"""``/run/{run}/prompt?id=…``: all outputs of a prompt by identity, across runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalharness.view.context import ViewContext
from evalharness.view.links import asked_prompt
from evalharness.view.record.messages import dataset_messages
from evalharness.view.record.output_groups import group_outputs, run_outputs
from evalharness.view.record.texts import CutText, cut, laid_out

MAX_RUNS = 8  # beside the first
MAX_GROUPS = 50


def routes(context: ViewContext) -> list[Route]:
    """The address of a prompt."""

    def show(request: Request) -> Response:
        key, prompt_id = request.path_params["run"], asked_prompt(request.query_params)
        against = [
            other
            for other in dict.fromkeys(request.query_params.getlist("against"))
            if other and other != key
        ][:MAX_RUNS]
        own = run_outputs(key, context.runs.find(key).open(), prompt_id, must_exist=True)
        runs = [own]
        runs += [
            run_outputs(other, context.runs.find(other).open(), prompt_id) for other in against
        ]
        groups = group_outputs(runs)
        whole = "whole" in request.query_params
        return context.page(
            "prompt.html",
            run=key,
            prompt_id=prompt_id,
            quoted_id=quote(prompt_id, safe=""),
            prompt=own.prompt,
            messages=dataset_messages(own.prompt),
            target=_target(own.prompt),
            runs=runs,
            against=against,
            others=[run.key for run in context.runs.find_all() if run.key not in (key, *against)],
            groups=groups.outputs if whole else groups.outputs[:MAX_GROUPS],
            errors=groups.errors,
            left=0 if whole else max(0, len(groups.outputs) - MAX_GROUPS),
            all_count=groups.times,
            texts=len(groups.outputs),
            whole_url=str(request.url.include_query_params(whole=1).query),
        )

    return [Route("/run/{run:run}/prompt", show)]


def _target(prompt: Mapping[str, Any] | None) -> CutText | None:
    target = None if prompt is None else prompt["target_json"]
    return None if target is None else cut(laid_out(target))
