# SPDX-License-Identifier: Apache-2.0
"""copal against copald: create, read, change and delete a resource, and find it."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from harness import COPAL, WAIT_S, closed_port, copal

COPALD = os.path.join(os.path.dirname(COPAL), "copald")


class RoundTrip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = "coap://127.0.0.1:%d" % closed_port()
        cls.server = subprocess.Popen([COPALD, "--listen", cls.base, "--store", "memory"],
                                      stdout=subprocess.PIPE)
        cls.server.stdout.readline()  # the addresses: it is ready

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=WAIT_S)
        assert cls.server.returncode == 0, cls.server.returncode

    def ask(self, *args, status=0, **more):
        r = copal(*args[:-1], self.base + args[-1], **more)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stdout

    def write_out(self, what, *args, **more):
        return self.ask(args[0], "-w", what, *args[1:], **more).decode()

    def test_life_of_a_resource(self):
        self.ask("get", "/lamp", status=4)
        self.assertEqual(self.write_out("%{code}", "put", "-d", '{"on":false}', "-c", "json", "/lamp"),
                         "2.01")
        shown = json.loads(self.ask("get", "--json", "/lamp"))
        self.assertEqual((shown["payload"], shown["content_format"]),
                         ({"on": False}, "application/json"))
        etag = shown["options"]["ETag"][0]
        self.assertEqual(self.write_out("%{code}", "get", "--etag", etag, "/lamp"), "2.03")
        self.ask("put", "-d", "x", "--if-none-match", "/lamp", status=4)
        self.assertEqual(self.write_out("%{code}", "ipatch", "-d", '{"on":true}', "-c",
                                        "merge-patch", "--if-match", etag, "/lamp"), "2.04")
        self.ask("put", "-d", "x", "--if-match", etag, "/lamp", status=4)
        self.assertEqual(json.loads(self.ask("get", "/lamp")), {"on": True})
        self.ask("get", "--accept", "cbor", "/lamp", status=4)
        self.assertEqual(self.write_out("%{code}", "delete", "/lamp"), "2.02")
        self.ask("get", "/lamp", status=4)

    def test_post_creates_below(self):
        self.ask("put", "-d", "", "/messages")
        location = self.write_out("%{location}", "post", "-d", "hello", "-c", "text", "/messages")
        self.assertTrue(re.match("/messages/.+", location), location)
        self.assertEqual(self.ask("get", location), b"hello")

    def test_discovery(self):
        self.ask("put", "-d", "21.5", "-c", "text", "/t?rt=temperature")
        links = json.loads(self.ask("discover", "--json", ""))
        self.assertIn("/t", [link["href"] for link in links])

    def test_read_in_blocks(self):
        self.ask("put", "-d", "0123456789" * 100, "/small")
        small = self.ask("get", "/small")
        self.assertEqual(self.ask("get", "--block-size", "64", "/small"), small)

    def test_ping(self):
        self.assertIn(b"2 answered", self.ask("ping", "-c", "2", "--interval", "0.05", ""))

    def test_no_response(self):
        self.assertEqual(self.ask("put", "--con", "--no-response", "26", "-d", "x", "/quiet"), b"")
        self.assertEqual(self.ask("get", "/quiet"), b"x")


    def observe(self, *args, **more):
        return subprocess.Popen([COPAL, "observe", *args[:-1], self.base + args[-1]],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def test_observation(self):
        self.ask("put", "-d", "0", "-c", "text", "/seen")
        child = self.observe("-c", "3", "/seen")
        self.assertEqual(child.stdout.readline(), b"0\n")
        for value in (b"1", b"2"):
            self.ask("put", "-d", value.decode(), "-c", "text", "/seen")
            self.assertEqual(child.stdout.readline(), value + b"\n")
        self.assertEqual(child.communicate(timeout=WAIT_S), (b"", b""))
        self.assertEqual(child.returncode, 0)

    def test_observation_of_a_large_resource(self):
        first, second = os.urandom(3000), os.urandom(5000)
        self.ask("put", "-d", "-", "/large", stdin=first)
        child = self.observe("-c", "2", "--no-pretty", "/large")
        self.assertEqual(child.stdout.read(3000), first)
        self.ask("put", "-d", "-", "/large", stdin=second)
        self.assertEqual(child.communicate(timeout=WAIT_S)[0], second)

    def test_deletion_ends_an_observation(self):
        self.ask("put", "-d", "0", "/doomed")
        child = self.observe("/doomed")
        child.stdout.readline()
        self.ask("delete", "/doomed")
        self.assertIn(b"4.04", child.communicate(timeout=WAIT_S)[1])
        self.assertEqual(child.returncode, 4)

    def test_unobservable(self):
        child = self.observe("/.well-known/core")
        child.communicate(timeout=WAIT_S)
        self.assertEqual(child.returncode, 11)


class Restart(unittest.TestCase):
    """An observation outlives its server. Max-Age of a second is stale after 6 to 16."""

    def start(self):
        server = subprocess.Popen([COPALD, "--config", self.config], stdout=subprocess.PIPE)
        server.stdout.readline()
        subprocess.run([COPAL, "put", "-c", "text", "-d", "x", self.uri], check=True)
        return server

    def stop(self, server):
        server.terminate()
        server.communicate(timeout=WAIT_S)

    def test_observation_goes_on(self):
        base = "coap://127.0.0.1:%d" % closed_port()
        self.uri = base + "/t"
        with tempfile.TemporaryDirectory() as d:
            self.config = os.path.join(d, "copald.conf")
            with open(self.config, "w", encoding="utf-8") as f:
                f.write('listen = ["%s"]\nstore = "memory"\n'
                        'resources = { default_max_age = "1 s" }\n' % base)
            server = self.start()
            watch = subprocess.Popen([COPAL, "observe", "--json", "--ack-timeout", "0.2", "--count",
                                      "2", self.uri], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            watch.stdout.readline()
            self.stop(server)
            lost = watch.stderr.readline() + watch.stderr.readline()
            self.assertRegex(lost.decode(), r"no notification for .*\n.*refused.*; asking again in")
            server = self.start()
            out, err = watch.communicate(timeout=WAIT_S)
            self.stop(server)
        self.assertEqual((json.loads(out)["gap"]["cause"], watch.returncode), ("reconnected", 0))
        self.assertIn(b"copal: reconnected\n", err)


if __name__ == "__main__":
    if not os.path.exists(COPALD):
        print("copald is not built")
        sys.exit(77)
    unittest.main()
