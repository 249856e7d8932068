"""JSON Schemas (2020-12) of types: msgspec's, with names that read well and times that say they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["schema_of", "schemas"]

Schema = dict[str, Any]


def schema_of(kind: Any) -> Schema:
    """The schema of one type, with the schemas that it refers to under `$defs`."""
    (schema,), components = schemas([kind], "#/$defs/")
    return {**schema, "$defs": components} if components else schema


def schemas(kinds: Sequence[Any], prefix: str) -> tuple[list[Schema], dict[str, Schema]]:
    """The schemas of `kinds`, in order, and the named ones that they refer to by `$ref: prefix + name`, sorted by
    name. Classes of one name in two modules are named with their modules; `Page[Order]` is `Page_Order`."""
    made, components = msgspec.json.schema_components(kinds, ref_template=prefix + "{name}")
    seen: set[str] = set()
    for kind, schema in zip(inspect.multi_type_info(kinds), made, strict=True):
        _mark_times(kind, schema, components, seen)
    names = {name: re.sub("_+", "_", name).strip("_") for name in components}
    if len(set(names.values())) < len(names):
        names = {name: name for name in components}
    references = {prefix + name: prefix + names[name] for name in components}
    renamed = {names[name]: _renamed(schema, references) for name, schema in components.items()}
    return [_renamed(schema, references) for schema in made], dict(sorted(renamed.items()))


def _mark_times(kind: inspect.Type, schema: Schema, components: dict[str, Schema], seen: set[str]) -> None:
    """Gives each datetime its `format`, which msgspec leaves out unless a time zone is demanded: here every time
    that is stored needs one."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in seen:
            return
        seen.add(name)
        schema = components[name]
    match kind:
        case inspect.DateTimeType():
            schema.setdefault("format", "date-time")
        case inspect.UnionType():
            # A union has one member at most that is text, so the plain string among the choices is the time.
            choices = schema.get("anyOf", [])
            for part in kind.types:
                for choice in choices:
                    if _fits(part, choice):
                        _mark_times(part, choice, components, seen)
        case inspect.DictType():
            _mark_times(kind.value_type, _inner(schema, "additionalProperties"), components, seen)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            _mark_times(kind.item_type, _inner(schema, "items"), components, seen)
        case inspect.TupleType():
            for part, item in zip(kind.item_types, schema.get("prefixItems", []), strict=False):
                _mark_times(part, item, components, seen)
        case inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType() | inspect.NamedTupleType() if (
            "properties" in schema
        ):
            for field in kind.fields:
                _mark_times(field.type, schema["properties"][field.encode_name], components, seen)


def _fits(part: inspect.Type, choice: Schema) -> bool:
    """Whether `choice` can be the schema of `part` among those of a union."""
    while isinstance(part, inspect.Metadata):
        part = part.type
    if isinstance(part, inspect.DateTimeType):
        return choice.get("type") == "string" and "format" not in choice
    if isinstance(part, inspect.DictType):
        return choice.get("type") == "object"
    if isinstance(part, inspect.CollectionType | inspect.TupleType):
        return choice.get("type") == "array"
    return "$ref" in choice and hasattr(part, "cls")


def _inner(schema: Schema, key: str) -> Schema:
    inner = schema.get(key)
    return inner if isinstance(inner, dict) else {}


def _renamed(value: Any, references: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(part, references) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: references.get(part, part) if key == "$ref" and isinstance(part, str) else _renamed(part, references)
        for key, part in value.items()
    }
