# SPDX-License-Identifier: Apache-2.0
"""Several blocks under way at once between copal and copald, over a path that loses datagrams. RFC
7252 section 4.7, RFC 7959 sections 2.4 and 2.5."""
import os
import random
import socket
import sys
import tempfile
import threading
import unittest

SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
sys.path[:0] = [os.path.join(SOURCE, "tests/daemon"), os.path.join(SOURCE, "tests/cli")]

from daemon import Daemon, events  # noqa: E402
from harness import copal  # noqa: E402

BODY = os.urandom(200 * 1024 + 77)
OPTIONS = ("--window", "16", "--ack-timeout", "0.1", "--max-retransmit", "10", "-t", "200")


class Relay:
    """Passes datagrams on between a client and a server, but for every twentieth or so, and none that
    was lost three times."""

    def __init__(self, server, seed):
        self.front, self.back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "fb")
        self.front.bind(("127.0.0.1", 0))
        self.back.connect(("127.0.0.1", server))
        self.dice, self.client, self.lost, self.stopping = random.Random(seed), None, 0, False
        self.losses = {}
        self.threads = [threading.Thread(target=self.run, args=(s,))
                        for s in (self.front, self.back)]

    def __enter__(self):
        for s in (self.front, self.back):
            s.settimeout(0.1)
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join()
        self.front.close()
        self.back.close()

    @property
    def uri(self):
        return "coap://127.0.0.1:%d/large" % self.front.getsockname()[1]

    def run(self, source):
        while not self.stopping:
            try:
                data, address = source.recvfrom(2048)
            except (socket.timeout, ConnectionRefusedError):
                continue
            if self.dice.random() < 0.05 and self.losses.get(data, 0) < 3:
                self.lost += 1
                self.losses[data] = self.losses.get(data, 0) + 1
            elif source is self.back:
                self.front.sendto(data, self.client)
            else:
                self.client = address
                self.back.send(data)


class Lossy(unittest.TestCase):
    def run_over(self, d, seed, *command, stdin=b""):
        """One client by itself: two behind one port would take Message IDs of each other."""
        with Relay(d.port, seed) as relay:
            r = copal(*command, *OPTIONS, relay.uri, stdin=stdin, timeout=300)
            self.assertEqual((r.returncode, r.stderr), (0, b""))
            self.assertGreater(relay.lost, 5)

    def test_a_body_survives_there_and_back_without_beginning_again(self):
        for seed in range(3):
            with self.subTest(seed=seed), Daemon("--log-format", "json") as d, \
                    tempfile.TemporaryDirectory() as where:
                name = os.path.join(where, "body")
                self.run_over(d, seed, "put", "-d", "@-", stdin=BODY)
                self.run_over(d, seed + 100, "get", "-o", name)
                with open(name, "rb") as f:
                    self.assertTrue(f.read() == BODY)
                _, _, log = d.stop()
                total = [e for e in events(log) if e["event"] == "metrics"][-1]
                self.assertEqual((total["uploads_finished"], total.get("uploads_broken", 0)), (1, 0))


if __name__ == "__main__":
    unittest.main()
