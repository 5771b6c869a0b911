# SPDX-License-Identifier: Apache-2.0
"""A client on aiocoap: JSON requests on standard input, JSON responses on standard output."""

import asyncio
import json
import sys

import aiocoap
from aiocoap.numbers import codes


def request(base, ask):
    """A message from one line."""
    uri = base + ask["path"] + ("?" + ask["query"] if ask.get("query") else "")
    message = aiocoap.Message(code=getattr(codes, ask["method"]), uri=uri,
                              payload=(ask.get("payload") or "").encode())
    if ask.get("non"):
        message.transport_tuning = aiocoap.Unreliable
    if ask.get("format") is not None:
        message.opt.content_format = ask["format"]
    if ask.get("accept") is not None:
        message.opt.accept = ask["accept"]
    if ask.get("etag"):
        message.opt.etags = [bytes.fromhex(ask["etag"])]
    return message


def shown(response):
    """One line from a response."""
    etag, format_ = response.opt.etag, response.opt.content_format
    return {"code": response.code.dotted, "payload": response.payload.hex(),
            "format": None if format_ is None else int(format_), "etag": (etag or b"").hex(),
            "location": "".join("/" + part for part in response.opt.location_path or ())}


async def main():
    context = await aiocoap.Context.create_client_context()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer = shown(await context.request(request(sys.argv[1], json.loads(line))).response)
        except aiocoap.error.Error as why:
            answer = {"error": repr(why)}
        print(json.dumps(answer), flush=True)
    await context.shutdown()


asyncio.run(main())
