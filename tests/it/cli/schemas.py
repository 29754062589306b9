"""Validates JSON documents against a JSON Schema with the library of Python.

stdin: a JSON list of {"schema": SCHEMA, "document": DOCUMENT}. stdout: a JSON list with the faults of each document: a list
of texts, which is empty if the document fits. A field that the schema does not describe is a fault here, although readers
must accept it.
"""

import json
import sys

import jsonschema


def closed(schema):
    """The schema, with no field allowed beside those that it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        schema["additionalProperties"] = False
    return schema


def faults(schema, document):
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    # These are checked only if their libraries are installed.
    assert {"date-time", "uuid"} <= kind.FORMAT_CHECKER.checkers.keys()
    validator = kind(closed(schema), format_checker=kind.FORMAT_CHECKER)
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]


print(json.dumps([faults(asked["schema"], asked["document"]) for asked in json.load(sys.stdin)]))
