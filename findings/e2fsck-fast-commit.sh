#!/usr/bin/env bash
# e2fsck 1.47.0 throws away a journal that it could replay, and with it files that fsync(2) had made durable, when the
# file system has `fast_commit` and Linux went back from fast commits to whole ones before the power failed.
#
# Seen with e2fsprogs 1.47.0-2+b2 (Debian 12) on Linux 6.18: a file is written and fsynced (a fast commit), a symbolic
# link is made, the file is appended to and fsynced again (a whole commit). A copy of the disk at that moment:
#   - Linux mounts it, and has the file with all 5000 bytes;
#   - `e2fsck -fy` says "Invalid argument while recovering journal", goes on, ends with status 1 ('corrected') and a
#     clean file system without the file. The fast commits that the whole one has overtaken still lie in the journal
#     with their old number; Linux skips these, e2fsck takes them for an error and drops the transactions too.
#
# What to do with it: on a disk with `fast_commit`, mount first, and check after that.
# Needs root, a loop device and a kernel with fast commits. Fails when the behaviour is another.
set -euo pipefail
version=1.47.0-2+b2
dir=$(mktemp -d)
mounted=
cleanup() {
  [ -z "$mounted" ] || umount "$dir/mnt"
  rm -rf "$dir"
}
trap cleanup EXIT
chmod 755 "$dir"
cd "$dir"
apt-get download -q e2fsprogs=$version libext2fs2=$version libcom-err2=$version libss2=$version >log 2>&1 || { cat log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$dir/root/lib/x86_64-linux-gnu:$dir/root/usr/lib/x86_64-linux-gnu
export PATH=$dir/root/sbin:$PATH
mkdir mnt

mke2fs -q -F -t ext4 -b 4096 -O fast_commit disk.img 64M >log 2>&1
mount -o loop disk.img mnt; mounted=1
mkdir mnt/d
sync
head -c 4500 /dev/zero >mnt/d/file
sync mnt/d/file
ln -s target mnt/d/link
head -c 500 /dev/zero >>mnt/d/file
sync mnt/d/file
cp disk.img linux.img
umount mnt; mounted=
cp linux.img fsck.img

status=0
e2fsck -fy fsck.img >fsck.log 2>&1 || status=$?
after_fsck=$(debugfs -R 'stat d/file' fsck.img 2>/dev/null | grep -o 'Size: [0-9]*' || echo 'no file')
mount -o loop linux.img mnt; mounted=1
after_mount="Size: $(stat -c %s mnt/d/file)"
umount mnt; mounted=

echo "Linux $(uname -r) mounts:   $after_mount"
echo "e2fsck $version, status $status: $after_fsck"
grep 'recovering journal' fsck.log
[ "$after_mount" = 'Size: 5000' ] && [ "$after_fsck" = 'no file' ] && [ $status = 1 ] &&
  grep -q 'Invalid argument while recovering journal' fsck.log || { echo "the behaviour has changed"; exit 1; }
