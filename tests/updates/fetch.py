"""Fetches a URI by aiocoap with a block size exponent of its own: fetch.py URI SZX. Writes the bytes to
stdout; a code that is no success goes to stderr, with exit 1."""

import asyncio
import sys

import aiocoap


async def main(uri, szx):
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri=uri)
    request.opt.block2 = (0, False, szx)
    response = await context.request(request).response
    await context.shutdown()
    if not response.code.is_successful():
        sys.exit(str(response.code))
    sys.stdout.buffer.write(response.payload)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
