#!/bin/sh
# Rebuilds a release in the image that it was built in, without a network. Run there by whoever audits:
#
#   rebuild.sh CONFIG EPOCH      CONFIG: dhallmark.yaml in /case/source; EPOCH: seconds since 1970
#
# The materials are in /case, the result goes to /made: build/, and beside it in a file each what was said.
set -eu
export CONFIG="$1" EPOCH="$2"
mkdir -p /made
if ! unshare --net --uts --ipc true 2>/made/isolation; then
    exit 0
fi
exec unshare --net --uts --ipc sh -eu -c '
echo sealed >/made/isolation
echo rebuild.invalid 2>/dev/null >/proc/sys/kernel/hostname || true
uname -n >/made/hostname
umask 077
export SOURCE_DATE_EPOCH="$EPOCH" TZ=REBUILD-13:45 LC_ALL=C LANG=C HOME=/tmp/home
mkdir -p /tmp/home "/tmp/a place of its own"
cp -R /case/source "/tmp/a place of its own/rebuild"
cd "/tmp/a place of its own/rebuild"
dhallmark --version >/made/dhallmark
helm version --template "{{.Version}}" >/made/helm 2>/dev/null || true
# OutNoRoutes, the twelfth number of the line of numbers that begins with Ip: (proc_net_snmp(5)).
attempts() {
    while read -r name fields; do [ "$name" = Ip: ] && last=$fields; done </proc/net/snmp
    # shellcheck disable=SC2086
    set -- $last
    echo "${12}"
}
before=$(attempts || true)
status=0
for step in resolve render package; do
    echo "$step" >/made/step
    cache=
    if [ "$step" = resolve ]; then cache="--dhall-cache /case/cache"; fi
    # shellcheck disable=SC2086
    dhallmark "$step" --config "$CONFIG" --build /made/build $cache --output json >/dev/null 2>/made/error || status=$?
    if [ "$status" != 0 ]; then break; fi
done
echo "$status" >/made/status
after=$(attempts || true)
if [ -n "$before" ] && [ -n "$after" ]; then echo $((after - before)) >/made/attempts; fi
'
