"""Prints what the `hdrhistogram` of PyPI reads in a log, by tag, as JSON."""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

PERCENTILES = [50, 90, 95, 99, 99.9]

reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3_600_000_000_000, 3))
sums, lines = {}, {}
while True:
    interval = reader.get_next_interval_histogram()
    if interval is None:
        break
    tag = interval.get_tag()
    total = sums.setdefault(tag, HdrHistogram(1, 3_600_000_000_000, 3))
    total.add(interval)
    lines.setdefault(tag, []).append(
        [interval.get_start_time_stamp(), interval.get_end_time_stamp(), interval.get_total_count()]
    )
json.dump(
    {
        "start": reader.get_start_time_sec(),
        "tags": {
            tag: {
                "count": total.get_total_count(),
                "percentiles": [total.get_value_at_percentile(p) for p in PERCENTILES],
                "lines": lines[tag],
            }
            for tag, total in sums.items()
        },
    },
    sys.stdout,
)
