#!/usr/bin/env bash
# How fast: media-sync beside docker cp, docker exec tar, rsync and rclone, on an engine that nobody else uses.
#
#   tests/bench/run.sh                      everything, medians of five; allow an hour, and 60 GB of disk
#   tests/bench/run.sh --only A,C,freeze    some workloads; --times N, --scale 0.1, --small, --json FILE; see --help
#   tests/bench/run.sh --engine-bin DIR     with the dockerd and containerd of DIR, where packages were unpacked
#                                           (`dpkg -x`), and the system's runc
#
# Needs root on Debian or Ubuntu, and installs what is missing. With BENCH_PYTHON set, that interpreter, which has the
# project and its `dev` extra, is used in place of .venv.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../../compose/engine.sh"
ARGUMENTS=()
ENGINE_BIN=

while [ $# -gt 0 ]; do
    case $1 in
        --engine-bin) ENGINE_BIN=${2:?needs a folder}; shift ;;
        --engine-bin=*) ENGINE_BIN=${1#*=} ;;
        *) ARGUMENTS+=("$1") ;;
    esac
    shift
done

# Whoever competes, and the engine that all of them talk to.
wanted_packages() {
    local program
    for program in rsync rclone curl runc; do
        command -v "$program" >/dev/null || echo --package "$program"
    done
    if [ "$IMAGE" = python ] && ! command -v debootstrap >/dev/null; then echo --package debootstrap; fi
    if ! command -v docker >/dev/null; then # a package of its own since Debian 13
        apt-cache show docker-cli >/dev/null 2>&1 && echo --package docker-cli || echo --package docker.io
    fi
}

end() {
    finish
    if [ -e "$ENGINE/folder" ]; then return; fi # it is still running, for somebody else
    say "· removing what was copied"
    unmount_below "$ENGINE"
    rm -rf "$ENGINE/data" "$ENGINE/work"
}

find_python
case " ${ARGUMENTS[*]} " in *" -h "* | *" --help "*) PYTHONPATH=$ROOT exec "$PYTHON" -m tests.bench.options --help ;; esac
IMAGE=$(PYTHONPATH=$ROOT "$PYTHON" -m tests.bench.options "${ARGUMENTS[@]}")
is_root || die "run this as root: it reads the container's files directly, and starts a Docker Engine"
if [ -n "$ENGINE_BIN" ]; then
    [ -d "$ENGINE_BIN" ] || die "there is no folder $ENGINE_BIN"
    ENGINE_BIN=$(cd "$ENGINE_BIN" && pwd -P)
    PATH=$ENGINE_BIN/usr/sbin:$ENGINE_BIN/usr/bin:$ENGINE_BIN:$PATH
    [[ $(command -v dockerd) == "$ENGINE_BIN"/* ]] || die "there is no dockerd in $ENGINE_BIN"
fi
own_engine bench
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -n "${BENCH_PYTHON:-}" ]; then
    VENV=$("$BENCH_PYTHON" -c 'import sys; print(sys.prefix)')
    start_venv() { :; } # it is somebody's own: nothing is installed there
fi

# shellcheck disable=SC2046
prepare --extra dev $(wanted_packages)
wait_venv

# Start-up is part of what is measured: bytecode is there, as in an installed package.
unset PYTHONDONTWRITEBYTECODE "${!MEDIA_SYNC_@}"
"$VENV/bin/python" -m compileall -q "$ROOT/sidecar" "$ROOT/tests/bench" >/dev/null
export PYTHONPATH=$ROOT:$ROOT/compose
"$VENV/bin/python" -m tests.bench "${ARGUMENTS[@]}"
