# SPDX-License-Identifier: Apache-2.0
"""Just enough CoAP for many requests under way at once, and copald to send them to."""
import atexit
import itertools
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time

COPALD = os.environ.get("COPALD") or os.path.join(os.environ.get("COPAL_BUILD_DIR", "build/dev"),
                                                  "copald")
ENGINES = ("lmdb", "journal")
GET, POST, PUT, DELETE, PATCH = 1, 2, 3, 4, 6
CREATED, DELETED, CHANGED, CONTENT = 0x41, 0x42, 0x44, 0x45
NOT_FOUND, PRECONDITION, INTERNAL, UNAVAILABLE = 0x84, 0x8C, 0xA0, 0xA3
IF_MATCH, ETAG, IF_NONE_MATCH, LOCATION_PATH, URI_PATH, FORMAT, MAX_AGE, URI_QUERY, BLOCK2 = (
    1, 4, 5, 8, 11, 12, 14, 15, 23)
MERGE_PATCH, JSON = 52, 50
WAIT_S = 60  # only a failure waits so long


def extended(n):
    if n < 13:
        return n, b""
    return (13, bytes([n - 13])) if n < 269 else (14, struct.pack("!H", n - 269))


def encode(code, mid, token, options, payload=b""):
    out, last = bytes([0x40 | len(token), code]) + struct.pack("!H", mid) + token, 0
    for number, value in sorted(options, key=lambda o: o[0]):
        delta, more = extended(number - last)
        length, longer = extended(len(value))
        out += bytes([delta << 4 | length]) + more + longer + value
        last = number
    return out + (b"\xff" + payload if payload else b"")


class Answer:
    def __init__(self, dgram):
        self.kind, self.code = dgram[0] >> 4 & 3, dgram[1]
        self.mid = struct.unpack("!H", dgram[2:4])[0]
        at = 4 + (dgram[0] & 15)
        self.token, self.options, self.payload, number = dgram[4:at], [], b"", 0
        while at < len(dgram):
            if dgram[at] == 0xFF:
                self.payload = dgram[at + 1:]
                break
            nibbles, at = dgram[at], at + 1
            delta, at = self._extended(dgram, nibbles >> 4, at)
            length, at = self._extended(dgram, nibbles & 15, at)
            number += delta
            self.options.append((number, dgram[at:at + length]))
            at += length

    @staticmethod
    def _extended(dgram, n, at):
        if n < 13:
            return n, at
        if n == 13:
            return dgram[at] + 13, at + 1
        return struct.unpack("!H", dgram[at:at + 2])[0] + 269, at + 2

    def get(self, number):
        return next((v for n, v in self.options if n == number), None)

    def all(self, number):
        return [v for n, v in self.options if n == number]


class Line:
    """A socket with requests under way: send(), then receive() until it has them all. Message IDs are of
    all sockets together: a port may be that of an earlier socket."""

    numbers = itertools.count(int.from_bytes(os.urandom(2), "big"))

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.under_way = {}

    def close(self):
        self.socket.close()

    def send(self, what, code, options, payload=b""):
        number = next(Line.numbers)
        token = struct.pack("!I", number)
        self.under_way[token] = what
        try:
            self.socket.send(encode(code, number & 0xFFFF, token, options, payload))
        except ConnectionRefusedError:
            pass  # it is dead: nothing will come

    def receive(self):
        """The answers that are there, as (what, answer)."""
        while True:
            try:
                answer = Answer(self.socket.recv(65536))
            except (BlockingIOError, ConnectionRefusedError):
                return
            if answer.code == 0:
                continue  # empty: the response comes separately
            if answer.kind == 0:
                self.socket.send(bytes([0x60, 0]) + struct.pack("!H", answer.mid))
            if answer.token in self.under_way:
                yield self.under_way.pop(answer.token), answer

    def ask(self, code, options, payload=b""):
        """One request and its answer."""
        self.send(None, code, options, payload)
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            select.select([self.socket], [], [], 1)
            for _, answer in self.receive():
                return answer
        raise AssertionError("no answer")

    def read(self, options):
        """GET of a body of any size; returns (code, entity-tag, body)."""
        body, number = b"", 0
        while True:
            block = [(BLOCK2, struct.pack("!I", number << 4 | 6).lstrip(b"\0"))] if number else []
            answer = self.ask(GET, options + block)
            body += answer.payload
            more = int.from_bytes(answer.get(BLOCK2) or b"\0", "big") & 8
            if answer.code != CONTENT or not more:
                return answer.code, answer.get(ETAG), body
            number += 1


def path(key):
    return [(URI_PATH, s.encode()) for s in key.strip("/").split("/")]


RUNNING = set()


def kill_all():
    """No copald outlives its test, however that ends."""
    for copald in RUNNING:
        copald.process.kill()
        copald.show_log()


atexit.register(kill_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Copald:
    """A running copald with a data directory, with the engine that the test has chosen."""

    engine = ENGINES[0]

    def __init__(self, data, *args, env=None, wait=True, listen=("coap://127.0.0.1:0",)):
        self.log = open(data + ".log", "ab")
        command = [COPALD, "--store", self.engine, "--data", data, *args]
        for uri in listen:
            command += ["--listen", uri]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log,
                                        env=dict(os.environ, **(env or {})))
        RUNNING.add(self)
        self.port = None
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        line = self.process.stdout.readline().decode() if readable else ""
        found = re.search(r"coap://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)", line)
        assert found, "copald does not start:\n" + self.read_log()[-2000:]
        self.port = int(found.group(1))

    def read_log(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def show_log(self):
        """For whoever wants to know why it has ended."""
        if os.path.exists(self.log.name):
            print(self.read_log()[-20000:], file=sys.stderr)

    def kill(self):
        self.process.kill()
        self.wait()

    def stop(self):
        self.process.terminate()
        return self.wait()

    def wait(self):
        code = self.process.wait(WAIT_S)
        RUNNING.discard(self)
        if code not in (0, -signal.SIGKILL):
            self.show_log()
        self.process.stdout.close()
        self.log.close()
        return code


def settle(data):
    """Ends with everything in the database, which is what check() counts resources in."""
    copald = Copald(data)
    code = copald.stop()
    assert code == 0, code


def check(data):
    """What `copald --check` says; fails when there is damage."""
    done = subprocess.run([COPALD, "--check", data], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r": (\d+) resources", done.stdout).group(1))
