#!/usr/bin/env bash
# Everything that has to hold, on a Docker Engine found or made for it: tests/run.sh [pytest arguments]
#
# When the arguments leave nothing out, branch coverage under 85 % fails the run.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../compose/engine.sh"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What only tests need: a private root with python3 is bootstrapped (the image tests build on it), the power-cut tests
# make file systems in files, the page is looked at with a browser, and a PostgreSQL is filled and killed.
test_packages() {
    is_root && has_apt || return 0
    command -v debootstrap >/dev/null || echo --package debootstrap
    command -v mkfs.xfs >/dev/null || echo --package xfsprogs
    command -v mkfs.ext4 >/dev/null || echo --package e2fsprogs
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || echo --package chromium
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo --package postgresql
}

failed=()

# Every check is run, so that one look at the log shows all there is to mend.
check() {
    say ""
    say "== $*"
    "$@" || failed+=("$*")
}

# Whether pytest's arguments may leave tests out; switches that cannot are known by name.
narrowed() {
    local argument
    for argument in "$@"; do
        case $argument in
            -q | -v | -vv | -x | -ra | -rA | --durations=* | --tb=* | --color=* | --timeout=*) ;;
            *) return 0 ;;
        esac
    done
    return 1
}

cd "$ROOT"
# shellcheck disable=SC2046
prepare --extra dev $(test_packages)
generators rootfs busybox >/dev/null
if is_root && has_apt; then
    ls "$ENGINE"/cache/python-*.tar >/dev/null 2>&1 || say "· making a root with python3 for the tests' containers (once)"
    generators rootfs python >/dev/null
fi
wait_venv
PATH=$VENV/bin:$PATH
GENERATORS_PYTHON=$VENV/bin/python generators images busybox noshell python >/dev/null

check ruff check .
check ruff format --check .
check mypy
check lint-imports

# Coverage hooks itself into every Python that finds this variable: pytest's own, and each `python -m sidecar`.
rm -f .coverage .coverage.*
export COVERAGE_PROCESS_START=$ROOT/pyproject.toml COVERAGE_FILE=$ROOT/.coverage
if narrowed "$@"; then
    check pytest "$@"
else
    # Side by side, in the order of the folders, which has the quick ones last; then one after another what measures
    # bounds of time or has an engine to itself.
    check pytest "$@" -m "not alone" -n "$(nproc)" --dist loadfile --no-loadscope-reorder
    unset COVERAGE_PROCESS_START # bounds of time say nothing under a tracer
    check pytest "$@" -m alone
fi
unset COVERAGE_PROCESS_START
check coverage combine --quiet
if narrowed "$@"; then
    say "(coverage is not judged: the arguments may have narrowed the suite)"
else
    check coverage report --skip-covered --skip-empty --fail-under=85
fi

if [ ${#failed[@]} -gt 0 ]; then
    say ""
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
