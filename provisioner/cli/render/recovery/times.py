"""Moments of a run, as people compare them."""

from __future__ import annotations


def offset(seconds: float) -> str:
    """Since the beginning of a run: ``0:03``, ``12:05``, ``1:02:03``."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
