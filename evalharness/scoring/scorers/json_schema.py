"""``json_schema``: the text is JSON that fits a schema."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

from evalharness.records import canonical_json
from evalharness.scoring.base import (
    Sample,
    Score,
    Scorer,
    UnscorableError,
    binary_score,
    is_object,
    json_type,
)
from evalharness.scoring.json_in_text import NotJSONError, parse_json
from evalharness.scoring.safe_regex import compile_pattern, search


class JsonSchemaScorer(Scorer, frozen=True, kw_only=True):
    """1 when the text is JSON valid under the schema, else 0.

    Attributes:
        schema: a JSON Schema; None takes the prompt's target as the schema.
        fenced: also accept JSON in a Markdown code block.

    The draft is the one ``$schema`` names, else 2020-12. References stay inside the schema:
    nothing is fetched.

    """

    schema_: dict[str, Any] | bool | None = msgspec.field(default=None, name="schema")
    fenced: bool = False

    needs_target: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.schema_ is not None:
            try:
                _validator(canonical_json(self.schema_))
            except ValueError as error:
                raise ValueError(f"`schema`: {error}") from None

    def evaluate(self, sample: Sample) -> Score:
        """Decode and validate."""
        schema = self.schema_ if self.schema_ is not None else sample.target
        if schema is None:
            raise UnscorableError("no target, and no `schema`")
        if isinstance(schema, str):
            try:
                schema = parse_json(schema, allow_code_fence=False)
            except NotJSONError as error:
                raise UnscorableError(f"the target is no JSON Schema: {error}") from None
        try:
            validator = _validator(canonical_json(schema))
        except ValueError as error:
            raise UnscorableError(f"the target is {error}") from None
        text = self.text_to_score(sample)
        try:
            value = parse_json(text, allow_code_fence=self.fenced)
        except NotJSONError as error:
            return binary_score(False, None, f"not JSON: {error}")
        problem = next(validator.iter_errors(value), None)
        if problem is None:
            return binary_score(True, text, "fits the schema")
        return binary_score(False, text, f"at {problem.json_path}: {problem.message[:300]}")


@lru_cache(maxsize=256)
def _validator(schema_json: bytes) -> Any:
    """Make a validator, once a schema.

    Raises:
        ValueError: not a JSON Schema.

    """
    import jsonschema
    from jsonschema import validators as makers
    from referencing import Registry

    schema: Any = msgspec.json.decode(schema_json)
    if not (is_object(schema) or isinstance(schema, bool)):
        raise ValueError(f"no JSON Schema but {json_type(schema)}")
    validators: Any = makers
    base: Any = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        base.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"no JSON Schema: {error.message} at {error.json_path}") from None
    bounded = validators.extend(
        base, {"pattern": _pattern, "patternProperties": _pattern_properties}
    )
    # An empty registry: a reference to elsewhere fails instead of being fetched.
    make_registry: Any = Registry
    return bounded(schema, registry=make_registry())


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    """Check the ``pattern`` keyword with a time limit."""
    from jsonschema import ValidationError

    if isinstance(value, str) and search(compile_pattern(pattern), value) is None:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], value: Any, _schema: Any
) -> Iterator[Any]:
    """Check the ``patternProperties`` keyword with a time limit."""
    if not is_object(value):
        return
    for pattern, subschema in patterns.items():
        for key, member in value.items():
            if search(compile_pattern(pattern), key) is not None:
                yield from validator.descend(member, subschema, path=key, schema_path=pattern)
