"""Words and figures as vSphere takes them; used wherever something is made. Pure."""

from __future__ import annotations

MIB = 2**20


def escaped(name: str) -> str:
    """A name as vSphere takes it (ManagedEntity.name)."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
