#!/bin/busybox sh
# First process of the storage host: puts a layer in memory above the root directory of the machine
# that it runs on, and goes on there with storage-start.sh.
export PATH=/bin
busybox mkdir -p /proc /sys /dev /lower /upper /root
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
while read -r module; do
    busybox insmod "$module" || echo "LAB-FAILED insmod $module"
done </modules
busybox mount -t virtiofs root /lower || echo "LAB-FAILED no root directory"
busybox mount -t tmpfs tmpfs /upper
busybox mkdir /upper/layer /upper/work
busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/layer,workdir=/upper/work overlay /root
busybox mkdir -p /root/lab
busybox cp /start /root/lab/start
for folder in proc sys dev; do
    busybox mount --move "/$folder" "/root/$folder"
done
exec busybox switch_root /root /bin/bash /lab/start
