#!/bin/bash
# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

# boot_systemd.sh DIRECTORY VENV SOURCE: boots systemd as process 1 of its own
# namespaces, on a copy of this machine's files.
#
# DIRECTORY/etc is added to /etc. In it, DIRECTORY is /test, VENV /test/venv and
# SOURCE /test/source. Its units are those of DIRECTORY/etc and no others, but
# for what systemd itself needs; it starts default.target.

set -eu

directory=$1 venv=$2 source=$3
root=$directory/root

if [ -z "${INSIDE:-}" ]; then
    # What systemd makes of control groups stays below one of ours.
    groups=$directory/cgroup
    mkdir -p "$groups" "$root"
    mount -t cgroup2 none "$groups"
    own=$groups/nova-servicegroup-$$
    mkdir "$own"
    # unshare ignores the others; systemd dies with it.
    trap 'kill -KILL "$child"' TERM
    (
        echo "$BASHPID" >"$own/cgroup.procs"
        INSIDE=1 exec unshare --pid --mount --uts --ipc --cgroup --fork \
            --kill-child "$0" "$@"
    ) &
    child=$!
    wait "$child" || wait "$child" || true
    # Its processes may take a moment to end.
    for _ in {1..50}; do
        find "$own" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.1
    done
    umount "$groups"
    exit
fi

mount --make-rprivate /
mount -t tmpfs none "$root"
mkdir "$root/files" "$root/changes" "$root/work"
mount -t overlay none "$root/files" -o \
    "lowerdir=/,upperdir=$root/changes,workdir=$root/work"
files=$root/files
for each in proc sysfs tmpfs:run tmpfs:tmp; do
    case $each in
        proc) mount -t proc none "$files/proc" ;;
        sysfs) mount --rbind /sys "$files/sys" ;;
        *) mount -t tmpfs none "$files/${each#*:}" ;;
    esac
done
mount -t cgroup2 none "$files/sys/fs/cgroup"
mount --rbind /dev "$files/dev"
mkdir -p "$files/test"
mount --bind "$directory" "$files/test"
mkdir -p "$files/test/venv" "$files/test/source"
mount --bind "$venv" "$files/test/venv"
mount --bind "$source" "$files/test/source"

rm -rf "$files/etc/systemd"
cp -a "$directory/etc/." "$files/etc"
for each in sysinit basic shutdown; do
    printf '[Unit]\nDescription=%s\n' "$each" \
        >"$files/etc/systemd/system/$each.target"
done
exec chroot "$files" env -i container=other PATH="$PATH" \
    /lib/systemd/systemd --log-target=console --unit=default.target
