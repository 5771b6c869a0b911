#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""copal against other people's servers.

    servers.py libcoap | aiocoap | node-coap | go-coap

The scripts serve one scene: /text (ETag "tag1"), /slow (answers 0.8 s later), /large (4000 bytes),
/stored (GET, PUT, POST, DELETE) and /.well-known/core. RFC 7252 section 5, RFC 7959 section 2.4.
"""

import json
import os
import sys

import peers
import scene
from scene import Process, copal, equal, free_port, holds, wait_for_server

LARGE = b"".join(b"%07d\n" % i for i in range(500))
CLIENT_ERROR = 4


def started(name, port):
    """A server by name."""
    if name == "libcoap":
        program = peers.libcoap("coap-server")
        return Process([program, "-A", "127.0.0.1", "-p", str(port), "-d", "9"])
    if name == "aiocoap":
        return Process([peers.aiocoap(), os.path.join(peers.HERE, "aiocoap_server.py"), str(port)])
    if name == "node-coap":
        node, env = peers.node_coap()
        return Process([node, os.path.join(peers.HERE, "node_server.js"), str(port)], env=env)
    return Process([peers.go_coap("server"), str(port)])


def stored(uri):
    """Create, change, read and delete."""
    copal("get", "-s", uri, status=CLIENT_ERROR)
    equal(code("put", uri, "-d", "one", "-c", "text"), "2.01", "PUT creates")
    equal(code("put", uri, "-d", "two", "-c", "text"), "2.04", "PUT changes")
    equal(copal("get", uri), b"two", "GET")
    equal(copal("get", "--non", uri), b"two", "non-confirmable GET")
    copal("put", uri, "-d", "-", "-c", "text", stdin=LARGE)
    equal(copal("get", uri), LARGE, "a body of several blocks, there and back")
    windowed(uri)
    equal(code("delete", uri), "2.02", "DELETE")


def windowed(uri):
    """Several blocks under way at once, whatever the server makes of that. RFC 7252 section 4.7."""
    body = LARGE * 5
    copal("put", "--window", "16", uri, "-d", "-", "-c", "text", stdin=body)
    equal(copal("get", "--window", "16", "--block-size", "256", uri), body, "a windowed GET")
    copal("put", "--window", "8", "--block-size", "128", uri, "-d", "-", "-c", "text", stdin=LARGE)
    equal(copal("get", "--window", "64", uri), LARGE, "a windowed PUT and GET")


def code(*arguments):
    """The response code of a request, from copal's JSON."""
    return str(json.loads(copal(*arguments, "--json"))["code"])


def libcoap(uri):
    """What Debian's coap-server serves."""
    holds(b"libcoap" in copal("get", uri + "/"), "GET of the root")
    holds(b":" in copal("get", uri + "/time"), "GET of the time")
    copal("get", "--timeout", "60", uri + "/async?1")
    stored(uri + "/copal")
    links = {link["href"]: link for link in discovered(uri)}
    equal(links["/time"].get("rt"), "ticks", "rt of a link")
    equal([link["href"] for link in discovered(uri, "rt=ticks")], ["/time"], "filtered links")
    holds(len(copal("get", "--block-size", "64", uri + "/example_data")) > 1000,
          "a representation in blocks of 64 bytes")


def discovered(uri, *filters):
    """The links of a discovery, from copal's JSON."""
    text = copal("discover", "--json", uri, *filters).decode()
    try:
        found = json.loads(text)
    except ValueError:  # one object per line
        found = [json.loads(line) for line in text.splitlines()]
    return found if isinstance(found, list) else found.get("links", [found])


def scripted(uri):
    """What the scripts serve."""
    equal(copal("get", uri + "/text"), b"hello", "GET")
    equal(copal("get", uri + "/slow"), b"finally", "a separate response")
    equal(copal("get", uri + "/large"), LARGE, "a representation of several blocks")
    equal(copal("get", "--window", "16", "--block-size", "64", uri + "/large"), LARGE,
          "several of them at once")
    copal("get", "--etag", b"tag1".hex(), uri + "/text")
    copal("get", "-s", uri + "/nothing", status=CLIENT_ERROR)
    stored(uri + "/stored")
    equal(code("post", uri + "/stored", "-d", "x", "-c", "text"), "2.04", "POST")
    hrefs = [link["href"] for link in discovered(uri)]
    holds({"/text", "/slow", "/large", "/stored"} <= set(hrefs), "all are discovered", hrefs)


def test():
    name, port = sys.argv[1], free_port()
    scene.need(scene.COPAL)
    uri = "coap://127.0.0.1:%d" % port
    with started(name, port):
        wait_for_server(port)
        if name != "node-coap":  # answers an Empty message with a response, RFC 7252 section 4.3
            copal("ping", "-c", "1", uri)
        (libcoap if name == "libcoap" else scripted)(uri)


if __name__ == "__main__":
    scene.main(test)
