# shellcheck shell=bash
# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

#
# To be sourced by the programs here. It makes a fresh Debian ready for them:
#
#   bootstrap    installs Python and what bindep.txt names, if it is missing
#   find_python  sets PYTHON to one that can make virtual environments
#   ensure_venv  makes one of these with what pip shall install, and sets VENV
#   run_tool     runs a program of this folder with PYTHON
#
# and sets CACHE, the directory for all that may be deleted at any time.

CACHE=${NOVA_SERVICEGROUP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nova-servicegroup}
BINDEP_VERSION=2.14.0
_here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '[%s] %s\n' "$(date +%T)" "$*" >&2
}

# Debian's own Python goes first: others may lack their headers.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
        if [ -n "$candidate" ] && _suits "$candidate"; then
            PYTHON=$candidate
            return 0
        fi
    done
    say 'no python3 of 3.10 or later with venv; run tools/ministack up first'
    return 1
}

_suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
        2>/dev/null
}

# ensure_venv NAME ARGUMENT...: with what pip installs for these arguments.
# Built once and kept, until they change, or a file that they name, or the
# extras of this package.
ensure_venv() {
    local name=$1 wanted
    shift
    VENV="$CACHE/$name"
    wanted=$(echo "$PYTHON $*"
        cat -- "$_here/setup.cfg" "$@" 2>/dev/null || true)
    if [ "$(cat "$VENV/stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing $name"
        rm -rf "$VENV"
        _logged "$name" "$PYTHON" -m venv "$VENV"
        _logged "$name" "$VENV/bin/pip" install --upgrade pip
        _logged "$name" "$VENV/bin/pip" install "$@"
        echo "$wanted" > "$VENV/stamp"
    fi
}

# run_tool NAME ARGUMENT ...
run_tool() {
    PYTHONPATH=$_here "$PYTHON" -m "tools.$1" "${@:2}"
}

bootstrap() {
    mkdir -p "$CACHE"
    find_python 2>/dev/null || _apt_install python3 python3-venv
    find_python
    _ensure_bindep
    local missing
    missing=$("$CACHE/venv-tools/bin/bindep" -b -f "$_here/bindep.txt" test) \
        || [ -n "$missing" ] || { say 'bindep failed'; return 1; }
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        _apt_install $missing
    fi
}

_ensure_bindep() {
    local stamp="$CACHE/venv-tools/stamp"
    [ "$(cat "$stamp" 2>/dev/null)" = "$BINDEP_VERSION" ] && return 0
    say 'installing bindep'
    rm -rf "$CACHE/venv-tools"
    _logged bindep "$PYTHON" -m venv "$CACHE/venv-tools"
    _logged bindep "$CACHE/venv-tools/bin/pip" install \
        "bindep==$BINDEP_VERSION"
    echo "$BINDEP_VERSION" > "$stamp"
}

_apt_install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "missing: $*; please install these packages as root"
        return 1
    fi
    say "installing with apt: $*"
    _logged apt apt-get update
    _without_services _logged apt env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"
    say 'installed'
}

# Debian starts what it installs, unless a policy forbids it. We run servers
# of our own and want no others.
_without_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    "$@" || status=$?
    rm -f "$policy"
    trap - EXIT
    return "$status"
}

# Runs a command silently, with a line now and then; shows the log if it fails.
_logged() {
    local log="$CACHE/$1.log" begun=$SECONDS status=0 ticker
    shift
    (
        while sleep 15; do
            say "still at it after $((SECONDS - begun)) s"
        done
    ) &
    ticker=$!
    "$@" > "$log" 2>&1 || status=$?
    { kill "$ticker" && wait "$ticker"; } 2>/dev/null || true
    if [ "$status" != 0 ]; then
        tail -n 20 "$log" >&2
        say "$* failed; read the log: $log"
    fi
    return "$status"
}
