"""Reads documents with the libraries that applications use, and compares what they get before and after a rotation.

stdin: a JSON list of {"reader": NAME, "before": TEXT, "after": TEXT, "pair": {OLD: NEW, ...}}. stdout: a JSON list with
null for each document in which nothing but the pair changed, or the reason why not.
"""

import configparser
import io
import json
import os
import sys
import tempfile
import tomllib

import botocore.configloader
import dotenv
import yaml


def read_ini(text):
    # Keys as they are written: an application may ask for either case.
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def read_credentials(text):
    """As the AWS command line and boto3 read ~/.aws/credentials."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini", delete=False, newline="") as file:
        file.write(text)
    try:
        return botocore.configloader.raw_config_parse(file.name)
    finally:
        os.unlink(file.name)


READERS = {
    "dotenv": lambda text: dict(dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)),
    "ini": read_ini,
    "credentials": read_credentials,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "json": json.loads,
    "toml": tomllib.loads,
}


def replaced(value, pair):
    """The value with each old half replaced by its new one, wherever it stands in it."""
    if isinstance(value, dict):
        return {replaced(name, pair): replaced(member, pair) for name, member in value.items()}
    if isinstance(value, list):
        return [replaced(member, pair) for member in value]
    if isinstance(value, str):
        for old, new in pair.items():
            value = value.replace(old, new)
    return value


def texts(value):
    """Every text in the value."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from texts(name)
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)
    elif isinstance(value, str):
        yield value


def why_not(case):
    read = READERS[case["reader"]]
    try:
        before, after = read(case["before"]), read(case["after"])
    except Exception as error:
        return f"{case['reader']} cannot read it: {type(error).__name__}"
    if replaced(before, case["pair"]) != after:
        return f"{case['reader']} reads something else than the new pair"
    all_texts = list(texts(after))
    for new in case["pair"].values():
        if not any(new in text for text in all_texts):
            return f"{case['reader']} does not find a half of the new pair"
    return None


json.dump([why_not(case) for case in json.load(sys.stdin)], sys.stdout)
