#!/usr/bin/env python3
"""aiocoap_server.py PORT FILE: /tiny and /image by aiocoap."""

import asyncio
import pathlib
import sys

import aiocoap
from aiocoap import resource


class Fixed(resource.Resource):
    def __init__(self, payload):
        super().__init__()
        self.payload = payload

    async def render_get(self, request):
        return aiocoap.Message(payload=self.payload)


async def main(port, file):
    site = resource.Site()
    site.add_resource(["tiny"], Fixed(b"22.5 C"))
    site.add_resource(["image"], Fixed(pathlib.Path(file).read_bytes()))
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(port)))
    await asyncio.get_running_loop().create_future()


asyncio.run(main(*sys.argv[1:]))
