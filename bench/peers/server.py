# SPDX-License-Identifier: Apache-2.0
"""The least server on aiocoap: /bench, which PUT replaces and GET reads and observes. Arguments: the
loopback port, and "con" when notifications are to be confirmable."""

import asyncio
import gc
import signal
import sys

import aiocoap
from aiocoap import Message, Reliable, Unreliable, resource
from aiocoap.numbers import codes


class Stored(resource.ObservableResource):
    """What was put there."""

    def __init__(self, tuning):
        super().__init__()
        self.tuning = tuning
        self.body = b""

    async def render_get(self, request):
        return Message(payload=self.body, transport_tuning=self.tuning)

    async def render_put(self, request):
        self.body = request.payload
        self.updated_state()
        return Message(code=codes.CHANGED)


async def main():
    site = resource.Site()
    site.add_resource(["bench"], Stored(Reliable() if sys.argv[2:] == ["con"] else Unreliable()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, gc.collect)
    await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
