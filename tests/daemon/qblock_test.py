# SPDX-License-Identifier: Apache-2.0
"""Bodies in sets of blocks against copald, on loopback, with datagrams lost on purpose.
RFC 9177 sections 4, 5, 7.2 and 10."""
import os
import socket
import sys
import time
import unittest

SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
sys.path[:0] = [os.path.join(SOURCE, "tests/daemon"), os.path.join(SOURCE, "tests/cli")]

from daemon import WAIT_S, Daemon  # noqa: E402
from daemon_test import ConfigFile  # noqa: E402
from harness import (ACK, BLOCK1, BLOCK2, CON, CONTENT_FORMAT, ETAG, FETCH, GET, NON, PUT, RST,  # noqa: E402
                     SIZE1, URI_PATH, Message, block, code, uint)

Q_BLOCK1, Q_BLOCK2, SIZE2, REQUEST_TAG, MISSING = 19, 31, 28, 292, 272
SIZE = 64
# What is about intervals has short ones; elsewhere nothing happens by itself, however slow the machine.
SLOW = 'qblock: { enabled = "on"; non_timeout = "100 s"; non_receive_timeout = "400 s"; %s};\n'
FAST = 'qblock: { enabled = "on"; non_timeout = "200 ms"; non_receive_timeout = "1300 ms"; %s};\n'


def cbor_sequence(data):
    """Unsigned integers of a CBOR sequence."""
    out, at = [], 0
    while at < len(data):
        n = data[at]
        at += 1
        if n >= 24:
            size = 1 << (n - 24)
            n = int.from_bytes(data[at:at + size], "big")
            at += size
        out.append(n)
    return out


class Client:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.mid, self.token = 100, 0

    def close(self):
        self.socket.close()

    def send(self, type_, method, path, options=(), payload=b""):
        self.mid += 1
        self.token += 1
        m = Message(type_, method, self.mid, self.token.to_bytes(2, "big"),
                    [(URI_PATH, path), *options], payload)
        self.socket.send(m.pack())
        return m

    def receive(self, wait=WAIT_S):
        """The next message, or None."""
        self.socket.settimeout(wait)
        try:
            return Message.parse(self.socket.recv(65536))
        except socket.timeout:
            return None

    def receive_some(self, count):
        return [self.receive() for _ in range(count)]

    def receive_to_the_end(self, last="2.01"):
        """All messages up to one with that code."""
        out = [self.receive()]
        while out[-1] is not None and out[-1].code != code(last):
            out.append(self.receive())
        return out

    def wait_until_read(self):
        """Until the server has read all that was sent before: it answers a ping then. Returns the
        messages that came before that answer. RFC 7252 section 4.3."""
        self.mid += 1
        self.socket.send(Message(CON, 0, self.mid).pack())
        out = [self.receive()]
        while out[-1] is not None and (out[-1].type, out[-1].mid) != (RST, self.mid):
            out.append(self.receive())
        return out[:-1]

    def put_block(self, body, num, tag=b"\x07", type_=NON, path=b"q", method=PUT, size1=None):
        at = num * SIZE
        options = [(Q_BLOCK1, block(num, at + SIZE < len(body), SIZE)),
                   (SIZE1, uint(len(body) if size1 is None else size1)), (REQUEST_TAG, tag)]
        return self.send(type_, method, path, options, body[at:at + SIZE])

    def read(self, path=b"q"):
        """The whole resource by Block2."""
        out, num = b"", 0
        while True:
            self.send(CON, GET, path, [(BLOCK2, block(num, False, 1024))])
            m = self.receive()
            out += m.payload
            if m.code != code("2.05") or not m.block(BLOCK2)[1]:
                return out
            num += 1


class Case(unittest.TestCase):
    config, extra = SLOW, ""

    def setUp(self):
        self.config = self.enterContext(ConfigFile(self.config % self.extra))
        self.daemon = self.enterContext(Daemon("--config", self.config.name))
        self.client = Client(self.daemon.port)
        self.addCleanup(self.client.close)

    def enterContext(self, manager):  # unittest has it from Python 3.11 on
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def is_code(self, m, text):
        self.assertIsNotNone(m, "no answer")
        self.assertEqual("%d.%02d" % (m.code >> 5, m.code & 31), text)


