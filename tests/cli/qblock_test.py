# SPDX-License-Identifier: Apache-2.0
"""copal --qblock: sets of blocks through a path that loses, reorders and repeats datagrams, and
falling back against servers without Q-Block. RFC 9177 sections 4.1, 4.3, 4.4 and 7.2."""
import os
import random
import select
import socket
import sys
import tempfile
import threading
import unittest

SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
sys.path[:0] = [os.path.join(SOURCE, "tests/daemon")]

from daemon import Daemon  # noqa: E402
from daemon_test import ConfigFile  # noqa: E402
from harness import (ACK, BLOCK1, BLOCK2, CON, ETAG, GET, NON, PUT, RST, SIZE1, Message,  # noqa: E402
                     Peer, block, code, copal, uint)

Q_BLOCK1, Q_BLOCK2, SIZE2, REQUEST_TAG, CONTENT_FORMAT = 19, 31, 28, 292, 12
FAST = 'qblock: { enabled = "on"; non_timeout = "200 ms"; non_receive_timeout = "1300 ms"; };\n'
SLOW = 'qblock: { enabled = "on"; non_timeout = "100 s"; non_receive_timeout = "400 s"; };\n'
OPTIONS = ("--qblock", "--ack-timeout", "0.2", "--block-size", "64")
PATIENT_OPTIONS = ("--qblock", "--ack-timeout", "60", "--block-size", "64")
BODY = os.urandom(60 * 64 + 17)


class Relay:
    """Stands between copal and copald; `fate(data, is_request, count)` says how many copies of a
    datagram go on: 0 loses it, 2 repeats it, -1 lets the next one overtake it."""

    def __init__(self, port, fate):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(("127.0.0.1", port))
        self.fate, self.client, self.stopping = fate, None, False
        self.counts, self.late, self.seen = [0, 0], [None, None], []
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.front.close()
        self.back.close()

    def uri(self, path="/q"):
        return "coap://127.0.0.1:%d%s" % (self.front.getsockname()[1], path)

    def _send(self, way, data):
        if way:
            self.back.send(data)
        else:
            self.front.sendto(data, self.client)

    def _pass(self, way, data):
        self.seen.append((way, Message.parse(data)))
        self.counts[way] += 1
        copies = self.fate(data, bool(way), self.counts[way])
        if copies < 0 and self.late[way] is None:
            self.late[way] = data
            return
        for _ in range(max(copies, 0)):
            self._send(way, data)
        if self.late[way] is not None:
            data, self.late[way] = self.late[way], None
            self._send(way, data)

    def _run(self):
        while not self.stopping:
            for s in select.select([self.front, self.back], [], [], 0.05)[0]:
                if s is self.front:
                    data, self.client = s.recvfrom(65536)
                    self._pass(1, data)
                else:
                    self._pass(0, s.recv(65536))


class Dice:
    """The fate of datagrams is drawn, but nothing is lost more than twice, lest a client lose patience
    for good reason."""

    def __init__(self, seed, fates):
        self.random, self.fates, self.lost = random.Random(seed), fates, {}

    def __call__(self, data):
        fate = self.random.choice(self.fates)
        m = Message.parse(data)
        what = (m.type, m.code, m.value(Q_BLOCK1), tuple(m.values(Q_BLOCK2)))
        if fate == 0:
            self.lost[what] = self.lost.get(what, 0) + 1
        return 1 if fate == 0 and self.lost[what] > 2 else fate


def kinds(relay, number, way=1):
    """The messages of one way that carry an option."""
    return [m for w, m in relay.seen if w == way and m.value(number) is not None]


def is_block(data, number):
    return Message.parse(data).value(number) is not None


class Through(unittest.TestCase):
    settings = FAST

    def setUp(self):
        self.config = ConfigFile(self.settings)
        self.addCleanup(self.config.__exit__)
        self.daemon = Daemon("--config", self.config.name)
        self.addCleanup(self.daemon.__exit__)

    def through(self, fate):
        relay = Relay(self.daemon.port, fate)
        relay.__enter__()
        self.addCleanup(relay.__exit__)
        return relay

    def put(self, relay, body=BODY, options=OPTIONS):
        with tempfile.NamedTemporaryFile() as f:
            f.write(body)
            f.flush()
            return copal("put", *options, "-d", "@" + f.name, relay.uri())

    def get(self, relay, options=OPTIONS):
        return copal("get", *options, relay.uri())

    def stored(self):
        return copal("get", "coap://127.0.0.1:%d/q" % self.daemon.port).stdout


