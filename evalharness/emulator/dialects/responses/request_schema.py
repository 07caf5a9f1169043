"""What ``POST /v1/responses`` takes: OpenAI's reference, as far as the emulator serves it.

Items, parts and tools that need what an emulator has not (files it stores, searches, computers) are
refused by their type, as an unknown type is.
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

_CACHE: dict[str, Schema] = {"prompt_cache_breakpoint": ANYTHING}
_IMAGE = record(
    {}, {"image_url": nullable(TEXT), "file_id": nullable(TEXT), "detail": nullable(TEXT), **_CACHE}
)
_FILE = record(
    {},
    {
        "file_data": nullable(TEXT),
        "file_id": nullable(TEXT),
        "file_url": nullable(TEXT),
        "filename": nullable(TEXT),
        "detail": nullable(TEXT),
        **_CACHE,
    },
)
_INPUT_PARTS: dict[str, Schema] = {
    "input_text": record({"text": TEXT}, _CACHE),
    "input_image": _IMAGE,
    "input_file": _FILE,
}
_PARTS = tagged(
    {
        **_INPUT_PARTS,
        "output_text": record({"text": TEXT}, {"annotations": ANYTHING, "logprobs": ANYTHING}),
        "refusal": record({"refusal": TEXT}),
    }
)
_MESSAGE = record(
    {
        "role": choice("user", "assistant", "system", "developer"),
        "content": either(TEXT, array(_PARTS)),
    },
    {"id": TEXT, "status": ANYTHING, "phase": ANYTHING},
)
_ORIGIN: dict[str, Schema] = {
    "id": nullable(TEXT),
    "status": nullable(TEXT),
    "caller": ANYTHING,
    "namespace": ANYTHING,
}
_CALL = record({"call_id": TEXT, "name": TEXT, "arguments": TEXT}, {**_ORIGIN, "async": ANYTHING})
_CALL_OUTPUT = record(
    {"call_id": TEXT, "output": either(TEXT, array(tagged(_INPUT_PARTS)))},
    {**_ORIGIN, "name": ANYTHING},
)
_REASONING = record(
    {"summary": array(OBJECT)},
    {
        "id": TEXT,
        "content": nullable(array(OBJECT)),
        "encrypted_content": nullable(TEXT),
        "status": nullable(TEXT),
    },
)
_ITEM = tagged(
    {
        "message": _MESSAGE,
        "function_call": _CALL,
        "function_call_output": _CALL_OUTPUT,
        "reasoning": _REASONING,
    }
)
# A message may leave its type out.
_ITEM["anyOf"].append(_MESSAGE)

_FUNCTION = record(
    {"name": TEXT},
    {
        "parameters": nullable(OBJECT),
        "strict": nullable(FLAG),
        "description": nullable(TEXT),
        "defer_loading": ANYTHING,
        "allowed_callers": ANYTHING,
        "output_schema": ANYTHING,
    },
)
_TOOL_CHOICE = either(
    choice("none", "auto", "required"),
    tagged(
        {
            "function": record({"name": TEXT}),
            "allowed_tools": record({"mode": choice("auto", "required"), "tools": array(OBJECT)}),
        }
    ),
)
_FORMAT = tagged(
    {
        "text": record({}),
        "json_object": record({}),
        "json_schema": record(
            {"name": TEXT, "schema": OBJECT},
            {"description": nullable(TEXT), "strict": nullable(FLAG)},
        ),
    }
)
_EFFORT = nullable(choice("none", "minimal", "low", "medium", "high", "xhigh", "max"))
_REASONING_CONFIG = record(
    {},
    {
        "effort": _EFFORT,
        "summary": nullable(choice("auto", "concise", "detailed")),
        "generate_summary": nullable(choice("auto", "concise", "detailed")),
        "context": ANYTHING,
        "mode": ANYTHING,
    },
)

REQUEST: Schema = record(
    {"model": TEXT, "input": either(TEXT, array(_ITEM))},
    {
        "instructions": nullable(TEXT),
        "max_output_tokens": nullable(number(1, whole=True)),
        "max_tool_calls": nullable(number(1, whole=True)),
        "temperature": nullable(number(0, 2)),
        "top_p": nullable(number(0, 1)),
        "top_logprobs": nullable(number(0, 20, whole=True)),
        "include": nullable(
            array(choice("message.output_text.logprobs", "reasoning.encrypted_content"))
        ),
        "stream": nullable(FLAG),
        "stream_options": nullable(record({}, {"include_obfuscation": FLAG})),
        "store": nullable(FLAG),
        "tools": array(tagged({"function": _FUNCTION})),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": nullable(FLAG),
        "text": record(
            {}, {"format": _FORMAT, "verbosity": nullable(choice("low", "medium", "high"))}
        ),
        "reasoning": nullable(_REASONING_CONFIG),
        "metadata": nullable({"type": "object", "additionalProperties": TEXT}),
        "service_tier": nullable(TEXT),
        "prompt_cache_key": nullable(TEXT),
        "prompt_cache_options": ANYTHING,
        "prompt_cache_retention": nullable(choice("in_memory", "24h")),
        "safety_identifier": nullable(TEXT),
        "user": TEXT,
        "truncation": nullable(choice("auto", "disabled")),
        "background": nullable(FLAG),
        "previous_response_id": nullable(TEXT),
        "conversation": ANYTHING,
        "prompt": ANYTHING,
        "emulator_fault": TEXT,
    },
)
# Documented members that need stored responses.
STORED = ("previous_response_id", "conversation", "prompt")
