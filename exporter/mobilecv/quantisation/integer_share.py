"""Refuses to call a file int8 that is float inside."""

from __future__ import annotations

from mobilecv_runtime.census import INTEGER_SHARE, Census
from mobilecv_runtime.errors import ConversionError


def check_integer_share(census: Census, instead: str) -> None:
    """Pass an int8 file, if it is one.

    Args:
        census: Of the file.
        instead: The targets to use where it is none, for the message.

    Raises:
        ConversionError: If less than 90 % of its multiply-adds run in integers.
    """
    share = census.integer_share
    if share < INTEGER_SHARE:
        raise ConversionError(
            f"only {share:.1%} of the multiply-adds would run in integers, and a file below "
            f"{INTEGER_SHARE:.0%} is no int8 model; use {instead}"
        )
