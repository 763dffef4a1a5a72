#!/bin/sh
# Makes the initial file system of a virtual machine: initrd.sh MOONSHELL MODULES_FOLDER SCRIPTS_FOLDER CGROUP_TESTS
# OCI_TESTS APPARMOR_PACKAGE OUTPUT
set -eu
moonshell=$1 modules=$2 scripts=$3 tests=$4 oci=$5 apparmor=$6 output=$7
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/modules"
cp /bin/busybox "$work/bin/busybox"
cp "$moonshell" "$work/bin/moonshell"
cp "$modules"/kernel/fs/overlayfs/overlay.ko* "$work/modules/"
cp "$scripts"/*.lua "$work/"
cp "$tests" "$work/bin/cgroups-tests"
cp "$oci" "$work/bin/oci-tests"
# The compiler of profiles, with the libraries it is linked to.
mkdir -p "$work/etc" "$work/usr/sbin" "$work/usr/share"
cp "$apparmor/sbin/apparmor_parser" "$work/usr/sbin/"
cp -r "$apparmor/etc/apparmor" "$work/etc/"
cp -r "$apparmor/usr/share/apparmor-features" "$work/usr/share/"
ldd "$work/usr/sbin/apparmor_parser" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$work$(dirname "$library")"
    cp -L "$library" "$work$library"
done
# Where the tests look for the program.
echo "$moonshell" >"$work/moonshell-path"

# The first file system cannot be the parent of a pivot_root, so everything moves to a tmpfs first.
cat >"$work/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /new
/bin/busybox mount -t proc proc /proc
/bin/busybox insmod /modules/overlay.ko
/bin/busybox mount -t tmpfs -o size=1g,mode=755 tmpfs /new
/bin/busybox cp -a /bin /etc /lib* /usr /second /*.lua /moonshell-path /new/
exec /bin/busybox switch_root /new /bin/busybox sh /second
INIT
cat >"$work/second" <<'SECOND'
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mkdir -p /proc /sys /dev /tmp /etc
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
echo "KERNEL $(uname -r)"
if grep -q tests=apparmor /proc/cmdline; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t securityfs securityfs /sys/kernel/security
    moonshell --root /state --progress none /apparmor.lua "$(command -v moonshell)" 2>&1
    echo "APPARMOR $?"
    poweroff -f
fi
if grep -q cgroups=v1 /proc/cmdline; then
    mount -t tmpfs cgroup /sys/fs/cgroup
    for name in cpu,cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls,net_prio; do
        mkdir "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name"
    done
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    moonshell --root /state --progress none /check.lua 2>&1
    echo "STATUS $?"
fi
moonshell --root /state --progress none /lasting.lua 2>&1
echo "LASTING $?"
cgroups-tests --test-threads=1 2>&1
echo "CGROUPS $?, LEFT $(find /sys/fs/cgroup -path '*/moonshell/*' -type d | wc -l)"
path=$(cat /moonshell-path)
mkdir -p "$(dirname "$path")"
ln -s /bin/moonshell "$path"
RUST_BACKTRACE=0 oci-tests --test-threads=1 --skip engines 2>&1
echo "OCI $?, LEFT $(find /sys/fs/cgroup -path '*/moonshell/*' -type d | wc -l)"
poweroff -f
SECOND
chmod +x "$work/init"
(cd "$work" && find . | cpio -o -H newc --quiet | gzip -1) >"$output"
