#!/usr/bin/env python3
"""A LwM2M 1.0 device with a firmware object (Object 5) that a test can script.

The protocol is spoken by stacks that nobody here wrote: Eclipse Wakaama, as the `wakatiwai` program
that build-wakaama.sh builds, registers and answers reads, writes, executes and observations;
libcoap's `coap-client-notls` downloads the image block-wise, from a port of its own, and curl where the
URI is one of HTTP. This file holds the values of the objects, which wakatiwai asks for over its stdin and stdout, and the Object 5 state
machine.

Every event is one JSON object a line on stdout: `t` (seconds since the start), `event`, and what
belongs to the event. Events and their fields are only ever added:

  started          port, version             the stack was started; it registers by itself
  connection       state                     the stack's own word for it: STATE_READY is registered
  write            path, size_bytes, text    the server wrote (the first 255 characters)
  execute          path, argument, accepted  the server executed
  resource         path, value               a value of Object 5 changed, observers are told
  downloaded       uri, size_bytes, sha256   the image is here, whole
  download_failed  uri, reason
  pushed           size_bytes, sha256        the image was written to /5/0/0
  rebooted         port, version             after an update: a hard kill, no deregistration
  stack_exited     code                      the stack died by itself; the device ends with code 1
  stack_unknown    command                   the stack asked for something this file does not know

Exit code 0 after --max-seconds or SIGINT (which deregisters), 143 after SIGTERM (which does not).
"""

import argparse
import base64
import ctypes
import hashlib
import json
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

# Value types, as wakatiwai numbers them (enum lwm2m_data_type_t).
MULTIPLE, STRING, OPAQUE, INTEGER, BOOLEAN = 3, 4, 5, 6, 8
# CoAP codes, as one byte.
CHANGED, CONTENT, NOT_FOUND, NOT_ALLOWED = 0x44, 0x45, 0x84, 0x85
RESPONSE = 2
# Object 5 (OMA-TS-LightweightM2M-V1_0, E.6).
PACKAGE, PACKAGE_URI, UPDATE, STATE, UPDATE_RESULT = 0, 1, 2, 3, 5
IDLE, DOWNLOADING, DOWNLOADED, UPDATING = 0, 1, 2, 3
RESULT_INITIAL, RESULT_SUCCESS, RESULT_CONNECTION_LOST, RESULT_INVALID_URI = 0, 1, 4, 7
RESULT_UPDATE_FAILED = 8
PR_SET_PDEATHSIG = 1

STARTED = time.monotonic()
_print = threading.Lock()


def log(event, **fields):
    """Prints one event."""
    with _print:
        line = {"t": round(time.monotonic() - STARTED, 3), "event": event, **fields}
        print(json.dumps(line), flush=True)


def encode(kind, value):
    """A value as wakatiwai takes it: numbers as decimal text, several as a counted list."""
    if kind == STRING:
        return value.encode()
    if kind == OPAQUE:
        return value
    if kind == INTEGER:
        return str(value).encode()
    if kind == BOOLEAN:
        return bytes([value])
    if kind == MULTIPLE:
        items = [(index, item[0], encode(*item)) for index, item in value.items()]
        return struct.pack("<H", len(items)) + b"".join(
            struct.pack("<HBH", index, kind, len(data)) + data for index, kind, data in items
        )
    raise ValueError(f"no such type: {kind}")


def objects(options):
    """object → instance → resource → (type, value); None is a resource that only takes a write or
    an execute."""
    device = {
        0: (STRING, options.manufacturer),
        1: (STRING, options.model),
        2: (STRING, "SN-" + options.endpoint),
        3: (STRING, options.version),
        4: None,
        9: (INTEGER, 87),
        11: (MULTIPLE, {0: (INTEGER, 0)}),
        16: (STRING, options.binding),
    }
    connectivity = {
        0: (INTEGER, 7),
        1: (MULTIPLE, {0: (INTEGER, 7)}),
        2: (INTEGER, options.rssi),
        3: (INTEGER, -11),
        4: (MULTIPLE, {0: (STRING, "10.0.0.2")}),
        8: (INTEGER, options.cell),
        9: (INTEGER, 1),
        10: (INTEGER, 240),
    }
    if options.snr is not None:
        connectivity[11] = (INTEGER, options.snr)
    firmware = {
        PACKAGE: None,
        PACKAGE_URI: (STRING, ""),
        UPDATE: None,
        STATE: (INTEGER, IDLE),
        UPDATE_RESULT: (INTEGER, RESULT_INITIAL),
        6: (STRING, "app"),
        7: (STRING, options.version),
        8: (MULTIPLE, {index: (INTEGER, one) for index, one in enumerate(options.protocols)}),
        9: (INTEGER, 1 if options.push_only else 2),
    }
    security = {
        0: (STRING, options.server),
        1: (BOOLEAN, False),
        2: (INTEGER, 3),
        3: (OPAQUE, b""),
        4: (OPAQUE, b""),
        5: (OPAQUE, b""),
        10: (INTEGER, 1),
        11: (INTEGER, 0),
    }
    server = {
        0: (INTEGER, 1),
        1: (INTEGER, options.lifetime),
        6: (BOOLEAN, False),
        7: (STRING, options.binding),
    }
    return {
        0: {0: security},
        1: {0: server},
        2: {},
        3: {0: device},
        4: {0: connectivity},
        5: {0: firmware},
    }


