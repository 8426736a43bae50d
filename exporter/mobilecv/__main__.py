"""`python -m mobilecv`."""

from mobilecv.cli import main

main()
