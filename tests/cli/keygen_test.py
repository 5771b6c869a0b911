# SPDX-License-Identifier: Apache-2.0
"""copal keygen: what it writes is what other programs read, and no secret is readable by others or
lost to a second run."""
import base64
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

from harness import copal

OPENSSL = shutil.which("openssl")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def openssl(*args):
    return subprocess.run([OPENSSL, *args], capture_output=True, text=True)


class InDirectory(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def run_keygen(self, *args, status=0):
        r = copal("keygen", *args)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stdout.decode(), r.stderr.decode()


class PrivateKey(InDirectory):
    def test_rfc5915_3_a_key_has_as_many_bytes_as_its_curve(self):
        for i in range(12):  # half of all keys have a first bit that is set
            path = self.path(str(i))
            self.run_keygen("raw", "-o", path)
            der = base64.b64decode("".join(read(path).splitlines()[1:-1]))
            self.assertEqual(len(der), 138)
            self.assertEqual(der[34:36], b"\x04\x20")
            if OPENSSL:
                r = openssl("pkey", "-in", path, "-check", "-noout")
                self.assertEqual(r.returncode, 0, r.stderr)


class Psk(InDirectory):
    def test_printed(self):
        out, _ = self.run_keygen("psk", "--identity", "lamp")
        self.assertRegex(out, r"^lamp:[0-9a-f]{32}\n$")
        self.assertNotEqual(out, self.run_keygen("psk", "--identity", "lamp")[0])

    def test_identity_is_made_up(self):
        self.assertRegex(self.run_keygen("psk", "--bytes", "32")[0], r"^device-[0-9a-f]{8}:[0-9a-f]{64}\n$")

    def test_identity_that_the_file_would_misread_is_in_hexadecimal(self):
        self.assertRegex(self.run_keygen("psk", "--identity", "a:b")[0], r"^#613a62:[0-9a-f]{32}\n$")

    def test_file_is_secret_and_kept(self):
        old = os.umask(0)
        try:
            out, _ = self.run_keygen("psk", "--identity", "lamp", "-o", self.path("keys"))
        finally:
            os.umask(old)
        self.assertEqual(out, "lamp\n")
        self.assertEqual(mode(self.path("keys")), 0o600)
        before = read(self.path("keys"))
        _, err = self.run_keygen("psk", "-o", self.path("keys"), status=2)
        self.assertIn("exists; give --force", err)
        self.assertEqual(read(self.path("keys")), before)
        self.run_keygen("psk", "--identity", "other", "--force", "-o", self.path("keys"))
        self.assertTrue(read(self.path("keys")).startswith("other:"))
        self.assertEqual(os.listdir(self.dir), ["keys"])

    def test_append(self):
        for name in "a", "b":
            self.run_keygen("psk", "--identity", name, "--append", "-o", self.path("keys"))
        self.assertEqual(mode(self.path("keys")), 0o600)
        self.assertRegex(read(self.path("keys")), r"^a:[0-9a-f]{32}\nb:[0-9a-f]{32}\n$")

    def test_append_a_third_key_is_refused(self):
        for status in 0, 0, 2:
            _, err = self.run_keygen("psk", "--identity", "a", "--append", "-o", self.path("keys"), status=status)
        self.assertIn("two keys", err)
        self.run_keygen("psk", "--identity", "ab", "--append", "-o", self.path("keys"))
        self.assertEqual(read(self.path("keys")).count("\n"), 3)

    def test_append_to_a_line_without_end(self):
        with open(self.path("keys"), "w") as f:
            f.write("a:00")
        os.chmod(self.path("keys"), 0o600)
        self.run_keygen("psk", "--identity", "b", "--append", "-o", self.path("keys"))
        self.assertRegex(read(self.path("keys")), r"^a:00\nb:[0-9a-f]{32}\n$")

    def test_append_to_what_others_may_read_is_refused(self):
        with open(self.path("keys"), "w") as f:
            f.write("a:00\n")
        os.chmod(self.path("keys"), 0o644)
        _, err = self.run_keygen("psk", "--append", "-o", self.path("keys"), status=1)
        self.assertIn("others may read it", err)
        self.assertEqual(read(self.path("keys")), "a:00\n")

    def test_json(self):
        made = json.loads(self.run_keygen("psk", "--identity", "lamp", "--json")[0])
        self.assertEqual((made["identity"], len(made["key"])), ("lamp", 32))
        made = json.loads(self.run_keygen("psk", "--json", "-o", self.path("k"))[0])
        self.assertEqual(set(made), {"identity", "file"})

    def test_mistakes(self):
        for args, word in ((["pks"], "did you mean 'psk'"), ([], "psk, raw, ca"), (["psk", "x"], "too much"),
                           (["psk", "--bytes", "4"], "no secret"), (["psk", "--append"], "--output"),
                           (["psk", "--identity", "a\nb"], "control"), (["raw"], "--output"),
                           (["cert", "--ca", "x"], "--host"), (["cert", "--host", "x"], "--ca"),
                           (["revoke", "--ca", "x"], "file"), (["cert", "--days", "0"], "one day")):
            self.assertIn(word, self.run_keygen(*args, status=2)[1])


class Raw(InDirectory):
    def test_fingerprint(self):
        out, _ = self.run_keygen("raw", "-o", self.path("key"))
        self.assertRegex(out, r"^sha256:[0-9a-f]{64}\n$")
        self.assertEqual(mode(self.path("key")), 0o600)
        self.assertEqual(out, self.run_keygen("show", self.path("key"))[0])

    @unittest.skipUnless(OPENSSL, "openssl is not installed")
    def test_fingerprint_is_that_of_openssl(self):
        out, _ = self.run_keygen("raw", "-o", self.path("key"))
        openssl("pkey", "-in", self.path("key"), "-pubout", "-out", self.path("pub"))
        openssl("pkey", "-in", self.path("key"), "-pubout", "-outform", "DER", "-out", self.path("der"))
        digest = openssl("dgst", "-sha256", self.path("der")).stdout.split()[-1]
        self.assertEqual(out, "sha256:%s\n" % digest)
        self.assertEqual(out, self.run_keygen("show", self.path("pub"))[0])

    def test_what_is_no_key(self):
        with open(self.path("text"), "w") as f:
            f.write("hello\n")
        self.assertIn("neither a key", self.run_keygen("show", self.path("text"), status=1)[1])
        self.assertIn("No such file", self.run_keygen("show", self.path("none"), status=1)[1])


class Ca(InDirectory):
    def setUp(self):
        super().setUp()
        self.ca = self.path("ca")
        self.run_keygen("ca", "-o", self.ca, "--name", "Test CA")

    def test_files(self):
        self.assertEqual(mode(self.ca), 0o700)
        self.assertEqual([mode(self.path("ca", n)) for n in ("ca.key", "ca.pem", "crl.pem")],
                         [0o600, 0o644, 0o644])
        before = read(self.path("ca", "ca.key"))
        self.run_keygen("ca", "-o", self.ca, status=2)
        self.assertEqual(read(self.path("ca", "ca.key")), before)

    def test_certificate_without_a_usable_name_needs_one(self):
        self.assertIn("--output", self.run_keygen("cert", "--ca", self.ca, "--client", "../x", status=2)[1])
        self.run_keygen("cert", "--ca", self.ca, "--client", "../x", "-o", self.path("x"))
        self.assertEqual(mode(self.path("x.key")), 0o600)

    def test_half_a_pair_is_not_replaced(self):
        open(self.path("lamp.pem"), "w").close()
        self.run_keygen("cert", "--ca", self.ca, "--client", "lamp", "-o", self.path("lamp"), status=2)
        self.assertFalse(os.path.exists(self.path("lamp.key")))

    @unittest.skipUnless(OPENSSL, "openssl is not installed")
    def test_openssl_believes_and_revokes(self):
        self.run_keygen("cert", "--ca", self.ca, "--host", "a.example", "--host", "192.0.2.1")
        made = json.loads(self.run_keygen("cert", "--ca", self.ca, "--client", "lamp", "--json")[0])
        self.assertEqual(made["certificate"], self.path("ca", "lamp.pem"))
        verify = ["verify", "-CAfile", self.path("ca", "ca.pem"), "-CRLfile", self.path("ca", "crl.pem"), "-crl_check"]
        host, client = self.path("ca", "a.example.pem"), made["certificate"]
        self.assertEqual(openssl(*verify, "-purpose", "sslserver", host).returncode, 0)
        self.assertEqual(openssl(*verify, "-purpose", "sslclient", client).returncode, 0)
        self.assertNotEqual(openssl(*verify, "-purpose", "sslclient", host).returncode, 0)
        names = openssl("x509", "-in", host, "-noout", "-ext", "subjectAltName").stdout
        self.assertIn("DNS:a.example, IP Address:192.0.2.1", names)
        self.run_keygen("revoke", "--ca", self.ca, client)
        self.assertIn("revoked", openssl(*verify, client).stderr)
        self.run_keygen("crl", "--ca", self.ca)
        self.assertIn("revoked", openssl(*verify, client).stderr)
        self.assertEqual(openssl(*verify, host).returncode, 0)

    def test_certificate_of_another_ca_is_not_revoked(self):
        self.run_keygen("ca", "-o", self.path("b"), "--name", "Another CA")
        self.run_keygen("cert", "--ca", self.path("b"), "--client", "lamp")
        _, err = self.run_keygen("revoke", "--ca", self.ca, self.path("b", "lamp.pem"), status=2)
        self.assertIn("has not signed it", err)

    def test_key_that_others_may_read_is_refused(self):
        os.chmod(self.path("ca", "ca.key"), 0o644)
        _, err = self.run_keygen("cert", "--ca", self.ca, "--client", "lamp", status=1)
        self.assertIn("others may read it", err)

    def test_nothing_outlives_the_ca(self):
        self.run_keygen("ca", "-o", self.path("short"), "--days", "10")
        out, _ = self.run_keygen("cert", "--ca", self.path("short"), "--client", "x", "--days", "900")
        ends = [re.search(r"expires: (\S+)", o).group(1) for o in
                (out, self.run_keygen("crl", "--ca", self.path("short"), "--days", "900")[0])]
        self.assertEqual(ends[0], ends[1])


if __name__ == "__main__":
    unittest.main()
