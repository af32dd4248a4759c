"""An object beside the schema of its kind, from an OpenAPI document of Kubernetes."""

from collections.abc import Iterator

KINDS = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}


def differences(value: object, schema: dict, schemas: dict, where: str) -> Iterator[str]:
    """What of a value its schema does not know."""
    for part in schema.get("allOf", []):
        schema = schema | part
    if name := schema.get("$ref", "").rpartition("/")[2]:
        yield from differences(value, schemas[name], schemas, where)
        return
    if value is None or "oneOf" in schema or schema.get("format") == "int-or-string":
        return
    kind = schema.get("type")
    if kind and not isinstance(value, KINDS[kind]):
        yield f"{where} is a {type(value).__name__}, not of type {kind}"
        return
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from differences(entry, schema.get("items", {}), schemas, f"{where}[{index}]")
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key in schema.get("required", []):
            if key not in value:
                yield f"{where}.{key} is missing"
        for key, entry in value.items():
            if key in fields:
                yield from differences(entry, fields[key], schemas, f"{where}.{key}")
            elif isinstance(others, dict):
                yield from differences(entry, others, schemas, f"{where}.{key}")
            elif fields:
                yield f"{where}.{key} is no field"
