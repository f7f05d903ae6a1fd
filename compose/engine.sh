# Sourced by compose/demo.sh and tests/run.sh: a virtual environment, and a Docker Engine to talk to.
#
#   prepare [--extra NAME] [--package NAME]... [PIP REQUIREMENT]...
#
# ends with $VENV made, the project installed in it, and DOCKER_HOST exported. A machine's own engine is used as it is;
# where there is none, a private one runs under .engine/ until the last script that uses it ends. Caller's duty:
# `trap finish EXIT`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
ENGINE=$ROOT/.engine
VENV=$ROOT/.venv
LOG=$ENGINE/log
PRIVATE=   # set when the engine in use is the one under .engine/
PIP=       # process that installs, while it does
POLICY=    # the policy-rc.d that this script made and has to take away

export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }

has_apt() { command -v apt-get >/dev/null && command -v dpkg >/dev/null; }

# Runs quietly with its output in a log; shows the log's end and stops when it fails.
quietly() {
    local log=$LOG/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null && return
    tail -n 15 "$log" >&2
    die "this failed: $* (all of it in ${log#"$ROOT"/})"
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$candidate
            return
        fi
    done
    die "Python 3.11 or newer is missing (set PYTHON to one that is not on the PATH)"
}

# ---- packages of the distribution ------------------------------------------------------------------------------------

# apt must not start services: what runs here is private. A policy that is there already is somebody's own.
forbid_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    POLICY=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

allow_services() {
    [ -z "$POLICY" ] || rm -f "$POLICY"
    POLICY=
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y -o DPkg::Lock::Timeout=120 \
        -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

apt_install() { apt_get install --no-install-recommends "$@" || { apt_get update && apt_get install --no-install-recommends "$@"; }; }

install_packages() {
    [ $# -gt 0 ] || return 0
    has_apt || die "missing here: $*; this machine has no apt to install it with"
    is_root || die "missing here: $*; install it, or run this as root to have it installed"
    say "· installing $* from the distribution's packages (once)"
    forbid_services
    quietly apt apt_install "$@"
    allow_services
}

# ---- virtual environment ---------------------------------------------------------------------------------------------

venv_package() {
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && return
    "$PYTHON" -c 'import sys; print(f"python3.{sys.version_info[1]}-venv")'
}

# What an installation depends on: the project's own file, where it lies, what else was asked for.
venv_wanted() { { cat "$ROOT/pyproject.toml"; printf '%s\n' "$ROOT" "$@"; } | sha256sum | cut -c1-64; }

# A child that goes when its shell is told to: background jobs do not hear a Ctrl-C.
child() { "$@" & wait $!; }

make_venv() (
    exec 7>"$ROOT/.engine/venv.lock"
    flock 7
    has_venv "$@" && return
    trap 'kill $(jobs -p) 2>/dev/null; exit 143' TERM
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        child "$PYTHON" -m venv --clear "$VENV" || return
    fi
    child "$VENV/bin/python" -m pip install --quiet --editable "$@" || return
    venv_wanted "$@" >>"$VENV/.installed"
)

has_venv() { grep -qsF "$(venv_wanted "$@")" "$VENV/.installed" && "$VENV/bin/python" -c 'import sidecar' 2>/dev/null; }

start_venv() {
    has_venv "$@" && return
    say "· installing the project into .venv (once)"
    make_venv "$@" >"$LOG/pip.log" 2>&1 </dev/null &
    PIP=$!
}

wait_venv() {
    [ -n "$PIP" ] || return 0
    wait "$PIP" || { tail -n 15 "$LOG/pip.log" >&2; die "the project could not be installed (all of it in .engine/log/pip.log)"; }
    PIP=
}

# ---- the engine ------------------------------------------------------------------------------------------------------

generators() { PYTHONPATH=$ROOT/compose "${GENERATORS_PYTHON:-$PYTHON}" -m "generators.$1" "${@:2}"; }

# From here on the engine is a private one under .engine/NAME that no other script uses, whatever runs on this machine.
own_engine() {
    ENGINE=$ROOT/.engine/$1 LOG=$ROOT/.engine/$1/log PRIVATE=1
    mkdir -p "$LOG"
    exec 9>"$ENGINE/users.lock"
    flock -n -x 9 || die "another $(basename "$0") uses ${ENGINE#"$ROOT"/}: wait until it has ended"
    stop_private_engine # what a killed run left; perhaps of another version
    rm -rf "$ENGINE/data"
}

# Exports DOCKER_HOST of the machine's own engine, or sets PRIVATE.
find_engine() {
    local found said=0
    if [ -z "$PRIVATE" ]; then
        found=$(generators engine) || said=$?
        case $said in
            0) export DOCKER_HOST=$found ;;
            1) PRIVATE=1 ;;
            *) exit 1 ;;
        esac
    fi
    [ -n "$PRIVATE" ] || return 0
    if ! is_root || ! grep -qsE '^ID=(debian|ubuntu)$' /etc/os-release; then
        die "no Docker Engine answers here: start it or set DOCKER_HOST (on Debian or Ubuntu, root gets a private one)"
    fi
}

