#!/usr/bin/env bash
# Everything that has to hold, on a Docker Engine found or made for it: tests/run.sh [pytest arguments]
#
# When the arguments leave nothing out, branch coverage under 85 % fails the run.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../compose/engine.sh"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A private root with python3 is bootstrapped from the distribution's packages; the image tests build on it.
rootfs_packages() {
    is_root && has_apt || return 0
    command -v debootstrap >/dev/null || echo --package debootstrap
}

step() {
    say ""
    say "== $*"
    "$@"
}

# Whether pytest's arguments may leave tests out; switches that cannot are known by name.
narrowed() {
    local argument
    for argument in "$@"; do
        case $argument in
            -q | -v | -vv | -s | -x | -ra | -rA | --durations=* | --tb=* | --color=* | --timeout=*) ;;
            *) return 0 ;;
        esac
    done
    return 1
}

cd "$ROOT"
# shellcheck disable=SC2046
prepare --extra dev $(rootfs_packages)
say "· making the generators' images (once, about a minute)"
generators rootfs busybox >/dev/null
generators rootfs python >/dev/null
wait_venv
PATH=$VENV/bin:$PATH
GENERATORS_PYTHON=$VENV/bin/python generators images busybox noshell python >/dev/null

step ruff check .
step ruff format --check .
step mypy
step lint-imports

# Coverage hooks itself into every Python that finds this variable: pytest's own, and each `python -m sidecar`.
rm -f .coverage .coverage.*
export COVERAGE_PROCESS_START=$ROOT/pyproject.toml COVERAGE_FILE=$ROOT/.coverage
status=0
step pytest "$@" || status=$?
unset COVERAGE_PROCESS_START
coverage combine --quiet
if narrowed "$@"; then
    say "(coverage is not judged: the arguments may have narrowed the suite)"
else
    step coverage report --skip-covered --skip-empty --fail-under=85 || [ "$status" != 0 ] || status=$?
fi
exit "$status"
