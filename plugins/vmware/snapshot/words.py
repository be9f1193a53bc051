"""What a snapshot's description says: the author's text, and behind it the mark of ownership, for
there is no other room for one. Pure.

::

    Before the upgrade

    [provisioner {"address":"Snapshot/before-upgrade","generation":0,"lineage":"..."}]
"""

from __future__ import annotations

import re

from provisioner_plugins.vmware.stamp import Mark

_MARK = re.compile(r"(?:\n\n|^)\[provisioner (\{.*\})\]\s*$", re.DOTALL)


def written(text: str, mark: Mark) -> str:
    """The description as it is written."""
    return f"{text}\n\n[provisioner {mark.text()}]" if text else f"[provisioner {mark.text()}]"


def read(description: str) -> tuple[str, Mark | None]:
    """The author's text and the mark, if there is one that can be read."""
    found = _MARK.search(description)
    mark = None if found is None else Mark.parse(found[1])
    if found is None or mark is None:
        return description, None
    return description[: found.start()], mark
