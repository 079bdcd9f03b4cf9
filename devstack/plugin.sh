#!/usr/bin/env bash
#
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
# The DevStack plugin: a Nova with the drivers of this package. The settings
# and what they mean are in the file of that name.
#
#   stack install      installs the package where Nova is, and the server
#   stack post-config  writes the configuration files and starts the server
#   stack extra        checks that every service is up, by our driver
#   stack test-config  checks that the backend knows the computes
#   unstack            stops the server
#   clean              removes what the server kept, and the package

_XTRACE_NOVA_SERVICEGROUP=$(set +o | grep xtrace)
set +o xtrace

_NOVA_SERVICEGROUP_JARS=/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar
_NOVA_SERVICEGROUP_MAIN=org.apache.zookeeper.server.quorum.QuorumPeerMain

# Installation
# ------------

function install_nova_servicegroup {
    # The extras bear the names of the drivers; db needs none.
    setup_develop "$NOVA_SERVICEGROUP_DIR" "${NOVA_SERVICEGROUP_DRIVER#db}"
    if _nova_servicegroup_serves; then
        install_bindep "$NOVA_SERVICEGROUP_DIR/bindep.txt" \
            "$NOVA_SERVICEGROUP_DRIVER"
    fi
}

# Whether this host runs the server of the driver.
function _nova_servicegroup_serves {
    [[ -n $NOVA_SERVICEGROUP_SERVER ]] \
        && is_service_enabled "$NOVA_SERVICEGROUP_SERVER"
}

# Configuration
# -------------

function configure_nova_servicegroup {
    local conf
    for conf in $(_nova_servicegroup_written_confs); do
        _configure_nova_servicegroup_driver "$conf"
        # DevStack gives these to nova.conf only, so that the conductors of
        # the cells would judge by others.
        _nova_servicegroup_copy_option "$conf" report_interval
        _nova_servicegroup_copy_option "$conf" service_down_time
    done
}

# The files that we write. A cell conductor reads the file of its cell and
# nothing else. nova-cpu.conf is none of them: DevStack makes it from nova.conf
# when it starts nova-compute.
function _nova_servicegroup_written_confs {
    local cell conf
    echo "$NOVA_CONF"
    for cell in $(seq 1 "$NOVA_NUM_CELLS"); do
        conf=$(conductor_conf "$cell")
        if is_service_enabled n-cond || [[ -e $conf ]]; then
            echo "$conf"
        fi
    done
}

function _configure_nova_servicegroup_driver {
    local conf=$1
    iniset "$conf" DEFAULT servicegroup_driver "$NOVA_SERVICEGROUP_DRIVER"
    case $NOVA_SERVICEGROUP_DRIVER in
        zk)
            iniset "$conf" zookeeper address "$NOVA_SERVICEGROUP_ZK_ADDRESS"
            iniset "$conf" zookeeper session_timeout \
                "$NOVA_SERVICEGROUP_ZK_SESSION_TIMEOUT"
            ;;
        mc)
            iniset "$conf" DEFAULT memcached_servers \
                "$NOVA_SERVICEGROUP_MC_SERVERS"
            ;;
        etcd)
            iniset "$conf" etcd address "$NOVA_SERVICEGROUP_ETCD_ADDRESSES"
            iniset "$conf" etcd ttl "$NOVA_SERVICEGROUP_ETCD_TTL"
            ;;
        redis)
            iniset "$conf" redis address "$NOVA_SERVICEGROUP_REDIS_ADDRESS"
            iniset "$conf" redis ttl "$NOVA_SERVICEGROUP_REDIS_TTL"
            ;;
    esac
}

function _nova_servicegroup_copy_option {
    local conf=$1 option=$2
    iniset "$conf" DEFAULT "$option" "$(iniget "$NOVA_CONF" DEFAULT "$option")"
}

# The server
# ----------

function start_nova_servicegroup {
    sudo install -d -o "$STACK_USER" "$NOVA_SERVICEGROUP_DATA_DIR"
    "_start_${NOVA_SERVICEGROUP_SERVER/-/_}"
}

