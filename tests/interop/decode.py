#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What copald and copal send, as tshark reads it: no malformed mark, the codes and options meant.

A relay between the two records each datagram; text2pcap makes a capture of them, so that no
interface need be listened on. RFC 7252 section 3.
"""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading

import peers
import scene
from scene import Copald, Wrong, copal, equal, holds

TO_SERVER, TO_CLIENT = "I", "O"


class Relay(threading.Thread):
    """Carries datagrams between clients and a server, and keeps a copy of each."""

    def __init__(self, server_port):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.front.settimeout(0.2)
        self.server = ("127.0.0.1", server_port)
        self.backs = {}
        self.seen = []
        self.lock = threading.Lock()
        self.running = True

    @property
    def uri(self):
        return "coap://127.0.0.1:%d" % self.front.getsockname()[1]

    def keep(self, direction, data):
        with self.lock:
            self.seen.append((direction, data))

    def run(self):
        while self.running:
            try:
                data, client = self.front.recvfrom(65535)
            except TimeoutError:
                continue
            self.keep(TO_SERVER, data)
            if client not in self.backs:
                self.backs[client] = self.back(client)
            self.backs[client].send(data)

    def back(self, client):
        """A socket towards the server for one client, and the thread that reads it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(self.server)

        def carry():
            while self.running:
                data = sock.recv(65535)
                self.keep(TO_CLIENT, data)
                self.front.sendto(data, client)

        threading.Thread(target=carry, daemon=True).start()
        return sock


def traffic(uri):
    """One of each kind of message."""
    copal("ping", "-c", "1", uri)
    copal("put", uri + "/t/lamp?rt=lamp", "-d", "on", "-c", "text")
    copal("put", uri + "/t/lamp", "-d", '{"on":true}', "-c", "json", "-O", "Max-Age=300")
    copal("get", uri + "/t/lamp", "--accept", "json")
    copal("get", "--non", uri + "/t/lamp")
    copal("get", "-s", uri + "/t/lamp", "--accept", "text", status=4)
    copal("get", "-s", uri + "/t/none", status=4)
    copal("put", "-s", uri + "/t/lamp", "-d", "x", "--if-none-match", status=4)
    copal("put", "-s", uri + "/t/lamp", "-d", "x", "--if-match", "00112233", status=4)
    copal("post", uri + "/t/log", "-d", "entry", "-c", "text")
    copal("ipatch", uri + "/t/lamp", "-d", '{"on":false}', "-c", "merge-patch")
    copal("get", "-s", uri + "/t/none", "--accept", "257", status=4)
    copal("discover", uri)
    copal("delete", uri + "/t/lamp")


def decoded(seen):
    """Every message as tshark's JSON."""
    with tempfile.TemporaryDirectory() as directory:
        capture = os.path.join(directory, "run.pcap")
        dump = "".join("%s\n0000 %s\n" % (direction, data.hex(" ")) for direction, data in seen)
        made = subprocess.run([peers.tool("text2pcap"), "-D", "-u", "40000,5683", "-", capture],
                              input=dump.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            raise Wrong("text2pcap failed:\n" + made.stdout.decode())
        shown = subprocess.run([peers.tool("tshark"), "-n", "-r", capture, "-d",
                                "udp.port==5683,coap", "-T", "json", "--no-duplicate-keys"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if shown.returncode != 0:
            raise Wrong("tshark failed:\n" + shown.stderr.decode())
        return json.loads(shown.stdout)


def dotted(layer):
    value = int(layer["coap.code"])
    return "%d.%02d" % (value >> 5, value & 31)


def option_names(layer):
    """The names of a message's options, in lower case; tshark numbers them: "#1: Uri-Path"."""
    names = layer.get("coap.opt.name", [])
    for name in [names] if isinstance(names, str) else names:
        yield name.split(": ", 1)[1].split(":")[0].lower()


def test():
    peers.tool("tshark")
    peers.tool("text2pcap")
    scene.need(scene.COPAL)
    with Copald() as server:
        relay = Relay(server.port)
        relay.start()
        traffic(relay.uri)
        relay.running = False
    packets = decoded(relay.seen)
    equal(len(packets), len(relay.seen), "number of packets")
    marks = re.findall(r"_ws\.malformed|_ws\.expert\.message[^,]*", json.dumps(packets))
    equal(marks, [], "malformed marks and remarks")
    layers = [packet["_source"]["layers"] for packet in packets]
    holds(all("coap" in layer for layer in layers), "every datagram is CoAP")
    codes = {dotted(layer["coap"]) for layer in layers}
    wanted = {"0.00", "0.01", "0.02", "0.03", "0.04", "0.07", "2.01", "2.02", "2.04", "2.05",
              "4.04", "4.06", "4.12"}
    equal(sorted(wanted - codes), [], "codes that tshark did not see")
    names = {name for layer in layers for name in option_names(layer["coap"])}
    wanted = {"uri-path", "content-format", "accept", "etag", "max-age", "if-match",
              "if-none-match", "location-path", "uri-query"}
    equal(sorted(wanted - names), [], "options that tshark did not see")


if __name__ == "__main__":
    scene.main(test)
