"""Objects that a release does not know are found."""

import unittest

from openapi_differences import differences

SCHEMAS = {
    "Port": {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]},
    "Target": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "ports": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Port"}], "default": {}}},
        "target": {"$ref": "#/components/schemas/Target"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object"},
    },
}


class Differences(unittest.TestCase):
    def found(self, value: dict) -> list[str]:
        return list(differences(value, SCHEMA, SCHEMAS, "Thing"))

    def test_what_is_known_has_none(self):
        self.assertEqual(self.found({"ports": [{"port": 1}], "target": "http", "labels": {"a": "b"}, "free": {"x": [1]}}), [])

    def test_each_is_named_with_its_place(self):
        for value, told in (
            ({"port": 1}, "Thing.port is no field"),
            ({"ports": [{"port": 1}, {"port": 1, "portt": 2}]}, "Thing.ports[1].portt is no field"),
            ({"ports": [{"port": "1"}]}, "Thing.ports[0].port is a str, not of type integer"),
            ({"ports": [{}]}, "Thing.ports[0].port is missing"),
            ({"ports": {}}, "Thing.ports is a dict, not of type array"),
            ({"labels": {"a": 1}}, "Thing.labels.a is a int, not of type string"),
        ):
            self.assertEqual(self.found(value), [told])


if __name__ == "__main__":
    unittest.main()
