"""Prints what the `hdrhistogram` of PyPI reads in a log, by tag, as JSON."""

import json
import math
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

QUANTILES = [0.5, 0.9, 0.95, 0.99, 0.999]


def nearest_rank(histogram, quantile):
    """As the report takes it. The library's own rounds the rank instead of going up."""
    rank = math.ceil(quantile * histogram.get_total_count() - 1e-9)
    seen = 0
    for item in histogram.get_recorded_iterator():
        seen += item.count_added_in_this_iter_step
        if seen >= rank:
            return item.value_iterated_to
    return None

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
                "percentiles": [nearest_rank(total, q) for q in QUANTILES],
                "lines": lines[tag],
            }
            for tag, total in sums.items()
        },
    },
    sys.stdout,
)
