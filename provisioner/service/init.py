"""Making a new stack: a folder with manifests that plan and apply as they are."""

from __future__ import annotations

import re
from pathlib import Path

from provisioner.core.address import NAME_PATTERN
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.layout import STATE_FOLDER
from provisioner.service.schema import write_schemas

SCHEMAS = f"{STATE_FOLDER}/schemas"

_STACK = """\
# yaml-language-server: $schema=SCHEMAS/stack.v1.json
apiVersion: provisioner/v1
kind: Stack
metadata:
  name: STACK-NAME
spec:
  variables:
    poolPath:
      type: string
      default: POOL-PATH
      description: Folder on the host in which the disks are kept
    memory:
      type: size
      default: 128MiB
      description: Memory of the machine
"""

_HOST = """\
# yaml-language-server: $schema=SCHEMAS/host.v1.json
apiVersion: provisioner/v1
kind: Host
metadata:
  name: local
spec:
  provider: kvm
  connection:
    # The libvirt daemon of the user who runs the command, which starts by itself. For root this is
    # the system's daemon, which does not.
    uri: qemu:///session
"""

_POOL = """\
# yaml-language-server: $schema=SCHEMAS/storagepool.v1.json
apiVersion: provisioner/v1
kind: StoragePool
metadata:
  name: STACK-NAME-disks
spec:
  type: dir
  path: ${var.poolPath}
"""

_DISK = """\
# yaml-language-server: $schema=SCHEMAS/disk.v1.json
# An empty disk. To boot a system, add a manifest of kind Image with a file of yours
#
#     apiVersion: provisioner/v1
#     kind: Image
#     metadata: {name: debian-12}
#     spec:
#       pool: STACK-NAME-disks
#       source: {file: debian-12.qcow2}
#       format: qcow2
#
# and write 'image: debian-12' and a fitting 'size' below.
apiVersion: provisioner/v1
kind: Disk
metadata:
  name: STACK-NAME-root
spec:
  pool: STACK-NAME-disks
  size: 64MiB
  # What happens to the data when the disk leaves the stack: 'keep' or 'delete'.
  retention: keep
"""

_NETWORK = """\
# yaml-language-server: $schema=SCHEMAS/network.v1.json
# Reaches out through the host without any set-up of its own; nothing reaches in.
apiVersion: provisioner/v1
kind: Network
metadata:
  name: STACK-NAME-net
spec:
  mode: user
"""

_MACHINE = """\
# yaml-language-server: $schema=SCHEMAS/virtualmachine.v1.json
apiVersion: provisioner/v1
kind: VirtualMachine
metadata:
  name: STACK-NAME
spec:
  cpu:
    count: 1
    # 'count' can be raised to this while the machine runs.
    max: 2
  memory:
    size: ${var.memory}
  disks:
    - disk: STACK-NAME-root
      bootOrder: 1
  nics:
    - name: lan
      network: STACK-NAME-net
  # Said, it is held: a guest that was switched off by hand is drift, and is started again.
  power: running
  # How long the guest may take to shut down before it is switched off. An empty disk has no system
  # that could be asked; for one that has, leave this out.
  shutdownTimeout: 5s
"""

_IGNORE = """\
# state, schemas for editors, plan files
.provisioner/
*.plan
"""

_README = """\
# STACK-NAME

A stack for `provisioner`: one machine with a disk and a network on the libvirt of this computer.

    provisioner validate      are the manifests right?
    provisioner plan          what would be done?
    provisioner apply         do it
    provisioner drift         has somebody changed something outside?
    provisioner console STACK-NAME
    provisioner destroy       remove everything again

| file | what it describes |
|---|---|
| `stack.yaml` | name and variables of the stack |
| `host.yaml` | where everything runs |
| `pool.yaml`, `disk.yaml` | the machine's disk and the folder it is in |
| `network.yaml` | what the machine is plugged into |
| `machine.yaml` | the machine |

What was applied is recorded in `.provisioner/`; keep that folder, and keep it out of version
control. Editors with the YAML language server complete and check the manifests by the schemas
there; `provisioner schema SCHEMAS` writes them again after an upgrade.
"""

FILES = {
    "stack.yaml": _STACK,
    "host.yaml": _HOST,
    "pool.yaml": _POOL,
    "disk.yaml": _DISK,
    "network.yaml": _NETWORK,
    "machine.yaml": _MACHINE,
    ".gitignore": _IGNORE,
    "README.md": _README,
}


def make_stack(folder: Path, name: str | None, data_folder: Path) -> list[Path]:
    """Write a new stack into ``folder``; returns the files that a person will look at.

    ``name`` None takes the folder's own. ``data_folder`` is where the disks go, in a folder called
    like the stack. Raises ProvisionerError (PRV6011..6013) and writes nothing if a file is in the
    way or the name is no good.
    """
    folder = folder.absolute()
    stack = _stack_name(name, folder)
    in_the_way = [item for item in FILES if (folder / item).exists()]
    if in_the_way:
        raise ProvisionerError(
            error(
                "PRV6011",
                f"{folder} has files that would be overwritten",
                detail="In the way: " + ", ".join(in_the_way) + ".",
                hint="Name an empty or a new folder: provisioner init DIR",
            )
        )
    values = {"STACK-NAME": stack, "POOL-PATH": str(data_folder / stack), "SCHEMAS": SCHEMAS}
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in FILES.items():
            path = folder / file
            for placeholder, value in values.items():
                text = text.replace(placeholder, value)  # noqa: PLW2901 - filled in step by step
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
            written.append(path)
    except OSError as problem:
        for path in written:
            path.unlink(missing_ok=True)
        raise ProvisionerError(
            error("PRV6012", f"the stack cannot be written to {folder}", detail=str(problem))
        ) from problem
    write_schemas(folder / SCHEMAS)
    return written


def _stack_name(name: str | None, folder: Path) -> str:
    """A name that suits every manifest of the new stack, which add a word of their own to it."""
    candidate = name or re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "stack"
    if name is None:
        candidate = candidate[:40].strip("-")
    if not NAME_PATTERN.fullmatch(f"{candidate}-disks"):
        raise ProvisionerError(
            error(
                "PRV6013",
                f"{candidate!r} cannot be the name of a stack",
                detail="Expected lower-case letters, digits, '-' and '.', at most 57 characters.",
                hint="Give one with --name.",
            )
        )
    return candidate
