"""An empty qcow2 image, byte by byte, for suites on machines that have no tool to make one.

The format is described in QEMU's docs/interop/qcow2.rst.
"""

from __future__ import annotations

import struct

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_HEADER = ">4sIQIIQIIQQIIQQQQII"


def empty_qcow2(size: int) -> bytes:
    """Version 3, nothing allocated. ``size``: bytes that a guest sees, at most 512 MiB."""
    refcount_table, refcount_block, level_one = _CLUSTER, 2 * _CLUSTER, 3 * _CLUSTER
    header = struct.pack(
        _HEADER,
        b"QFI\xfb",
        3,
        0,  # backing file: none
        0,
        _CLUSTER_BITS,
        size,
        0,  # encryption: none
        1,  # entries of the level-one table
        level_one,
        refcount_table,
        1,  # clusters of the refcount table
        0,  # snapshots: none
        0,
        0,  # incompatible features
        0,  # compatible features
        0,  # autoclear features
        4,  # refcounts of 16 bits
        104,  # bytes of this header
    )
    image = bytearray(4 * _CLUSTER)
    image[: len(header)] = header
    struct.pack_into(">Q", image, refcount_table, refcount_block)
    struct.pack_into(">4H", image, refcount_block, 1, 1, 1, 1)
    return bytes(image)
