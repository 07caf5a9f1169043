"""JSON Schema of configuration files, for editors; made from the structs that check them.

A file is one option of a group (``configs/provider/mine.yaml``), or it has the keys of a whole
configuration (``configs/experiment/mine.yaml``, and every file with ``# @package _global_``). What
stands in several files is composed, so that no key is required. The command checks more than a
schema can say.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, cast

import msgspec

from evalharness.cli.project.key_descriptions import DESCRIPTIONS, Group
from evalharness.config.models import RunConfig
from evalharness.parameters import PARAMETERS, Parameter
from evalharness.planning.axes import SETTING_KEYS
from evalharness.planning.sweep import METHODS
from evalharness.scoring import TABLE, Extractor

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_STRUCTS = {
    "provider": "ProviderConfig", "dataset": "DatasetConfig", "limits": "LimitsConfig",
    "execution": "ExecutionConfig", "load": "LoadConfig",
}  # fmt: skip
_INTERPOLATION: Schema = {"$ref": "#/$defs/interpolation"}
_WHOLE: frozenset[str] = frozenset(("experiment", "scoring"))  # their files are global
_FORMS: dict[str, Schema] = {
    "number": {"type": "number"}, "integer": {"type": "integer"}, "boolean": {"type": "boolean"},
    "text": {"type": "string"}, "json": {},
}  # fmt: skip


def config_schema(group: Group = "experiment") -> Schema:
    """The schema of the files of a group; ``experiment`` is that of a whole configuration."""
    defs = _definitions()
    schema: Schema = defs["RunConfig" if group in _WHOLE else _STRUCTS.get(group, group)]
    schema = schema | {"properties": {"defaults": _DEFAULTS, **schema["properties"]}}
    head: Schema = {"$schema": DIALECT}
    whole = head | schema | {"title": f"evalharness: configs/{group}/*.yaml"}
    used = _reachable(whole, defs)
    whole["$defs"] = {name: part for name, part in defs.items() if name in used}
    plain: Schema = msgspec.json.decode(msgspec.json.encode(whole))  # no tuples
    return plain


def _reachable(schema: Any, defs: dict[str, Schema]) -> set[str]:
    """The definitions that a schema refers to, and those that these refer to."""
    names: set[str] = set()
    pending = [schema]
    while pending:
        text = msgspec.json.encode(pending.pop()).decode()
        new = set(re.findall(r'"#/\$defs/(\w+)"', text)) - names
        names |= new
        pending += [defs[name] for name in new]
    return names


_DEFAULTS: Schema = {
    "type": "array",
    "description": "Hydra's list of what this file is composed from: `override /provider: openai`.",
}


def _definitions() -> dict[str, Schema]:
    kinds = [RunConfig, Extractor, *TABLE.values()]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    structs = {kind.__name__: kind for kind in _structs_below(kinds)}
    defs = {name: _described(structs[name], schema) for name, schema in components.items()}
    properties = defs["RunConfig"]["properties"]
    properties |= {
        "params": _params(),
        "sweep": {"$ref": "#/$defs/sweep"},
        "pricing": {"$ref": "#/$defs/pricing"},
        "scoring": {"type": "array", "items": {"$ref": "#/$defs/scorer"}},
        "answer": _answer(),
        "hydra": {"type": "object", "description": "Hydra's own configuration."},
    }
    for name, text in DESCRIPTIONS["RunConfig"].items():
        properties[name] = properties[name] | {"description": text}
    del properties["providers"]  # filled in by the command
    for name, kind in TABLE.items():
        defs[kind.__name__] = _scorer(name, defs[kind.__name__])
    return defs | {
        "scorer": _any_scorer(),
        "sweep": _sweep(),
        "pricing": _pricing(),
        "interpolation": {"type": "string", "pattern": r"\$\{.+\}|^\?\?\?$"},
    }


def _structs_below(kinds: list[type[Any]]) -> list[type[Any]]:
    """The structs, and those of their fields."""
    structs: list[type[Any]] = []
    pending: list[Any] = [msgspec.inspect.type_info(kind) for kind in kinds]
    while pending:
        info = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in structs:
                continue
            structs.append(info.cls)
            pending += [field.type for field in info.fields]
        pending += getattr(info, "types", ())
        pending += [
            getattr(info, name) for name in ("item_type", "value_type", "type")
            if hasattr(info, name)
        ]  # fmt: skip
    return structs


def _described(kind: type[Any], schema: Schema) -> Schema:
    """A struct's schema with descriptions of its keys, none of which is required."""
    texts: dict[str, str] = dict(DESCRIPTIONS["TextOptions"])
    for base in reversed(kind.__mro__):
        texts |= _attribute_docs(base) | DESCRIPTIONS.get(base.__name__, {})
    names = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    properties: dict[str, Schema] = {}
    for key, value in schema["properties"].items():
        text = texts.get(key, texts.get(names[key]))
        properties[key] = _loosen(value) | ({} if text is None else {"description": text})
    described = {key: value for key, value in schema.items() if key != "required"}
    summary = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return described | {"description": _plain(summary), "properties": properties}


