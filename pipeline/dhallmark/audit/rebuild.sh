#!/bin/sh
# Rebuilds a release in the image that it was built in, without a network. Run there by whoever audits:
#
#   rebuild.sh CONFIG EPOCH [CASE] [MADE]
#
# CONFIG is the path of dhallmark.yaml in CASE/source, EPOCH the time of everything in seconds since 1970. The materials
# are in CASE (/case); the result goes to MADE (/made): build/, and beside it in a file each what was said.
set -eu
export CONFIG="$1" EPOCH="$2" CASE="${3:-/case}" MADE="${4:-/made}"
mkdir -p "$MADE"
if ! unshare --net --uts --ipc true 2>"$MADE/isolation"; then
    exit 0
fi
exec unshare --net --uts --ipc sh -eu -c '
echo sealed >"$MADE/isolation"
echo rebuild.invalid 2>/dev/null >/proc/sys/kernel/hostname || true
uname -n >"$MADE/hostname"
umask 077
place="$(mktemp -d)/a place of its own"
export SOURCE_DATE_EPOCH="$EPOCH" TZ=REBUILD-13:45 LC_ALL=C LANG=C HOME="$place/home"
mkdir -p "$HOME"
cp -R "$CASE/source" "$place/rebuild"
cd "$place/rebuild"
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
    if [ "$step" = resolve ]; then set -- --dhall-cache "$CASE/cache"; fi
    dhallmark "$step" --config "$CONFIG" --build "$MADE/build" "$@" --output json >/dev/null 2>"$MADE/error" || status=$?
    if [ "$status" != 0 ]; then break; fi
done
echo "$status" >"$MADE/status"
after=$(attempts || true)
if [ -n "$before" ] && [ -n "$after" ]; then echo $((after - before)) >"$MADE/attempts"; fi
'
