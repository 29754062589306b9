"""Searches records with betterleaks and its AWS rule alone, on one core. Prints the bytes, the seconds and the findings.

`betterleaks.py RECORDS`: a JSON list of texts.
"""

import json
import os
import sys
import tempfile
import time

os.environ["GOMAXPROCS"] = "1"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pybetterleaks import scan_dir  # noqa: E402

# The rule of betterleaks for the ids of AWS, without its test for randomness, so that no key is missed.
RULE = r"""
[[rules]]
id = "aws-access-token"
regex = '''\b((?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b'''
keywords = ["a3t", "akia", "asia", "abia", "acca"]
"""
FILES = 24


def main():
    text = "\n".join(json.load(open(sys.argv[1])))
    with tempfile.TemporaryDirectory(prefix="rotator-bench-") as folder:
        rule, values = f"{folder}/rule.toml", f"{folder}/values"
        with open(rule, "w") as file:
            file.write(RULE)
        os.mkdir(values)
        for number in range(FILES):
            with open(f"{values}/{number}", "w") as file:
                file.write(text)
        scan_dir(values, config_path=rule)
        began = time.monotonic()
        result = scan_dir(values, config_path=rule)
        took = time.monotonic() - began
    if result.errors or not result.findings:
        raise RuntimeError(f"{len(result.findings)} findings, {len(result.errors)} errors")
    print(json.dumps({"bytes": len(text.encode()) * FILES, "seconds": took, "found": len(result.findings),
                      "version": result.betterleaks_version}))


main()
