# shellcheck shell=bash
# What the storage host runs, with the programs of the machine below it. Says on the serial port how
# far it is: LAB-FAILED WHAT, and LAB-READY in the end.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
step() { "$@" || echo "LAB-FAILED $*"; }

hostname storage
for folder in /run /tmp /var/lib/nfs /etc/lvm/archive /etc/lvm/backup; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
done
mkdir -p /dev/pts /dev/shm /run/lock /run/udev /run/rpc_pipefs /run/openvswitch
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up

# Device nodes below /dev/disk and /dev/mapper, which LVM and libvirt's iSCSI pools look for.
step /lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle

# NFS, version 4 only: /a and /b.
modprobe -a nfsd nfs nfsv4
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc /run/rpc_pipefs
mkdir -p /var/lib/nfs/v4recovery /var/lib/nfs/sm /export
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t tmpfs tmpfs /export
mkdir -m 777 /export/a /export/b
step exportfs -o rw,no_root_squash,fsid=0,insecure,no_subtree_check '*:/export'
step rpc.nfsd -N 3 -V 4.2 1
step rpc.mountd -N 3

# A volume group; /dev/vdb is free for another one.
modprobe dm-mod
step vgcreate -q -y vg0 /dev/vda

# An iSCSI target with two units.
modprobe iscsi_tcp
echo 'InitiatorName=iqn.2024-01.example:initiator' >/etc/iscsi/initiatorname.iscsi
step tgtd
for _ in $(seq 50); do
    tgtadm --lld iscsi --op show --mode sys >/dev/null 2>&1 && break
    sleep 0.2
done
step tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2024-01.example:storage
for unit in 1 2; do
    truncate -s 16M "/tmp/unit$unit"
    step tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun "$unit" -b "/tmp/unit$unit"
done
step tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL
step iscsid

# Open vSwitch with a bridge.
modprobe -a openvswitch tun
mkdir -p /etc/openvswitch
rm -f /etc/openvswitch/conf.db
step ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
step ovsdb-server /etc/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --detach
step ovs-vsctl --no-wait init
step ovs-vswitchd --detach
step ovs-vsctl add-br ovs0

# libvirt, on a port that the machine below forwards from its loopback.
rm -rf /var/lib/libvirt/qemu /etc/libvirt/qemu /etc/libvirt/storage
cat >/lab/libvirtd.conf <<CONF
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
listen_addr = "0.0.0.0"
auth_unix_rw = "none"
CONF
step virtlogd -d
step libvirtd -d --listen -f /lab/libvirtd.conf
for _ in $(seq 300); do
    virsh -c qemu:///system version >/dev/null 2>&1 && break
    sleep 0.2
done
step virsh -c qemu:///system version
echo LAB-READY
# As the first process it is the one that has to notice that orphans have ended.
while true; do sleep 3600; done
