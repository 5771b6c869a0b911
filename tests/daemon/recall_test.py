# SPDX-License-Identifier: Apache-2.0
"""Answers to GET that are kept and given again are the ones that would be made anew: after changes,
while they age, under other rules, for other clients, with every store."""
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
NOT_FOUND, UNAUTHORIZED, CHANGED, DELETED = 0x84, 0x81, 0x44, 0x42
TOO_MANY_REQUESTS = 0x9D
MAX_AGE, QUERY, OBSERVE, PATH = 14, 15, 6, 11


class Client:
    """One socket, a new Message ID and token for each request."""

    def __init__(self, case, port):
        self.server = ("127.0.0.1", port)
        self.mid = 0
        self.socket = daemon.client()
        self.socket.settimeout(daemon.WAIT_S)
        case.addCleanup(self.socket.close)

    def ask(self, code, path, *options, payload=b""):
        """The answer as (code, options, payload)."""
        self.mid += 1
        head = bytes([0x44, code]) + self.mid.to_bytes(2, "big") + self.mid.to_bytes(4, "little")
        opts = sorted([(PATH, s.encode()) for s in path.split("/")] + list(options),
                      key=lambda o: o[0])
        dgram = head + daemon.options(*opts) + (b"\xff" + payload if payload else b"")
        self.socket.sendto(dgram, self.server)
        while True:
            answer = daemon.response(self.socket, self.server)
            if answer[4:8] == head[4:8]:
                return answer[1], daemon.options_of(answer), daemon.payload_of(answer)

    def get(self, path, *options):
        code, _, payload = self.ask(daemon.GET, path, *options)
        return code, payload

    def put(self, path, payload, *options):
        return self.ask(daemon.PUT, path, *options, payload=payload)[0]


def metrics(d):
    """The counters now."""
    before = len([e for e in daemon.events(d.err) if e["event"] == "metrics"])
    d.send_signal(signal.SIGUSR1)
    end = time.monotonic() + daemon.WAIT_S
    while time.monotonic() < end:
        if not select.select([d.process.stderr], [], [], 1)[0]:
            continue
        d.err += os.read(d.process.stderr.fileno(), 1 << 16).decode()
        found = [e for e in daemon.events(d.err) if e["event"] == "metrics"]
        if len(found) > before:
            return found[-1]
    raise AssertionError("no metrics")


def recalled(d):
    return metrics(d).get("recalled", 0)


class Stores(unittest.TestCase):
    def check(self, *arguments):
        with daemon.Daemon(*arguments) as d:
            reader, writer = Client(self, d.port), Client(self, d.port)
            self.assertEqual(reader.get("t")[0], NOT_FOUND)
            for value in (b"20", b"21", b"", b"22"):
                self.assertIn(writer.put("t", value), (daemon.CREATED, CHANGED))
                for _ in range(5):
                    self.assertEqual(reader.get("t"), (daemon.CONTENT, value))
            now = metrics(d)
            self.assertGreaterEqual(now["recalled"], 8)
            self.assertEqual(now["requests_served"], now["rx_requests"])
            self.assertEqual(writer.ask(daemon.DELETE, "t")[0], DELETED)
            self.assertEqual(reader.get("t")[0], NOT_FOUND)
            self.assertEqual(writer.put("t", b"again"), daemon.CREATED)
            self.assertEqual(reader.get("t"), (daemon.CONTENT, b"again"))

    def test_memory(self):
        self.check("--store", "memory")

    def test_journal(self):
        with tempfile.TemporaryDirectory() as data:
            self.check("--store", "journal", "--data", data)

    def test_lmdb(self):
        with tempfile.TemporaryDirectory() as data:
            self.check("--store", "lmdb", "--data", data)


class Time(unittest.TestCase):
    def test_max_age_goes_down_and_a_lifetime_ends(self):
        with daemon.Daemon() as d:
            client = Client(self, d.port)
            began = time.monotonic()
            self.assertEqual(client.put("t", b"x", (QUERY, b"lt=3")), daemon.CREATED)
            stored = time.monotonic()
            ages = set()
            while True:
                asked = time.monotonic()
                time.sleep(0.002)  # a socket has 65,536 Message IDs
                code, options, _ = client.ask(daemon.GET, "t")
                told = time.monotonic()
                if code == NOT_FOUND:
                    break
                left = int.from_bytes(dict(options).get(MAX_AGE, b""), "big")
                self.assertLessEqual(left, 3 - int(max(0, asked - stored)))
                self.assertGreaterEqual(left, 3 - int(told - began) - 1)
                self.assertLess(asked - stored, 3)
                ages.add(left)
            self.assertGreaterEqual(time.monotonic() - began, 3)
            self.assertGreaterEqual(len(ages), 2)


