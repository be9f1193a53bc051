"""Files that a commit removes, as git tells: pre-commit names only those that are still there."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def deleted_files(environ: Mapping[str, str]) -> list[Path]:
    """Absolute paths of the files whose deletion is staged, or that are gone between the two
    commits that pre-commit was asked to compare (its ``--from-ref`` and ``--to-ref``). None where
    there is no repository.
    """
    begin, end = environ.get("PRE_COMMIT_FROM_REF"), environ.get("PRE_COMMIT_TO_REF")
    between = [f"{begin}...{end}"] if begin and end else ["--cached"]
    top = _git("rev-parse", "--show-toplevel")
    # A renamed file is gone from where it was, which may be another stack.
    gone = _git("diff", "--name-only", "--no-renames", "--diff-filter=D", "-z", *between, "--")
    return [Path(top.rstrip("\n"), name) for name in gone.split("\0") if name]


def _git(*arguments: str) -> str:
    try:
        run = subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", *arguments],  # noqa: S607 - git as the caller has it
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError:
        return ""
    return run.stdout if run.returncode == 0 else ""
