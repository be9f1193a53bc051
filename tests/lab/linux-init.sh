#!/bin/busybox sh
# First process of the small Linux guest. Reports on the console, one fact a line:
#
#   LAB-UP kernel=RELEASE                        the system runs
#   LAB-SEED hostname=H instance=I sha256=D      a NoCloud seed was found; D is that of its user-data
#   LAB-DHCP nic=N mac=M address=A/PREFIX router=R    a lease was got, again whenever it is renewed
#   LAB-LINUX cpus=C mem_kib=M uptime=S disks=NAME:SECTORS,... nics=NAME,...     once a second
#   LAB-POWER-BUTTON                             the machine was asked to switch off, and does

export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run /tmp /var
ln -s /run /var/run
mount -t devpts pts /dev/pts
exec </dev/console >/dev/console 2>&1
ip link set lo up
while read -r module; do
    insmod "$module"
done </modules
# A cdrom is asked for a change of its medium.
echo 1000 >/sys/module/block/parameters/events_dfl_poll_msecs
echo "LAB-UP kernel=$(uname -r)"

value_of() { sed -n "s/^$1: *//p" "$2" 2>/dev/null | head -n 1 | tr -d "\"'"; }

find_seed() {
    mkdir -p /seed
    for device in /sys/block/sr* /sys/block/vd* /sys/block/sd*; do
        [ -e "$device/size" ] || continue
        mount -t iso9660 -o ro "/dev/${device##*/}" /seed 2>/dev/null || continue
        if [ -f /seed/user-data ] && [ -f /seed/meta-data ]; then
            name=$(value_of hostname /seed/user-data)
            name=${name:-$(value_of local-hostname /seed/meta-data)}
            [ -z "$name" ] || hostname "$name"
            digest=$(sha256sum </seed/user-data)
            echo "LAB-SEED hostname=$name instance=$(value_of instance-id /seed/meta-data)" \
                "sha256=${digest%% *}"
            umount /seed
            return
        fi
        umount /seed
    done
}
find_seed

for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] && [ -x /sbin/qemu-ga ]; then
        qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run >/run/agent.log 2>&1 &
    fi
done

for event in /sys/class/input/event*; do
    [ "$(cat "$event/device/name" 2>/dev/null)" = "Power Button" ] || continue
    (
        dd if="/dev/input/${event##*/}" of=/dev/null bs=24 count=1 2>/dev/null
        echo LAB-POWER-BUTTON
        poweroff -f
    ) &
done

# Sets up what has appeared since the last time, and lists what is there.
nics() {
    list=
    for nic in /sys/class/net/eth*; do
        [ -e "$nic/address" ] || continue
        nic=${nic##*/}
        list=${list:+$list,}$nic
        if ! [ -e "/run/$nic.pid" ] || ! [ -e "/proc/$(cat "/run/$nic.pid")" ]; then
            ip link set "$nic" up
            # Often: a bridge with spanning tree forwards nothing for two seconds, and dnsmasq looks
            # for three seconds whether an address is free before it offers it.
            udhcpc -f -t 30 -T 1 -A 1 -i "$nic" -s /bin/lease -x "hostname:$(hostname)" \
                >/dev/null 2>&1 &
            echo $! >"/run/$nic.pid"
        fi
    done
}

disks() {
    list=
    for disk in /sys/block/vd* /sys/block/sd* /sys/block/sr*; do
        [ -e "$disk/size" ] || continue
        read -r sectors <"$disk/size"
        list=${list:+$list,}${disk##*/}:$sectors
    done
}

cpus() {
    count=0
    for online in /sys/devices/system/cpu/cpu[0-9]*; do
        # The first processor has no such file: it cannot be switched off.
        [ ! -e "$online/online" ] || echo 1 >"$online/online"
        count=$((count + 1))
    done
}

while :; do
    cpus
    while read -r key value _; do
        [ "$key" != MemTotal: ] || memory=$value
    done </proc/meminfo
    read -r uptime _ </proc/uptime
    disks
    report="cpus=$count mem_kib=$memory uptime=${uptime%.*} disks=$list"
    nics
    echo "LAB-LINUX $report nics=$list"
    sleep 1
done
