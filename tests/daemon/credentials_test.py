# SPDX-License-Identifier: Apache-2.0
"""The credentials file, seen from outside: who gets in, as whom, and what a reload changes."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
LIBCOAP = [c for c in ("coap-client-openssl", "coap-client-gnutls") if shutil.which(c)]
OLD, NEW, OTHER = b"the old key", b"the new key", b"a third key"
RULES = """group lamps
group meters
allow group:lamps  *  /lamps/**
allow group:meters *  /meters/**
allow psk:plain    *  /plain
allow x509:dev-pump * /pump
default deny
"""


def keygen(*args):
    done = subprocess.run([COPAL, "keygen", *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class WithFiles(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.write("rules", RULES)
        self.credentials = self.path("credentials")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
        return self.path(name)

    def write_psks(self, *entries):
        self.write("credentials", "psk = (%s);\n" % ",\n".join(entries))

    def serve(self, *args):
        d = daemon.Daemon("--access", self.path("rules"), *args, listen=("coaps://127.0.0.1:0",))
        self.assertIn("coaps://", d.ready, d.err)
        self.base = "coaps://127.0.0.1:" + d.ready.split("coaps://127.0.0.1:")[1].split()[0].strip("/")
        return d

    def put(self, path, *args):
        """The exit status of copal: 0 done, 4 refused by the rules, 7 no session."""
        return subprocess.run([COPAL, "put", "-d", "x", self.base + path, "-t", "50", *args], capture_output=True,
                              timeout=daemon.WAIT_S).returncode

    def put_with_key(self, path, name, key):
        keys = self.write("client", "%s:%s\n" % (name, key.hex()))
        return self.put(path, "--psk-file", keys)

    def reload(self, d, event):
        d.err = ""
        d.send_signal(signal.SIGHUP)
        return d.wait_for_event(event)


def psk(name, *keys, more=""):
    return '{ identity = "%s"; keys = [ %s ]; %s }' % (name, ", ".join('"%s"' % k.hex() for k in keys), more)


class Keys(WithFiles):
    def test_groups_reach_the_rules(self):
        self.write_psks(psk("lamp", NEW, more='groups = [ "lamps" ];'), psk("plain", NEW))
        with self.serve("--credentials", self.credentials):
            self.assertEqual(self.put_with_key("/lamps/1", "lamp", NEW), 0)
            self.assertEqual(self.put_with_key("/plain", "lamp", NEW), 4)
            self.assertEqual(self.put_with_key("/plain", "plain", NEW), 0)
            self.assertEqual(self.put_with_key("/lamps/1", "plain", NEW), 4)
            self.assertEqual(self.put_with_key("/lamps/1", "lamp", OTHER), 7)
            self.assertEqual(self.put_with_key("/lamps/1", "stranger", NEW), 7)

    def test_a_key_is_changed_without_a_failure(self):
        self.write_psks(psk("plain", OLD))
        with self.serve("--credentials", self.credentials) as d:
            self.assertEqual(self.put_with_key("/plain", "plain", OLD), 0)
            self.write_psks(psk("plain", NEW, OLD))
            self.assertEqual(self.reload(d, "credentials_read")["psks"], 1)
            self.assertEqual([self.put_with_key("/plain", "plain", k) for k in (OLD, NEW, OLD)], [0, 0, 0])
            self.write_psks(psk("plain", NEW))
            self.reload(d, "credentials_read")
            self.assertEqual([self.put_with_key("/plain", "plain", k) for k in (OLD, NEW)], [7, 0])

    @unittest.skipUnless(LIBCOAP, "libcoap's client is not installed")
    def test_clients_of_libcoap_get_in_with_either_key(self):
        self.write_psks(psk("plain", NEW, OLD))
        with self.serve("--credentials", self.credentials) as d:
            for client in LIBCOAP:
                for key in OLD, NEW:
                    done = subprocess.run([client, "-m", "put", "-e", "x", "-B", "5", "-u", "plain", "-k", key.decode(),
                                           self.base + "/plain"], capture_output=True, text=True, timeout=daemon.WAIT_S)
                    self.assertEqual(done.stderr, "", (client, key))
            self.assertNotIn("handshake_failed", d.stop()[2])

    def test_sessions_go_on_through_a_reload(self):
        self.write_psks(psk("plain", OLD))
        with self.serve("--credentials", self.credentials) as d:
            keys = self.write("client", "plain:%s\n" % OLD.hex())
            self.assertEqual(self.put("/plain", "--psk-file", keys), 0)
            watch = subprocess.Popen([COPAL, "observe", "--psk-file", keys, "-c", "2", "--no-reconnect", self.base + "/plain"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(watch.communicate)
            self.assertEqual(watch.stdout.read(1), b"x")
            self.write_psks(psk("plain", NEW))
            self.reload(d, "credentials_read")
            self.assertEqual(self.put_with_key("/plain", "plain", NEW), 0)
            self.assertEqual(watch.wait(daemon.WAIT_S), 0)

    def test_a_session_keeps_its_groups_over_a_restart(self):
        self.write_psks(psk("lamp", NEW, more='groups = [ "lamps" ];'))
        keys = self.write("client", "lamp:%s\n" % NEW.hex())
        data = ("--credentials", self.credentials, "--data", self.path("data"))
        with self.serve(*data) as d:
            self.assertEqual(self.put("/lamps/1", "--psk-file", keys), 0)
            watch = subprocess.Popen([COPAL, "observe", "--psk-file", keys, "-c", "2", "--no-reconnect",
                                      self.base + "/lamps/1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(watch.communicate)
            self.assertEqual(watch.stdout.read(1), b"x")
            self.assertEqual(d.stop()[0], 0)
        with daemon.Daemon("--access", self.path("rules"), *data, listen=(self.base,)) as d:
            self.assertEqual(self.put("/lamps/1", "--psk-file", keys), 0)
            self.assertEqual(watch.wait(daemon.WAIT_S), 0, watch.stderr.read())
            d.send_signal(signal.SIGUSR1)
            self.assertGreaterEqual(d.wait_for_event("metrics")["sessions_restored"], 1)

    def test_a_broken_file_changes_nothing_and_is_told(self):
        self.write_psks(psk("plain", OLD))
        with self.serve("--credentials", self.credentials) as d:
            for text, mode, said in (('psk = (\n{ identity = "x"; }\n);', 0o600, ":2: there is no key"),
                                     ("psk = (", 0o600, ":1: syntax error"),
                                     ("psk = ();", 0o644, "others may read it")):
                self.write("credentials", text, mode)
                self.assertIn("credentials" + said if said[0] == ":" else said,
                              self.reload(d, "credentials_refused")["error"])
                self.assertEqual(self.put_with_key("/plain", "plain", OLD), 0)

    def test_the_file_of_keys_is_asked_for_the_others(self):
        self.write_psks(psk("lamp", NEW, more='groups = [ "lamps" ];'))
        keys = self.write("keys", "plain:%s\nlamp:%s\n" % (OLD.hex(), OLD.hex()))
        with self.serve("--credentials", self.credentials, "--psk-file", keys):
            self.assertEqual(self.put_with_key("/plain", "plain", OLD), 0)
            self.assertEqual(self.put_with_key("/lamps/1", "lamp", NEW), 0)
            self.assertEqual(self.put_with_key("/lamps/1", "lamp", OLD), 7)


class Certificates(WithFiles):
    def setUp(self):
        super().setUp()
        self.ca = self.path("ca")
        keygen("ca", "-o", self.ca)
        keygen("cert", "--ca", self.ca, "--host", "127.0.0.1", "-o", self.path("server"))
        for name in "lamp-1", "pump", "thief":
            keygen("cert", "--ca", self.ca, "--client", name)
        self.print = keygen("raw", "-o", self.path("meter.key"))
        self.pin = keygen("show", self.path("server.key"))
        self.write("credentials", """
certificate = "server.pem"; key = "server.key"; raw_key = "server.key"; ca = "ca/ca.pem"; crl = "ca/crl.pem";
subjects = ( { match = "CN=lamp-*"; groups = [ "lamps" ]; }, { match = "CN=pump"; identity = "dev-{CN}"; } );
raw_keys = ( { fingerprint = "%s"; identity = "meter"; groups = "meters"; } );
""" % self.print)

    def put_as(self, name, path):
        return self.put(path, "--cert", self.path("ca", name + ".pem"), "--key", self.path("ca", name + ".key"),
                        "--ca", self.path("ca", "ca.pem"))

    def test_subjects_are_named_grouped_and_refused(self):
        with self.serve("--credentials", self.credentials) as d:
            self.assertEqual(self.put_as("lamp-1", "/lamps/1"), 0)
            self.assertEqual(self.put_as("lamp-1", "/pump"), 4)
            self.assertEqual(self.put_as("pump", "/pump"), 0)
            self.assertEqual(self.put_as("thief", "/lamps/1"), 7)
            self.assertIn("no rule", d.wait_for_event("handshake_failed")["error"])
            keygen("revoke", "--ca", self.ca, self.path("ca", "pump.pem"))
            self.reload(d, "certificates_read")
            self.assertEqual(self.put_as("pump", "/pump"), 7)
            self.assertEqual(self.put_as("lamp-1", "/lamps/1"), 0)

    def test_raw_keys_by_fingerprint(self):
        keygen("raw", "-o", self.path("other.key"))
        with self.serve("--credentials", self.credentials):
            for key, path, status in (("meter.key", "/meters/1", 0), ("meter.key", "/lamps/1", 4),
                                      ("other.key", "/meters/1", 7)):
                self.assertEqual(self.put(path, "--raw-key", self.path(key), "--pin", self.pin), status, (key, path))


class Secrets(WithFiles):
    """Whatever is a secret is refused when others may read it."""

    def refused(self, *args):
        code, out, err = daemon.run("--listen", "coaps://127.0.0.1:0", *args)
        self.assertNotEqual(code, 0)
        return err

    def test_each_kind_of_file(self):
        keygen("ca", "-o", self.path("ca"))
        keygen("cert", "--ca", self.path("ca"), "--host", "127.0.0.1", "-o", self.path("server"))
        keys = self.write("keys", "a:00\n", 0o604)
        self.assertIn("keys", self.refused("--psk-file", keys))
        os.chmod(keys, 0o600)
        self.write("credentials", "psk = ();", 0o604)
        self.assertIn("others may read it", self.refused("--credentials", self.credentials))
        os.chmod(self.path("server.key"), 0o644)
        self.write("credentials", 'certificate = "server.pem"; key = "server.key"; ca = "ca/ca.pem";')
        self.assertIn("server.key", self.refused("--credentials", self.credentials))
        self.write("credentials", 'raw_key = "server.key"; raw_keys = ( { fingerprint = "%s"; } );'
                   % keygen("show", self.path("server.key")))
        self.assertIn("server.key", self.refused("--credentials", self.credentials))
        for key, name in (("key", "dtls.certificate"), ("raw_key", None)):
            conf = self.write("conf", 'dtls = { %s = "%s"; ca = "%s"; %s };\n' % (
                key, self.path("server.key"), self.path("ca", "ca.pem"),
                'certificate = "%s";' % self.path("server.pem") if name else ""))
            self.assertIn("server.key", self.refused("--config", conf))


class CheckConfig(WithFiles):
    def test_credentials_are_looked_at(self):
        self.write_psks(psk("plain", NEW))
        check = ("--listen", "coaps://127.0.0.1:0", "--credentials", self.credentials, "--check-config")
        self.assertEqual(daemon.run(*check), (0, "", ""))
        self.write("credentials", "psk = (\n{ });")
        code, out, err = daemon.run(*check)
        self.assertNotEqual(code, 0)
        self.assertIn("credentials:2: there is no identity", err)


class Explain(WithFiles):
    def test_groups_of_the_credentials_count(self):
        self.write_psks(psk("lamp", NEW, more='groups = [ "lamps" ];'), psk("other", NEW))
        for name, status in (("lamp", 0), ("other", 1)):
            code, out, err = daemon.run("--access", self.path("rules"), "--credentials", self.credentials,
                                        "--explain", "psk:%s PUT /lamps/1" % name)
            self.assertEqual((code, err), (status, ""), out)


if __name__ == "__main__":
    unittest.main()