# A folder short enough for sockets, whose paths end at 107 bytes.
engine_folder() {
    if [ -s "$ENGINE/folder" ] && [ -d "$(cat "$ENGINE/folder")" ]; then
        cat "$ENGINE/folder"
    elif [ $((${#ENGINE} + 44)) -le 107 ]; then
        mkdir -p "$ENGINE/run" && echo "$ENGINE/run" | tee "$ENGINE/folder"
    else
        mktemp -d /tmp/media-sync.XXXXXX | tee "$ENGINE/folder"
    fi
}

# The pid in a file, if that process is alive and one of ours.
own_pid() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && grep -qsF "$2" "/proc/$pid/cmdline" && echo "$pid"
}

answers() { DOCKER_HOST=$1 generators engine >/dev/null 2>&1; }

# Its own containerd too: dockerd would share a system-wide one, and with it another engine's namespace. setsid keeps a
# Ctrl-C in the terminal from ending the engine before the script has cleaned up.
launch_engine() {
    local run=$1
    printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >"$run/containerd.toml"
    printf '{}\n' >"$run/daemon.json"
    setsid containerd --config "$run/containerd.toml" --address "$run/c.sock" --root "$ENGINE/data/containerd" \
        --state "$run/containerd" --log-level warn >"$LOG/containerd.log" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$run/containerd.pid"
    setsid dockerd --config-file "$run/daemon.json" --bridge=none --iptables=false --ip6tables=false \
        --containerd "$run/c.sock" --data-root "$ENGINE/data/docker" --exec-root "$run/exec" \
        -H "unix://$run/docker.sock" -p "$run/docker.pid" >"$LOG/dockerd.log" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$run/dockerd.pid"
}

use_private_engine() {
    local run tries
    exec 9>"$ENGINE/users.lock" 8>"$ENGINE/start.lock"
    flock 8
    flock -s 9
    run=$(engine_folder)
    if ! answers "unix://$run/docker.sock"; then
        say "· starting a private Docker Engine under .engine/"
        stop_processes "$run"
        rm -f "$run/docker.sock" "$run/docker.pid"
        launch_engine "$run"
        for ((tries = 0; tries < 300; tries++)); do
            answers "unix://$run/docker.sock" && break
            own_pid "$run/dockerd.pid" "$run" >/dev/null || break
            sleep 0.2
        done
    fi
    if ! answers "unix://$run/docker.sock"; then
        grep -E 'level=(fatal|error)|failed to start' "$LOG/dockerd.log" | tail -n 3 >&2 || true
        die "the private Docker Engine did not start (all of it in .engine/log/dockerd.log)"
    fi
    export DOCKER_HOST=unix://$run/docker.sock
    echo "$DOCKER_HOST" >"$ENGINE/host"
    flock -u 8
}

# dockerd first, which ends its containers; then the containerd under it.
stop_processes() {
    local name pid tries
    for name in dockerd containerd; do
        pid=$(own_pid "$1/$name.pid" "$1") || continue
        kill "$pid" 2>/dev/null || continue
        for ((tries = 0; tries < 200; tries++)); do
            own_pid "$1/$name.pid" "$1" >/dev/null || break
            sleep 0.1
        done
        pid=$(own_pid "$1/$name.pid" "$1") && kill -KILL "$pid" 2>/dev/null
    done
    return 0
}

# What an engine mounted under its folder outlives it when it was killed, or ended before its last container: a
# container with the host's network leaves its namespace mounted at exec/netns. Deepest first.
unmount_below() {
    local at
    awk -v top="$1/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do
        umount -l "$at" 2>/dev/null || true
    done
}

# Stops the private engine if this was its last user and nobody asked to keep it. What cannot be tidied up is said, and
# is no reason to fail what ran before.
stop_private_engine() {
    local run
    [ -s "$ENGINE/folder" ] || return 0
    run=$(cat "$ENGINE/folder")
    stop_processes "$run"
    rm -f "$ENGINE/host" "$ENGINE/keep" "$ENGINE/folder"
    case $run in "$ENGINE"/run | /tmp/media-sync.*) ;; *) return 0 ;; esac
    unmount_below "$run"
    rm -rf "$run" || say "· $run could not be removed; the next run uses it again"
}

# ---- both ------------------------------------------------------------------------------------------------------------

prepare() {
    local packages=() extra='' requirements=() wanted
    while [ $# -gt 0 ]; do
        case $1 in
            --extra) extra="[$2]"; shift 2 ;;
            --package) packages+=("$2"); shift 2 ;;
            *) requirements+=("$1"); shift ;;
        esac
    done
    mkdir -p "$LOG"
    find_python
    find_engine
    if [ -n "$PRIVATE" ]; then
        command -v dockerd >/dev/null || packages+=(docker.io)
        command -v iptables >/dev/null || packages+=(iptables)
    fi
    wanted=$([ -x "$VENV/bin/python" ] || venv_package)
    [ -z "$wanted" ] || install_packages "$wanted"
    start_venv "$ROOT$extra" "${requirements[@]}"
    install_packages "${packages[@]}"
    [ -z "$PRIVATE" ] || use_private_engine
}

finish() {
    trap '' INT TERM
    allow_services
    if [ -n "$PIP" ]; then kill "$PIP" 2>/dev/null; wait "$PIP" 2>/dev/null; fi
    if [ -n "$PRIVATE" ] && [ ! -e "$ENGINE/keep" ] && flock -n -x 9 2>/dev/null; then stop_private_engine; fi
}
