# SPDX-License-Identifier: Apache-2.0
"""What --explain says of random rules is what the server does, for identities and paths of odd
characters. RFC 7252 sections 5.9.2.2 and 5.9.2.4."""
import os
import random
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest
from urllib.parse import quote

import daemon

KEY = "00112233445566778899aabbccddeeff"
METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5, "PATCH": 6, "iPATCH": 7}
RIGHTS = (*METHODS, "OBSERVE", "READ", "WRITE", "*")
NAMES = ("dev-1", "a/b", "..", "*", "%2F", "a b", "\u00fc", "n" * 127, "a%2Fb", "{identity}", "**",
         "anonymous", "psk:dev-1", 'q"t', "c,d", "b\\s", "#41", "A", "a", "a\u202eb")
SEGMENTS = (*(n for n in NAMES if n != ".."), "b", "", "...", "%", "a\x01", "a+b", "~", "x:y", "@", ".", "..")
DENIED = {0x80: "4.00", 0x81: "4.01", 0x83: "4.03"}


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def option(delta, value):
    """An option of any length up to 268."""
    head = 13 if delta >= 13 else delta
    length = 13 if len(value) >= 13 else len(value)
    return (bytes([head << 4 | length]) + (bytes([delta - 13]) if head == 13 else b"") +
            (bytes([len(value) - 13]) if length == 13 else b"") + value)


def request(code, path, mid):
    dgram = bytes([0x41, code, mid >> 8, mid & 255, 0xAB])
    for i, segment in enumerate(path):
        dgram += option(0 if i else 11, segment.encode())
    return dgram + (b"\xffx" if code in (METHODS["POST"], METHODS["PUT"]) else b"")


class Plain:
    """Somebody without a session."""

    patience = 2  # seconds, until a request is repeated

    def __init__(self, port):
        self.socket = daemon.client()
        self.socket.connect(("127.0.0.1", port))
        self.inlet = self.socket

    def send(self, dgram):
        self.socket.send(dgram)

    def read(self):
        return self.socket.recv(65535)

    def close(self):
        self.socket.close()


class Secure:
    """Somebody with a pre-shared key: openssl is given the identity as bytes. It makes one record of all
    that it finds when the handshake is done: a request that comes twice would not be one any more."""

    patience = daemon.WAIT_S

    def __init__(self, port, name):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-quiet", "-cipher",
             "PSK-AES128-GCM-SHA256", "-psk", KEY, "-psk_identity", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.inlet = self.process.stdout

    def send(self, dgram):
        self.process.stdin.write(dgram)

    def read(self):
        data = os.read(self.inlet.fileno(), 65536)
        if not data:
            raise AssertionError("the session has ended")
        return data

    def close(self):
        self.process.kill()
        self.process.communicate()


def ask(peer, dgram):
    """The code of the answer; a request that got lost is repeated."""
    end = time.monotonic() + daemon.WAIT_S
    while time.monotonic() < end:
        peer.send(dgram)
        if not select.select([peer.inlet], [], [], peer.patience)[0]:
            continue
        answer = peer.read()
        if answer[2:4] == dgram[2:4] and answer[1] != 0:
            return answer[1]
    raise AssertionError("no answer")


def some_pattern(draw):
    path = "".join("/" + draw.choice(("{identity}", "*", quote(draw.choice(SEGMENTS[:-2]), safe="")))
                   for _ in range(draw.randint(0, 3)))
    return (path + draw.choice(("", "/**"))) or "/"


def some_who(draw):
    name = quoted(draw.choice(NAMES))
    return draw.choice(("anyone", "anonymous", "authenticated", "group:g", 'psk:"a"*', "any:*b*",
                        "psk:" + name, "any:" + name, "psk:" + name))


def some_rules(draw):
    lines = ["group g = psk:%s, psk:%s, any:d*" % (quoted("a/b"), quoted("\u00fc"))]
    for _ in range(draw.randint(4, 24)):
        lines.append(" ".join((draw.choice(("allow", "deny")), some_who(draw), draw.choice(RIGHTS),
                               some_pattern(draw), draw.choice(("", "over secure")))))
    return "\n".join(lines + ["default " + draw.choice(("allow", "deny")), ""])


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class Verdicts(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.rules = os.path.join(directory.name, "rules")
        self.keys = os.path.join(directory.name, "psk")
        with open(self.keys, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            for name in NAMES:
                out.write("#%s:%s\n" % (name.encode().hex(), KEY))

    def explained(self, who, method, path):
        text = "/" + "/".join(quote(segment, safe="") for segment in path)
        code, out, err = daemon.run("--access", self.rules, "--explain", f"{who} {method} {text}")
        self.assertIn(code, (0, 1), f"{who} {method} {text}: {err}")
        return "allowed" if code == 0 else re.match(r"denied with (4\.0\d)", out).group(1)

    def compare(self, draw, peer, who, name):
        for mid in range(1, 8):
            method = draw.choice(tuple(METHODS))
            path = [draw.choice((*SEGMENTS, name, name)) for _ in range(draw.randint(0, 3))]
            code = ask(peer, request(METHODS[method], path, mid))
            self.assertEqual(DENIED.get(code, "allowed"), self.explained(who, method, path),
                             (who, method, path))

    def test_explain_says_what_the_server_does(self):
        for seed in (1, 2, 3):
            draw = random.Random(seed)
            with open(self.rules, "w") as out:
                out.write(some_rules(draw))
            with self.subTest(seed), daemon.Daemon(
                    "--access", self.rules, "--psk-file", self.keys,
                    listen=("coap://127.0.0.1:0", "coaps://127.0.0.1:0")) as d:
                port = int(re.search(r"coaps://127\.0\.0\.1:(\d+)", d.ready).group(1))
                for name in (None, *draw.sample(NAMES, 6)):
                    peer = Plain(d.port) if name is None else Secure(port, name)
                    try:
                        who = "anonymous" if name is None else "psk:" + quoted(name)
                        self.compare(draw, peer, who, name or "a")
                    finally:
                        peer.close()


if __name__ == "__main__":
    unittest.main()
