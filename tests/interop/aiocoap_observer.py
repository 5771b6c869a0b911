# SPDX-License-Identifier: Apache-2.0
"""An observer on aiocoap: prints each representation on a line, and how the observation ended."""

import asyncio
import sys

import aiocoap


async def main():
    context = await aiocoap.Context.create_client_context()
    asked = context.request(aiocoap.Message(code=aiocoap.GET, uri=sys.argv[1], observe=0))
    print((await asked.response).payload.decode(), flush=True)
    try:
        async for notification in asked.observation:
            print(notification.payload.decode(), flush=True)
    except aiocoap.error.Error as why:
        print("ended: %r" % why, flush=True)
    await context.shutdown()


asyncio.run(main())
