#!/usr/bin/env node
'use strict';

// A LwM2M server by lwm2m-node-lib, which reads a device's version once it has registered and observes
// its Firmware Update State. What happens is a line of JSON on stdout; with the end of stdin it ends.
//
//   NODE_PATH=target/peers/npm/node_modules lwm2m_node_lib_server.js PORT

const { server } = require('lwm2m-node-lib');

const config = {
    port: Number(process.argv[2]),
    lifetimeCheckInterval: 60000,
    udpWindow: 100,
    defaultType: 'Device',
    logLevel: 'FATAL',
    ipProtocol: 'udp4',
    serverProtocol: 'udp4',
    deviceRegistry: { type: 'memory' },
    types: [],
};

const tell = (event) => console.log(JSON.stringify(event));

function ask(endpoint) {
    server.getDevice(endpoint, (error, device) => {
        if (error) {
            return tell({ event: 'unknown', endpoint, error: error.name });
        }
        server.read(device.id, '3', '0', '3', (failed, version) =>
            tell({ event: 'read', endpoint, version, error: failed?.name }));
        const notified = (state) => tell({ event: 'notified', endpoint, state: String(state) });
        server.observe(device.id, '5', '0', '3', notified, (failed, state) =>
            tell({ event: 'observed', endpoint, state: String(state), error: failed?.name }));
    });
}

server.start(config, (error, started) => {
    if (error) {
        throw error;
    }
    server.setHandler(started, 'registration', (endpoint, lifetime, version, binding, links, done) => {
        tell({ event: 'registered', endpoint, lifetime: Number(lifetime), version, binding });
        done();
        setImmediate(ask, endpoint);
    });
    server.setHandler(started, 'updateRegistration', (device, links, done) => {
        tell({ event: 'updated', endpoint: device.name });
        done(null, device);
    });
    tell({ event: 'ready' });
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
