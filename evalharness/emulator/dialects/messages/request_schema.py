"""What ``POST /v1/messages`` takes: Anthropic's reference, as far as the emulator serves it.

Blocks and tools that run on Anthropic's servers are refused by their type, as an unknown type is.
It is that of version 2023-06-01; what the later version refuses is in :mod:`.request_rules`.
"""

from __future__ import annotations

from evalharness.emulator.validation.openapi_schema import Schema
from evalharness.emulator.validation.schema_terms import (
    ANYTHING,
    FLAG,
    OBJECT,
    TEXT,
    array,
    choice,
    either,
    nullable,
    number,
    record,
    tagged,
)

_CACHE_CONTROL = nullable(record({"type": choice("ephemeral")}, {"ttl": choice("5m", "1h")}))
_CACHE: dict[str, Schema] = {"cache_control": _CACHE_CONTROL}
_TEXT_BLOCK = record({"text": TEXT}, {**_CACHE, "citations": ANYTHING})
_BASE64 = record({"media_type": TEXT, "data": TEXT})
_URL = record({"url": TEXT})
_FILE = record({"file_id": TEXT})
_IMAGE = record(
    {"source": tagged({"base64": _BASE64, "url": _URL, "file": _FILE})},
    {**_CACHE, "transformations": ANYTHING},
)
_DOCUMENT = record(
    {
        "source": tagged(
            {
                "base64": _BASE64,
                "text": _BASE64,
                "content": record({"content": ANYTHING}),
                "url": _URL,
                "file": _FILE,
            }
        )
    },
    {**_CACHE, "citations": ANYTHING, "context": nullable(TEXT), "title": nullable(TEXT)},
)
_SHOWN: dict[str, Schema] = {"text": _TEXT_BLOCK, "image": _IMAGE, "document": _DOCUMENT}
_TOOL_RESULT = record(
    {"tool_use_id": TEXT},
    {
        "content": either(TEXT, array(tagged(_SHOWN))),
        "is_error": FLAG,
        "toolset_name": ANYTHING,
        **_CACHE,
    },
)
_BLOCK = tagged(
    {
        **_SHOWN,
        "thinking": record({"thinking": TEXT, "signature": TEXT}),
        "redacted_thinking": record({"data": TEXT}),
        "tool_use": record(
            {"id": TEXT, "name": TEXT, "input": OBJECT},
            {"caller": ANYTHING, "toolset_name": ANYTHING, **_CACHE},
        ),
        "tool_result": _TOOL_RESULT,
    }
)
_MESSAGE = record(
    {"role": choice("user", "assistant", "system"), "content": either(TEXT, array(_BLOCK))}
)
_TOOL = record(
    {"name": TEXT, "input_schema": record({"type": choice("object")})},
    {
        "type": nullable(choice("custom")),
        "description": TEXT,
        "strict": FLAG,
        "allowed_callers": ANYTHING,
        "defer_loading": ANYTHING,
        "eager_input_streaming": ANYTHING,
        "input_examples": ANYTHING,
        **_CACHE,
    },
)
# A schema may say anything beside its type.
del _TOOL["properties"]["input_schema"]["additionalProperties"]
_PARALLEL: dict[str, Schema] = {"disable_parallel_tool_use": FLAG}
_DISPLAY: dict[str, Schema] = {"display": nullable(choice("summarized", "omitted"))}

REQUEST: Schema = record(
    {"model": TEXT, "max_tokens": number(0, whole=True), "messages": array(_MESSAGE)},
    {
        "system": either(TEXT, array(tagged({"text": _TEXT_BLOCK}))),
        "temperature": nullable(number(0, 1)),
        "top_p": nullable(number(0, 1)),
        "top_k": nullable(number(0, whole=True)),
        "stop_sequences": nullable(array(TEXT)),
        "stream": FLAG,
        "tools": array(_TOOL),
        "tool_choice": tagged(
            {
                "auto": record({}, _PARALLEL),
                "any": record({}, _PARALLEL),
                "tool": record({"name": TEXT}, _PARALLEL),
                "none": record({}),
            }
        ),
        "thinking": tagged(
            {
                "enabled": record({"budget_tokens": number(1024, whole=True)}, _DISPLAY),
                "adaptive": record({}, _DISPLAY),
                "between_tools": record({}),
                "disabled": record({}),
            }
        ),
        "output_config": record(
            {},
            {
                "effort": nullable(choice("low", "medium", "high", "xhigh", "max")),
                "format": nullable(tagged({"json_schema": record({"schema": OBJECT})})),
            },
        ),
        "metadata": record({}, {"user_id": nullable(TEXT)}),
        "service_tier": choice("auto", "standard_only"),
        "inference_geo": nullable(TEXT),
        "speed": nullable(choice("standard", "fast")),
        "container": ANYTHING,
        "diagnostics": ANYTHING,
        "user_profile_id": TEXT,
        "workspace_id": TEXT,
        **_CACHE,
        "emulator_fault": TEXT,
    },
)
