#!/bin/busybox sh
# The first process of the test's machine: a container writes into a volume on the disk until the machine is switched off. The disk's file
# system writes nothing by itself for as long as that takes.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t ext4 -o commit=900 /dev/nvme0n1 /v
chmod 777 /v
echo 360000 >/proc/sys/vm/dirty_expire_centisecs
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
# The kernel hands the words of its command line that it does not know on: the number of processors, and the way to write.
INGOT_OPTIONS="--memory 400m --cpus $cpus --volume /v:/v" /image /bin/killed /v $way
echo "it ended: $?"
poweroff -f