class Lossless(Through):
    settings = SLOW

    def test_without_loss_all_blocks_are_sent_once(self):
        relay = self.through(lambda data, way, n: 1)
        self.assertEqual(self.put(relay, options=PATIENT_OPTIONS).returncode, 0)
        self.assertTrue(self.stored() == BODY)
        sent = kinds(relay, Q_BLOCK1)
        self.assertEqual([m.block(Q_BLOCK1)[0] for m in sent], list(range(61)))
        self.assertTrue(all(m.type == NON for m in sent))
        self.assertEqual(len({m.token for m in sent}), 61)
        self.assertEqual(len({m.value(REQUEST_TAG) for m in sent}), 1)
        self.assertEqual({m.value(SIZE1) for m in sent}, {uint(len(BODY))})
        self.assertEqual(kinds(relay, BLOCK1), [])
        probe = relay.seen[0][1]
        self.assertEqual((probe.type, probe.block(Q_BLOCK2)), (CON, (0, False, 16)))
        before = len(relay.seen)
        r = self.get(relay, options=PATIENT_OPTIONS)
        self.assertTrue(r.returncode == 0 and r.stdout == BODY)
        asked = [m for w, m in relay.seen[before:] if w == 1]
        self.assertEqual(asked[0].type, CON)
        self.assertEqual([(m.type, m.block(Q_BLOCK2)[:2]) for m in asked[1:]],
                         [(NON, (n, True)) for n in range(0, 61, 10)])


class Lossy(Through):
    def test_upload_with_a_third_of_the_blocks_lost(self):
        dice = Dice(9177, (0, 1, 1))
        relay = self.through(lambda data, way, n:
                             dice(data) if way and is_block(data, Q_BLOCK1) else 1)
        r = self.put(relay)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(self.stored() == BODY)
        self.assertTrue([m for w, m in relay.seen if w == 0 and m.code == code("4.08")])

    def test_upload_with_loss_both_ways_disorder_and_repetition(self):
        dice = Dice(7, (1, 1, 1, 1, 1, 0, 2, -1))
        relay = self.through(lambda data, way, n: dice(data) if n > 2 else 1)
        r = self.put(relay)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(self.stored() == BODY)

    def test_upload_when_no_intermediate_answer_arrives(self):
        """RFC 9177 section 7.2: asymmetric loss; only the final answer comes through."""
        relay = self.through(lambda data, way, n: 0 if not way and Message.parse(data).code in
                             (code("2.31"), code("4.08")) else 1)
        r = self.put(relay)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(self.stored() == BODY)

    def test_lost_final_answer_is_had_again(self):
        lost = []

        def fate(data, way, n):
            if not way and Message.parse(data).code == code("2.01") and not lost:
                lost.append(data)
                return 0
            return 1
        r = self.put(self.through(fate))
        self.assertEqual((r.returncode, len(lost)), (0, 1))
        self.assertTrue(self.stored() == BODY)

    def test_download_with_a_third_of_the_blocks_lost(self):
        dice = Dice(4, (0, 1, 1))
        relay = self.through(lambda data, way, n: dice(data) if not way and n > 90 else 1)
        self.assertEqual(self.put(relay).returncode, 0)
        relay.counts[0] = 90
        r = self.get(relay)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(r.stdout == BODY)
        self.assertTrue([m for m in kinds(relay, Q_BLOCK2) if len(m.values(Q_BLOCK2)) > 1])

    def test_download_with_loss_both_ways_disorder_and_repetition(self):
        dice = []
        relay = self.through(lambda data, way, n: dice[0](data) if dice else 1)
        self.assertEqual(self.put(relay).returncode, 0)
        dice.append(Dice(31, (1, 1, 1, 1, 1, 0, 2, -1)))
        r = self.get(relay)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(r.stdout == BODY)

    def test_download_into_a_file(self):
        relay = self.through(lambda data, way, n: 1)
        self.assertEqual(self.put(relay).returncode, 0)
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, "out")
            r = copal("get", *OPTIONS, "-o", name, relay.uri())
            self.assertEqual(r.returncode, 0, r.stderr)
            with open(name, "rb") as f:
                self.assertTrue(f.read() == BODY)

    def test_server_that_falls_silent_ends_the_transfer(self):
        relay = self.through(lambda data, way, n: 1 if way or n < 5 else 0)
        r = copal("put", *OPTIONS, "--timeout", "3", "-d", "x" * 2000, relay.uri())
        self.assertNotEqual(r.returncode, 0)


