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
# Functions for the programs here, which prepare a fresh Debian:
#
#   bootstrap    installs Python and the packages of bindep.txt, if missing
#   find_python  sets PYTHON to one that can make virtual environments
#   ensure_venv  makes a virtual environment, and sets VENV
#   run_tool     runs a program of this folder with PYTHON
#
# It also sets CACHE, a directory that may be deleted at any time.

CACHE=${NOVA_SERVICEGROUP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nova-servicegroup}
BINDEP_VERSION=2.14.0
_here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '[%s] %s\n' "$(date +%T)" "$*" >&2
}

# Debian's own Python is preferred: others may lack their headers.
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

# ensure_venv NAME ARGUMENT...: installs these arguments of pip. It is kept
# until they, a file that they name, or setup.cfg change.
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

# Debian starts the servers that it installs, unless a policy forbids it. The
# tests start their own.
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

# Runs a command with its output in a log, which is shown if the command fails.
_logged() {
    local log="$CACHE/$1.log" begun=$SECONDS status=0 ticker
    shift
    (
        while sleep 15; do
            say "still running after $((SECONDS - begun)) s"
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