class Stack:
    """One run of wakatiwai: a process that asks on its stdout and is answered on its stdin, a line
    `/command:length:base64` each."""

    def __init__(self, options, port, answer, inputs):
        """`answer(command, request)` gives the bytes to reply with, or None for no reply."""
        self.answer = answer
        self.inputs = inputs
        self.changed = []
        # Whether it waits in select() and can take a change unasked. Between its question and our
        # answer it would take the change for the answer, and of two at once it drops the second.
        self.idle = False
        self.lock = threading.Lock()
        command = [options.stack, "-4", "-n", options.endpoint, "-l", str(port)]
        command += ["-s", "2048", "-o", "4,5"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=options.stack_log or subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            match = re.fullmatch(rb"/(\w+):\d*:([^\r\n]*)\r?\n", line)
            if match:
                self.handle(match.group(1).decode(), base64.b64decode(match.group(2)))
        self.inputs.put(("exited", self))

    def handle(self, command, request):
        with self.lock:
            self.idle = command in ("heartbeat", "stateChanged", "observe")
            if command == "stateChanged":
                log("connection", state=request.decode())
            elif command == "observe":
                self.send_changes()
            elif not self.idle:
                reply = self.answer(command, request)
                if reply is not None:
                    self.send(command, reply)

    def tell(self, path):
        """A resource has changed: its observers are to hear of it."""
        with self.lock:
            self.changed.append(path)
            if self.idle:
                self.send_changes()

    def send_changes(self):
        if self.changed:
            paths, self.changed, self.idle = self.changed, [], False
            body = b"".join(struct.pack("<H", len(path)) + path.encode() for path in paths)
            self.send("observe", struct.pack("<BBBH", RESPONSE, 0, CONTENT, len(paths)) + body)

    def send(self, command, data):
        text = base64.b64encode(data)
        try:
            self.process.stdin.write(b"/resp:%s:%d:%s\r\n" % (command.encode(), len(text), text))
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has exited; read() says so.

    def end(self, signal_number):
        """SIGINT deregisters, SIGTERM and SIGKILL do not."""
        self.process.send_signal(signal_number)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def die_with_parent():
    """A device that is killed takes its stack with it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Device:
    """The objects, and what becomes of a firmware image."""

    def __init__(self, options):
        self.options = options
        self.objects = objects(options)
        self.firmware = self.objects[5][0]
        self.inputs = queue.Queue()
        self.port = options.port or free_port()
        self.stack = None
        self.start()

    def start(self):
        log("started", port=self.port, version=self.objects[3][0][3][1])
        self.stack = Stack(self.options, self.port, self.answer, self.inputs)

    # What the server asks, by way of the stack. Runs on the stack's reader thread.

    def answer(self, command, request):
        known = {
            "readInstances": self.read_instances,
            "read": self.read,
            "discover": self.discover,
            "write": self.write,
            "execute": self.execute,
        }
        if command in known:
            return known[command](request)
        if command in ("backup", "restore"):
            return request_head(request, CONTENT) + struct.pack("<H", 0)
        if command in ("create", "delete"):
            return request_head(request, NOT_ALLOWED) + struct.pack("<H", 0)
        log("stack_unknown", command=command)
        return None

    def read_instances(self, request):
        (object_id,) = struct.unpack_from("<H", request, 2)
        instances = list(self.objects.get(object_id, {}))
        head = struct.pack("<BBBHH", RESPONSE, request[1], CONTENT, object_id, len(instances))
        return head + b"".join(struct.pack("<H", instance) for instance in instances)

    def read(self, request):
        instance, wanted = self.target(request)
        wanted = wanted or [resource for resource, value in instance.items() if value is not None]
        body = b""
        for resource in wanted:
            if resource not in instance:
                return request_head(request, NOT_FOUND) + struct.pack("<H", 0)
            if instance[resource] is None:
                return request_head(request, NOT_ALLOWED) + struct.pack("<H", 0)
            kind, value = instance[resource]
            data = encode(kind, value)
            body += struct.pack("<HBH", resource, kind, len(data)) + data
        return request_head(request, CONTENT) + struct.pack("<H", len(wanted)) + body

    def discover(self, request):
        instance, wanted = self.target(request)
        found = [resource for resource in wanted or instance if resource in instance]
        if wanted and found != wanted:
            return request_head(request, NOT_FOUND) + struct.pack("<H", 0)
        body = b"".join(struct.pack("<H", resource) for resource in found)
        return request_head(request, CONTENT) + struct.pack("<H", len(found)) + body

    def write(self, request):
        object_id, instance_id, count = struct.unpack_from("<HHH", request, 2)
        instance = self.objects.get(object_id, {}).get(instance_id, {})
        code, at = CHANGED, 8
        for _ in range(count):
            resource, _, size = struct.unpack_from("<HBH", request, at)
            value = request[at + 5 : at + 5 + size]
            at += 5 + size
            path = f"/{object_id}/{instance_id}/{resource}"
            log("write", path=path, size_bytes=size, text=value[:255].decode("latin1"))
            if (object_id, resource) == (5, PACKAGE_URI) and self.options.push_only:
                code = NOT_ALLOWED
            elif (object_id, resource) == (5, PACKAGE_URI):
                self.inputs.put(("uri", value.decode("utf-8", "replace")))
            elif (object_id, resource) == (5, PACKAGE):
                self.inputs.put(("package", value))
            elif object_id == 1 and resource in instance:
                kind = instance[resource][0]
                text = value.decode("latin1")
                instance[resource] = (kind, int(text) if kind == INTEGER else text)
            else:
                code = NOT_ALLOWED
        return request_head(request, code) + struct.pack("<H", 0)

    def execute(self, request):
        object_id, instance_id, resource = struct.unpack_from("<HH2xH", request, 2)
        is_update = (object_id, resource) == (5, UPDATE)
        accepted = is_update and self.firmware[STATE][1] == DOWNLOADED
        log(
            "execute",
            path=f"/{object_id}/{instance_id}/{resource}",
            argument=request[10:].decode("latin1"),
            accepted=accepted,
        )
        if accepted:
            self.inputs.put(("update", None))
        code = CHANGED if accepted else NOT_ALLOWED
        return request_head(request, code) + struct.pack("<H", 0)

    def target(self, request):
        """The instance that a read or discover asks for, and the resources; none is all."""
        object_id, instance_id, count = struct.unpack_from("<HHH", request, 2)
        wanted = struct.unpack_from(f"<{count}H", request, 8)
        return self.objects.get(object_id, {}).get(instance_id, {}), list(wanted)

    # What becomes of it. Runs on the main thread, one input after the other.

    def run(self):
        """Until the time is up (0) or the stack exits (1)."""
        end = time.monotonic() + self.options.max_seconds
        while (left := end - time.monotonic()) > 0:
            try:
                what, value = self.inputs.get(timeout=left)
            except queue.Empty:
                break
            if what == "exited" and value is self.stack:
                log("stack_exited", code=value.process.wait())
                return 1
            if what in ("uri", "package", "update"):
                time.sleep(self.options.think_seconds)
                {"uri": self.take_uri, "package": self.take_package, "update": self.update}[what](
                    value
                )
        self.stack.end(signal.SIGINT)
        return 0

    def take_uri(self, uri):
        if not uri:
            self.set(STATE, IDLE)
            return
        self.set(UPDATE_RESULT, RESULT_INITIAL)
        if not uri.startswith(("coap://", "http://")):
            self.set(UPDATE_RESULT, RESULT_INVALID_URI)
            return
        self.set(STATE, DOWNLOADING)
        try:
            image = self.download(uri)
        except (OSError, subprocess.SubprocessError) as error:
            log("download_failed", uri=uri, reason=str(error))
            self.set(STATE, IDLE, result=RESULT_CONNECTION_LOST)
            return
        log("downloaded", uri=uri, size_bytes=len(image), sha256=hashlib.sha256(image).hexdigest())
        time.sleep(self.options.think_seconds)
        if self.options.fail:
            self.set(STATE, IDLE, result=self.options.fail)
        else:
            self.set(STATE, DOWNLOADED)

    def take_package(self, image):
        log("pushed", size_bytes=len(image), sha256=hashlib.sha256(image).hexdigest())
        self.set(STATE, DOWNLOADED if image else IDLE)

    def update(self, _):
        self.set(STATE, UPDATING)
        time.sleep(self.options.reboot_seconds)
        if self.options.update_fail:
            self.set(STATE, DOWNLOADED, result=RESULT_UPDATE_FAILED)
            return
        self.stack.end(signal.SIGKILL)
        self.objects[3][0][3] = (STRING, self.options.new_version)
        self.firmware[7] = (STRING, self.options.new_version)
        self.firmware[PACKAGE_URI] = (STRING, "")
        self.firmware[STATE] = (INTEGER, IDLE)
        self.firmware[UPDATE_RESULT] = (INTEGER, RESULT_SUCCESS)
        if self.options.roam:
            self.port = free_port()
        log("rebooted", port=self.port, version=self.options.new_version)
        self.start()

    def set(self, resource, value, result=None):
        """A result is there before anyone can hear of the state that it explains."""
        if result is not None:
            self.set(UPDATE_RESULT, result)
        self.firmware[resource] = (INTEGER, value)
        log("resource", path=f"/5/0/{resource}", value=value)
        self.stack.tell(f"/5/0/{resource}")

    def download(self, uri):
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "image")
            if uri.startswith("http://"):
                return self.download_by_http(uri, image)
            command = ["coap-client-notls", "-b", str(self.options.block_size), "-o", image]
            command += ["-B", str(self.options.download_seconds), uri]
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=self.options.download_seconds + 5,
                check=True,
            )
            # It exits with 0 on a 4.04 too, and then prints the code.
            if re.search(r"^[45]\.\d\d", done.stderr, re.MULTILINE) or not os.path.exists(image):
                raise OSError(done.stderr.strip() or "no answer")
            with open(image, "rb") as file:
                return file.read()

    def download_by_http(self, uri, image):
        command = ["curl", "--silent", "--show-error", "--fail", "--output", image]
        command += ["--max-time", str(self.options.download_seconds), uri]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            raise OSError(done.stderr.strip() or f"curl exited with {done.returncode}")
        with open(image, "rb") as file:
            return file.read()


def request_head(request, code):
    """The beginning of most replies: the request's own number, object and instance."""
    return struct.pack("<BBB", RESPONSE, request[1], code) + request[2:6]


def free_port():
    """A UDP port that nobody has on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def protocols(text):
    return [int(one) for one in text.split(",")]


def parse_options():
    peers = os.environ.get("NARROWCAST_PEERS", "target/peers")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--stack", default=f"{peers}/bin/wakatiwai", help="the wakatiwai program")
    add("--stack-log", type=argparse.FileType("ab"), help="where the stack's own messages go")
    add("--server", default="coap://127.0.0.1:5683", help="coap://HOST:PORT")
    add("--endpoint", default="device-1", help="endpoint client name")
    add("--port", type=int, default=0, help="own UDP port; 0 takes a free one")
    add("--lifetime", type=int, default=60, help="registration lifetime in seconds")
    add("--binding", choices=["U", "UQ"], default="U", help="UQ says queue mode; it never sleeps")
    add("--manufacturer", default="Acme")
    add("--model", default="NB-1")
    add("--version", default="1.0.0", help="firmware version before the update")
    add("--new-version", default="2.0.0", help="firmware version after it")
    add("--rssi", type=int, default=-97, help="radio signal strength, /4/0/2, in dBm")
    add("--snr", type=int, help="signal to noise, /4/0/11, in dB; left out, the resource is missing")
    add("--cell", type=int, default=123456789, help="cell id, /4/0/8")
    add("--block-size", type=int, choices=[16, 32, 64, 128, 256, 512, 1024], default=512)
    add("--think-seconds", type=float, default=0.1, help="before each step of its own")
    add("--reboot-seconds", type=float, default=0.5, help="from Updating to the reboot")
    add("--download-seconds", type=int, default=60, help="the longest a download may take")
    add("--fail", type=int, choices=range(2, 10), metavar="2..9", help="result after the download")
    add("--update-fail", action="store_true", help="back to Downloaded with result 8")
    add("--protocols", type=protocols, default=[0, 2], help="/5/0/8, e.g. 0,2: CoAP and HTTP")
    add("--push-only", action="store_true", help="no URI is taken: the package comes by /5/0/0")
    add("--roam", action="store_true", help="another own port after the reboot")
    add("--max-seconds", type=float, default=60, help="then deregister and end")
    return parser.parse_args()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    device = Device(parse_options())
    try:
        return device.run()
    except KeyboardInterrupt:
        device.stack.end(signal.SIGINT)
        return 0
    finally:
        if device.stack.process.poll() is None:
            device.stack.end(signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
