#!/usr/bin/env node
'use strict';

// A LwM2M 1.0 device by coap-node, with the firmware object that a test can script: options, events and
// what becomes of an image are in firmware.js; the protocol is coap-node's own. Its habits: Confirmable
// notifications, `mac` in the query, `</>;ct=11543;hb` among the links, `lwm2m=1.0.0` unless configured
// (`v1`), and TLV, with an object instance around the resources where an instance is read, for whoever
// does not ask for text or JSON.
//
//   NODE_PATH=target/peers/npm/node_modules coap_node.js --server coap://HOST:PORT --endpoint NAME

const CoapNode = require('coap-node');
const SmartObject = require('smartobject');
const { run } = require('./firmware.js');

run((firmware, registered) => {
    const { options } = firmware;
    const objects = firmware.objects();
    const smartObject = new SmartObject();
    const node = new CoapNode(options.endpoint, smartObject, {
        lifetime: Number(options.lifetime),
        version: options.lwm2m,
        manuf: options.manufacturer,
        model: options.model,
        firmware: firmware.flash.version,
    });
    for (const [resource, value] of Object.entries(objects[4])) {
        smartObject.set(4, 0, resource, value);
    }
    smartObject.init(5, 0, {
        ...objects[5],
        1: {
            write: (uri, done) => {
                firmware.write(1, uri);
                done(null, uri);
            },
        },
        2: {
            exec: (...words) => {
                const done = words.pop();
                const accepted = firmware.execute(words.join(','));
                // The word by which coap-node knows a 4.05.
                done(accepted ? null : new Error('not now'), accepted ? null : '_unexecutable_');
            },
        },
    });
    firmware.tell = (resource, value) => smartObject.write(5, 0, resource, value, () => {});

    const request = node.request.bind(node);
    let said;
    node.request = (asked, ...rest) => {
        said = asked;
        request(asked, ...rest);
    };
    const { hostname, port } = new URL(options.server);
    node.register(hostname, Number(port), (error, answer) => {
        if (error || answer.status !== '2.01') {
            throw error ?? new Error(`not registered: ${answer.status}`);
        }
        if (options.answers !== undefined) {
            answerIn(options.answers, node.servers[node.port]);
        }
        registered(said.query, said.payload);
    });
});

function answerIn(format, server) {
    server.prependListener('request', ({ headers }) => {
        headers.Accept = format;
    });
}
