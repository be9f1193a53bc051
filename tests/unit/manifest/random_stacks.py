"""Random valid stacks, for properties: documents as an author would write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Document = dict[str, Any]

SIZES = st.sampled_from(["1GiB", "1.5GiB", "512 MiB", "2GB", "64KiB", "1TiB", "4096KiB"])
DURATIONS = st.sampled_from(["120s", "2m", "1.5h", "1d", "3600s"])
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=12
)
SCRIPTS = st.one_of(
    WORDS,
    st.lists(
        st.sampled_from(
            [
                "#cloud-config",
                "echo ${HOME}",
                "$${x}",
                "a: 'b'",
                "  - x",
                "$$${VAR/a.b}",
                "",
                "\t:",
                "yes",
                "1:30",
            ]
        ),
        max_size=6,
    ).map("\n".join),
)
OUTPUTS = [
    "${Network/net0.bridge}",
    "at ${Network/net0.bridge}, ${StoragePool/pool0.path}!",
    "$${Network/net0.bridge}",
]


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


METADATA = optional(
    labels=st.dictionaries(
        st.from_regex(r"[a-z]([a-z./_-]{0,6}[a-z0-9])?", fullmatch=True), WORDS, max_size=3
    ),
    tenant=st.text("abc é$", min_size=1, max_size=5),
    protect=st.booleans(),
    replace=st.sampled_from(["create-first", "delete-first"]),
)


def document(kind: str, name: str, metadata: dict[str, Any], spec: dict[str, Any]) -> Document:
    return {
        "apiVersion": "provisioner/v1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


@st.composite
def networks(draw: DrawFn, number: int) -> Document:
    spec = draw(
        optional(
            gateway=st.just(f"10.{number}.0.254"),
            cidr6=st.sampled_from([f"fd00:002{number}::/64", f"FD00:2{number}:0:0::/64"]),
            bridge=st.just(f"br{number}"),
            mtu=st.integers(68, 9000),
            autostart=st.booleans(),
            dns=optional(
                enabled=st.booleans(),
                domain=st.just("lab.example"),
                forwarders=st.lists(st.sampled_from(["9.9.9.9", "2620:FE::fe"]), unique=True),
                hosts=st.just([{"address": "FD00::0001", "names": ["a", "b.example"]}]),
            ),
        )
    )
    dhcp = optional(
        leaseTime=DURATIONS,
        reservations=st.just(
            [{"mac": "52-54-00-00-0A-01", "address": f"10.{number}.0.200", "name": "x"}]
        ),
    )
    spec |= {
        "mode": draw(st.sampled_from(["nat", "isolated", "routed"])),
        "cidr": f"10.{number}.0.0/24",
        "dhcp": draw(dhcp),
    }
    return document("Network", f"net{number}", draw(METADATA), spec)


@st.composite
def machines(draw: DrawFn, number: int, disks: int) -> Document:
    spec: dict[str, Any] = draw(
        optional(
            description=st.one_of(WORDS, st.sampled_from(OUTPUTS)),
            cpu=st.sampled_from(
                [
                    {"count": 2},
                    {"count": 2, "max": 4, "model": "host-model"},
                    {"max": 2, "topology": {"sockets": 1, "cores": 2, "threads": 1}},
                ]
            ),
            firmware=optional(type=st.sampled_from(["bios", "uefi"]), tpm=st.booleans()),
            machineType=st.sampled_from(["q35", "pc-i440fx-7.2", OUTPUTS[0]]),
            power=st.sampled_from(["running", "stopped"]),
            autostart=st.booleans(),
            shutdownTimeout=DURATIONS,
            guestAgent=st.booleans(),
            console=optional(serial=st.booleans(), listen=st.sampled_from(["127.0.0.1", "0:0::1"])),
            cloudInit=optional(
                userData=st.one_of(
                    SCRIPTS, st.sampled_from(OUTPUTS), st.just({"secretRef": "env://A"})
                ),
                metaData=st.dictionaries(
                    WORDS, st.one_of(WORDS, st.sampled_from(OUTPUTS)), max_size=2
                ),
            ),
            native=st.just({"memory": {"anything": [1, None, {"x": "${y}"}], "z": None}}),
        )
    )
    spec["memory"] = {"size": draw(SIZES)}
    spec["nics"] = [
        {
            "name": f"n{card}",
            "network": "net0",
            **draw(
                optional(
                    address=st.just(f"10.0.0.{number * 4 + card + 10}"),
                    mac=st.just(f"52:54:00:AA:{number:02X}:{card:02x}"),
                    model=st.sampled_from(["virtio", "e1000"]),
                    link=st.sampled_from(["up", "down"]),
                )
            ),
        }
        for card in range(draw(st.integers(0, 2)))
    ]
    if draw(st.booleans()):
        spec["disks"] = [{"disk": f"disk{number}", "bus": "scsi", "bootOrder": 3}][:disks]
    metadata = draw(METADATA) | draw(optional(renamedFrom=st.just(f"old{number}")))
    return document("VirtualMachine", f"vm{number}", metadata, spec)


@st.composite
def stacks(draw: DrawFn) -> list[Document]:
    """The documents of a stack: one or two hosts, networks, a pool with an image and disks,
    machines.
    """
    hosts = draw(st.integers(1, 2))
    policy = draw(
        optional(
            maxImpact=st.sampled_from(["none", "live", "restart", "replace"]),
            protect=st.just(["Disk"]),
        )
    )
    stack: dict[str, Any] = {"policy": policy}
    if hosts == 2 or draw(st.booleans()):
        stack["defaults"] = {"host": f"host{draw(st.integers(0, hosts - 1))}"}
    documents = [document("Stack", "shop", {}, stack)]
    connection = st.just({"uri": "a://b", "$x": "${y}", "list": [1, 2.5, True]})
    for number in range(hosts):
        spec = draw(
            optional(connection=connection, site=WORDS.filter(bool), maintenance=st.booleans())
        )
        documents.append(document("Host", f"host{number}", {}, {"provider": "memory", **spec}))
    documents += [draw(networks(number)) for number in range(draw(st.integers(1, 2)))]
    documents.append(
        document("StoragePool", "pool0", draw(METADATA), {"type": "dir", "path": "/p ${x}"})
    )
    image = {"pool": "pool0", "source": {"volume": "debian"}, "format": "qcow2"}
    documents.append(document("Image", "image0", draw(METADATA), image))
    machine_count = draw(st.integers(0, 3))
    for number in range(machine_count):
        disk = {"pool": "pool0", "size": draw(SIZES), **draw(optional(image=st.just("image0")))}
        documents.append(document("Disk", f"disk{number}", draw(METADATA), disk))
        documents.append(draw(machines(number, 1)))
    return draw(st.permutations(documents))
