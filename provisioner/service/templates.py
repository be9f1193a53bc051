"""The files of a new stack, as text with placeholders, which :mod:`init` fills in and writes."""

from __future__ import annotations

import json
from typing import NamedTuple


class SystemImage(NamedTuple):
    """What a machine boots from: the path that the manifest names, and ``qcow2`` or ``raw``."""

    path: str
    format: str


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
      default: MEMORY
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
    # The libvirt daemon of the user who runs the command. It starts by itself; only for root this
    # is the system's daemon, which has to run: 'systemctl start libvirtd', or 'libvirtd -d'.
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

_EMPTY_DISK = """\
# yaml-language-server: $schema=SCHEMAS/disk.v1.json
# An empty disk: the machine starts, finds nothing to boot and says nothing. To give it a system,
# add a manifest of kind Image with a file of yours
#
#     apiVersion: provisioner/v1
#     kind: Image
#     metadata: {name: STACK-NAME-system}
#     spec:
#       pool: STACK-NAME-disks
#       source: {file: debian-12.qcow2}
#       format: qcow2
#
# and write 'image: STACK-NAME-system' and a fitting 'size' below.
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

_DISK = """\
# yaml-language-server: $schema=SCHEMAS/disk.v1.json
# As large as its image. Give it more room with 'size: 20GB', now or later.
apiVersion: provisioner/v1
kind: Disk
metadata:
  name: STACK-NAME-root
spec:
  pool: STACK-NAME-disks
  image: STACK-NAME-system
  # What happens to the data when the disk leaves the stack: 'keep' or 'delete'.
  retention: keep
"""

_IMAGE = """\
# yaml-language-server: $schema=SCHEMAS/image.v1.json
# Uploaded once; every disk that starts from it holds only what differs.
apiVersion: provisioner/v1
kind: Image
metadata:
  name: STACK-NAME-system
spec:
  pool: STACK-NAME-disks
  source:
    file: IMAGE-FILE
  format: IMAGE-FORMAT
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
"""

_CLOUD_INIT = """\
  # In an image with cloud-init, a password for its default user:
  # cloudInit:
  #   userData: |
  #     #cloud-config
  #     password: change-me
  #     ssh_pwauth: true
"""

_NOBODY_TO_ASK = """\
  # How long the guest may take to shut down before it is switched off. An empty disk has no system
  # that could be asked; for one that has, leave this out.
  shutdownTimeout: 5s
"""

_IGNORE = """\
# what was applied here, and plan files
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

ABOUT-THE-DISK

Root's `qemu:///session` is the system's libvirt daemon, which has to run: `systemctl start
libvirtd`, or `libvirtd -d`. An ordinary user's starts by itself.

What was applied is recorded in `.provisioner/`; keep that folder, and keep it out of version
control. `SCHEMAS/` is for editors: with the YAML language server they complete and check the
manifests by it. Commit it with the manifests; `provisioner schema SCHEMAS` writes it again after an
upgrade.
"""

_ABOUT_AN_EMPTY_DISK = """\
The disk is empty, so the machine starts, finds nothing to boot, and says nothing on its console:
`disk.yaml` tells how to give it a system."""

_ABOUT_AN_IMAGE = """\
The machine boots from a copy of the image in `image.yaml`; `provisioner console STACK-NAME` shows
what it says. Most cloud images let nobody in without a password or a key: `machine.yaml` tells how
to give one."""


def manifests(image: SystemImage | None) -> dict[str, str]:
    """Name and text of every file; without an image the machine's disk is empty. Placeholders in
    capitals are left for the caller to fill in."""
    files = {
        "stack.yaml": _STACK.replace("MEMORY", "1GiB" if image else "128MiB"),
        "host.yaml": _HOST,
        "pool.yaml": _POOL,
        "disk.yaml": _DISK if image else _EMPTY_DISK,
        "network.yaml": _NETWORK,
        "machine.yaml": _MACHINE + (_CLOUD_INIT if image else _NOBODY_TO_ASK),
        ".gitignore": _IGNORE,
        "README.md": _README.replace(
            "ABOUT-THE-DISK", _ABOUT_AN_IMAGE if image else _ABOUT_AN_EMPTY_DISK
        ),
    }
    if image:
        # A JSON text is YAML, whatever is in the path.
        path = json.dumps(image.path, ensure_ascii=False)
        text = _IMAGE.replace("IMAGE-FILE", path).replace("IMAGE-FORMAT", image.format)
        files["image.yaml"] = text
    return files
