#!/bin/sh
# Turns the mount namespace that this runs in into the root of one Dagger engine, and becomes the engine's
# supervisor. Called by toolchain/engine.py below `unshare --mount --pid --fork`, so that every mount made here
# goes when the last process does, and so that killing the supervisor kills whatever the engine started.
#
# The engine rewrites /etc/resolv.conf by a mount over it: here it does so over its own copy.
#
# From the environment: ROOT (root file system, read-only), RUN (socket, configuration, log; becomes /run/dagger),
# STATE (the engine's cache), TOOLS (its programs), CONTENT (built-in SDKs). Arguments go to the engine.
set -eu

mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
# A sysfs of its own: one shows the network devices of the namespace that it was mounted in, and the engine dies
# when it looks for a container's device and it is not there.
mount -t sysfs sysfs "$ROOT/sys"
mount --rbind /sys/fs/cgroup "$ROOT/sys/fs/cgroup"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
mkdir "$ROOT/run/dagger"
mount --bind "$RUN" "$ROOT/run/dagger"
# Address leases of containers: those of an earlier run are of no meaning.
mount -t tmpfs -o mode=755 tmpfs "$ROOT/var/lib/cni"
mkdir -p "$STATE/lib" "$STATE/tmp"
mount --bind "$STATE/lib" "$ROOT/var/lib/dagger"
mount --bind "$STATE/tmp" "$ROOT/tmp"
mount --bind "$TOOLS" "$ROOT/opt/dagger/bin"
mount --bind "$CONTENT" "$ROOT/usr/local/share/dagger/content"
mount --bind "$RUN/resolv.conf" "$ROOT/etc/resolv.conf"
mount --bind "$RUN/hosts" "$ROOT/etc/hosts"
mount -o remount,bind,ro "$ROOT"

cd "$ROOT"
pivot_root . mnt
umount -l /mnt

# The supervisor hands a polite end on to the engine, and reaps what the engine's containers leave behind.
# shellcheck disable=SC2016 # expanded by the inner shell
exec chroot . /bin/sh -c '
    /opt/dagger/bin/dagger-engine "$@" &
    engine=$!
    trap "kill -TERM $engine 2>/dev/null" TERM INT
    while kill -0 "$engine" 2>/dev/null; do
        wait "$engine" || true
    done
' supervisor "$@"
