# SPDX-License-Identifier: Apache-2.0
"""pion's DTLS client with a connection ID against copald: pre-shared keys and certificates, each suite,
with an address that changes between two requests. RFC 7252 section 9.1.3, RFC 9146."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import dtls
import peers

TIME_S = 120
PSK_SUITES = ("0xc0a8", "0xc0a4", "0x00a8")  # CCM_8, CCM, GCM
ECDSA_SUITES = ("0xc0ae", "0xc0ac", "0xc02b")
HOST = "server.example"


def keygen(directory, *arguments):
    subprocess.run([os.path.join(dtls.BUILD, "copal"), "keygen", *arguments], cwd=directory,
                   stdout=subprocess.DEVNULL, timeout=TIME_S, check=True)


class Modes(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        keygen(self.dir, "ca", "-o", "ca")
        keygen(self.dir, "cert", "--ca", "ca", "--host", HOST)
        keygen(self.dir, "cert", "--ca", "ca", "--client", "lamp")
        config = self.file("conf")
        with open(config, "w") as out:
            out.write('store = "memory";\n'
                      'dtls = { certificate = "%s"; key = "%s"; ca = "%s"; };\n' % (
                          self.file("ca", HOST + ".pem"), self.file("ca", HOST + ".key"),
                          self.file("ca", "ca.pem")))
        self.server = dtls.Server("--config", config)
        self.addCleanup(lambda: self.assertEqual(self.server.close(), 0))
        self.relay = dtls.Relay(self.server.port)
        self.addCleanup(self.relay.close)

    def file(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, *arguments):
        return subprocess.Popen([CLIENT, "127.0.0.1:%d" % self.relay.port, *arguments],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)

    def check(self, suites, *mode):
        for suite in suites:
            with self.subTest(suite), self.start(*mode, suite) as client:
                self.assertIn(client.stdout.readline().split()[:1], (["2.01"], ["2.04"]))
                self.relay.move()
                out, _ = client.communicate("go on\n", timeout=TIME_S)
                self.assertEqual(out.split(), ["2.05", suite])
        counters = self.server.counters()
        self.assertEqual(counters["handshakes_completed"], len(suites))
        self.assertEqual(counters["sessions_moved"], len(suites))

    def test_pre_shared_keys(self):
        self.check(PSK_SUITES, "psk", "device", dtls.KEY)

    def test_certificates(self):
        self.check(ECDSA_SUITES, "x509", self.file("ca", "lamp.key"), self.file("ca", "lamp.pem"),
                   self.file("ca", "ca.pem"), HOST)

    def test_a_wrong_key_is_refused(self):
        with self.start("psk", "device", "another key", PSK_SUITES[0]) as client:
            self.assertEqual(client.communicate("\n", timeout=TIME_S)[0], "")
            self.assertNotEqual(client.returncode, 0)
        self.assertEqual(self.server.settled(handshakes_failed_wrong_key=1)["handshakes_failed_wrong_key"], 1)


if __name__ == "__main__":
    CLIENT = peers.pion()
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
