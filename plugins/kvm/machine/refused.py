"""The fields of a VirtualMachine that kvm does not carry, each with the nearest way to the same
effect. Called by the rules of the kind. Pure.

Sources: libvirt, "Domain XML format" (https://libvirt.org/formatdomain.html), sections "CPU
Tuning", "Memory Tuning" and "Memory Backing".
"""

from __future__ import annotations

from provisioner_plugins._libvirt.refusal import Cannot

_FRAGMENT = "Write a fragment into native.kvm.domain: "

REFUSED = (
    *(
        Cannot(
            ("placement", field),
            "a libvirt host has no clusters, folders and resource pools",
            "Remove it, and name the Host in placement.host; what differs between hosts stands in "
            "an overlay of an environment.",
        )
        for field in ("cluster", "clusterHost", "resourcePool", "folder")
    ),
    Cannot(
        ("placement", "storagePool"),
        "libvirt keeps the definition and the firmware variables of a machine in folders of its "
        "own",
        "Remove it; cloudInit.pool says where the disk of cloud-init lies.",
    ),
    Cannot(
        ("cpu", "hotAdd"),
        "processors of a running machine are plugged in up to cpu.max",
        "Write cpu.max, the most that the machine will ever need.",
    ),
    Cannot(
        ("cpu", "reservationMhz"),
        "libvirt reserves no processor time",
        f"{_FRAGMENT}<cputune><shares>4096</shares></cputune> for a larger part than others have.",
    ),
    Cannot(
        ("cpu", "limitMhz"),
        "libvirt limits processor time in microseconds of a period, and not in MHz",
        f"{_FRAGMENT}<cputune><global_period>100000</global_period>"
        "<global_quota>50000</global_quota></cputune> for half of a processor.",
    ),
    Cannot(
        ("cpu", "shares"),
        "the common field has no counterpart whose numbers mean the same in libvirt",
        f"{_FRAGMENT}<cputune><shares>2048</shares></cputune>; others have 1024.",
    ),
    Cannot(
        ("memory", "hotAdd"),
        "memory of a running machine is given and taken up to memory.max",
        "Write memory.max, the most that the machine will ever need.",
    ),
    Cannot(
        ("memory", "reservation"),
        "QEMU reserves all of a machine's memory or none",
        f"{_FRAGMENT}<memoryBacking><locked/></memoryBacking> to keep all of it in memory.",
    ),
    Cannot(
        ("memory", "limit"),
        "a limit that libvirt sets counts QEMU's own memory, too, and QEMU is killed above it",
        f"{_FRAGMENT}<memtune><hard_limit unit='MiB'>3072</hard_limit></memtune>, well above "
        "memory.max.",
    ),
    Cannot(
        ("memory", "shares"),
        "libvirt does not weigh machines against one another in memory",
        f"{_FRAGMENT}<memtune><soft_limit unit='MiB'>1024</soft_limit></memtune>, down to which it "
        "is taken first where memory is short.",
    ),
    Cannot(
        ("guestOs",),
        "QEMU emulates the same for every guest",
        f"{_FRAGMENT}what the guest needs, such as <features><hyperv mode='passthrough'/>"
        "</features> for Windows.",
    ),
    Cannot(
        ("clone",),
        "libvirt knows disk images, and no whole machines to copy",
        "Make a Disk with image and clone, and plug it in under disks.",
    ),
    Cannot(
        ("customization",),
        "libvirt changes nothing in a guest",
        "Use cloudInit, with userData and networkConfig.",
    ),
    Cannot(
        ("disks", "*", "bus"),
        "disks of kvm are plugged into virtio, scsi, sata or ide",
        "Use virtio or scsi, or leave bus out: each provider then takes its fastest.",
        ("nvme", "pvscsi"),
    ),
    Cannot(
        ("nics", "*", "model"),
        "vmxnet3 is the card of VMware",
        "Use virtio or e1000e, or leave model out: each provider then takes its fastest.",
        ("vmxnet3",),
    ),
)
