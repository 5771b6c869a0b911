# SPDX-License-Identifier: Apache-2.0
"""Credentials on the command line: what is missing or wrong is said before anything is sent."""
import os
import shutil
import tempfile
import unittest

from harness import copal

URI = "coaps://127.0.0.1:9/x"
PIN = "sha256:" + 64 * "0"


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp()
        for arguments in (("ca", "-o", "ca"), ("cert", "--ca", "ca", "--client", "lamp"),
                          ("ca", "-o", "other"), ("raw", "-o", "raw.key")):
            arguments = [os.path.join(cls.dir, a) if a in ("ca", "other", "raw.key") and i > 0
                         else a for i, a in enumerate(arguments)]
            r = copal("keygen", *arguments)
            assert r.returncode == 0, r.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def refuse(self, message, *options, uri=URI, env=None):
        r = copal("get", uri, *options, env=env)
        self.assertEqual((r.returncode, r.stdout), (2, b""), r.stderr)
        self.assertIn(message, r.stderr.decode())

    def test_nothing_says_who_the_server_is(self):
        cert = ("--cert", self.path("ca/lamp.pem"), "--key", self.path("ca/lamp.key"))
        self.refuse("coaps needs credentials")
        self.refuse("nothing says who the server is", *cert)
        self.refuse("nothing says who the server is", "--raw-key", self.path("raw.key"))

    def test_files(self):
        ca = ("--ca", self.path("ca/ca.pem"))
        self.refuse("none.pem: cannot be read: No such file", "--ca", self.path("none.pem"))
        self.refuse("raw.key: there is no certificate in it", "--ca", self.path("raw.key"))
        self.refuse("belong together", *ca, "--cert", self.path("ca/lamp.pem"))
        self.refuse("belong together", *ca, "--key", self.path("ca/lamp.key"))
        self.refuse("the key is that of another certificate", *ca, "--cert",
                    self.path("ca/lamp.pem"), "--key", self.path("raw.key"))
        self.refuse("has signed revocation list 1 in it", *ca, "--crl", self.path("other/crl.pem"))

    def test_keys_that_others_may_read(self):
        shutil.copy(self.path("raw.key"), self.path("open.key"))
        os.chmod(self.path("open.key"), 0o644)
        self.refuse("open.key: others may read it (mode 0644)", "--pin", PIN, "--raw-key",
                    self.path("open.key"))

    def test_pins(self):
        self.refuse("'sha256:12' is no fingerprint", "--pin", "sha256:12")
        self.refuse("is cut to less than 120 bits", "--pin", "nih:sha-256-32;53269057;b")

    def test_environment(self):
        self.refuse("'mine' is no fingerprint", env={"COPAL_PIN": "mine"})
        self.refuse("none: cannot be read", env={"COPAL_CA": self.path("none")})
        self.refuse("'given' is no fingerprint", "--pin", "given", env={"COPAL_PIN": PIN})

    def test_insecure_is_loud(self):
        r = copal("get", URI, "--insecure")
        self.assertIn(b"copal: WARNING: --insecure", r.stderr)
        self.assertEqual(r.returncode, 7)
        self.assertIn(b"refused, no CoAP server listens there", r.stderr)

    def test_coap_needs_no_credentials(self):
        r = copal("get", "coap://127.0.0.1:9/x", "--timeout", "30",
                  env={"COPAL_CA": self.path("none"), "COPAL_PSK_FILE": self.path("none")})
        self.assertEqual(r.returncode, 7, r.stderr)


if __name__ == "__main__":
    unittest.main()
