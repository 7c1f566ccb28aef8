#!/usr/bin/env bash
# Puts the clients and servers that the tests talk to, none of them ours, where the tests look:
#
#   install.sh PEERS
#
#   PEERS/bin/wakatiwai, lwm2mclient, lwm2mclient-dtls, lwm2mserver   Eclipse Wakaama 1.0 (npm)
#   PEERS/bin/aiocoap-client, aiocoap-fileserver                      aiocoap (PyPI)
#   PEERS/aiocoap/bin/python3                                         a Python that has it
#   PEERS/npm/node_modules                                            coap-node, lwm2m-node-lib, coap (npm)
#   coap-client-notls, openssl, ssh-keygen, curl, chromium, …    on the PATH (Debian)
#
# Takes from the registries only what is missing; a second run takes a moment.
set -euo pipefail

readonly AIOCOAP=0.4.17
here=$(cd "$(dirname "$0")" && pwd)
peers=$(mkdir -p "$1/bin" && cd "$1" && pwd)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Debian's packages, by the program that each is there for.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need coap-client-notls libcoap3-bin
need chromium chromium
need curl curl
need wget wget
need gcc gcc
need npm npm
need node nodejs
need openssl openssl
need ssh-keygen openssh-client
need unzip unzip
need python3 python3
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from Debian: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
fi

# A folder's name says what made it, so that a change of the recipe makes another.
wakaama=$peers/wakaama-$(sha256sum "$here/build-wakaama.sh" | cut -c1-12)
if [ ! -x "$wakaama/wakatiwai" ]; then
    echo "building Wakaama"
    "$here/build-wakaama.sh" "$wakaama" </dev/null
fi

# A virtual environment that was moved has the old place in its programs' first lines.
venv=$peers/aiocoap-$AIOCOAP
if [ ! -e "$venv/complete" ] || ! "$venv/bin/aiocoap-client" --help >/dev/null 2>&1; then
    echo "installing aiocoap $AIOCOAP"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input "aiocoap==$AIOCOAP"
    touch "$venv/complete"
fi

# All versions and hashes are in the lock file.
modules=$peers/npm-$(cat "$here"/npm/package{,-lock}.json | sha256sum | cut -c1-12)
if [ ! -e "$modules/complete" ]; then
    echo "installing coap-node and lwm2m-node-lib"
    mkdir -p "$modules"
    cp "$here"/npm/package{,-lock}.json "$modules"
    npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
    touch "$modules/complete"
fi

ln -sfnr "$venv" "$peers/aiocoap"
ln -sfnr "$modules" "$peers/npm"
for program in "$wakaama"/* "$venv"/bin/{aiocoap-client,aiocoap-fileserver}; do
    ln -sfnr "$program" "$peers/bin/${program##*/}"
done
