# SPDX-License-Identifier: Apache-2.0
"""Profiles of copal against copald: chosen by name and by host, and never when others can read them."""
import os
import subprocess
import tempfile
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
ALICE, BOB = b"key of alice", b"key of bob"
RULES = """allow psk:alice * /alice
allow psk:bob   * /bob
allow x509:carol * /carol
allow rpk:dora * /dora
default deny
"""


def keygen(*args):
    return subprocess.run([COPAL, "keygen", *args], capture_output=True, text=True, check=True).stdout.strip()


class Profiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.dir = cls.directory.name
        os.makedirs(cls.path("config", "copal"))
        keygen("ca", "-o", cls.path("ca"))
        keygen("cert", "--ca", cls.path("ca"), "--host", "127.0.0.1", "-o", cls.path("server"))
        keygen("cert", "--ca", cls.path("ca"), "--client", "carol", "-o", cls.path("config", "copal", "carol"))
        dora = keygen("raw", "-o", cls.path("config", "copal", "dora.key"))
        cls.write("rules", RULES)
        cls.write("credentials", """
psk = ( { identity = "alice"; key = "%s"; }, { identity = "bob"; key = "%s"; } );
raw_keys = ( { fingerprint = "%s"; identity = "dora"; } );
certificate = "server.pem"; key = "server.key"; raw_key = "server.key"; ca = "ca/ca.pem";
""" % (ALICE.hex(), BOB.hex(), dora))
        cls.write("bob.psk", "eve:00\nbob:%s\n" % BOB.hex())
        cls.pin = keygen("show", cls.path("server.key"))
        cls.daemon = daemon.Daemon("--store", "memory", "--access", cls.path("rules"), "--credentials", cls.path("credentials"),
                                   listen=("coaps://127.0.0.1:0",))
        cls.base = "coaps://127.0.0.1:" + cls.daemon.ready.split("coaps://127.0.0.1:")[1].split()[0].strip("/")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()
        cls.directory.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.dir, *names)

    @classmethod
    def write(cls, name, text, mode=0o600):
        with open(cls.path(name), "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)

    def write_profiles(self, text, mode=0o600):
        self.write(os.path.join("config", "copal", "profiles"), text, mode)

    def put(self, path, *args, **env):
        full = {k: v for k, v in os.environ.items() if not k.startswith("COPAL_") or k == "COPAL_BUILD_DIR"}
        full.update({"HOME": self.dir, "XDG_CONFIG_HOME": self.path("config"), **env})
        done = subprocess.run([COPAL, "put", "-d", "x", "-t", "50", self.base + path, *args], capture_output=True, text=True,
                              env=full, timeout=daemon.WAIT_S)
        return done.returncode, done.stderr

    def test_by_host(self):
        self.write_profiles("""
other = { host = "coap.example.net"; identity = "bob"; psk = "%s"; };
this = { host = [ "localhost", "127.0.0.1" ]; identity = "alice"; psk = "%s"; };
""" % (BOB.hex(), ALICE.hex()))
        self.assertEqual(self.put("/alice"), (0, ""))
        self.assertEqual(self.put("/bob")[0], 4)

    def test_by_name(self):
        self.write_profiles("""
alice = { host = "127.0.0.1"; identity = "alice"; psk = "%s"; };
bob = { identity = "bob"; psk_file = "%s"; };
carol = { cert = "carol.pem"; key = "carol.key"; ca = "~/ca/ca.pem"; };
dora = { raw_key = "dora.key"; pin = "%s"; };
""" % (ALICE.hex(), self.path("bob.psk"), self.pin))
        for name in "alice", "bob", "carol", "dora":
            self.assertEqual(self.put("/" + name, "--profile", name), (0, ""), name)
        self.assertEqual(self.put("/bob", COPAL_PROFILE="bob"), (0, ""))
        self.assertEqual(self.put("/alice", "--profile", "alice", COPAL_PROFILE="bob"), (0, ""))
        code, err = self.put("/alice", "--profile", "eve")
        self.assertEqual(code, 2)
        self.assertIn("there is no 'eve' in", err)

    def test_options_and_environment_go_before(self):
        self.write_profiles('alice = { host = "127.0.0.1"; identity = "alice"; psk = "%s"; };' % ALICE.hex())
        keys = self.path("bob.psk")
        self.assertEqual(self.put("/bob", "--psk-file", keys, "--identity", "bob"), (0, ""))
        self.assertEqual(self.put("/bob", COPAL_PSK_FILE=keys, COPAL_IDENTITY="bob"), (0, ""))

    def test_home_without_xdg(self):
        os.makedirs(self.path(".config", "copal"), exist_ok=True)
        self.write(os.path.join(".config", "copal", "profiles"), 'bob = { identity = "bob"; psk = "%s"; };' % BOB.hex())
        self.assertEqual(self.put("/bob", "--profile", "bob", XDG_CONFIG_HOME=""), (0, ""))

    def test_a_file_that_others_may_read_is_refused(self):
        for mode in 0o644, 0o604, 0o606:
            self.write_profiles('alice = { host = "127.0.0.1"; identity = "alice"; psk = "%s"; };' % ALICE.hex(), mode)
            code, err = self.put("/alice")
            self.assertEqual(code, 2)
            self.assertIn("others may read it", err)

    def test_a_file_that_others_may_read_is_not_included(self):
        self.write("open", 'alice = { host = "127.0.0.1"; identity = "alice"; psk = "%s"; };' % ALICE.hex(), 0o644)
        self.write_profiles('\n @include "%s"\n' % self.path("open"))
        code, err = self.put("/alice")
        self.assertEqual(code, 2)
        self.assertIn("profiles:2: a file of profiles includes no other", err)

    def test_mistakes_are_told_with_their_line(self):
        for text, said in (("a = {\nhost = 127; };", "profiles:2: "), ("a = {\ncolour = \"red\"; host = \"127.0.0.1\"; };", ":2: unknown"),
                           ("a = { host = \"127.0.0.1\";\npsk = \"00\"; };", "psk needs the identity"),
                           ("a = { host = \"127.0.0.1\"; identity = \"x\"; psk = \"0g\"; };", "not hexadecimal"),
                           ("a = 3;", ":1: expected is NAME"), ("a = {", ":1: syntax error")):
            self.write_profiles(text)
            code, err = self.put("/alice", *(["--profile", "a"] if "127;" in text else []))
            self.assertEqual(code, 2, text)
            self.assertIn(said if "127;" not in text else "coaps needs credentials", err)

    def test_without_a_profile(self):
        self.write_profiles('a = { host = "other"; identity = "x"; psk = "00"; };')
        code, err = self.put("/alice")
        self.assertEqual(code, 2)
        self.assertIn("coaps needs credentials", err)
        os.unlink(self.path("config", "copal", "profiles"))
        self.assertIn("coaps needs credentials", self.put("/alice")[1])
        self.assertIn("there is no file", self.put("/alice", "--profile", "x")[1])


if __name__ == "__main__":
    unittest.main()
