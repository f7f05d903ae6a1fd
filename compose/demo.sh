#!/usr/bin/env bash
# Shows the main job on stand-ins for ComfyUI and Forge: pull everything, prove it, delete what is old.
#
#   compose/demo.sh          run it; nothing is left but the library
#   compose/demo.sh --keep   leave the containers, and a private engine where one was started, to play with
#   compose/demo.sh --stop   remove what --keep left
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
DEMO=$ENGINE/demo
KEEP=
UP=
unset "${!MEDIA_SYNC_@}"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    BOLD='' CYAN='' PLAIN=''
fi

demo() { GENERATORS_PYTHON=$VENV/bin/python generators demo "$1" "$DEMO"; }

heading() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }

quiet() { (cd "$DEMO" && "$VENV/bin/media-sync" "$@" --config media-sync.yaml); }

# Prints a command as it can be typed in the demo's folder, then runs it.
shown() {
    printf '%s$ media-sync %s --config media-sync.yaml%s\n' "$CYAN" "$*" "$PLAIN"
    quiet "$@" || die "media-sync $1 ended with exit code $?, see above"
}

end() {
    local code=$?
    trap '' INT TERM
    if [ -n "$UP" ] && [ -z "$KEEP" ]; then
        demo down || code=1
        rm -f "$ENGINE/keep" # an engine that an earlier --keep left has nothing to keep any more
    fi
    finish
    exit "$code"
}

stop() {
    if [ -s "$ENGINE/host" ]; then
        DOCKER_HOST=$(cat "$ENGINE/host")
        export DOCKER_HOST
        PRIVATE=1
        exec 9>"$ENGINE/users.lock"
        flock -s 9
        rm -f "$ENGINE/keep"
    else
        find_python
        find_engine
    fi
    demo down
    say "removed the demo's containers; the library in ${DEMO#"$ROOT"/}/library stays"
}

explain_keep() {
    local place=
    [ -z "$PRIVATE" ] || place=", on a private engine (DOCKER_HOST=$DOCKER_HOST)"
    cat <<TEXT
  The two containers still run$place. To go on:
    cd ${DEMO#"$ROOT"/}
    ../../.venv/bin/media-sync status --config media-sync.yaml
  To remove them: compose/demo.sh --stop
TEXT
}

explain_end() {
    heading "Done in $SECONDS s"
    printf '  The library: %s\n' "$DEMO/library"
    if [ -n "$KEEP" ]; then
        explain_keep
    else
        printf '  The containers are removed. To keep them and try things: compose/demo.sh --keep\n'
    fi
    cat <<'TEXT'
  Next, with generators of your own:
    .venv/bin/media-sync sources                      what would be pulled, and from where
    .venv/bin/media-sync sync NAME --source NAME=CONTAINER --library DIR --state DIR
    README.md and compose/compose.yaml                as a container beside them
TEXT
}

tour() {
    heading "1. Two generators, laid out as ComfyUI and Forge lay out their output"
    UP=1
    demo up
    heading "2. What is there to pull"
    shown sources
    heading "3. Pull it"
    shown sync
    demo synced
    heading "4. Pull again: nothing is new, so nothing is read"
    shown sync
    quiet sync --json 2>"$LOG/sync.log" | demo idle
    heading "5. What a purge would delete: proven originals older than 24 hours"
    shown purge --dry-run
    demo kept
    heading "6. Purge"
    shown purge
    demo purged
    heading "7. Find out what was made, and find it by that"
    shown index
    shown list --query lighthouse --limit 5
    heading "8. Where things stand"
    shown status
    explain_end
}

case ${1:-} in
    '') ;;
    --keep) KEEP=1 ;;
    --stop) ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
    *) die "unknown argument $1 (see --help)" ;;
esac
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$ROOT"
if [ "${1:-}" = --stop ]; then
    stop
    exit
fi
prepare 'pillow>=11' 'av>=14'
generators rootfs busybox >/dev/null
wait_venv
rm -rf "$DEMO"
mkdir -p "$DEMO"
[ -z "$KEEP" ] || [ -z "$PRIVATE" ] || touch "$ENGINE/keep"
tour
