"""The memory provider: every kind, on an endpoint that is a file of JSON lines or the process's own
memory.

It is a provider like any other, held to the same laws by the same tests. People use it to try a
stack without a hypervisor; the tests of the engine use it because nothing in it takes time.
"""

from __future__ import annotations

from provisioner_plugins.memory.provider import MemoryProvider


def provider() -> MemoryProvider:
    """The entry point ``memory`` in the group ``provisioner.providers``."""
    return MemoryProvider()
