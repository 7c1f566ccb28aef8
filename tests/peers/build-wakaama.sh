#!/usr/bin/env bash
# Builds Eclipse Wakaama 1.0 (with tinydtls), a LwM2M client and server that nobody here wrote, from
# the C sources inside the npm package node-red-contrib-lwm2m. Needs npm, tar, sed and gcc.
#
#   build-wakaama.sh OUTDIR
#
# OUTDIR gets: lwm2mclient, lwm2mclient-dtls, lwm2mserver, and wakatiwai, the client whose objects
# live in its parent process (see device.py). The sources stay out of our repository: EPL-2.0.
set -euo pipefail

readonly PACKAGE=node-red-contrib-lwm2m VERSION=2.12.3
readonly SHA256=3e8f4fc9bb3f68933baf010bb3c8dd50f846f338a9eee85f67d52c71e98681c8

out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm pack --silent "$PACKAGE@$VERSION" >npm.log 2>&1 || { cat npm.log >&2; exit 1; }
echo "$SHA256  $PACKAGE-$VERSION.tgz" | sha256sum --check --quiet
tar xzf "$PACKAGE-$VERSION.tgz" package/deps/wakatiwai

deps=$work/package/deps/wakatiwai/deps
core=$deps/wakaama/core
client=$deps/wakaama/examples/client
shared=$deps/wakaama/examples/shared
tinydtls=$shared/tinydtls
wakatiwai=$work/package/deps/wakatiwai/src/client

# A bug of Wakaama 1.0: a Read of the whole of /5/0 writes six elements into an array of three.
sed -i 's/\*dataArrayP = lwm2m_data_new(3);/*dataArrayP = lwm2m_data_new(6);/' \
    "$client/object_firmware.c"

compile() { gcc -O1 -g -w -DLWM2M_LITTLE_ENDIAN -DREST_MAX_CHUNK_SIZE=1024 \
    -I"$core" -I"$core/er-coap-13" -I"$shared" "$@"; }

as_client=(-DLWM2M_CLIENT_MODE -DLWM2M_BOOTSTRAP)
as_dtls=(-DWITH_TINYDTLS -DDTLSv12 -DWITH_SHA256 -DDTLS_PSK -DDTLS_ECC
    -I"$tinydtls" -I"$deps" -I"$deps/tinydtls" -I"$tinydtls/aes" -I"$tinydtls/ecc" -I"$tinydtls/sha2")
shared_files=("$shared"/{commandline,memtrace,platform}.c)
objects=("$client"/object_{security,server,device,firmware,location,connectivity_moni,connectivity_stat,access_control}.c
    "$client"/{lwm2mclient,system_api,test_object}.c)
dtls_files=("$tinydtls"/{ccm,crypto,dtls_debug,dtls_time,dtls,hmac,netq,peer,session}.c
    "$tinydtls"/{sha2/sha2,aes/rijndael,ecc/ecc}.c)
coap_file=$core/er-coap-13/er-coap-13.c

# One process a program: they share nothing.
pids=()
compile "${as_client[@]}" -DLWM2M_SUPPORT_JSON "$coap_file" "$core"/*.c "${shared_files[@]}" \
    "$shared/connection.c" "${objects[@]}" -o "$work/lwm2mclient" & pids+=($!)
compile -DLWM2M_SERVER_MODE -DLWM2M_SUPPORT_JSON "$coap_file" "$core"/*.c "${shared_files[@]}" \
    "$shared/connection.c" "$deps/wakaama/examples/server/lwm2mserver.c" \
    -o "$work/lwm2mserver" & pids+=($!)
compile "${as_client[@]}" -DLWM2M_SUPPORT_JSON "${as_dtls[@]}" "$coap_file" "$core"/*.c \
    "${shared_files[@]}" "$shared/dtlsconnection.c" "${objects[@]}" "${dtls_files[@]}" \
    -o "$work/lwm2mclient-dtls" & pids+=($!)

# Wakatiwai has its own registration.c and block1.c in place of Wakaama's.
own=("$wakatiwai"/{lwm2mclient,object_generic,dtlsconnection,registration,block1}.c)
rest=()
for file in "$core"/*.c; do
    case ${file##*/} in registration.c | block1.c) ;; *) rest+=("$file") ;; esac
done
compile "${as_client[@]}" "${as_dtls[@]}" -DMAX_BLOCK1_SIZE=1048576 -I"$wakatiwai" \
    -I"$deps/base64" -DWAKATIWAI_VERSION='"3.3.2"' -DWAKATIWAI_EXECUTABLE='"wakatiwai"' \
    "$coap_file" "${rest[@]}" "${shared_files[@]}" "$deps/base64/base64.c" "${own[@]}" \
    "${dtls_files[@]}" -o "$work/wakatiwai" & pids+=($!)

for pid in "${pids[@]}"; do wait "$pid"; done
# Put in place at the very end: what is in OUTDIR is whole.
mv "$work"/{lwm2mclient,lwm2mclient-dtls,lwm2mserver,wakatiwai} "$out"
