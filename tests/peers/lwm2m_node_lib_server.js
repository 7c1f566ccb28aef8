#!/usr/bin/env node
'use strict';

// A LwM2M server by lwm2m-node-lib. It reads a device's version each time that it registers, observes its
// Firmware Update State, has it fetch a firmware once it has updated its registration, and execute that
// once it says that it is downloaded. What happens is a line of JSON on stdout; with the end of stdin it
// ends. Its habits: both parts of `rd/ID` in one Location-Path option; its requests go through its own port
// as through a proxy, on which no acknowledgement of a Confirmable notification comes back.
//
//   NODE_PATH=target/peers/npm/node_modules lwm2m_node_lib_server.js PORT URI

const { server } = require('lwm2m-node-lib');

const [port, firmware] = process.argv.slice(2);
const DOWNLOADED = '2';

const config = {
    port: Number(port),
    lifetimeCheckInterval: 60000,
    udpWindow: 100,
    defaultType: 'Device',
    logLevel: 'FATAL',
    ipProtocol: 'udp4',
    serverProtocol: 'udp4',
    deviceRegistry: { type: 'memory' },
    types: [],
    writeFormat: 'text/plain',
};

const tell = (event, endpoint, fields) => console.log(JSON.stringify({ event, endpoint, ...fields }));
const told = new Set();

function registered(endpoint) {
    server.getDevice(endpoint, (unknown, device) => {
        if (unknown) {
            return tell('unknown', endpoint, { error: unknown.name });
        }
        server.read(device.id, '3', '0', '3', (error, version) =>
            tell('read', endpoint, { version, error: error?.name }));
        const notified = (state) => {
            tell('notified', endpoint, { state });
            if (state === DOWNLOADED) {
                server.execute(device.id, '5', '0', '2', '', (error) =>
                    tell('executed', endpoint, { error: error?.name }));
            }
        };
        server.observe(device.id, '5', '0', '3', notified, (error, state) =>
            tell('observed', endpoint, { state, error: error?.name }));
    });
}

function updated({ id, name }) {
    tell('updated', name);
    if (!told.has(name)) {
        told.add(name);
        server.write(id, '5', '0', '1', firmware, (error) =>
            tell('written', name, { error: error?.name }));
    }
}

server.start(config, (failed, started) => {
    if (failed) {
        throw failed;
    }
    server.setHandler(started, 'registration', (endpoint, lifetime, version, binding, links, done) => {
        tell('registered', endpoint, { lifetime: Number(lifetime), version, binding });
        done();
        setImmediate(registered, endpoint);
    });
    server.setHandler(started, 'updateRegistration', (device, links, done) => {
        done(null, device);
        setImmediate(updated, device);
    });
    tell('ready');
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
