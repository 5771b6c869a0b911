# SPDX-License-Identifier: Apache-2.0
"""A server on aiocoap: the scene of servers.py on the loopback port given."""

import asyncio
import sys

import aiocoap
from aiocoap import Message, resource
from aiocoap.numbers import codes

LARGE = b"".join(b"%07d\n" % i for i in range(500))


class Text(resource.Resource):
    """A small text."""

    rt = "greeting"

    async def render_get(self, request):
        response = Message(payload=b"hello", content_format=0)
        response.opt.etag = b"tag1"
        if b"tag1" in request.opt.etags:
            return Message(code=codes.VALID, etag=b"tag1")
        if request.opt.accept not in (None, 0):
            return Message(code=codes.NOT_ACCEPTABLE)
        return response


class Slow(resource.Resource):
    """Answers after the empty acknowledgement."""

    async def render_get(self, request):
        await asyncio.sleep(0.8)
        return Message(payload=b"finally", content_format=0)


class Large(resource.Resource):
    """Several blocks."""

    async def render_get(self, request):
        return Message(payload=LARGE, content_format=0)


class Stored(resource.Resource):
    """What was put there."""

    def __init__(self):
        super().__init__()
        self.payload = None

    async def render_get(self, request):
        if self.payload is None:
            return Message(code=codes.NOT_FOUND, payload=b"nothing here")
        return Message(payload=self.payload, content_format=0)

    async def render_put(self, request):
        code = codes.CREATED if self.payload is None else codes.CHANGED
        self.payload = request.payload
        return Message(code=code)

    async def render_post(self, request):
        return Message(code=codes.CHANGED, payload=request.payload)

    async def render_delete(self, request):
        self.payload = None
        return Message(code=codes.DELETED)


async def main():
    site = resource.Site()
    site.add_resource([".well-known", "core"],
                      resource.WKCResource(site.get_resources_as_linkheader))
    for name, served in (("text", Text()), ("slow", Slow()), ("large", Large()),
                         ("stored", Stored())):
        site.add_resource([name], served)
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