class Upload(Case):
    def test_10_1_1_simple_body_gets_one_answer(self):
        body = os.urandom(4 * SIZE - 5)
        sent = [self.client.put_block(body, n) for n in range(4)]
        m = self.client.receive()
        self.is_code(m, "2.01")
        self.assertEqual((m.type, m.token), (NON, sent[3].token))
        self.assertIsNone(self.client.receive(0.3))
        self.assertEqual(self.client.read(), body)

    def test_10_1_2_each_set_is_continued(self):
        body = os.urandom(23 * SIZE)
        for n in range(23):
            sent = self.client.put_block(body, n)
            if n in (9, 19):
                m = self.client.receive()
                self.is_code(m, "2.31")
                self.assertEqual((m.type, m.token), (NON, sent.token))
                self.assertEqual(m.block(Q_BLOCK1), (n, True, SIZE))
        self.is_code(self.client.receive(), "2.01")
        self.assertEqual(self.client.read(), body)

    def test_10_1_3_missing_blocks_are_named_when_the_next_set_begins(self):
        body = os.urandom(15 * SIZE)
        for n in (0, 2, 3, 5, 6, 7, 8, 9, 10):
            sent = self.client.put_block(body, n)
        m = self.client.receive()
        self.is_code(m, "4.08")
        self.assertEqual(m.token, sent.token)
        self.assertEqual(int.from_bytes(m.value(CONTENT_FORMAT), "big"), MISSING)
        self.assertEqual(cbor_sequence(m.payload), [1, 4])
        for n in (1, 4, 11, 12, 13, 14):
            self.client.put_block(body, n)
        answers = self.client.receive_to_the_end()
        self.assertTrue(all(a.code == code("2.31") for a in answers[:-1]))
        self.assertEqual(self.client.read(), body)

    def test_any_order_assembles_the_same_body(self):
        body = os.urandom(37 * SIZE + 1)
        order = sorted(range(38), key=lambda n: n * 17 % 38)
        for n in order:
            self.client.put_block(body, n)
        self.assertIsNotNone(self.client.receive_to_the_end()[-1])
        self.assertEqual(self.client.read(), body)

    def test_large_body_in_reverse_goes_through_a_file(self):
        body = os.urandom(500 * SIZE + 9) * 3
        count = -(-len(body) // SIZE)
        answers = []
        for first in range(0, count, 100):
            for n in reversed(range(first, min(first + 100, count))):
                self.client.put_block(body, n)
            answers += self.client.wait_until_read()
        if code("2.01") not in [a.code for a in answers]:
            self.assertIsNotNone(self.client.receive_to_the_end()[-1])
        self.assertEqual(self.client.read(), body)

    def test_4_3_duplicates_are_answered_and_change_nothing(self):
        body = os.urandom(4 * SIZE)
        for n in (0, 1, 1, 2):
            self.client.put_block(body, n)
        self.client.put_block(bytes(4 * SIZE), 1)
        self.client.put_block(body, 3)
        self.is_code(self.client.receive(), "2.01")
        again = self.client.put_block(body, 3)
        m = self.client.receive()
        self.is_code(m, "2.01")
        self.assertEqual(m.token, again.token)
        self.assertEqual(self.client.read(), body)

    def test_confirmable_blocks_are_acknowledged_without_responses(self):
        body = os.urandom(11 * SIZE)
        for n in range(11):
            sent = self.client.put_block(body, n, type_=CON)
            m = self.client.receive()
            self.assertEqual((m.type, m.mid), (ACK, sent.mid))
            if n < 10:
                self.assertEqual(m.code, 0)
        if m.code == 0:
            m = self.client.receive()
        self.is_code(m, "2.01")
        self.assertEqual(self.client.read(), body)

    def test_two_bodies_of_one_client_are_told_apart_by_request_tag(self):
        a, b = os.urandom(5 * SIZE), os.urandom(5 * SIZE)
        for n in range(5):
            self.client.put_block(a, n, tag=b"\x01", path=b"x")
            self.client.put_block(b, n, tag=b"\x02", path=b"y")
        answers = self.client.receive_some(2)
        self.assertEqual([m.code for m in answers], [code("2.01")] * 2)
        self.assertIsNone(self.client.receive(0.3))
        self.assertEqual((self.client.read(b"x"), self.client.read(b"y")), (a, b))

    def test_4_3_without_request_tag_or_size1_is_a_bad_request(self):
        for options in ([(Q_BLOCK1, block(0, True, SIZE)), (SIZE1, uint(999))],
                        [(Q_BLOCK1, block(0, True, SIZE)), (REQUEST_TAG, b"\x01")]):
            self.client.send(CON, PUT, b"q", options, bytes(SIZE))
            self.is_code(self.client.receive(), "4.00")

    def test_4_6_a_block_that_size1_does_not_allow_is_a_bad_request(self):
        body = os.urandom(4 * SIZE)
        self.client.put_block(body, 3, type_=CON, size1=4 * SIZE - 1)
        self.is_code(self.client.receive(), "4.00")

    def test_body_beyond_the_limit_is_too_large(self):
        self.client.put_block(bytes(4 * SIZE), 0, type_=CON, size1=1 << 30)
        m = self.client.receive()
        self.is_code(m, "4.13")

    def test_4_1_both_kinds_of_option_are_a_bad_option(self):
        self.client.send(CON, PUT, b"q",
                         [(Q_BLOCK1, block(0, True, SIZE)), (BLOCK1, block(0, True, SIZE)),
                          (SIZE1, uint(999)), (REQUEST_TAG, b"\x01")], bytes(SIZE))
        self.is_code(self.client.receive(), "4.02")

    def test_one_client_holds_a_bounded_number_of_bodies(self):
        body = os.urandom(2 * SIZE)
        for n in range(9):
            self.client.put_block(body, 0, tag=bytes([n]))
        self.client.put_block(body, 1, tag=b"\x08")
        self.is_code(self.client.receive(), "2.01")
        self.client.put_block(body, 1, tag=b"\x00")  # its first block has given way
        self.assertIsNone(self.client.receive(0.5))

    def test_clients_behind_one_address_do_not_evict_each_other(self):
        body = os.urandom(2 * SIZE)
        others = [Client(self.daemon.port) for _ in range(40)]
        for other in others:
            self.addCleanup(other.close)
            other.put_block(body, 0, path=b"other")
        self.client.put_block(body, 0)
        for other in others:
            other.put_block(body, 1, path=b"other")
            self.assertIn(self.final(other), (code("2.01"), code("2.04")))
        self.client.put_block(body, 1)
        self.assertEqual(self.final(self.client), code("2.01"))

    def final(self, client):
        """The code of the answer, behind lists of what was missing for a while."""
        m = client.receive()
        while m is not None and m.code == code("4.08"):
            m = client.receive()
        return m and m.code


class Silence(Case):
    config = FAST.replace("1300 ms", "3 s")

    def test_7_2_silence_brings_a_list_after_the_receive_timeout(self):
        body = os.urandom(8 * SIZE)
        start = time.monotonic()
        for n in (0, 1, 3, 6):
            self.client.put_block(body, n)
        m = self.client.receive()
        self.is_code(m, "4.08")
        self.assertGreater(time.monotonic() - start, 2.9)
        self.assertEqual(cbor_sequence(m.payload), [2, 4, 5, 7])
        self.assertLessEqual(1, int.from_bytes(m.token, "big"))
        for n in (2, 4, 5, 7):
            self.client.put_block(body, n)
        self.assertIsNotNone(self.client.receive_to_the_end()[-1])

    def test_7_2_silence_after_a_continue_names_the_next_set(self):
        body = os.urandom(30 * SIZE)
        for n in range(10):
            self.client.put_block(body, n)
        self.is_code(self.client.receive(), "2.31")
        m = self.client.receive()
        self.is_code(m, "4.08")
        self.assertEqual(cbor_sequence(m.payload), list(range(10, 20)))


class Expiry(Case):
    config = FAST
    extra = 'non_max_retransmit = 1; '

    def test_7_2_a_body_that_is_given_up_is_forgotten(self):
        body = os.urandom(2 * SIZE)
        self.client.put_block(body, 0)
        self.is_code(self.client.receive(), "4.08")
        self.assertIsNone(self.client.receive(6))
        self.client.put_block(body, 1)  # makes a body of its own now
        m = self.client.receive()
        self.is_code(m, "4.08")
        self.assertEqual(cbor_sequence(m.payload), [0])


class Stored(Case):
    def setUp(self):
        super().setUp()
        self.body = os.urandom(25 * SIZE + 3)
        self.client.send(CON, PUT, b"q", [(BLOCK1, block(0, True, 1024))], self.body[:1024])
        self.client.receive()
        self.client.send(CON, PUT, b"q", [(BLOCK1, block(1, False, 1024))], self.body[1024:])
        self.is_code(self.client.receive(), "2.01")

    def get(self, *blocks, type_=NON):
        return self.client.send(type_, GET, b"q", [(Q_BLOCK2, b) for b in blocks])

    def check(self, messages, token, nums):
        self.assertEqual([m.block(Q_BLOCK2)[0] for m in messages], list(nums))
        for m in messages:
            num, more, size = m.block(Q_BLOCK2)
            self.assertEqual((m.type, m.token, size), (NON, token, SIZE))
            self.assertEqual(m.payload, self.body[num * SIZE:(num + 1) * SIZE])
            self.assertEqual(more, (num + 1) * SIZE < len(self.body))
            self.assertEqual(m.value(SIZE2), uint(len(self.body)))
            self.assertIsNotNone(m.value(ETAG))
        self.assertEqual(len({m.mid for m in messages}), len(messages))
        self.assertLessEqual(len({m.value(ETAG) for m in messages}), 1)


class Download(Stored):
    config = FAST

    def test_a_whole_body_comes_by_itself(self):
        sent = self.get(block(0, True, SIZE))
        self.check(self.client.receive_some(26), sent.token, range(26))
        self.assertIsNone(self.client.receive(0.3))

    def test_sets_are_spaced_by_the_pause(self):
        seen = []
        for _ in range(10):  # a busy machine blurs it now and then
            self.get(block(0, True, SIZE))
            times = []
            for _ in range(26):
                self.assertIsNotNone(self.client.receive())
                times.append(time.monotonic())
            seen.append((times[9] - times[0], times[10] - times[9]))
            if seen[-1][0] < 0.15 < seen[-1][1]:
                return
        self.fail(seen)

    def test_missing_blocks_in_one_request(self):
        sent = self.get(*(block(n, False, SIZE) for n in (3, 4, 9)))
        self.check(self.client.receive_some(3), sent.token, (3, 4, 9))
        self.assertIsNone(self.client.receive(0.3))

    def test_confirmable_request_is_answered_block_by_block(self):
        self.get(block(20, True, SIZE), type_=CON)
        first = self.client.receive()
        self.assertEqual((first.type, first.block(Q_BLOCK2)[0]), (ACK, 20))
        for num in range(21, 26):
            m = self.client.receive()
            self.assertEqual((m.type, m.block(Q_BLOCK2)[0]), (CON, num))
            self.client.socket.send(Message(ACK, 0, m.mid).pack())
        self.assertIsNone(self.client.receive(0.5))

    def test_change_in_mid_transfer_ends_it(self):
        self.get(block(0, True, SIZE))
        for _ in range(10):
            old = self.client.receive()
        self.client.send(CON, PUT, b"q", [], b"new")
        rest = self.client.receive_to_the_end("2.04")[:-1]
        sent = self.get(block(0, False, SIZE))
        m = self.client.receive()
        while m is not None and m.token != sent.token:
            rest.append(m)
            m = self.client.receive()
        self.assertLessEqual({r.value(ETAG) for r in rest}, {old.value(ETAG)})
        self.assertEqual((m.payload, m.value(SIZE2)), (b"new", b"\x03"))


class Continued(Stored):
    """The pause outlasts the test."""

    def test_continue_brings_the_next_set_and_replaces_the_pause(self):
        self.get(block(0, True, SIZE))
        self.client.receive_some(10)
        sent = self.get(block(10, True, SIZE))
        self.check(self.client.receive_some(10), sent.token, range(10, 20))


class Off(unittest.TestCase):
    def test_4_1_switched_off_it_is_a_bad_option(self):
        with ConfigFile('qblock: { enabled = "off"; };\n') as f, \
                Daemon("--config", f.name) as d:
            c = Client(d.port)
            c.send(CON, GET, b"q", [(Q_BLOCK2, block(0, True, SIZE))])
            self.assertEqual(c.receive().code, code("4.02"))
            sent = c.send(NON, GET, b"q", [(Q_BLOCK2, block(0, True, SIZE))])
            m = c.receive()
            self.assertEqual((m.type, m.mid), (RST, sent.mid))
            c.close()


if __name__ == "__main__":
    unittest.main()
