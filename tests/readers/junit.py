"""Prints the cases of a JUnit file as junitparser reads them, as JSON."""

import json
import sys

from junitparser import JUnitXml

cases = []
for suite in JUnitXml.fromfile(sys.argv[1]):
    for case in suite:
        result = case.result[0] if case.result else None
        kind = type(result).__name__.lower() if result else "passed"
        message = result.message if result else case.system_out
        cases.append([suite.name, case.name, kind, message])
json.dump(cases, sys.stdout)
