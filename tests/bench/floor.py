"""The floor: what libvirt itself costs for the effect of a plan, an apply or a destroy.

    python -m tests.bench.floor read|save|create|change|destroy URI FOLDER

Bare calls of libvirt-python on one connection, one after the other, and nothing else: no manifest,
no comparison, no record of what was done, no check that it may be done. ``save`` writes the
definitions of all machines, disks and pools to a folder, from which ``create`` makes them again.
Nobody can do with fewer calls, though a program may make several at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt

from tests.bench import libvirt_stack

_KINDS = ("pool", "volume", "domain")


def read(connection: Any, _folder: Path) -> None:
    """What a plan cannot do without: every definition."""
    for domain in connection.listAllDomains():
        domain.XMLDesc()
    for volume in _disks(connection):
        volume.XMLDesc()


def save(connection: Any, folder: Path) -> None:
    """Write every definition to the folder."""
    found = {
        "domain": [
            domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            for domain in connection.listAllDomains()
        ],
        "volume": [volume.XMLDesc() for volume in _disks(connection)],
        "pool": [pool.XMLDesc() for pool in connection.listAllStoragePools()],
    }
    for kind, texts in found.items():
        for number, text in enumerate(texts):
            (folder / f"{kind}-{number:05}.xml").write_text(text, encoding="utf-8")


def create(connection: Any, folder: Path) -> None:
    """Make what was saved."""
    pools, volumes, domains = (
        [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"{kind}-*.xml"))]
        for kind in _KINDS
    )
    (text,) = pools
    pool = connection.storagePoolDefineXML(text)
    pool.build()
    pool.create()
    pool.setAutostart(1)
    for text in volumes:
        pool.createXML(text)
    for text in domains:
        connection.defineXML(text)


def change(connection: Any, _folder: Path) -> None:
    """Another description for each machine."""
    for domain in connection.listAllDomains():
        text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        head, found, tail = text.partition(libvirt_stack.DESCRIBED)
        assert found, "every machine has this description"
        connection.defineXML(f"{head}{libvirt_stack.CHANGED}{tail}")


def destroy(connection: Any, _folder: Path) -> None:
    """Remove everything."""
    for domain in connection.listAllDomains():
        domain.undefine()
    for volume in _disks(connection):
        volume.delete()
    for pool in connection.listAllStoragePools():
        pool.destroy()
        pool.undefine()


def _disks(connection: Any) -> Iterator[Any]:
    for pool in connection.listAllStoragePools():
        for volume in pool.listAllVolumes():
            # The pool also holds the logs of the consoles.
            if volume.name().startswith(libvirt_stack.DISKS):
                yield volume


WORK: dict[str, Callable[[Any, Path], None]] = {
    "read": read,
    "save": save,
    "create": create,
    "change": change,
    "destroy": destroy,
}


def main(verb: str, uri: str, folder: str) -> None:
    """Connect, do one of them, and disconnect."""
    connection = libvirt.open(uri)
    WORK[verb](connection, Path(folder))
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
