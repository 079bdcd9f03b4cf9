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
# shellcheck shell=bash

#
# A DevStack of stand-ins, small enough for a test:
#
#   fake_devstack.sh DIRECTORY stack|unstack|clean
#
# It reads the plugin as DevStack does, in the same order of phases. What the
# plugin calls is added to DIRECTORY/calls; its functions that ran are listed
# in DIRECTORY/ran. Configuration files are real ones, below DIRECTORY/etc.
# Given by the environment: ENABLED_SERVICES, DISABLED_SERVICES, SERVICE_HOST,
# and what local.conf would say. Where RUN is set, run_process really runs.

set -euo pipefail

DIRECTORY=$1 MODE=$2
PLUGIN=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../devstack" && pwd)

# What stackrc says.
HOST_IP=${HOST_IP:-127.0.0.1}
SERVICE_HOST=${SERVICE_HOST:-$HOST_IP}
SERVICE_LISTEN_ADDRESS=${SERVICE_LISTEN_ADDRESS:-0.0.0.0}
DISABLED_SERVICES=${DISABLED_SERVICES:-}
DATA_DIR=$DIRECTORY/data
STACK_USER=$(id -un)
REGION_NAME=RegionOne
GLOBAL_VENV=${GLOBAL_VENV:-True}
DEVSTACK_VENV=$DATA_DIR/venv
VIRT_DRIVER=${VIRT_DRIVER:-libvirt}
export PATH=$DIRECTORY/bin:$PATH

record() {
    echo "$*" >> "$DIRECTORY/calls"
}

# Services
# --------

is_service_enabled() {
    local service
    for service in "$@"; do
        if [[ ,$ENABLED_SERVICES, == *,$service,* ]] \
            || [[ $service == nova && ,$ENABLED_SERVICES == *,n-* ]]; then
            return 0
        fi
    done
    return 1
}

enable_service() {
    local service
    for service in "$@"; do
        if [[ ,$DISABLED_SERVICES, != *,$service,* ]] \
            && ! is_service_enabled "$service"; then
            ENABLED_SERVICES+=,$service
        fi
    done
}

run_process() {
    is_service_enabled "$1" || return 0
    record "run_process $1 $2"
    if [[ -n ${RUN:-} ]]; then
        # DevStack is no root, and memcached refuses to run as root.
        [[ $1 != sg-memcached || $EUID != 0 ]] || set -- "$1" "$2 -u nobody"
        # shellcheck disable=SC2086
        setsid $2 > "$DIRECTORY/$1.log" 2>&1 < /dev/null &
        echo $! > "$DIRECTORY/$1.pid"
    fi
}

stop_process() {
    ! is_service_enabled "$1" || record "stop_process $1"
}

# Files in the format of oslo.config
# ----------------------------------

iniset() {
    local file=$1 section=$2 option=$3 value=$4
    touch "$file"
    inidelete "$file" "$section" "$option"
    grep -qxF "[$section]" "$file" || echo "[$section]" >> "$file"
    _ini "$file" "$section" '{ print } inside && /^\[/ { print line }' \
        "$option = $value"
}

inidelete() {
    _ini "$1" "$2" "!(inside && \$1 == \"$3\") { print }"
}

iniget() {
    awk -v section="[$2]" -v option="$3" '
        /^\[/ { inside = $0 == section }
        inside && $1 == option { sub(/^[^=]*= */, ""); print }' "$1"
}

_ini() {
    awk -v section="[$2]" -v line="${4:-}" \
        "/^\\[/ { inside = \$0 == section } $3" "$1" > "$1.new"
    mv "$1.new" "$1"
}

# Packages
# --------

setup_develop() {
    record "setup_develop $*"
}

install_bindep() {
    [[ -f $1 ]]
    record "install_bindep $*"
}

pip_uninstall() {
    record "pip_uninstall $* from ${PIP_VIRTUAL_ENV:-the system}"
}

# The rest
# --------

sudo() {
    "$@"
}

die() {
    shift
    echo "died: $*" >&2
    exit 1
}

echo_summary() {
    echo "$*"
}

define_plugin() {
    record "define_plugin $1"
}

ipv6_unquote() {
    tr -d '[]' <<< "$1"
}

test_with_retry() {
    record "test_with_retry $1"
    if [[ -n ${RUN:-} ]]; then
        timeout "$3" bash -c "until $1; do sleep 0.1; done" || die 0 "$2"
    fi
}

# lib/nova
# --------

lib_nova() {
    NOVA_CONF=$DIRECTORY/etc/nova.conf
    NOVA_CPU_CONF=$DIRECTORY/etc/nova-cpu.conf
    NOVA_NUM_CELLS=${NOVA_NUM_CELLS:-1}
    NOVA_BIN_DIR=$DIRECTORY/bin
    NOVA_SERVICE_REPORT_INTERVAL=${NOVA_SERVICE_REPORT_INTERVAL:-120}
}

conductor_conf() {
    echo "$DIRECTORY/etc/nova_cell$1.conf"
}

create_nova_conf() {
    local cell conf
    mkdir -p "$DIRECTORY/etc"
    rm -f "$NOVA_CONF"
    iniset "$NOVA_CONF" DEFAULT debug True
    iniset "$NOVA_CONF" DEFAULT report_interval \
        "$NOVA_SERVICE_REPORT_INTERVAL"
    iniset "$NOVA_CONF" DEFAULT service_down_time \
        "$((NOVA_SERVICE_REPORT_INTERVAL * 6))"
    for cell in $(seq 1 "$NOVA_NUM_CELLS"); do
        conf=$(conductor_conf "$cell")
        if is_service_enabled n-cond; then
            rm -f "$conf"
            iniset "$conf" database connection "mysql://nova_cell$cell"
        fi
    done
}

start_nova() {
    record start_nova
    is_service_enabled n-cpu || return 0
    cp "$NOVA_CONF" "$NOVA_CPU_CONF"
    inidelete "$NOVA_CPU_CONF" database connection
    # As with [[post-config|$NOVA_CPU_CONF]] in local.conf.
    [[ -z ${LOCAL_CPU_DRIVER:-} ]] || iniset "$NOVA_CPU_CONF" DEFAULT \
        servicegroup_driver "$LOCAL_CPU_DRIVER"
}

# stack.sh, unstack.sh and clean.sh
# ---------------------------------

# Names each function that runs, once.
trace() {
    if [[ -z ${seen[$1]:-} ]]; then
        seen[$1]=1
        echo "$1" >> "$DIRECTORY/ran"
    fi
}

phase() {
    echo "== $*"
    # shellcheck source=devstack/plugin.sh
    source "$PLUGIN/plugin.sh" "$@"
}

settings() {
    # shellcheck source=devstack/override-defaults
    source "$PLUGIN/override-defaults"
    lib_nova
    # shellcheck source=devstack/settings
    source "$PLUGIN/settings"
}

stack() {
    settings
    phase stack pre-install
    create_nova_conf
    phase stack install
    phase stack post-config
    start_nova
    phase stack extra
    phase stack test-config
}

unstack() {
    settings
    phase unstack
}

clean() {
    settings
    phase unstack
    phase clean
    rm -rf "${DIRECTORY:?}/etc"
}

declare -A seen=()
set -o functrace
trap 'trace "${FUNCNAME[0]:-main}"' DEBUG
"$MODE"
