#!/bin/sh
# Rebuilds a release in the image that it was built in, without a network. Run there by whoever audits:
#
#   rebuild.sh CONFIG EPOCH [CASE] [MADE]
#
# CONFIG is the path of dhallmark.yaml in CASE/source, EPOCH the time of everything in seconds since 1970. The materials
# are in CASE (/case); the result goes to MADE (/made): build/, and beside it in a file each what was said.
#
# It starts itself three times: to find out what it may do; in namespaces of its own; and as another user, for the steps.
set -eu

case "${REBUILD_STAGE:-start}" in
start)
    export CONFIG="$1" EPOCH="$2" CASE="${3:-/case}" MADE="${4:-/made}" REBUILD_STAGE=sealed
    mkdir -p "$MADE"
    if ! unshare --net --uts --ipc true 2>"$MADE/isolation"; then
        exit 0
    fi
    exec unshare --net --uts --ipc sh "$0"
    ;;
sealed)
    echo sealed >"$MADE/isolation"
    echo rebuild.invalid 2>/dev/null >/proc/sys/kernel/hostname || true
    PLACE="$(mktemp -d)"
    export PLACE REBUILD_STAGE=steps
    mkdir "$PLACE/a place of its own" "$PLACE/home"
    cp -R "$CASE/source" "$PLACE/a place of its own/rebuild"
    cp -R "$CASE/cache" "$PLACE/cache"
    # One processor, the first that there is; another user than a container's root. Both are util-linux's, as unshare is.
    set -- sh "$0"
    if [ "$(id -u)" = 0 ]; then
        chown -R 61184:61184 "$PLACE" "$MADE"
        set -- setpriv --reuid 61184 --regid 61184 --clear-groups --inh-caps=-all --no-new-privs "$@"
        # Where programs are root's alone, root it is, and the record says so.
        if ! "$@" probe 2>/dev/null; then set -- sh "$0"; fi
    fi
    if allowed=$(taskset -cp $$ 2>/dev/null); then
        allowed=${allowed##*: }
        set -- taskset -c "${allowed%%[-,]*}" "$@"
    fi
    exec "$@"
    ;;
esac

if [ "${1:-}" = probe ]; then
    dhallmark --version >"$MADE/dhallmark"
    exit
fi
umask 077
cd "$PLACE/a place of its own/rebuild"
export SOURCE_DATE_EPOCH="$EPOCH" TZ=REBUILD-13:45 LC_ALL=C LANG=C HOME="$PLACE/home" PYTHONPYCACHEPREFIX="$PLACE/home/compiled"
uname -n >"$MADE/hostname"
id -u >"$MADE/user"
umask >"$MADE/umask"
nproc >"$MADE/cpus"
echo "$LC_ALL" >"$MADE/locale"
echo "$TZ" >"$MADE/timezone"
dhallmark --version >"$MADE/dhallmark"
helm version --template "{{.Version}}" >"$MADE/helm" 2>/dev/null || true

# OutNoRoutes, the twelfth number of the line of numbers that begins with Ip: (proc_net_snmp(5)).
attempts() {
    while read -r name fields; do if [ "$name" = Ip: ]; then last=$fields; fi; done </proc/net/snmp
    # shellcheck disable=SC2086
    set -- $last
    echo "${12}"
}
before=$(attempts || true)
status=0
for step in resolve render package; do
    echo "$step" >"$MADE/step"
    set --
    if [ "$step" = resolve ]; then set -- --dhall-cache "$PLACE/cache"; fi
    dhallmark "$step" --config "$CONFIG" --build "$MADE/build" "$@" --output json >/dev/null 2>"$MADE/error" || status=$?
    if [ "$status" != 0 ]; then break; fi
done
echo "$status" >"$MADE/status"
after=$(attempts || true)
if [ -n "$before" ] && [ -n "$after" ]; then echo $((after - before)) >"$MADE/attempts"; fi
