"""Prints what the `prometheus-client` of PyPI reads in a file of metrics, as JSON."""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

dialect, path = sys.argv[1:]
parse = {"prometheus": parser, "openmetrics": openmetrics_parser}[dialect]
with open(path, encoding="utf-8") as file:
    families = list(parse.text_fd_to_metric_families(file))
json.dump(
    {
        "families": {family.name: family.type for family in families},
        "samples": [
            {"name": sample.name, "labels": sample.labels, "value": sample.value}
            for family in families
            for sample in family.samples
        ],
    },
    sys.stdout,
)
