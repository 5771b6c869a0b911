# SPDX-License-Identifier: Apache-2.0
"""Requests to groups: members on loopback whose answers the test decides, and copald on two of three
hosts in network namespaces. RFC 7252 section 8."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from harness import (BLOCK2, CON, CONTENT_FORMAT, COPAL, ECHO, ETAG, NON, URI_PATH, WAIT_S, Message,
                     Peer, Together, block, closed_port, copal, uint)

COPALD = os.path.join(os.path.dirname(COPAL), "copald")
GROUP = "224.0.1.187"
PATIENCE = "10"  # seconds; all of them pass, in all tests together


class Member(Peer):
    """Also takes what is sent to the group, and answers as itself: 127.0.0.N."""

    def __init__(self, handler, host, port):
        super().__init__(handler, host)
        own = self.socket
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((GROUP, port))
        lo = socket.if_nametoindex("lo")
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                               socket.inet_aton(GROUP) + struct.pack("@4si", bytes(4), lo))
        self.socket.settimeout(0.02)
        own.settimeout(0.02)
        self.sockets, self.own = [self.socket, own], own

    def _serve(self):
        while not self.stopping:
            for s in self.sockets:
                try:
                    data, address = s.recvfrom(65536)
                    message = Message.parse(data)
                    message.is_group = s is self.socket
                    self.received.append(message)
                    for a in self.handler(message) or []:
                        self.own.sendto(a.pack(), address)
                except socket.timeout:
                    pass
                except Exception as e:  # shown by the test that started the member
                    self.error = e
                    return

    def __exit__(self, *args):
        self.own.close() if self.error else None
        super().__exit__(*args)
        self.own.close()


def say(payload, options=(), code="2.05", copies=1):
    return lambda m: [m.reply(code, options, payload)] * copies


class Answers(unittest.TestCase):
    def ask(self, handlers, *args, path="/t", command="get"):
        """What copal says when members 127.0.0.2, .3, ... answer so."""
        port = closed_port()
        self.members = [Member(h, "127.0.0.%d" % (i + 2), port) for i, h in enumerate(handlers)]
        for m in self.members:
            m.__enter__()
        try:
            return copal(command, "--interface", "lo", "-t", PATIENCE, *args,
                         "coap://%s:%d%s" % (GROUP, port, path))
        finally:
            for m in self.members:
                m.__exit__()

    def source(self, i):
        return "127.0.0.%d:%d" % (i + 2, self.members[i].port)

    def test_each_under_its_source(self):
        r = self.ask([say(b"20"), say(b"30")])
        self.assertEqual(r.returncode, 0, r.stderr)
        for i, body in enumerate(("20", "30")):
            self.assertIn("%s  2.05 Content\n%s\n" % (self.source(i), body), r.stdout.decode())

    def test_sent_once_non_confirmable(self):
        self.ask([say(b"20")])
        self.assertEqual([(m.type, m.code) for m in self.members[0].received], [(NON, 1)])

    def test_json_has_one_object_for_each(self):
        r = self.ask([say(b"20"), say(b"gone", code="4.04")], "--json")
        seen = {o["peer"]: (o["code"], o["status"])
                for o in map(json.loads, r.stdout.decode().splitlines())}
        self.assertEqual(seen, {self.source(0): ("2.05", 0), self.source(1): ("4.04", 4)})
        self.assertEqual(r.returncode, 0)

    def test_one_that_answers_twice_is_shown_once(self):
        r = self.ask([say(b"20", copies=2)])
        self.assertEqual(r.stdout.count(b"2.05"), 1)

    def test_only_errors(self):
        r = self.ask([say(b"", code="4.04")])
        self.assertEqual(r.returncode, 4)
        self.assertIn(b"4.04 Not Found", r.stdout)

    def test_silence(self):
        r = self.ask([lambda m: []])
        self.assertEqual((r.returncode, r.stdout), (8, b""))
        self.assertIn(b"no answer within", r.stderr)

    def test_the_rest_is_read_from_the_member_alone(self):
        body = os.urandom(2500)

        def serve(m):
            num, _, size = m.block(BLOCK2) or (0, False, 1024)
            at = num * size
            return [m.reply("2.05", [(BLOCK2, block(num, at + size < len(body), size)),
                                     (ETAG, b"\x01")], body[at:at + size])]
        r = self.ask([serve, say(b"small")], "-w", "%{peer} %{size_download}\\n")
        self.assertIn("%s 2500\n" % self.source(0), r.stdout.decode("latin-1"))
        self.assertIn(body, r.stdout)
        self.assertEqual([m.is_group for m in self.members[0].received], [True, False, False])
        self.assertEqual({m.type for m in self.members[0].received[1:]}, {CON})
        self.assertEqual(len(self.members[1].received), 1)

    def test_an_echo_challenge_is_answered_alone(self):
        def challenge(m):
            if m.value(ECHO) is None:
                return [m.reply("4.01", [(ECHO, b"e")])]
            return [m.reply("2.05", [], b"after all")]
        r = self.ask([challenge])
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"2.05 Content\nafter all\n", r.stdout)

    def test_discovery_merges(self):
        links = [(CONTENT_FORMAT, uint(40))]
        r = self.ask([say(b'</a>;rt="x";ct=0', links), say(b'</b>;if="s";title="B"', links)],
                     path="", command="discover")
        self.assertEqual(r.returncode, 0)
        rows = [line.split() for line in r.stdout.decode().splitlines()]
        self.assertEqual(rows[0], ["SERVER", "PATH", "CT", "RT", "IF", "TITLE"])
        self.assertEqual(sorted(rows[1:]), [[self.source(0), "/a", "text/plain", "x"],
                                            [self.source(1), "/b", "s", "B"]])
        self.assertEqual(self.members[0].received[0].values(URI_PATH), [b".well-known", b"core"])

    def test_discovery_as_json(self):
        r = self.ask([say(b'</a>;rt="x"'), say(b"<broken")], "--json", path="", command="discover")
        seen = {o["server"]: o["links"] for o in map(json.loads, r.stdout.decode().splitlines())}
        self.assertEqual(seen, {self.source(0): [{"href": "/a", "rt": "x"}], self.source(1): None})

    def test_what_a_group_cannot_do(self):
        for args, status, why in ((("ping", "224.0.1.187"), 2, b"a group cannot be pinged"),
                                  (("get", "--insecure", "coaps://224.0.1.187/x"), 3,
                                   b"a group cannot be asked through DTLS")):
            r = copal(*args)
            self.assertEqual((r.returncode, r.stdout), (status, b""), args)
            self.assertIn(why, r.stderr)

    def test_usage(self):
        for args in (["-o", "x"], ["--interface", "none0"], ["--multicast-hops", "0"],
                     ["--multicast-hops", "256"], ["--etag", "aa"], ["-O", "ETag=0xaa"]):
            self.assertEqual(copal("get", *args, "coap://%s/" % GROUP).returncode, 2, args)


class Hosts(unittest.TestCase):
    """Three hosts on a bridge: two serve, the first asks."""

    @classmethod
    def ip(cls, *args):
        subprocess.run(["ip", *args], check=True, capture_output=True)

    @classmethod
    def setUpClass(cls):
        cls.names = ["copal%d-%s" % (os.getpid(), n) for n in "abcs"]
        cls.servers = []
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.clean)
        for n in cls.names:
            cls.ip("netns", "add", n)
        switch = cls.names[3]
        cls.ip("-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        cls.ip("-n", switch, "link", "set", "br0", "up")
        for i, n in enumerate(cls.names[:3]):
            cls.ip("-n", n, "link", "add", "e0", "type", "veth", "peer", "name", "p%d" % i, "netns",
                   switch)
            cls.ip("-n", n, "addr", "add", "10.9.0.%d/24" % (i + 1), "dev", "e0")
            cls.ip("-n", n, "addr", "add", "fd09::%d/64" % (i + 1), "dev", "e0", "nodad")
            for link in ("lo", "e0"):
                cls.ip("-n", n, "link", "set", link, "up")
            cls.ip("-n", switch, "link", "set", "p%d" % i, "master", "br0", "up")
        for n in cls.names[:3]:
            cls.await_addresses(n)
        for n in cls.names[1:3]:
            cls.serve(n)
        cls.fill()

    @classmethod
    def await_addresses(cls, name):
        """Until the link-local addresses have passed duplicate detection."""
        end = time.monotonic() + WAIT_S
        show = ["ip", "-n", name, "-6", "addr", "show", "dev", "e0", "scope", "link"]
        while time.monotonic() < end:
            shown = subprocess.run(show, check=True, capture_output=True).stdout
            if b"inet6" in shown and b"tentative" not in shown:
                return
            time.sleep(0.1)
        raise AssertionError("no address: %r" % shown)

    @classmethod
    def clean(cls):
        for s in cls.servers:
            s.terminate()
            s.communicate(timeout=WAIT_S)
        for n in cls.names:
            subprocess.run(["ip", "netns", "del", n], capture_output=True)
        cls.directory.cleanup()

    @classmethod
    def inside(cls, name, *command):
        return ["ip", "netns", "exec", name, *command]

    @classmethod
    def serve(cls, name):
        s = subprocess.Popen(cls.inside(name, COPALD, "--listen", "coap://[::]", "--listen",
                                        "coap://0.0.0.0", "--store", "memory"),
                             stdout=subprocess.PIPE)
        s.stdout.readline()
        cls.servers.append(s)

    @classmethod
    def fill(cls):
        big = os.path.join(cls.directory.name, "big")
        with open(big, "wb") as f:
            f.write(b"x" * 3000)
        for host, value in ((2, "20"), (3, "30")):
            for path, data in (("/t?rt=temperature", value), ("/big", "@" + big)):
                subprocess.run(cls.inside(cls.names[0], COPAL, "put", "-c", "text", "-d", data,
                                          "coap://10.9.0.%d%s" % (host, path)), check=True)

    def start(self, *args):
        return subprocess.Popen(self.inside(self.names[0], COPAL, *args), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def test_all(self):
        """All at once, for each waits six seconds."""
        asked = {
            "table": self.start("discover"),
            "filter": self.start("discover", "-4", "--json", "rt=temperature"),
            "get": self.start("get", "coap://224.0.1.187/t"),
            "big": self.start("get", "--json", "coap://[ff02::fd]/big"),
            "site": self.start("get", "--json", "--multicast-hops", "4", "--interface", "e0",
                               "coap://[ff05::fd]/t"),
            "zone": self.start("get", "--json", "coap://[ff02::fd%e0]/t"),
        }
        out = {}
        for name, child in asked.items():
            shown, errors = child.communicate(timeout=WAIT_S)
            self.assertEqual(child.returncode, 0, (name, errors))
            out[name] = shown.decode()
        self.check_table(out["table"])
        servers = {o["server"]: [link["href"] for link in o["links"]]
                   for o in map(json.loads, out["filter"].splitlines())}
        self.assertEqual(servers, {"10.9.0.2:5683": ["/t"], "10.9.0.3:5683": ["/t"]})
        self.assertIn("10.9.0.2:5683  2.05 Content\n20\n", out["get"])
        self.assertIn("10.9.0.3:5683  2.05 Content\n30\n", out["get"])
        answers = [json.loads(line) for line in out["big"].splitlines()]
        self.assertEqual([(a["payload"], a["exchanges"]) for a in answers], [("x" * 3000, 3)] * 2)
        for name in ("site", "zone"):
            answers = [json.loads(line) for line in out[name].splitlines()]
            self.assertEqual(sorted(str(a["payload"]) for a in answers), ["20", "30"], name)

    def check_table(self, text):
        rows = [line.split() for line in text.splitlines()]
        self.assertEqual(rows[0], ["SERVER", "PATH", "CT", "RT"])
        for host in (2, 3):
            self.assertIn(["10.9.0.%d:5683" % host, "/t", "text/plain", "temperature"], rows)
        local = {row[0] for row in rows if row[0].startswith("[fe80::")}
        self.assertEqual(len(local), 2)
        self.assertTrue(all("%e0]:5683" in server for server in local))


def can_make_hosts():
    name = "copal%d-probe" % os.getpid()
    if not shutil.which("ip") or not os.path.exists(COPALD):
        return False
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    entered = made and subprocess.run(["ip", "netns", "exec", name, "true"],
                                      capture_output=True).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return entered


if __name__ == "__main__":
    answers = Together(unittest.defaultTestLoader.loadTestsFromTestCase(Answers))
    if not unittest.TextTestRunner().run(answers).wasSuccessful():
        sys.exit(1)
    if not can_make_hosts():
        print("network namespaces cannot be made here, or copald is not built")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], "Hosts"])
