"""Keeps a generated file up to date, for scripts of scripts/generators.txt that make one text."""

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def keep(command: str, file: Path, text: str, arguments: list[str]) -> int:
    """Write ``text`` to ``file`` for the script ``command``, or check it; the exit code."""
    parser = argparse.ArgumentParser(prog=f"scripts/{command}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    options = parser.parse_args(arguments)
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print(f"{file.relative_to(ROOT)} is out of date: run scripts/{command}")
        return 1
    file.write_text(text, encoding="utf-8")
    return 0
