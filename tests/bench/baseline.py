"""The measuring stick of a run: a program that reads the same manifests with bare PyYAML and does
nothing else but write them as JSON. Run as ``python -m tests.bench.baseline FOLDER``.

What a machine is worth at the moment shows in what this costs; the program's figures are also given
as multiples of it.
"""

import json
import sys
from pathlib import Path

import yaml


def main(folder: Path) -> None:
    """Read every manifest of the folder and write it as JSON, one document at a time."""
    documents = size = 0
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader):
            documents += 1
            size += len(json.dumps(document, sort_keys=True))
    sys.stdout.write(f"{documents} documents, {size} characters of JSON\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