def _attribute_docs(kind: type[Any]) -> dict[str, str]:
    """What the docstring of a class itself says of its attributes."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, heading, after = text.partition("Attributes:\n")
    if not heading:
        return {}
    lines = re.split(r"\n\n(?=\S)", after)[0]
    entries = re.findall(r"^    ([\w, ]+): ((?:.|\n     )*)", lines, re.MULTILINE)
    return {name: _plain(text) for names, text in entries for name in re.split(r",\s*", names)}


def _plain(text: str) -> str:
    text = re.sub(r":\w+:`~?\.*([^`]+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def _loosen(schema: Any) -> Any:
    """A number, a word or a boolean may also be an interpolation; an amount may be a number."""
    if not isinstance(schema, dict):
        return schema
    known = cast("Schema", schema)
    if known.get("format") == "decimal":
        known = {key: value for key, value in known.items() if key != "format"}
        return known | {"type": ["number", "string"]}
    if "anyOf" in known:
        members = [_loosen(member) for member in known["anyOf"]]
        flat = [m for member in members for m in member.get("anyOf", [member])]
        unique = [m for n, m in enumerate(flat) if m not in flat[:n]]
        return known | {"anyOf": unique}
    if "$ref" in known and len(known) > 1:  # a default beside a reference
        return known
    notes = {key: value for key, value in known.items() if key in ("default", "description")}
    bare = {key: value for key, value in known.items() if key not in notes}
    if (
        known.get("type") in ("number", "integer", "boolean")
        or "enum" in known
        or ("pattern" in known)
    ):
        return {"anyOf": [bare, _INTERPOLATION], **notes}
    for name in ("items", "additionalProperties"):
        if name in bare:
            bare[name] = _loosen(bare[name])
    return bare | notes


def _params() -> Schema:
    extra: Schema = {"type": ["object", "null"], "description": "A provider's own fields."}
    return {
        "type": "object",
        "properties": {p.name: _parameter(p) for p in PARAMETERS} | {"extra": extra},
        "additionalProperties": False,
    }


def _parameter(parameter: Parameter) -> Schema:
    text = f"Request parameter ({parameter.form})"
    low, high = parameter.range
    if low is not None or high is not None:  # a provider may have another range
        text += (
            f", from {'…' if low is None else f'{low:g}'} to {'…' if high is None else f'{high:g}'}"
        )
    if parameter.form == "json":
        return {"description": f"{text}; null is not sent."}
    members = [_FORMS[parameter.form], {"type": "null"}, _INTERPOLATION]
    return {"anyOf": members, "description": f"{text}; null is not sent."}


def _sweep() -> Schema:
    axes = {p.name: _axis(_FORMS[p.form], f"Values of {p.name}.") for p in PARAMETERS}
    texts = DESCRIPTIONS["sweep"]
    axes |= {name: _axis({"type": "string"}, texts[name]) for name in SETTING_KEYS}
    groups = {
        name: {"type": ["object", "null"], "description": texts[name]}
        for name in ("load", "params", "dataset")
    }
    options: Schema = {
        "method": {"enum": [*METHODS], "description": texts["method"]},
        "samples": {"type": "integer", "minimum": 1, "description": texts["samples"]},
        "sample_seed": {"type": "integer", "description": texts["sample_seed"]},
    }
    extra: Schema = {"type": ["object", "array", "null"], "description": texts["extra"]}
    return {
        "type": "object",
        "description": "Axes: a list of values, values by names, or {min, max, scale}.",
        "properties": {**axes, **groups, "extra": extra, **options},
        "patternProperties": {r"^(extra|load|params|dataset)\.": {}},
        "additionalProperties": False,
    }


def _axis(value: Schema, text: str) -> Schema:
    item: Schema = {} if not value else {"anyOf": [value, {"type": "null"}, _INTERPOLATION]}
    named: Schema = {"type": "object"}
    return {
        "anyOf": [{"type": "array", "items": item}, named, {"type": "null"}, _INTERPOLATION],
        "description": text,
    }


def _scorer(name: str, schema: Schema) -> Schema:
    entry: Schema = {"const": name, "description": schema["description"]}
    properties = {"name": entry, **schema["properties"]}
    return schema | {"properties": properties, "required": ["name"]}


def _any_scorer() -> Schema:
    """A name of a scorer or preset, one of the scorers here, or one of a plugin."""
    named: Schema = {"type": "string", "description": f"A preset, or one of {', '.join(TABLE)}."}
    plugin: Schema = {
        "type": "object",
        "description": "A scorer of a plugin.",
        "properties": {"name": {"type": "string", "not": {"enum": [*TABLE]}}},
        "required": ["name"],
    }
    own = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in TABLE.values()]
    return {"anyOf": [*own, named, plugin]}


def _answer() -> Schema:
    words: Schema = {"enum": ["last_number", "choice", "normalise", "json"]}
    return {"anyOf": [{"$ref": "#/$defs/Extractor"}, words, {"type": "null"}]}


def _pricing() -> Schema:
    texts = DESCRIPTIONS["pricing"]
    kinds: Schema = {
        "prices": {"type": "array", "items": {"type": "object"}},
        "files": {"type": "array", "items": {"type": "string"}},
        "source": {"type": ["string", "null"]},
        "as_of": {"type": ["string", "null"]},
    }
    return {
        "type": "object",
        "properties": {key: kind | {"description": texts[key]} for key, kind in kinds.items()},
        "additionalProperties": False,
    }
