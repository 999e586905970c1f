#!/bin/sh
# inside_root.sh TREE RUN COMMAND...: become COMMAND with TREE as the root, the run directory in its usual place.
# Must be started in a mount namespace of its own, which takes every mount made here with it when it ends.
# pivot_root rather than chroot: an engine unpacks images in a chroot, which the kernel denies to a chrooted process.
set -eu
tree=$1 run=$2
shift 2
mount --bind "$tree" "$tree"
for folder in proc sys dev; do mount --rbind "/$folder" "$tree/$folder"; done
for folder in run tmp; do mount -t tmpfs tmpfs "$tree/$folder"; done
mkdir -p "$tree$run"
mount --bind "$run" "$tree$run"
mount -o remount,bind,ro "$tree"
cd "$tree"
pivot_root . .
umount -l .
cd /
exec "$@"