class Fallback(unittest.TestCase):
    def test_bad_option_leads_to_block2(self):
        def handler(m, n):
            if m.value(Q_BLOCK2) is not None:
                return m.reply("4.02")
            num, _, size = m.block(BLOCK2) or (0, False, 64)
            at = num * 64
            return m.reply("2.05", [(BLOCK2, block(num, at + 64 < len(BODY), 64)),
                                    (ETAG, b"\x01")], BODY[at:at + 64])
        with Peer(handler) as p:
            r = copal("get", *PATIENT_OPTIONS, p.uri("/q"))
        self.assertTrue(r.returncode == 0 and r.stdout == BODY)
        self.assertEqual(len([m for m in p.received if m.value(Q_BLOCK2) is not None]), 1)

    def test_block2_in_the_response_is_followed(self):
        def handler(m, n):
            num, _, size = m.block(BLOCK2) or (0, False, 64)
            at = num * 64
            return m.reply("2.05", [(BLOCK2, block(num, at + 64 < len(BODY), 64)),
                                    (ETAG, b"\x01")], BODY[at:at + 64])
        with Peer(handler) as p:
            r = copal("get", *PATIENT_OPTIONS, p.uri("/q"))
        self.assertTrue(r.returncode == 0 and r.stdout == BODY)

    def test_bad_option_leads_to_block1(self):
        got = bytearray()

        def handler(m, n):
            if m.code == GET:
                return m.reply("4.02")
            num, more, size = m.block(BLOCK1)
            got.extend(m.payload)
            return m.reply("2.31" if more else "2.04", [(BLOCK1, m.value(BLOCK1))])
        with Peer(handler) as p:
            r = copal("put", *PATIENT_OPTIONS, "-d", BODY.hex(), p.uri("/q"))
        self.assertEqual((r.returncode, bytes(got)), (0, BODY.hex().encode()))

    def test_reset_of_the_blocks_leads_to_block1(self):
        got = bytearray()

        def handler(m, n):
            if m.code == GET:
                return m.reply("4.04")
            if m.value(Q_BLOCK1) is not None:
                return Message(RST, 0, m.mid)
            num, more, size = m.block(BLOCK1)
            got.extend(m.payload)
            return m.reply("2.31" if more else "2.04", [(BLOCK1, m.value(BLOCK1))])
        with Peer(handler) as p:
            r = copal("put", *PATIENT_OPTIONS, "-d", BODY.hex(), p.uri("/q"))
        self.assertEqual((r.returncode, bytes(got)), (0, BODY.hex().encode()))

    def test_lists_out_of_order_are_dropped(self):
        def handler(m, n):
            if m.code == GET:
                return m.reply("4.04")
            num = m.block(Q_BLOCK1)[0]
            if num == 3:
                return m.reply("4.08", [(CONTENT_FORMAT, uint(272))], bytes((2, 1)))
            return m.reply("2.04") if num == 9 else None
        with Peer(handler) as p:
            r = copal("put", *PATIENT_OPTIONS, "-d", "x" * 600, p.uri("/q"))
        self.assertEqual(r.returncode, 0)
        self.assertEqual([m.block(Q_BLOCK1)[0] for m in p.received if m.code == PUT],
                         list(range(10)))


if __name__ == "__main__":
    unittest.main()
