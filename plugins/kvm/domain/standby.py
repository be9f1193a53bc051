"""The mark of a machine that stands by, in its ``<metadata>``: it runs at another site, and is not
to be started here.

An element of its own beside the stamp, so that nobody who writes the stamp anew can forget it::

    <metadata>
      <standby xmlns="urn:provisioner:standby:1" since="2026-03-01T04:05:06Z" autostart="yes">it
      runs at the other site</standby>
    </metadata>

Pure. Called by what reads machines and by what starts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path
from provisioner_plugins._libvirt.xml import Element, child, element, register_namespace

NAMESPACE = "urn:provisioner:standby:1"
PREFIX = "provisioner-standby"
TAG = f"{{{NAMESPACE}}}standby"

register_namespace(PREFIX, NAMESPACE)


class StandbyMark(NamedTuple):
    """``since``: RFC 3339, UTC. ``autostart``: whether the host was to start it by itself, and is
    to do so again.
    """

    reason: str
    since: str
    autostart: bool

    def told(self) -> str:
        """For people, in a plan."""
        return f"it stands by since {self.since}: {self.reason}"


def read(definition: Element) -> StandbyMark | None:
    """The mark of a definition; None: it may be started. One that somebody damaged counts."""
    node = definition.find(f"metadata/{TAG}")
    if node is None:
        return None
    since, autostart = node.get("since", "an unknown time"), node.get("autostart") == "yes"
    return StandbyMark(node.text or "", since, autostart)


def told(definition: Element) -> str | None:
    """What is said of a definition's mark; None if it has none."""
    mark = read(definition)
    return mark.told() if mark is not None else None


def write(definition: Element, mark: StandbyMark | None) -> None:
    """Put the mark into a definition in place of the one it has; None: take it away."""
    metadata = child(definition, "metadata")
    for node in metadata.findall(TAG):
        metadata.remove(node)
    if mark is not None:
        metadata.append(build(mark, TAG))


def build(mark: StandbyMark, tag: str = "standby") -> Element:
    """The element; without a namespace as the calls take it that write nothing but metadata."""
    # What XML cannot hold is in no reason that a person can read.
    reason = "".join(letter if letter.isprintable() else " " for letter in mark.reason)
    return element(tag, {"since": mark.since, "autostart": mark.autostart}, reason)


def withheld(mark: StandbyMark | None, *, runs: bool) -> Mapping[Path, str]:
    """What is not to be changed while it stands by. One that somebody started all the same can be
    stopped.
    """
    if mark is None:
        return {}
    fields: tuple[Path, ...] = (("autostart",),) if runs else (("autostart",), ("power",))
    return dict.fromkeys(fields, mark.told())


def refusal(machine: str, address: str, mark: StandbyMark) -> Diagnostic:
    """Why a machine is not started, and how the mark is taken away."""
    return error(
        "PRV5380",
        f"machine {machine} stands by, and is not started",
        detail=f"Since {mark.since}: {mark.reason}",
        hint="Bring it back with its recovery plan (provisioner dr failback), which sees to it "
        "that it runs at one site only. If it is proven to run nowhere else, take the mark away on "
        f"its host: virsh metadata {quote(machine)} --uri {NAMESPACE} --config --remove",
        address=address,
    )
