"""Well-known classifiers through the whole of mobilecv: `python -m benchmarks.zoo --help`."""