function _start_sg_zookeeper {
    local conf=$NOVA_SERVICEGROUP_DATA_DIR/zoo.cfg java
    java=$(_nova_servicegroup_program java)
    # All services of this host are one client to ZooKeeper, which takes 60
    # connections of one client by default.
    cat > "$conf" <<END
tickTime=2000
dataDir=$NOVA_SERVICEGROUP_DATA_DIR/zookeeper
clientPort=$NOVA_SERVICEGROUP_ZK_PORT
clientPortAddress=$(ipv6_unquote "$NOVA_SERVICEGROUP_LISTEN_ADDRESS")
maxClientCnxns=0
admin.enableServer=false
END
    run_process sg-zookeeper "$java -Xmx256m -cp $_NOVA_SERVICEGROUP_JARS\
 $_NOVA_SERVICEGROUP_MAIN $conf"
    _nova_servicegroup_await_port "$NOVA_SERVICEGROUP_ZK_PORT"
}

function _start_sg_memcached {
    local memcached address
    memcached=$(_nova_servicegroup_program memcached)
    address=$(ipv6_unquote "$NOVA_SERVICEGROUP_LISTEN_ADDRESS")
    run_process sg-memcached "$memcached -l $address\
 -p $NOVA_SERVICEGROUP_MC_PORT -U 0 -m 64"
    _nova_servicegroup_await_port "$NOVA_SERVICEGROUP_MC_PORT"
}

function _start_sg_redis {
    local redis address
    redis=$(_nova_servicegroup_program redis-server)
    address=$(ipv6_unquote "$NOVA_SERVICEGROUP_LISTEN_ADDRESS")
    run_process sg-redis "$redis --bind $address --protected-mode no\
 --port $NOVA_SERVICEGROUP_REDIS_PORT --save \"\" --appendonly no"
    _nova_servicegroup_await_port "$NOVA_SERVICEGROUP_REDIS_PORT"
}

# systemd wants the whole path.
function _nova_servicegroup_program {
    command -v "$1" || die $LINENO "$1 is not installed, and bindep.txt does" \
        "not know its package here: use servers of your own, see settings"
}

function _nova_servicegroup_await_port {
    local host port=$1
    host=$(ipv6_unquote "$SERVICE_HOST")
    test_with_retry \
        "bash -c ': < /dev/tcp/$host/$port' 2>/dev/null" \
        "$NOVA_SERVICEGROUP_SERVER does not listen on $host:$port" \
        "$NOVA_SERVICEGROUP_TIMEOUT"
}

function stop_nova_servicegroup {
    # Whichever driver it was stacked with; as lib/nova does with its cells.
    enable_service sg-zookeeper sg-memcached sg-redis
    stop_process sg-zookeeper
    stop_process sg-memcached
    stop_process sg-redis
}

function cleanup_nova_servicegroup {
    sudo rm -rf "$NOVA_SERVICEGROUP_DATA_DIR"
    # Left there, the package would give its drivers to the next Nova, too.
    if [[ $GLOBAL_VENV == True ]]; then
        PIP_VIRTUAL_ENV=$DEVSTACK_VENV pip_uninstall nova-servicegroup
    else
        pip_uninstall nova-servicegroup
    fi
}

# Checks
# ------

function check_nova_servicegroup_services {
    local conf
    for conf in $(_nova_servicegroup_read_confs); do
        _check_nova_servicegroup_conf "$conf"
    done
    _nova_servicegroup_await 'a service is not up' \
        _nova_servicegroup_services_are_up
}

# The files that the services of this host read.
function _nova_servicegroup_read_confs {
    _nova_servicegroup_written_confs
    if is_service_enabled n-cpu; then
        echo "$NOVA_CPU_CONF"
    fi
}

