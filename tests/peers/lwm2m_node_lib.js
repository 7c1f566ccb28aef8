#!/usr/bin/env node
'use strict';

// A LwM2M 1.0 device by lwm2m-node-lib, with the firmware object that a test can script: options, events
// and what becomes of an image are in firmware.js; the protocol is lwm2m-node-lib's own. Its habits:
// text without a Content-Format, a notification before the answer to the Write that caused it, 4.04 to
// the Read of an instance, and no answer to the end of an observation.
//
//   NODE_PATH=target/peers/npm/node_modules lwm2m_node_lib.js --server coap://HOST:PORT --endpoint NAME

const lwm2m = require('lwm2m-node-lib');
const { run } = require('./firmware.js');

const { client } = lwm2m;
const METHOD_NOT_ALLOWED = '4.05';

run((firmware, registered) => {
    const { options } = firmware;
    client.init({
        client: {
            lifetime: options.lifetime,
            version: options.lwm2m ?? '1.0',
            ipProtocol: 'udp4',
            serverProtocol: 'udp4',
            // It logs to stdout otherwise.
            logLevel: 'FATAL',
        },
        logLevel: 'FATAL',
    });
    // As text: a number 0 would be a resource that is missing.
    const set = (path, resource, value) =>
        client.registry.setResource(path, resource, String(value), throwError);
    for (const [object, resources] of Object.entries(firmware.objects())) {
        client.registry.create(`/${object}/0`, throwError);
        for (const [resource, value] of Object.entries(resources)) {
            set(`/${object}/0`, resource, value);
        }
    }
    firmware.tell = (resource, value) => set('/5/0', String(resource), value);

    const { hostname, port } = new URL(options.server);
    client.register(hostname, port, '', options.endpoint, (error, { serverInfo } = {}) => {
        throwError(error);
        client.setHandler(serverInfo, 'write', (object, instance, resource, value, done) => {
            firmware.write(Number(resource), value);
            done();
        });
        client.setHandler(serverInfo, 'execute', (object, instance, resource, argument, done) => {
            done(firmware.execute(argument) ? null : { code: METHOD_NOT_ALLOWED });
        });
        registered();
    });
});

function throwError(error) {
    if (error) {
        throw error;
    }
}
