"""Holds modules to a readable size; run by scripts/check.

No Python file has more than 500 lines, and the median of the product's modules is below 200.
"""

import sys
from pathlib import Path
from statistics import median

LIMIT = 500
MEDIAN_LIMIT = 200
PRODUCT = ("provisioner", "plugins", "schemas")
ALL = (*PRODUCT, "tests", "scripts", "setup.py")


def sizes(root: Path, names: tuple[str, ...]) -> dict[Path, int]:
    """Lines of every Python file below the named files and folders of ``root``."""
    found: dict[Path, int] = {}
    for name in names:
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*.py")):
            found[path.relative_to(root)] = path.read_text(encoding="utf-8").count("\n")
    return found


def complaints(root: Path) -> list[str]:
    """One line for each rule that is broken."""
    lines = [
        f"{path}: {size} lines, at most {LIMIT} are allowed: split it"
        for path, size in sizes(root, ALL).items()
        if size > LIMIT
    ]
    # An __init__.py that only holds a docstring would flatter the median.
    modules = [size for size in sizes(root, PRODUCT).values() if size > 1]
    if modules and median(modules) >= MEDIAN_LIMIT:
        lines.append(f"median module: {median(modules):g} lines, it has to be below {MEDIAN_LIMIT}")
    return lines


if __name__ == "__main__":
    broken = complaints(Path(__file__).resolve().parents[2])
    print(*broken, sep="\n", end="\n" if broken else "")
    sys.exit(bool(broken))
