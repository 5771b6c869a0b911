# SPDX-License-Identifier: Apache-2.0
"""Runs copal against a peer whose every datagram the test decides. Messages are put together and
taken apart here from RFC 7252 section 3, independently of libcopal."""
import os
import socket
import struct
import subprocess
import sys
import threading
import unittest

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

import ports  # noqa: E402

CON, NON, ACK, RST = range(4)
EMPTY, GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = range(8)

OBSERVE, ETAG, LOCATION_PATH, URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY = 6, 4, 8, 11, 12, 14, 15
IF_NONE_MATCH, URI_HOST, URI_PORT = 5, 3, 7
ACCEPT, BLOCK2, BLOCK1, SIZE2, SIZE1, ECHO, NO_RESPONSE = 17, 23, 27, 28, 60, 252, 258

COPAL = os.path.join(os.environ.get("COPAL_BUILD_DIR", "build/dev"), "copal")


def code(text):
    """0x45 for "2.05"."""
    cls, detail = text.split(".")
    return int(cls) << 5 | int(detail)


def uint(value):
    """An option value of format uint."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def block(num, more, size):
    """The value of a Block option."""
    return uint(num << 4 | (8 if more else 0) | (size.bit_length() - 5))


class Message:
    def __init__(self, type_, code_, mid, token=b"", options=(), payload=b""):
        self.type, self.code, self.mid, self.token = type_, code_, mid, token
        self.options, self.payload = list(options), payload

    def pack(self):
        out = bytes([0x40 | self.type << 4 | len(self.token), self.code])
        out += struct.pack("!H", self.mid) + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda o: o[0]):
            out += self._option(number - last, value)
            last = number
        return out + (b"\xff" + self.payload if self.payload else b"")

    @staticmethod
    def _nibble(n):
        if n < 13:
            return n, b""
        if n < 269:
            return 13, bytes([n - 13])
        return 14, struct.pack("!H", n - 269)

    @classmethod
    def _option(cls, delta, value):
        d, d_ext = cls._nibble(delta)
        n, n_ext = cls._nibble(len(value))
        return bytes([d << 4 | n]) + d_ext + n_ext + value

    @classmethod
    def parse(cls, data):
        tkl = data[0] & 15
        m = cls(data[0] >> 4 & 3, data[1], struct.unpack("!H", data[2:4])[0], data[4:4 + tkl])
        at, number = 4 + tkl, 0
        while at < len(data) and data[at] != 0xFF:
            delta, size = data[at] >> 4, data[at] & 15
            at += 1
            lengths = []
            for n in (delta, size):
                if n == 13:
                    n, at = data[at] + 13, at + 1
                elif n == 14:
                    n, at = struct.unpack("!H", data[at:at + 2])[0] + 269, at + 2
                lengths.append(n)
            number += lengths[0]
            m.options.append((number, data[at:at + lengths[1]]))
            at += lengths[1]
        m.payload = data[at + 1:]
        return m

    def values(self, number):
        return [v for n, v in self.options if n == number]

    def value(self, number):
        found = self.values(number)
        return found[0] if found else None

    def block(self, number):
        """(num, more, size) of a Block option, or None."""
        raw = self.value(number)
        if raw is None:
            return None
        v = int.from_bytes(raw, "big")
        return v >> 4, bool(v & 8), 1 << ((v & 7) + 4)

    def reply(self, code_, options=(), payload=b""):
        """A piggybacked response, or a Non-confirmable one to a Non-confirmable request."""
        if isinstance(code_, str):
            code_ = code(code_)
        type_ = ACK if self.type == CON else NON
        return Message(type_, code_, self.mid, self.token, options, payload)


class Peer:
    """A UDP socket; `handler(message, count)` returns the messages to send back, or None. `count`
    is the number of datagrams received before."""

    def __init__(self, handler, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.handler, self.received, self.error = handler, [], None
        self.stopping = False
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.socket.close()
        if self.error:
            raise self.error

    def _serve(self):
        """Until it is told to stop and has taken all that had been sent before."""
        while True:
            try:
                data, address = self.socket.recvfrom(65536)
            except socket.timeout:
                if self.stopping:
                    return
                continue
            try:
                self._answer(Message.parse(data), address)
            except Exception as e:  # shown by the test that started the peer
                self.error = e
                return

    def _answer(self, message, address):
        self.received.append(message)
        answers = self.handler(message, len(self.received) - 1)
        if isinstance(answers, (Message, bytes)):
            answers = [answers]
        for a in answers or []:
            self.socket.sendto(a if isinstance(a, bytes) else a.pack(), address)

    def uri(self, path=""):
        return "coap://127.0.0.1:%d%s" % (self.port, path)


def closed_port():
    """A port where nobody listens, unless this test starts somebody."""
    return ports.reserve()


WAIT_S = 120  # only a failure waits so long
REQUESTS = ("get", "post", "put", "delete", "fetch", "patch", "ipatch", "discover",
            "observe")
# So that a machine which is busy for seconds meets no retransmission: for tests that count messages.
PATIENT = ("--ack-timeout", "60")


def copal(*args, stdin=b"", timeout=WAIT_S, env=None):
    """Runs copal; returns the completed process with bytes in stdout and stderr. A request is repeated
    soon only where the test says when."""
    if args and args[0] in REQUESTS and "--ack-timeout" not in args:
        args = (args[0], *PATIENT, *args[1:])
    return subprocess.run([COPAL, *args], input=stdin, capture_output=True, timeout=timeout,
                          env=dict(os.environ, **(env or {})))


class Together(unittest.TestSuite):
    """Tests that mostly wait, run side by side."""

    def run(self, result, debug=False):
        results = [unittest.TestResult() for _ in self._tests]
        threads = [threading.Thread(target=t.run, args=(r,)) for t, r in zip(self._tests, results)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for r in results:
            result.testsRun += r.testsRun
            result.failures += r.failures
            result.errors += r.errors
            result.skipped += r.skipped
        return result