function _check_nova_servicegroup_conf {
    local conf=$1 driver status=0
    driver=$(iniget "$conf" DEFAULT servicegroup_driver)
    [[ $driver == "$NOVA_SERVICEGROUP_DRIVER" ]] \
        || die $LINENO "$conf has servicegroup_driver = $driver"
    timeout "$NOVA_SERVICEGROUP_TIMEOUT" \
        "$NOVA_BIN_DIR/nova-servicegroup-status" --config-file "$conf" \
        upgrade check || status=$?
    # 1 is a warning: nova-compute cannot ask the database, for example.
    [[ $status -le 1 ]] \
        || die $LINENO "nova-servicegroup-status finds fault with $conf"
}

function _nova_servicegroup_services_are_up {
    local services binary
    services=$(_nova_servicegroup_list_services) || return 1
    echo "$services"
    if grep -qv ' up$' <<< "$services"; then
        return 1
    fi
    for binary in $(_nova_servicegroup_binaries); do
        grep -q "^$binary " <<< "$services" || return 1
    done
}

# Lines of binary, host and state: of all services on the controller, where no
# subnode is there yet, else of this host.
function _nova_servicegroup_list_services {
    local only=()
    is_service_enabled n-api \
        || only=(--host "$(_nova_servicegroup_compute_host)")
    # DevStack's function of the name openstack has no bound.
    timeout 30 openstack --os-cloud devstack-admin \
        --os-region-name "$REGION_NAME" compute service list \
        "${only[@]}" -f value -c Binary -c Host -c State
}

function _nova_servicegroup_binaries {
    ! is_service_enabled n-cond || echo nova-conductor
    ! is_service_enabled n-sch || echo nova-scheduler
    ! is_service_enabled n-cpu || echo nova-compute
}

# As wait_for_compute in DevStack.
function _nova_servicegroup_compute_host {
    local host
    host=$(iniget "$NOVA_CONF" DEFAULT host)
    host=${host:-$(hostname)}
    [[ $VIRT_DRIVER != fake ]] || host+=1
    echo "$host"
}

function check_nova_servicegroup_members {
    if ! is_service_enabled n-cpu; then
        return
    fi
    # With db the members are in Nova's database, which a subnode cannot read.
    if is_service_enabled n-api || [[ $NOVA_SERVICEGROUP_DRIVER != db ]]; then
        _nova_servicegroup_await 'the backend does not know this host' \
            _nova_servicegroup_is_member
    fi
}

function _nova_servicegroup_is_member {
    local conf=$NOVA_CPU_CONF members
    ! is_service_enabled n-api || conf=$NOVA_CONF
    members=$(timeout 30 "$NOVA_BIN_DIR/nova-servicegroup" \
        --config-file "$conf" member list compute \
        -f value -c Host -c State) || return 1
    echo "$members"
    grep -qxF "$(_nova_servicegroup_compute_host) up" <<< "$members"
}

# Runs a check until it succeeds; dies when it takes too long.
function _nova_servicegroup_await {
    local what=$1 check=$2 end=$((SECONDS + NOVA_SERVICEGROUP_TIMEOUT))
    until "$check"; do
        [[ $SECONDS -lt $end ]] || die $LINENO \
            "after $NOVA_SERVICEGROUP_TIMEOUT s: $what"
        sleep 1
    done
}

# Phases
# ------

function _nova_servicegroup_stack {
    case $1 in
        install)
            echo_summary 'Installing nova-servicegroup'
            install_nova_servicegroup
            ;;
        post-config)
            echo_summary "Configuring the $NOVA_SERVICEGROUP_DRIVER driver"
            configure_nova_servicegroup
            ! _nova_servicegroup_serves || start_nova_servicegroup
            ;;
        extra)
            echo_summary 'Checking that the services of Nova are up'
            check_nova_servicegroup_services
            ;;
        test-config)
            echo_summary 'Checking the members'
            check_nova_servicegroup_members
            ;;
    esac
}

case $1 in
    stack) ! is_service_enabled nova || _nova_servicegroup_stack "$2" ;;
    unstack) stop_nova_servicegroup ;;
    clean) cleanup_nova_servicegroup ;;
esac

$_XTRACE_NOVA_SERVICEGROUP
