"""Fixtures of fault tests: the program itself, as in the lifecycle tests."""

from tests.lifecycle.commandline import cli, shop

__all__ = ["cli", "shop"]