class Rules(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.rules, self.keys = (os.path.join(self.dir.name, n) for n in ("rules", "psk"))
        with open(self.keys, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("a:%s\nb:%s\n" % (b"secret".hex(), b"secret".hex()))

    def write(self, text):
        with open(self.rules, "w") as out:
            out.write(text)

    def config(self, text):
        path = os.path.join(self.dir.name, "conf")
        with open(path, "w") as out:
            out.write(text)
        return path

    def test_a_reload_counts_at_once(self):
        self.write("allow anyone * /**\ndefault deny\n")
        with daemon.Daemon("--access", self.rules) as d:
            client = Client(self, d.port)
            self.assertEqual(client.put("t", b"x"), daemon.CREATED)
            for _ in range(4):
                self.assertEqual(client.get("t"), (daemon.CONTENT, b"x"))
            self.write("allow anyone PUT /**\ndefault deny\n")
            d.send_signal(signal.SIGHUP)
            d.wait_for_event("reloaded")
            end = time.monotonic() + daemon.WAIT_S
            while client.get("t")[0] != UNAUTHORIZED:
                self.assertLess(time.monotonic(), end)

    def test_what_one_may_read_another_is_not_given(self):
        self.write("allow psk:a * /**\ndefault deny\n")
        # Each client has a port of its own; a shard answers again what it has answered itself.
        with daemon.Daemon("--config", self.config("server = { shards = 1 };\n"), "--access",
                           self.rules, "--psk-file", self.keys,
                           listen=("coap://127.0.0.1:0", "coaps://127.0.0.1:0")) as d:
            base = re.search(r"coaps://127\.0\.0\.1:\d+", d.ready).group(0)

            def ask(who, method, *more):
                done = subprocess.run([COPAL, method, base + "/t", "--psk-file", self.keys,
                                       "--identity", who, *more], capture_output=True, text=True,
                                      timeout=daemon.WAIT_S)
                return done.returncode, done.stdout + done.stderr

            self.assertEqual(ask("a", "put", "-d", "x")[0], 0)
            # Somebody stays: whom nobody knows any more is another when he comes again.
            stays = subprocess.Popen([COPAL, "observe", base + "/t", "--psk-file", self.keys,
                                      "--identity", "a"], stdout=subprocess.PIPE, text=True)
            self.addCleanup(stays.communicate)
            self.addCleanup(stays.kill)
            self.assertIn("x", stays.stdout.readline())
            for _ in range(4):
                self.assertEqual(ask("a", "get"), (0, "x"))
            self.assertGreater(recalled(d), 0)
            code, out = ask("b", "get")
            self.assertNotEqual(code, 0)
            self.assertIn("4.03", out)
            self.assertEqual(Client(self, d.port).get("t")[0], UNAUTHORIZED)

    def test_limited_requests_are_all_counted(self):
        with daemon.Daemon("--config",
                           self.config("rate = { address = 1; address_burst = 8; };\n")) as d:
            client = Client(self, d.port)
            self.assertEqual(client.put("t", b"x"), daemon.CREATED)
            end = time.monotonic() + daemon.WAIT_S
            while client.get("t")[0] != TOO_MANY_REQUESTS:
                self.assertLess(time.monotonic(), end)
            self.assertEqual(recalled(d), 0)


class Observers(unittest.TestCase):
    def test_deregistration_and_registration_reach_the_handler(self):
        with daemon.Daemon() as d:
            client = Client(self, d.port)
            self.assertEqual(client.put("t", b"x"), daemon.CREATED)
            for _ in range(4):
                self.assertEqual(client.get("t"), (daemon.CONTENT, b"x"))
            for value in (b"", b"\x01"):
                for _ in range(3):
                    code, options, _ = client.ask(daemon.GET, "t", (OBSERVE, value))
                    self.assertEqual(code, daemon.CONTENT)
                    self.assertEqual(OBSERVE in dict(options), value == b"")


if __name__ == "__main__":
    unittest.main(verbosity=2)
