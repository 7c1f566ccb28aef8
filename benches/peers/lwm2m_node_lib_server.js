'use strict';

// lwm2m_node_lib_server.js PORT: the registry of lwm2m-node-lib, in memory.

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

server.start(config, (error, started) => {
    if (error) {
        throw error;
    }
    server.setHandler(started, 'registration', (endpoint, lifetime, version, binding, links, done) => done());
    server.setHandler(started, 'updateRegistration', (device, done) => done(null, device));
    server.setHandler(started, 'unregistration', (device, done) => done());
});
