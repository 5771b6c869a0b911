# SPDX-License-Identifier: Apache-2.0
"""A client endpoint on a raw UDP socket, and the checks that tests are written with."""

import itertools
import os
import random
import select
import socket
import time

import wire
from wire import ACK, CON, RST


WAIT_S = 60  # only a failure waits so long


class Failure(Exception):
    """A check did not hold."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def equal(actual, wanted, what):
    if actual != wanted:
        raise Failure("%s is %r, wanted %r" % (what, actual, wanted))


def one_of(actual, wanted, what):
    if actual not in wanted:
        raise Failure("%s is %r, wanted one of %r" % (what, actual, wanted))


def segments(path):
    """Uri-Path values of "/a/b", or of a list of segments."""
    return path if isinstance(path, list) else [s for s in path.split("/") if s]


class Peer:
    """One client endpoint: a socket of its own, hence a source port of its own. Message IDs are of all
    endpoints together, since the system gives out the port of a closed socket again: the server would
    take what has the same port and Message ID for a copy (RFC 7252 section 4.5)."""

    mids = itertools.count(random.randrange(0x10000))

    def __init__(self, address, name=""):
        self.address = address
        self.family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.mid = self.next_mid()
        self.name = name
        self.sock = self._socket()
        self.others = []
        self.acknowledged = set()

    def _socket(self):
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.connect(self.address)
        return sock

    def another(self):
        """A second endpoint: same host, another port."""
        peer = Peer(self.address, self.name)
        self.others.append(peer)
        return peer

    def close(self):
        for peer in self.others:
            peer.close()
        self.sock.close()

    def path(self, leaf="x"):
        """A path no other test uses."""
        return "/t/%s/%s" % (self.name, leaf)

    def next_mid(self):
        self.mid = next(Peer.mids) & 0xFFFF
        return self.mid

    def send(self, data):
        self.sock.send(data)

    def recv_raw(self, timeout=WAIT_S):
        """The next datagram, or None. An ICMP error means that nobody listens."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        return self.sock.recv(65535)

    def recv(self, timeout=WAIT_S):
        """The next message, or None. What was acknowledged too late comes again, and does not count."""
        end = time.monotonic() + timeout
        while (data := self.recv_raw(max(0, end - time.monotonic()))) in self.acknowledged:
            self.send(wire.head(ACK, 0, wire.Message(data).mid))
        if data is None:
            return None
        try:
            return wire.Message(data)
        except wire.Malformed as why:
            raise Failure("malformed answer (%s): %s" % (why, data.hex())) from why

    def acknowledge(self, got):
        self.acknowledged.add(got.raw)
        self.send(wire.head(ACK, 0, got.mid))

    def need(self, timeout=WAIT_S):
        answer = self.recv(timeout)
        check(answer is not None, "no answer")
        return answer

    # requests ---------------------------------------------------------------------------------

    def build(self, method, path="/", pairs=(), payload=b"", query=(), type_=CON, token=None,
              mid=None):
        token = os.urandom(4) if token is None else token
        mid = self.next_mid() if mid is None else mid
        every = [(wire.URI_PATH, s) for s in segments(path)]
        every += [(wire.URI_QUERY, q) for q in query] + list(pairs)
        return wire.message(type_, method, mid, token, every, payload)

    def answer(self, sent, timeout=WAIT_S):
        """The response to the datagram `sent`, checked against it; a separate one is acknowledged.

        RFC 7252 sections 5.2 and 5.3.2.
        """
        asked = wire.Message(sent)
        got = self.need(timeout)
        if got.type == ACK:
            equal(got.mid, asked.mid, "Message ID of the acknowledgement")
            if got.code_byte == 0:
                got = self.need(timeout)
                check(got.type != ACK, "response in a second acknowledgement")
        if got.type == CON:
            self.acknowledge(got)
        check(got.type != RST, "the request was rejected with a Reset")
        equal(got.token, asked.token, "token of the response")
        return got

    def ask(self, method, path="/", pairs=(), payload=b"", query=(), **more):
        sent = self.build(method, path, pairs, payload, query, **more)
        self.send(sent)
        return self.answer(sent)

    def get(self, path="/", pairs=(), **more):
        return self.ask(wire.GET, path, pairs, **more)

    def put(self, path, payload=b"", pairs=(), **more):
        return self.ask(wire.PUT, path, pairs, payload, **more)

    def post(self, path, payload=b"", pairs=(), **more):
        return self.ask(wire.POST, path, pairs, payload, **more)

    def delete(self, path, pairs=(), **more):
        return self.ask(wire.DELETE, path, pairs, **more)

    def made(self, leaf="x", payload=b"value", pairs=((wire.CONTENT_FORMAT, wire.TEXT),), **more):
        """A resource that exists now. Returns its path."""
        path = self.path(leaf)
        equal(self.put(path, payload, pairs, **more).code, "2.01", "code of the preparing PUT")
        return path

    def created(self, path):
        """The path of a child made by POST on `path`, as the server names it."""
        return located(self.post(path, b"child", [(wire.CONTENT_FORMAT, wire.TEXT)]))

    # reactions --------------------------------------------------------------------------------

    def ping(self):
        mid = self.next_mid()
        self.send(wire.head(CON, 0, mid))
        return mid

    def wants_reset(self, data):
        """`data` is rejected: an Empty Reset with its Message ID. RFC 7252 section 4.2."""
        self.send(data)
        got = self.need()
        equal(got.raw.hex(), (b"\x70\x00" + data[2:4]).hex(), "answer")

    def wants_silence(self, *datagrams):
        """None of the datagrams is answered: the ping behind them is answered first."""
        for data in datagrams:
            self.send(data)
        mid = self.ping()
        got = self.need()
        check(got.type == RST and got.mid == mid, "answered with %r" % got)

    def wants_reset_or_silence(self, data):
        """A rejected Non-confirmable message. RFC 7252 section 4.3."""
        self.send(data)
        mid = self.ping()
        got = self.need()
        if got.raw == b"\x70\x00" + data[2:4]:
            got = self.need()
        check(got.type == RST and got.mid == mid, "answered with %r" % got)

    def wants_quiet(self, seconds=0.25):
        """Nothing arrives for that long: for answers that may come later than a ping's."""
        got = self.recv(seconds)
        check(got is None, "answered with %r" % got)

    def wants_text(self, answer):
        """A diagnostic payload: UTF-8 text without Content-Format. RFC 7252 section 5.5.2."""
        check(answer.payload, "no diagnostic payload in %r" % answer)
        answer.payload.decode("utf-8")
        equal(answer.opt(wire.CONTENT_FORMAT), None, "Content-Format of a diagnostic payload")


def located(answer):
    """The Location-Path of a 2.01 as a list of segments."""
    equal(answer.code, "2.01", "code of the POST")
    where = answer.all(wire.LOCATION_PATH)
    check(where, "no Location-Path in %r" % answer)
    return where


def table(*rows):
    """Runs a test once per row; the first column names the case."""

    def mark(test):
        test.rows = rows
        return test

    return mark


def alone(test):
    """Runs a test while no other one changes the server's resources."""
    test.alone = True
    return test
