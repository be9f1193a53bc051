#!/bin/busybox sh
# What udhcpc calls with the lease in the environment.
# shellcheck disable=SC2154 # udhcpc sets the variables
case $1 in
deconfig)
    ip addr flush dev "$interface" scope global
    ;;
bound | renew)
    ip addr flush dev "$interface" scope global
    ip addr add "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface"
    read -r mac <"/sys/class/net/$interface/address"
    echo "LAB-DHCP nic=$interface mac=$mac address=$ip/$mask router=$router" >/dev/console
    ;;
esac
