"""``json_schema``: the text is JSON that fits a schema."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from evalharness.records import canonical_json
from evalharness.scoring.base import (
    Sample,
    Score,
    Scorer,
    UnscorableError,
    binary_score,
    is_list,
    is_object,
    json_type,
)
from evalharness.scoring.bounds import Bounds
from evalharness.scoring.json_in_text import NotJSONError, parse_json
from evalharness.scoring.safe_regex import compile_pattern, search


class JsonSchemaScorer(Scorer, frozen=True, kw_only=True):
    """1 when the text is JSON valid under the schema, else 0.

    Attributes:
        schema: a JSON Schema; None takes the prompt's target as the schema.
        fenced: also accept JSON in a Markdown code block.
        timeout_s: processor seconds for one text; beyond it the value is null.

    The draft is the one ``$schema`` names, else 2020-12. References stay inside the schema:
    nothing is fetched.

    """

    schema_: dict[str, Any] | bool | None = msgspec.field(default=None, name="schema")
    fenced: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 5.0

    needs_target: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.schema_ is not None:
            try:
                _validator(canonical_json(self.schema_))
            except ValueError as error:
                raise ValueError(f"`schema`: {error}") from None

    def bounds(self) -> Bounds:
        """A schema can double the work with each of its levels, on the shortest text."""
        return Bounds(in_process_chars=0, cpu_s=self.timeout_s, option="timeout_s")

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
        problem = _first_problem(validator, value)
        if problem is None:
            return binary_score(True, text, "fits the schema")
        return binary_score(False, text, f"at {problem.json_path}: {problem.message[:300]}")


def fits_schema(schema: Any, value: Any) -> bool | None:
    """Whether a JSON value fits a JSON Schema; None where the schema is none, or leads nowhere."""
    try:
        return _first_problem(_validator(canonical_json(schema)), value) is None
    except (ValueError, UnscorableError):
        return None


_DEEP = 100  # levels of a value; beyond it, Python's stack may end before the value does


def _first_problem(validator: Any, value: Any) -> Any:
    """The first error of the value; None where it fits.

    Raises:
        UnscorableError: the schema cannot be followed.

    """
    from referencing.exceptions import Unresolvable

    try:
        return next(validator.iter_errors(value), None)
    except RecursionError:
        if _is_deeper(value, _DEEP):
            raise UnscorableError("the JSON is nested too deeply for the schema") from None
        raise UnscorableError("the schema refers to itself without end") from None
    except Unresolvable as error:
        named: Any = getattr(error, "anchor", None) or error.ref
        reason = f"the schema refers to what it does not hold: {named!r}"
        raise UnscorableError(reason) from None
    except (TypeError, AttributeError):  # `check_schema` does not follow references
        raise UnscorableError("the schema refers to what is no schema") from None


def _is_deeper(value: Any, levels: int) -> bool:
    members: list[Any] = [value]
    for _ in range(levels):
        members = [
            member
            for outer in members
            if is_object(outer) or is_list(outer)
            for member in (outer.values() if is_object(outer) else outer)
        ]
    return bool(members)


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
