'use strict';

// node_coap.js PORT FILE: /tiny and /image by npm's `coap`.

const coap = require('coap');
const fs = require('fs');

const [port, file] = process.argv.slice(2);
const image = fs.readFileSync(file);
const server = coap.createServer({ type: 'udp4' }, (request, response) => {
    response.end(request.url === '/image' ? image : '22.5 C');
});
server.listen(Number(port), '127.0.0.1');
