"""int8 files against those of other quantisers: `python -m benchmarks.int8 --help`."""
