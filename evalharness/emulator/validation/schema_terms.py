"""Short forms for the request schemas that this package writes itself."""

from __future__ import annotations

from evalharness.emulator.validation.openapi_schema import Schema

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
ANYTHING: Schema = {"nullable": True}


def nullable(schema: Schema) -> Schema:
    """The schema or null."""
    return {**schema, "nullable": True}


def choice(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> Schema:
    """A number in a closed range."""
    bounds = {"minimum": low, "maximum": high}
    stated = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"type": "integer" if whole else "number", **stated}


def array(items: Schema) -> Schema:
    """A list of items of one schema."""
    return {"type": "array", "items": items}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def tagged(kinds: dict[str, Schema], tag: str = "type") -> Schema:
    """One of several objects, told apart by a member that names the kind."""
    branches = [
        {
            **schema,
            "properties": {tag: choice(kind), **schema["properties"]},
            "required": [tag, *schema["required"]],
        }
        for kind, schema in kinds.items()
    ]
    return {"anyOf": branches, "discriminator": {"propertyName": tag}}


def either(*schemas: Schema) -> Schema:
    """Any of the schemas."""
    return {"anyOf": list(schemas)}
