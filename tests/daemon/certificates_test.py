# SPDX-License-Identifier: Apache-2.0
"""Certificates and raw public keys of the configuration, seen from outside: what keeps copald from
starting, what the log tells, and who a client is after a restart."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
RULES = "allow psk:operator * /**\nallow x509:lamp READ,OBSERVE /x\ndefault deny\n"


def keygen(*args):
    done = subprocess.run([COPAL, "keygen", *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class WithAuthority(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.dir = cls.directory.name
        for ca in ("ca", "other"):
            keygen("ca", "-o", cls.path(ca))
        keygen("cert", "--ca", cls.path("ca"), "--host", "127.0.0.1", "-o", cls.path("server"))
        keygen("cert", "--ca", cls.path("ca"), "--host", "127.0.0.1", "--days", "3", "-o",
               cls.path("brief"))
        for client in ("lamp", "door"):
            keygen("cert", "--ca", cls.path("ca"), "--client", client)
        keygen("raw", "-o", cls.path("raw.key"))
        cls.write("psk", "operator:00112233\n")
        cls.write("rules", RULES)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.dir, *names)

    @classmethod
    def write(cls, name, text, mode=0o600):
        with open(cls.path(name), "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
        return cls.path(name)

    def configure(self, **keys):
        """A configuration with these keys of the section dtls; names of files are those here."""
        words = ("clients", "identity")
        lines = ['  %s = "%s"\n' % (k, v if k in words else self.path(v)) for k, v in keys.items()]
        return self.write("conf", "dtls = {\n%s}\n" % "".join(lines))

    def files_of(self, client):
        return ("--ca", self.path("ca", "ca.pem"), "--cert", self.path("ca", client + ".pem"),
                "--key", self.path("ca", client + ".key"))


class Start(WithAuthority):
    def refuse(self, message, **keys):
        code, out, err = daemon.run("--config", self.configure(**keys), "--store", "memory",
                                    "--listen", "coaps://127.0.0.1:0")
        self.assertNotEqual(code, 0)
        self.assertIn(message, err)

    def test_what_is_missing_is_named(self):
        own = {"certificate": "server.pem", "key": "server.key"}
        self.refuse("a coaps address needs credentials")
        self.refuse("give dtls.certificate", key="server.key", raw_key="raw.key")
        self.refuse("belong together", certificate="server.pem", clients="none")
        self.refuse("need something to show", ca="ca/ca.pem", psk_file="psk")
        self.refuse("nothing says which clients to believe", **own)
        self.refuse("nothing says which clients to believe", **own, clients="optional")
        self.refuse("needs the CA that signed it", **own, clients="none", crl="ca/crl.pem")

    def test_what_is_wrong_is_named(self):
        ca = {"ca": "ca/ca.pem"}
        self.refuse("none.pem: cannot be read", certificate="none.pem", key="server.key", **ca)
        self.refuse("that of another certificate", certificate="server.pem", key="raw.key", **ca)
        self.refuse("does not allow TLS servers", certificate="ca/lamp.pem", key="ca/lamp.key", **ca)
        self.refuse("has signed revocation list 1", certificate="server.pem", key="server.key", **ca,
                    crl="other/crl.pem")
        self.refuse("peers:2: 'x' is no fingerprint", raw_key="raw.key",
                    raw_peers=os.path.basename(self.write("peers", "\nlamp x\n")))
        self.refuse("others may read it (mode 0604)", raw_key=os.path.basename(
            self.write("open.key", "", 0o604)), clients="none")


class Log(WithAuthority):
    def test_what_was_read_and_what_ends_soon(self):
        conf = self.configure(certificate="brief.pem", key="brief.key", ca="ca/ca.pem",
                              crl="ca/crl.pem", raw_key="raw.key")
        with daemon.Daemon("--config", conf, listen=("coaps://127.0.0.1:0",)) as d:
            d.wait_for_event("ready")
            said = {entry["event"]: entry for entry in daemon.events(d.err)}
            read = said["certificates_read"]
            self.assertEqual((read["authorities"], read["revocation_lists"]), (1, 1))
            self.assertIn("CN=127.0.0.1", read["subject"])
            self.assertEqual(read["raw_key"].replace("sha-256:", "sha256:"),
                             keygen("show", self.path("raw.key")))
            self.assertIn("CN=127.0.0.1", said["certificate_expires"]["subject"])
            shutil.copy(self.path("ca", "crl.pem"), self.path("ca", "crl.pem.kept"))
            try:
                self.write("ca/crl.pem", "nothing\n")
                d.send_signal(signal.SIGHUP)
                self.assertIn("no revocation list in it",
                              d.wait_for_event("credentials_refused")["error"])
            finally:
                os.replace(self.path("ca", "crl.pem.kept"), self.path("ca", "crl.pem"))
            self.assertEqual(d.stop()[0], 0)


class Sessions(WithAuthority):
    def serve(self, port, data):
        conf = self.configure(certificate="server.pem", key="server.key", ca="ca/ca.pem",
                              psk_file="psk")
        return daemon.Daemon("--config", conf, "--access", self.path("rules"), "--data", data,
                             listen=("coaps://127.0.0.1:%d" % port,))

    def put(self, uri, text):
        r = subprocess.run([COPAL, "put", uri, "-d", text, "--psk-file", self.path("psk")],
                           capture_output=True, timeout=daemon.WAIT_S)
        self.assertEqual(r.returncode, 0, r.stderr)

    def read_until(self, process, text):
        """What was seen before may come once more."""
        seen = b""
        while text not in seen:
            more = os.read(process.stdout.fileno(), 100)
            self.assertNotEqual(more, b"", seen)
            seen += more

    def test_a_client_is_who_it_was_after_a_restart(self):
        with tempfile.TemporaryDirectory() as data:
            port = daemon.ports.reserve()
            with self.serve(port, data) as first:
                uri = "coaps://127.0.0.1:%d/x" % port
                self.put(uri, "one")
                door = subprocess.run([COPAL, "get", uri, *self.files_of("door")],
                                      capture_output=True, timeout=daemon.WAIT_S)
                self.assertEqual(door.returncode, 4, door.stderr)
                nobody = subprocess.run([COPAL, "get", uri, "--ca", self.path("ca", "ca.pem")],
                                        capture_output=True, timeout=daemon.WAIT_S)
                self.assertEqual(nobody.returncode, 7, nobody.stderr)
                self.assertIn(b"it may want other credentials", nobody.stderr)
                watch = subprocess.Popen([COPAL, "observe", uri, "--no-reconnect", "--no-pretty",
                                          *self.files_of("lamp")], stdout=subprocess.PIPE)
                self.addCleanup(watch.communicate)
                self.addCleanup(watch.terminate)
                self.read_until(watch, b"one")
                self.assertEqual(first.stop()[0], 0)
            with self.serve(port, data) as second:
                self.put(uri, "two")
                self.read_until(watch, b"two")
                code, out, err = second.stop()
                self.assertEqual(code, 0)
                self.assertIn('"sessions_restored":1', err)


if __name__ == "__main__":
    unittest.main()
