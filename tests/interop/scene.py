# SPDX-License-Identifier: Apache-2.0
"""Processes of a test: started here, ended here by their own id."""

import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import peers
from peers import free_port  # noqa: F401 (for those who import this module)

COPALD = os.path.join(peers.BUILD, "copald")
COPAL = os.path.join(peers.BUILD, "copal")


class Wrong(Exception):
    """What the test saw is not what it wanted."""


def equal(actual, wanted, what):
    if actual != wanted:
        raise Wrong("%s is %r, wanted %r" % (what, actual, wanted))
    print("ok   %s: %r" % (what, actual))


def holds(condition, what, seen=""):
    if not condition:
        raise Wrong("%s does not hold: %r" % (what, seen))
    print("ok   " + what)


def need(program):
    if not os.access(program, os.X_OK):
        peers.skip("no program " + program)
    return program


class Process:
    """A program that runs beside the test."""

    def __init__(self, command, env=None):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, bufsize=1,
                                        env={**os.environ, **(env or {})})

    def line(self, seconds):
        """The next line of its output, or an empty string."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return ""
        return self.process.stdout.readline()

    def read_until(self, wanted, seconds=120.0):
        """Its output, from where the last read ended until `wanted` is in it."""
        seen, until = b"", time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while wanted not in seen and time.monotonic() < until:
            if select.select([fd], [], [], 0.1)[0]:
                piece = os.read(fd, 65536)
                if not piece:
                    break
                seen += piece
        return seen

    def errors(self):
        # The program writes at the place that this file object has, too: it is not moved.
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")[-3000:]

    def stop(self):
        """Ends it; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Copald(Process):
    """Our server on a free loopback port."""

    def __init__(self):
        # Port 0: the system picks one that is free, and the first line names it.
        super().__init__([need(COPALD), "--listen", "coap://127.0.0.1:0", "--store", "memory"])
        found = re.search(r"coap://127\.0\.0\.1:(\d+)", self.line(120))
        if not found:
            raise Wrong("copald is not ready:\n" + self.errors())
        self.uri, self.port = found.group(0), int(found.group(1))

    def __exit__(self, *_):
        status = self.stop()
        if status != 0:
            raise Wrong("copald ended with %d:\n%s" % (status, self.errors()))


class Programmed(Process):
    """A client program that reads one request per line and writes one response per line, in JSON:
    method path [query payload format accept etag non] -> code payload [format etag location]."""

    def ask(self, method, path, **more):
        self.process.stdin.write(json.dumps(dict(method=method, path=path, **more)) + "\n")
        line = self.line(120)
        if not line:
            raise Wrong("no answer to %s %s:\n%s" % (method, path, self.errors()))
        got = json.loads(line)
        if "error" in got:
            raise Wrong("%s %s failed: %s" % (method, path, got["error"]))
        got["payload"] = bytes.fromhex(got.get("payload") or "")
        return got


def wait_for_server(port, seconds=120.0):
    """Waits until something answers a ping on the port. RFC 7252 section 4.3."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                sock.send(b"\x40\x00\x12\x34")
                if select.select([sock], [], [], 0.1)[0]:
                    sock.recv(100)
                    return
            except ConnectionRefusedError:
                time.sleep(0.05)
    raise Wrong("no server on port %d" % port)


def copal(*arguments, status=0, stdin=None):
    """Runs our client. Returns its output; its exit status must be `status`."""
    done = subprocess.run([need(COPAL), *arguments], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    shown = " ".join(arguments)
    if done.returncode != status:
        raise Wrong("copal %s: exit status %d, wanted %d\n%s%s" % (
            shown, done.returncode, status, done.stdout.decode(), done.stderr.decode()))
    print("ok   copal %s: exit status %d" % (shown, status))
    return done.stdout


def main(test):
    """Runs a test and reports."""
    try:
        test()
    except Wrong as why:
        print("FAIL %s" % why)
        sys.exit(1)
