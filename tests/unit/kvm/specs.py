"""Canonical specs of machines, drawn at random, and the stack that they stand in."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource

LINEAGE = "5c6a1c0e-3f5e-4a57-9d52-3a7c6b2f0d11"
UID = UUID("0b7e2a52-9c1d-5f3b-8a44-6d2f1e0c9b8a")
DISKS = ("alpha", "beta", "gamma")
NETWORKS = ("blue", "red", "outside")
IMAGES = ("installer", "tools")
KIB, MIB = 1 << 10, 1 << 20


def resource(kind: str, name: str, spec: dict[str, Any], **rest: Any) -> Resource:
    """A resource of the stack; its UUID follows from its name."""
    uid = rest.pop("uid", UUID(int=sum(ord(c) << (5 * i) for i, c in enumerate(name + kind[0]))))
    stamp = Stamp(LINEAGE, f"{kind}/{name}")
    return Resource(Address(kind, name), name, uid, stamp, spec, **rest)


def related() -> dict[Address, Resource]:
    """What machines refer to: two ordinary networks, one of mode user, disks and images."""
    found = [
        resource("StoragePool", "pool", {"type": "dir", "path": "/srv/pool"}),
        resource("Network", "blue", {"mode": "nat", "cidr": "10.0.0.0/24"}),
        resource("Network", "red", {"mode": "isolated"}),
        resource("Network", "outside", {"mode": "user"}),
        resource("Image", "installer", _image("iso")),
        resource("Image", "tools", _image("qcow2")),
        resource("Disk", "alpha", {"pool": "pool", "size": MIB}),
        resource("Disk", "beta", {"pool": "pool", "size": MIB, "format": "raw"}),
        resource("Disk", "gamma", {"pool": "pool", "image": "tools"}),
    ]
    return {item.address: item for item in found}


def _image(form: str) -> dict[str, Any]:
    return {"pool": "pool", "source": {"file": "file"}, "format": form}


def machine(spec: dict[str, Any]) -> Resource:
    """A machine of the stack."""
    return resource("VirtualMachine", "web", spec, uid=UID, related=related())


_MACS = st.integers(0, (1 << 24) - 1).map(
    lambda n: "52:54:00:" + ":".join(f"{n:06x}"[i : i + 2] for i in (0, 2, 4))
)
_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
_TEXTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs"]), min_size=1
).map(str.strip)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def _cpu(draw: st.DrawFn) -> dict[str, Any]:
    sockets, cores, threads = (draw(st.integers(1, 3)) for _ in range(3))
    most = sockets * cores * threads
    cpu: dict[str, Any] = {"count": draw(st.integers(1, most))}
    if draw(st.booleans()):
        cpu["max"] = most
        if draw(st.booleans()):
            cpu["topology"] = {"sockets": sockets, "cores": cores, "threads": threads}
    cpu |= draw(
        _optional(
            model=st.sampled_from(["host-passthrough", "host-model", "qemu64", "Nehalem"]),
            nested=st.booleans(),
        )
    )
    return cpu


@st.composite
def _memory(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(st.integers(1, 1 << 22)) * KIB
    memory = {"size": size}
    if draw(st.booleans()):
        memory["max"] = size + draw(st.integers(0, 1 << 20)) * KIB
    return memory


_DISK = _optional(
    bus=st.sampled_from(["virtio", "scsi", "sata"]),
    cache=st.sampled_from(["none", "writeback", "writethrough", "directsync", "unsafe"]),
    serial=st.from_regex(r"[A-Za-z0-9_.+-]{1,36}", fullmatch=True),
    readOnly=st.booleans(),
)
_NIC = st.fixed_dictionaries(
    {"network": st.sampled_from(NETWORKS)},
    optional={
        "mac": _MACS,
        "model": st.sampled_from(["virtio", "e1000", "e1000e", "rtl8139"]),
        "link": st.sampled_from(["up", "down"]),
    },
)
_CDROM = _optional(image=st.sampled_from(IMAGES), bus=st.sampled_from(["sata", "scsi"]))
_FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "<features><hyperv><relaxed state='on'/></hyperv></features>",
            "<clock offset='localtime'/>",
            "<devices><watchdog model='itco' action='reset'/></devices>",
            "<cputune><shares>512</shares></cputune>",
            "<devices><interface type='direct'><mac address='52:54:00:ff:00:01'/>"
            "<source dev='eth7' mode='bridge'/></interface></devices>",
        ]
    ),
    unique=True,
    min_size=1,
    max_size=3,
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A canonical spec as an author could have written it."""
    spec: dict[str, Any] = {"memory": draw(_memory())}
    spec |= draw(
        _optional(
            description=_TEXTS.filter(bool),
            cpu=_cpu(),
            firmware=_optional(
                type=st.sampled_from(["bios", "uefi", "uefi-secure"]), tpm=st.booleans()
            ),
            machineType=st.sampled_from(["q35", "pc-q35-7.2"]),
            boot=st.fixed_dictionaries(
                {"kernel": st.just("/boot/vmlinuz")},
                optional={"initrd": st.just("/boot/initrd"), "cmdline": _TEXTS.filter(bool)},
            ),
            disks=st.dictionaries(st.sampled_from(DISKS), _DISK, max_size=3),
            nics=st.dictionaries(_NAMES, _NIC, max_size=3),
            cdroms=st.dictionaries(_NAMES, _CDROM, max_size=2),
            guestAgent=st.booleans(),
            native=st.fixed_dictionaries({"kvm": st.fixed_dictionaries({"domain": _FRAGMENTS})}),
        )
    )
    if draw(st.booleans()):
        spec["console"] = draw(_console())
    if draw(st.booleans()):
        _number(draw, spec)
    return spec


@st.composite
def _console(draw: st.DrawFn) -> dict[str, Any]:
    console: dict[str, Any] = draw(_optional(serial=st.booleans()))
    if draw(st.booleans()):
        console["graphics"] = draw(st.sampled_from(["vnc", "spice"]))
        if draw(st.booleans()):
            console["listen"] = draw(st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]))
    return console


def _number(draw: st.DrawFn, spec: dict[str, Any]) -> None:
    """Give some devices a place in the boot order."""
    devices = [
        device for kind in ("disks", "nics", "cdroms") for device in spec.get(kind, {}).values()
    ]
    chosen = [device for device in devices if draw(st.booleans())]
    places = draw(st.permutations(range(1, len(chosen) + 1)))
    for device, place in zip(chosen, places, strict=True):
        device["bootOrder"] = place
