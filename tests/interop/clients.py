#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other people's clients against copald: one round through everything it serves.

    clients.py libcoap | aiocoap | aiocoap-client | node-coap | go-coap | californium

RFC 7252 section 5, RFC 6690 section 4, RFC 7959 section 2.4.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "rfc"))

import peers
import scene
from scene import Copald, Programmed, Wrong, equal, holds

import peer as raw
import wire

LARGE = b"".join(b"%07d\n" % i for i in range(500))


class CoapClient:
    """libcoap's coap-client; what it received is read from its message trace."""

    FORMATS = {"text/plain": 0, "application/link-format": 40, "application/json": 50}

    def __init__(self, program, uri):
        self.program, self.uri = program, uri

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, method, path, query=None, payload=None, format=None, accept=None, etag=None,
            non=False):
        command = [self.program, "-v", "6", "-B", "60", "-m", method.lower()]
        command += ["-e", payload] if payload is not None else []
        command += ["-t", str(format)] if format is not None else []
        command += ["-A", str(accept)] if accept is not None else []
        command += ["-O", "4,0x" + etag] if etag is not None else []
        command += ["-N"] if non else []
        command += [self.uri + path + ("?" + query if query else "")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        return self.parse(done.stdout)

    def parse(self, output):
        shown = output.decode("latin-1")
        messages = re.findall(r"^v:1 t:\w+ c:(\d\.\d\d) i:\w+ {\w*} \[ ?(.*?) ?\](?: :: (.*))?$",
                              shown, re.M)
        if not messages:
            raise Wrong("coap-client shows no response:\n" + shown)
        code, listed, _ = messages[-1]
        options = [tuple(one.split(":", 1)) for one in listed.split(", ") if ":" in one]
        found = dict(options)
        # The payload is printed by itself, without the lines of the trace.
        body = b"\n".join(line for line in output.split(b"\n") if not line.startswith(b"v:1 "))
        name = found.get("Content-Format")
        return {"code": code, "payload": body.rstrip(b"\n"),
                "format": self.FORMATS.get(name, name),
                "etag": found.get("ETag", "").removeprefix("0x"),
                "location": "".join("/" + v for k, v in options if k == "Location-Path")}


class Californium(Programmed):
    """A client in Java, which has no JSON: fields separated by tabs."""

    def __init__(self, uri):
        self.uri = uri
        program = os.path.join(peers.HERE, "californium", "Client.java")
        super().__init__([*peers.californium(), program])

    def ask(self, method, path, query=None, payload="", format="", accept="", etag="", non=False):
        uri = self.uri + path + ("?" + query if query else "")
        fields = (method, uri, payload.encode().hex(), format, accept, etag, "non" if non else "")
        self.process.stdin.write("\t".join(str(field) for field in fields) + "\n")
        line = self.line(120)
        if not line:
            raise Wrong("no answer to %s %s:\n%s" % (method, path, self.errors()))
        code, payload, format, etag, location = line.rstrip("\n").split("\t")
        return {"code": code, "payload": bytes.fromhex(payload), "etag": etag,
                "format": int(format) if format else None, "location": location}


def client(name, uri):
    """The adapter of a client by name."""
    if name == "libcoap":
        return CoapClient(peers.libcoap("coap-client"), uri)
    if name == "aiocoap":
        return Programmed([peers.aiocoap(), os.path.join(peers.HERE, "aiocoap_client.py"), uri])
    if name == "node-coap":
        node, env = peers.node_coap()
        return Programmed([node, os.path.join(peers.HERE, "node_client.js"), uri], env=env)
    if name == "californium":
        return Californium(uri)
    return Programmed([peers.go_coap("client"), uri])


def changes(c, path):
    """Create, change, read, condition and delete."""
    equal(c.ask("PUT", path, payload="one", format=0)["code"], "2.01", "PUT creates")
    equal(c.ask("PUT", path, payload="two", format=0)["code"], "2.04", "PUT changes")
    got = c.ask("GET", path)
    equal((got["code"], got["payload"], got["format"]), ("2.05", b"two", 0), "GET")
    holds(1 <= len(bytes.fromhex(got["etag"])) <= 8, "the ETag has 1 to 8 bytes", got)
    valid = c.ask("GET", path, etag=got["etag"])
    equal(valid["code"], "2.03", "GET with that ETag")
    equal(c.ask("GET", path, etag="00112233")["code"], "2.05", "GET with another ETag")
    equal(c.ask("GET", path, accept=0)["code"], "2.05", "GET that accepts text")
    equal(c.ask("GET", path, accept=50)["code"], "4.06", "GET that accepts JSON only")
    got = c.ask("GET", path, non=True)
    equal((got["code"], got["payload"]), ("2.05", b"two"), "non-confirmable GET")
    equal(c.ask("DELETE", path)["code"], "2.02", "DELETE")
    equal(c.ask("GET", path)["code"], "4.04", "GET of what was deleted")


def children(c, path):
    """POST on a collection."""
    got = c.ask("POST", path, payload="child", format=0)
    equal(got["code"], "2.01", "POST creates")
    holds(got["location"].startswith(path + "/"), "Location-Path is below the collection", got)
    equal(c.ask("GET", got["location"])["payload"], b"child", "GET of the child")
    equal(c.ask("DELETE", got["location"])["code"], "2.02", "DELETE of the child")


def discovery(c, path):
    """/.well-known/core and a filter."""
    equal(c.ask("PUT", path, query="rt=lamp&if=core.a", payload="on", format=0)["code"], "2.01",
          "PUT with link attributes")
    got = c.ask("GET", "/.well-known/core")
    equal((got["code"], got["format"]), ("2.05", 40), "discovery")
    holds(b"<%s>" % path.encode() in got["payload"], "the resource is listed", got["payload"])
    got = c.ask("GET", "/.well-known/core", query="rt=lamp")
    holds(b'<%s>;' % path.encode() in got["payload"], "the filter finds it", got["payload"])
    holds(b"lamp" in got["payload"] and b"core.a" in got["payload"], "with its attributes")
    got = c.ask("GET", "/.well-known/core", query="rt=none")
    equal((got["code"], got["payload"]), ("2.05", b""), "a filter without match")


def blocks(c, path, port):
    """A representation of several blocks, put there in one datagram of our own."""
    one = raw.Peer(("127.0.0.1", port), "interop")
    equal(one.put(path, LARGE, [(wire.CONTENT_FORMAT, 0)]).code, "2.01", "PUT of 4000 bytes")
    one.close()
    got = c.ask("GET", path)
    equal(got["code"], "2.05", "GET of 4000 bytes")
    holds(got["payload"].strip() == LARGE.strip(), "all blocks arrived", len(got["payload"]))


def uploads(c, path):
    """A body of several blocks, and what came of it. RFC 7959 section 2.5."""
    text = "".join("%07x\n" % i for i in range(500))
    equal(c.ask("PUT", path, payload=text, format=0)["code"], "2.01", "PUT of 4000 bytes in blocks")
    got = c.ask("GET", path)
    holds(got["payload"].strip() == text.strip().encode(), "all blocks were put together")


def watched(command, uri, port):
    """A client that observes prints every state. RFC 7641."""
    one = raw.Peer(("127.0.0.1", port), "interop")
    equal(one.put("/i/watched", b"state-1", [(wire.CONTENT_FORMAT, 0)]).code, "2.01", "PUT")
    with scene.Process([*command, uri + "/i/watched"]) as process:
        shown = process.read_until(b"state-1")
        for state in (b"state-2", b"state-3"):
            equal(one.put("/i/watched", state, [(wire.CONTENT_FORMAT, 0)]).code, "2.04", "PUT")
            shown = process.read_until(state)
            holds(state in shown, "%s is told of %s" % (command[0].split("/")[-1], state), shown)
    one.close()


def aiocoap_client(uri):
    """The command line client of aiocoap, as people type it."""
    program = peers.aiocoap("aiocoap-client")

    def run(*arguments):
        done = subprocess.run([program, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.returncode, done.stdout

    status, text = run("-m", "PUT", "--payload", "21.5", uri + "/t")
    equal((status, text), (0, ""), "PUT")
    status, text = run(uri + "/t")
    equal((status, "21.5" in text), (0, True), "GET")
    status, text = run(uri + "/.well-known/core")
    equal((status, "/t" in text), (0, True), "discovery")
    status, text = run(uri + "/none")
    equal((status != 0, "4.04" in text), (True, True), "GET of what is absent")
    equal(run("-m", "DELETE", uri + "/t")[0], 0, "DELETE")


def test():
    name = sys.argv[1]
    with Copald() as server:
        if name == "aiocoap-client":
            aiocoap_client(server.uri)
            return
        if name == "libcoap":
            watched([peers.libcoap("coap-client"), "-s", "300", "-w"], server.uri, server.port)
        with client(name, server.uri) as c:
            changes(c, "/i/x")
            children(c, "/i/c")
            discovery(c, "/i/lamp")
            blocks(c, "/i/large", server.port)
            uploads(c, "/i/upload")


if __name__ == "__main__":
    scene.main(test)
