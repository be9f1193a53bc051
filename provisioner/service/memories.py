"""Where sessions keep what they remember: a file for each stack and endpoint, among the user's
caches.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from provisioner import __version__
from provisioner.core.sealed import SealedFile
from provisioner.core.values import digest
from provisioner.engine.sessions import Memories
from provisioner.providers.api import Endpoint
from provisioner.service.layout import CachePlace

FILE_LIMIT = 64 * 1024 * 1024
"""Bytes of what is remembered of one endpoint."""
_SUFFIX = ".memory"


def memories(place: CachePlace, root: Path) -> Memories:
    """The files of the stack in the folder ``root``."""
    stack = str(root.resolve())

    def file_of(endpoint: Endpoint, version: str) -> SealedFile:
        whose = {
            "stack": stack,
            "endpoint": endpoint.name,
            "provider": endpoint.provider,
            "connection": digest(endpoint.connection),
        }
        name = hashlib.blake2b(json.dumps(whose).encode(), digest_size=16).hexdigest()
        # All of it stands behind the seal: a file's name can be changed by whoever carries it.
        made_by = json.dumps({"provisioner": __version__, "version": version, **whose}).encode()
        return SealedFile(place.folder / f"{name}{_SUFFIX}", place.secret, made_by, FILE_LIMIT)

    return file_of
