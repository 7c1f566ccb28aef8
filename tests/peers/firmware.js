'use strict';

// What the devices by coap-node and lwm2m-node-lib have in common: options, the log, the Object 5 state
// machine, and the reboot. The events are those of device.py, one JSON object a line on stdout, and one
// more:
//
//   registered       query, links              what the stack said to the server, which took it
//
// The stack runs in a process of its own, so that a reboot is one: it dies without a word, and another
// starts with what flash memory holds. The image is fetched by npm `coap`, from a port of its own and
// without a Block2 option in the first request: the server picks the size.

const { fork } = require('node:child_process');
const { createHash } = require('node:crypto');
const { parseArgs } = require('node:util');
const coap = require('coap');

const [IDLE, DOWNLOADING, DOWNLOADED, UPDATING] = [0, 1, 2, 3];
const PACKAGE_URI = 1;
const STATE = 3;
const UPDATE_RESULT = 5;
const RESULT_INITIAL = 0;
const RESULT_SUCCESS = 1;
const RESULT_CONNECTION_LOST = 4;
const RESULT_INTEGRITY_CHECK_FAILED = 5;
const RESULT_INVALID_URI = 7;
const RESULT_UPDATE_FAILED = 8;

const OPTIONS = {
    server: { type: 'string', default: 'coap://127.0.0.1:5683' },
    endpoint: { type: 'string', default: 'device-1' },
    lifetime: { type: 'string', default: '60' },
    lwm2m: { type: 'string' }, // left out, coap-node says 1.0.0
    manufacturer: { type: 'string', default: 'Acme' },
    model: { type: 'string', default: 'NB-1' },
    version: { type: 'string', default: '1.0.0' },
    'new-version': { type: 'string', default: '2.0.0' },
    rssi: { type: 'string', default: '-97' },
    snr: { type: 'string' }, // left out, the resource is missing
    cell: { type: 'string', default: '123456789' },
    sha256: { type: 'string' }, // what the image must hash to; another is result 5
    'update-fail': { type: 'boolean', default: false }, // back to Downloaded with result 8
    'think-seconds': { type: 'string', default: '0.1' },
    'reboot-seconds': { type: 'string', default: '0.5' },
    'max-seconds': { type: 'string', default: '60' },
    answers: { type: 'string' }, // coap-node: text/plain, application/tlv or application/json, not
    // what it is asked for
};

const started = Number(process.env.DEVICE_STARTED_MS ?? Date.now());

function log(event, fields) {
    const t = (Date.now() - started) / 1000;
    process.stdout.write(`${JSON.stringify({ t, event, ...fields })}\n`);
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * Number(seconds)));

// One boot of the device. `tell(resource, value)` is set by the stack: the resource of /5/0 has that
// value now, its observers are to hear of it.
class Firmware {
    constructor(options, flash) {
        this.options = options;
        this.flash = flash;
        this.state = IDLE;
        this.tell = () => {};
    }

    // Object → resource → value, all of instance 0.
    objects() {
        const { options, flash } = this;
        const connectivity = {
            0: 7,
            2: Number(options.rssi),
            3: -11,
            8: Number(options.cell),
            9: 1,
            10: 240,
        };
        if (options.snr !== undefined) {
            connectivity[11] = Number(options.snr);
        }
        return {
            3: { 0: options.manufacturer, 1: options.model, 3: flash.version },
            4: connectivity,
            5: { [STATE]: this.state, [UPDATE_RESULT]: flash.result, 7: flash.version, 9: 0 },
        };
    }

    // The server wrote. What it changes at once, it changes before the Write is answered.
    write(resource, value) {
        const path = `/5/0/${resource}`;
        log('write', { path, size_bytes: Buffer.byteLength(value), text: value.slice(0, 255) });
        if (resource === PACKAGE_URI) {
            this.takeUri(value);
        }
    }

    // The server executed /5/0/2; answers whether that is allowed.
    execute(argument) {
        const accepted = this.state === DOWNLOADED;
        log('execute', { path: '/5/0/2', argument, accepted });
        if (accepted) {
            this.update();
        }
        return accepted;
    }

    async takeUri(uri) {
        this.set(UPDATE_RESULT, RESULT_INITIAL);
        if (uri === '') {
            this.set(STATE, IDLE);
            return;
        }
        if (!uri.startsWith('coap://')) {
            this.set(UPDATE_RESULT, RESULT_INVALID_URI);
            return;
        }
        this.set(STATE, DOWNLOADING);
        await pause(this.options['think-seconds']);
        let image;
        try {
            image = await download(uri);
        } catch (error) {
            log('download_failed', { uri, reason: String(error) });
            this.end(IDLE, RESULT_CONNECTION_LOST);
            return;
        }
        const sha256 = createHash('sha256').update(image).digest('hex');
        log('downloaded', { uri, size_bytes: image.length, sha256 });
        await pause(this.options['think-seconds']);
        if ((this.options.sha256 ?? sha256) === sha256) {
            this.set(STATE, DOWNLOADED);
        } else {
            this.end(IDLE, RESULT_INTEGRITY_CHECK_FAILED);
        }
    }

    async update() {
        await pause(this.options['think-seconds']);
        this.set(STATE, UPDATING);
        await pause(this.options['reboot-seconds']);
        if (this.options['update-fail']) {
            this.end(DOWNLOADED, RESULT_UPDATE_FAILED);
            return;
        }
        const flash = { version: this.options['new-version'], result: RESULT_SUCCESS };
        process.send({ flash }, () => process.kill(process.pid, 'SIGKILL'));
    }

    // A result is there before anyone can hear of the state that it explains.
    end(state, result) {
        this.set(UPDATE_RESULT, result);
        this.set(STATE, state);
    }

    set(resource, value) {
        if (resource === STATE) {
            this.state = value;
        }
        log('resource', { path: `/5/0/${resource}`, value });
        this.tell(resource, value);
    }
}

function download(uri) {
    const { hostname, port, pathname } = new URL(uri);
    return new Promise((done, fail) => {
        const agent = new coap.Agent({ type: 'udp4' });
        const request = agent.request({ hostname, port: Number(port), pathname });
        request.on('error', fail);
        request.on('response', (response) => {
            if (response.code === '2.05') {
                done(response.payload);
            } else {
                fail(new Error(response.code));
            }
        });
        request.end();
    });
}

// Runs a device: `boot(firmware, registered)` brings the stack up, registers, and calls `registered`
// with what it said.
function run(boot) {
    const { values } = parseArgs({ options: OPTIONS });
    if (process.send === undefined) {
        supervise(values);
        return;
    }
    // A device that is killed takes its stack with it.
    process.on('disconnect', () => process.exit());
    process.once('message', ({ flash }) => {
        const firmware = new Firmware(values, flash);
        log('started', { version: flash.version });
        boot(firmware, (query, links) => log('registered', { query, links }));
    });
}

function supervise(options) {
    let flash = { version: options.version, result: RESULT_INITIAL };
    const start = () => {
        const env = { ...process.env, DEVICE_STARTED_MS: started };
        const stack = fork(process.argv[1], process.argv.slice(2), { env });
        let updated = false;
        stack.on('message', (message) => {
            ({ flash } = message);
            updated = true;
        });
        stack.on('exit', (code) => {
            if (!updated) {
                log('stack_exited', { code });
                process.exit(1);
            }
            log('rebooted', { version: flash.version });
            start();
        });
        stack.send({ flash });
    };
    start();
    setTimeout(() => process.exit(0), 1000 * Number(options['max-seconds']));
}

module.exports = { run };
