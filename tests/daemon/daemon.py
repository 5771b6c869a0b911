# SPDX-License-Identifier: Apache-2.0
"""Runs copald and speaks just enough CoAP to see that it answers."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

import ports  # noqa: E402

COPALD = os.path.join(os.environ.get("COPAL_BUILD_DIR", "build/dev"), "copald")
WAIT_S = 60  # a loaded machine is slow, and nothing waits this long unless it fails

LOG_SHOWN = 20000  # characters of a log that goes with a failure
SANITIZED = ("Sanitizer:", "runtime error:")
CRASHES = {-n for n in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)}

CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE = 1, 2, 3, 4
CONTENT, CREATED = 0x45, 0x41


def run(*args, env=None, **more):
    """Runs copald to its end; returns (exit code, stdout, stderr)."""
    done = subprocess.run([COPALD, *args], capture_output=True, text=True, timeout=WAIT_S, env=env,
                          **more)
    return done.returncode, done.stdout, done.stderr


class Daemon:
    """A running copald on a port the system picked. It keeps its resources in memory unless it is told
    where; `store=None`: as it chooses itself."""

    def __init__(self, *args, listen=("coap://127.0.0.1:0",), env=None, store="memory", **more):
        command = [COPALD, *args]
        if store is not None and not {"--store", "--data"} & set(args):
            command += ["--store", store]
        for uri in listen:
            command += ["--listen", uri]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=env, **more)
        self.ready = self._read_ready()
        self.err = ""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        """Ends it at once. What it said goes with a failure; what a sanitizer has said is one."""
        if self.process.poll() is None:
            self.process.kill()
        _, err = self.process.communicate()
        if self.process.returncode in CRASHES:
            print("copald died of signal", -self.process.returncode, file=sys.stderr)
        said = self.err if err in self.err else self.err + err
        is_sick = any(word in said for word in SANITIZED)
        if is_sick or any(exc):
            print(said[-LOG_SHOWN:], file=sys.stderr)
        if is_sick and not any(exc):
            raise AssertionError("copald was ended by a sanitizer")

    def _read_ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        return self.process.stdout.readline() if readable else ""

    @property
    def port(self):
        return int(re.search(r"coap://127\.0\.0\.1:(\d+)", self.ready).group(1))

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends it; returns (exit code, what stdout held behind the ready line, stderr)."""
        self.send_signal(number)
        out, err = self.process.communicate(timeout=WAIT_S)
        self.err += err
        return self.process.returncode, out, self.err

    def wait_for_event(self, event):
        """Reads the log up to a line with this event; returns the line as an object."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            readable, _, _ = select.select([self.process.stderr], [], [], 1)
            if not readable:
                continue
            line = os.read(self.process.stderr.fileno(), 1 << 16).decode()
            self.err += line
            for entry in events(self.err):
                if entry["event"] == event:
                    return entry
        raise AssertionError(f"no {event} in the log:\n{self.err}")


def events(log):
    """The complete lines of a JSON log."""
    return [json.loads(line) for line in log.split("\n")[:-1]]


def options(*values):
    """Encodes (number, bytes) pairs with small numbers and lengths."""
    out, last = b"", 0
    for number, value in values:
        delta = number - last
        assert delta < 269 and len(value) < 13
        head = bytes([delta << 4 | len(value)]) if delta < 13 else bytes([13 << 4 | len(value), delta - 13])
        out += head + value
        last = number
    return out


def options_of(message):
    """The options of a message as (number, value) pairs."""
    at, number, found = 4 + (message[0] & 15), 0, []
    while at < len(message) and message[at] != 0xFF:
        nibbles, at = [message[at] >> 4, message[at] & 15], at + 1
        for i, nibble in enumerate(nibbles):
            if nibble == 13:
                nibbles[i], at = 13 + message[at], at + 1
            elif nibble == 14:
                nibbles[i], at = 269 + int.from_bytes(message[at:at + 2], "big"), at + 2
        number += nibbles[0]
        found.append((number, message[at:at + nibbles[1]]))
        at += nibbles[1]
    return found


def payload_of(answer):
    """What stands behind the options."""
    at = 4 + (answer[0] & 15)
    while at < len(answer) and answer[at] != 0xFF:
        nibbles = answer[at] >> 4, answer[at] & 15
        at += 1
        length = nibbles[1]
        for nibble in nibbles:
            if nibble == 13:
                value, at = 13 + answer[at], at + 1
            elif nibble == 14:
                value, at = 269 + int.from_bytes(answer[at:at + 2], "big"), at + 2
            else:
                value = nibble
            length = value
        at += length
    return answer[at + 1:]


def request(code, *path, payload=b"", host=None, mid=1, kind=CON, block1=None):
    """The datagram of a request."""
    opts = ([(3, host)] if host else []) + [(11, p.encode()) for p in path]
    opts += [(27, bytes([block1]))] if block1 is not None else []
    dgram = bytes([0x40 | kind << 4 | 1, code, mid >> 8, mid & 255, 0xAB]) + options(*opts)
    return dgram + (b"\xff" + payload if payload else b"")


def client():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def response(s, server):
    """The datagram with the response of this server: a slow one acknowledges the request first. To
    whoever had the port of the socket before, others may still be sending."""
    while True:
        answer, peer = s.recvfrom(2048)
        if peer != server or (answer[0] >> 4 & 3 == ACK and answer[1] == 0):
            continue
        if answer[0] >> 4 & 3 == CON:
            s.sendto(bytes([0x60, 0]) + answer[2:4], server)
        return answer


def exchange(port, *args, to="127.0.0.1", wait=WAIT_S, via=None, mid=None, **more):
    """One request; returns (type, code, message id, payload) of the answer, or None. `via` is a
    socket to use instead of a new one, which may have the port of an earlier one: what has its
    Message ID, too, would be taken for a copy."""
    mid = int.from_bytes(os.urandom(2), "big") if mid is None else mid
    s = via or client()
    s.settimeout(wait)
    try:
        s.sendto(request(*args, mid=mid, **more), (to, port))
        answer = response(s, (to, port))
    except (TimeoutError, ConnectionRefusedError):
        return None
    finally:
        if via is None:
            s.close()
    return answer[0] >> 4 & 3, answer[1], answer[2] << 8 | answer[3], payload_of(answer)
