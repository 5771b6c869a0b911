# SPDX-License-Identifier: Apache-2.0
"""Californium's DTLS client with connection IDs against copald: pre-shared keys, raw public keys and
certificates, each suite, and an address that changes. RFC 7252 section 9.1.3, RFC 9146."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import dtls
import peers

CREDENTIALS_TIME_S = 60
CHANGED, CONTENT = "2.04", "2.05"
PSK_SUITES = ("TLS_PSK_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_CCM",
              "TLS_PSK_WITH_AES_128_GCM_SHA256")
ECDSA_SUITES = ("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
OURS, THEIRS = 8, 6  # bytes of connection IDs


class Client:
    """A line for each request, a line for each response."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([*JAVA, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()

    def ask(self, method, port, path="/x", payload=""):
        uri = "coaps://127.0.0.1:%d%s" % (port, path)
        self.process.stdin.write("%s\t%s\t%s\n" % (method, uri, payload))
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n").split("\t")


def compiled(directory):
    """The command that runs the client."""
    java, _, jars = peers.californium()
    source = os.path.join(peers.HERE, "californium", "Secure.java")
    subprocess.run([peers.tool("javac"), "-cp", jars, "-d", directory, source], check=True)
    return [java, "-cp", jars + ":" + directory, "Secure"]


def keygen(directory, *arguments):
    done = subprocess.run([os.path.join(dtls.BUILD, "copal"), "keygen", *arguments], cwd=directory,
                          stdout=subprocess.PIPE, timeout=CREDENTIALS_TIME_S, check=True, text=True)
    return done.stdout.strip()


class Modes(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, *names):
        return os.path.join(self.dir, *names)

    def serve(self, dtls_keys=""):
        config = self.file("conf")
        with open(config, "w") as out:
            out.write('store = "memory";\ndtls = { %s };\n' % dtls_keys)
        server = dtls.Server("--config", config)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server

    def check_suites(self, server, suites, *mode):
        for suite in suites:
            with self.subTest(suite), Client(*mode, suite) as client:
                code, _, used, _ = client.ask("PUT", server.port, payload=suite)
                self.assertIn(code, (CHANGED, "2.01"))
                self.assertEqual(used, suite)
                code, body, _, ids = client.ask("GET", server.port)
                self.assertEqual((code, body), (CONTENT, suite))
                self.assertEqual(ids, "%d/%d" % (THEIRS, OURS))

    def check_refused(self, server, counter, *mode):
        with Client(*mode) as client:
            self.assertEqual(client.ask("GET", server.port)[0], "failed")
        self.assertEqual(server.settled(**{counter: 1})[counter], 1)

    def test_pre_shared_keys(self):
        server = self.serve()
        self.check_suites(server, PSK_SUITES, "psk", "device", dtls.KEY)
        self.check_refused(server, "handshakes_failed_wrong_key", "psk", "device", "another key",
                           PSK_SUITES[0])

    def test_raw_public_keys(self):
        keygen(self.dir, "raw", "-o", "server.key")
        keygen(self.dir, "raw", "-o", "stranger.key")
        with open(self.file("peers"), "w") as out:
            out.write("lamp %s\n" % keygen(self.dir, "raw", "-o", "lamp.key"))
        server = self.serve('raw_key = "%s"; raw_peers = "%s";'
                            % (self.file("server.key"), self.file("peers")))
        self.check_suites(server, ECDSA_SUITES, "raw", self.file("lamp.key"),
                          self.file("server.key"))
        with Client("raw", self.file("stranger.key"), self.file("server.key"),
                    ECDSA_SUITES[0]) as client:
            self.assertEqual(client.ask("GET", server.port)[0], "failed")

    def test_certificates(self):
        keygen(self.dir, "ca", "-o", "ca")
        keygen(self.dir, "ca", "-o", "foreign")
        keygen(self.dir, "cert", "--ca", "ca", "--host", "127.0.0.1")
        for ca in ("ca", "foreign"):
            keygen(self.dir, "cert", "--ca", ca, "--client", "lamp")
        server = self.serve('certificate = "%s"; key = "%s"; ca = "%s";' % (
            self.file("ca", "127.0.0.1.pem"), self.file("ca", "127.0.0.1.key"),
            self.file("ca", "ca.pem")))
        self.check_suites(server, ECDSA_SUITES, "x509", self.file("ca", "lamp.key"),
                          self.file("ca", "lamp.pem"), self.file("ca", "ca.pem"))
        with Client("x509", self.file("foreign", "lamp.key"), self.file("foreign", "lamp.pem"),
                    self.file("ca", "ca.pem"), ECDSA_SUITES[0]) as client:
            self.assertEqual(client.ask("GET", server.port)[0], "failed")

    def test_rfc9146_6_a_session_follows_its_client_to_another_address(self):
        server = self.serve()
        relay = dtls.Relay(server.port)
        self.addCleanup(relay.close)
        with Client("psk", "device", dtls.KEY, PSK_SUITES[0]) as client:
            self.assertEqual(client.ask("PUT", relay.port, payload="one")[0], "2.01")
            for payload in ("two", "three"):
                relay.move()
                self.assertEqual(client.ask("PUT", relay.port, payload=payload)[0], CHANGED)
                self.assertEqual(client.ask("GET", relay.port)[:2], [CONTENT, payload])
        counters = server.counters()
        self.assertEqual(counters["handshakes_completed"], 1)
        self.assertEqual(counters["sessions_moved"], 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as classes:
        JAVA = compiled(classes)
        RESULT = unittest.main(exit=False, verbosity=2).result
    sys.exit(0 if RESULT.wasSuccessful() else 1)
