# SPDX-License-Identifier: Apache-2.0
"""Who is taken out of the credentials is out at the next SIGHUP, and at the next start; the sessions
of all others go on without a handshake. RFC 5246 section 7.2.2, RFC 5280 section 5."""

import os
import select
import shutil
import signal
import subprocess
import threading
import time
import unittest

from certificates import SUITES, World, fingerprint
from dtls import BUILD, needed, s_client
from dtls_restart import WAIT_S, Bed

KEEP, GONE = "000102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f"

world = None


def setUpModule():
    global world
    world = World()


def tearDownModule():
    world.close()


class Revoked(Bed):
    def setUp(self):
        super().setUp()
        self.credentials = os.path.join(self.data, "credentials")
        self.dtls = 'credentials = "%s"; clients = "optional"' % self.credentials
        pem, key = world.server
        self.crl = os.path.join(self.data, "crl.pem")
        shutil.copy(world.ca.crl, self.crl)
        self.files = {"certificate": pem, "key": key, "ca": world.ca.pem, "crl": self.crl,
                      "raw_key": key}
        self.psk = {"keep": (KEEP, ""), "gone": (GONE, "")}
        self.raw = [("lamp", world.raw)]
        self.subjects = ()

    def write(self):
        psk = ['{ identity = "%s"; key = "%s"; %s }' % (name, key, more)
               for name, (key, more) in self.psk.items()]
        raw = ['{ fingerprint = "%s"; identity = "%s"; }' % (fingerprint(key), name)
               for name, key in self.raw]
        with open(self.credentials, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("psk = ( %s );\nraw_keys = ( %s );\n" % (", ".join(psk), ", ".join(raw)))
            out.write("".join('%s = "%s";\n' % f for f in self.files.items()))
            if self.subjects:
                out.write("subjects = ( %s );\n" % ", ".join(self.subjects))

    def reload(self):
        seen = self.server.read().count('"event":"reloaded"')
        self.write()
        self.server.process.send_signal(signal.SIGHUP)
        self.wait_for('("event":"reloaded"(.|\n)*){%d}' % (seen + 1))

    def psk_of(self, name):
        path = os.path.join(self.data, name + ".psk")
        with open(path, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("%s:%s\n" % (name, {"keep": KEEP, "gone": GONE}[name]))
        return ("--psk-file", path, "--identity", name)

    def x509_of(self, files):
        return ("--ca", world.ca.pem, "--cert", files[0], "--key", files[1])

    def raw_of(self, key):
        return ("--pin", fingerprint(world.server[1]), "--raw-key", key)

    def observe(self, options):
        """With these credentials and no others."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COPAL_")}
        p = subprocess.Popen([os.path.join(BUILD, "copal"), "observe", self.uri(), *options],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=clean)
        self.clients.append(p)
        self.expect(p, "one")
        return p

    def count(self, name, value):
        end = time.monotonic() + WAIT_S
        while self.server.counters().get(name, 0) != value:
            self.assertLess(time.monotonic(), end, self.server.counters())
            time.sleep(0.05)

    def publish(self, text):
        """A PUT by somebody of the key file, which is there all the time."""
        self.put(text)

    def is_silent(self, p, text):
        while select.select([p.stdout], [], [], 0.5)[0]:
            more = os.read(p.stdout.fileno(), 65536)
            self.assertNotIn(text.encode(), more)
            if not more:
                return

    def test_rfc5246_7_2_2_sessions_of_those_taken_out_end(self):
        lost = world.ca.issue("lost", "dev-7", "extendedKeyUsage=clientAuth\n")
        self.write()
        self.begin()
        self.publish("one")
        stay = [self.observe(self.psk_of("keep")), self.observe(self.x509_of(world.client))]
        leave = [self.observe(self.psk_of("gone")), self.observe(self.x509_of(lost)),
                 self.observe(self.raw_of(world.raw))]
        done = self.server.counters()["handshakes_completed"]
        self.reload()
        self.publish("two")
        for p in stay + leave:
            self.expect(p, "two")
        self.assertNotIn("sessions_revoked", self.server.counters())
        world.ca.revoke(lost[0])
        shutil.copy(world.ca.crl, self.crl)
        self.psk.pop("gone")
        self.raw = []
        self.reload()
        self.count("sessions_revoked", 3)
        for name in ("psk:gone", "x509:dev-7", "rpk:lamp"):
            self.assertIn('"identity":"%s"' % name, self.server.read())
        self.publish("three")
        for p in stay:
            self.expect(p, "three")
        for p in leave:
            self.is_silent(p, "three")
        n = self.server.counters()
        self.assertEqual(n["handshakes_completed"], done + 2, n)  # those of publish()

    def test_rules_of_subjects_count_again(self):
        self.subjects = ('{ match = "CN=dev-1"; identity = "{CN}"; }',
                         '{ match = "CN=dev-*"; identity = "{CN}"; }')
        other = world.ca.issue("other", "dev-8", "extendedKeyUsage=clientAuth\n")
        self.write()
        self.begin()
        self.publish("one")
        stays = self.observe(self.x509_of(world.client))
        leaves = self.observe(self.x509_of(other))
        self.subjects = self.subjects[:1]
        self.reload()
        self.count("sessions_revoked", 1)
        self.publish("two")
        self.expect(stays, "two")
        self.is_silent(leaves, "two")

    def test_groups_change_without_a_handshake(self):
        rules = os.path.join(self.data, "rules")
        with open(rules, "w") as out:
            out.write("group lamps\nallow psk:device * /**\nallow group:lamps GET,OBSERVE /x\n"
                      "default deny\n")
        self.more = 'access_file = "%s";\n' % rules
        self.psk["keep"] = (KEEP, 'groups = [ "lamps" ];')
        self.psk["gone"] = (GONE, 'groups = [ "lamps" ];')
        self.write()
        self.begin()
        self.publish("one")
        stays, leaves = self.observe(self.psk_of("keep")), self.observe(self.psk_of("gone"))
        done = self.server.counters()["handshakes_completed"]
        self.psk["keep"] = (KEEP, 'groups = [ "lamps", "more" ];')
        self.psk["gone"] = (GONE, "")
        self.reload()
        self.expect(leaves, "4.03")
        self.publish("two")
        self.expect(stays, "two")
        n = self.server.counters()
        self.assertEqual(n["handshakes_completed"], done + 1, n)
        self.assertNotIn("sessions_revoked", n)

    def test_who_is_taken_out_meanwhile_has_no_session_after_a_restart(self):
        self.write()
        self.begin()
        self.publish("one")
        stays = self.observe(self.psk_of("keep"))
        self.observe(self.psk_of("gone"))
        self.observe(self.raw_of(world.raw))
        self.saved()
        self.end()
        self.psk.pop("gone")
        self.raw = []
        self.write()
        self.begin()
        self.assertIn('"revoked":2', self.server.read())
        self.assertEqual(self.server.counters()["sessions_restored"], 1)
        self.publish("two")
        self.expect(stays, "two")
        self.assertEqual(self.server.counters()["handshakes_completed"], 1)

    @needed("openssl")
    def test_peer_is_told(self):
        self.write()
        self.begin()
        self.publish("one")
        self.count("sessions", 0)
        pem, key = world.client
        said = []
        client = threading.Thread(target=lambda: said.append(s_client(
            self.port, "-cipher", SUITES[0] + ":@SECLEVEL=0", "-cert", pem, "-key", key,
            until=b"lert number 49", wait=WAIT_S)))
        client.start()
        self.count("sessions", 1)
        self.files["ca"] = world.strange.pem
        self.files.pop("crl")
        self.reload()
        client.join()
        self.assertIn(b"access denied", said[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
