# SPDX-License-Identifier: Apache-2.0
"""Certificates and raw public keys with other people's clients and servers: openssl s_client and
s_server, gnutls-cli and gnutls-serv, libcoap on GnuTLS and on OpenSSL. What is good gets through
with each suite, what is not is refused with a reason. RFC 7252 sections 9.1.3.2 and 9.1.3.3."""

import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

from dtls import BUILD, Server, free_port, needed, s_client, talk, wait_until_taken

SUITES = ("ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-GCM-SHA256")
GNUTLS_SUITES = ("AES-128-CCM-8", "AES-128-CCM", "AES-128-GCM")
UNREACHABLE = 7  # what copal ends with when there is no session
TIMEOUT = 8
CA_CONFIG = """[ca]
default_ca = it
[it]
database = %(dir)s/index
new_certs_dir = %(dir)s
serial = %(dir)s/serial
crlnumber = %(dir)s/crlnumber
certificate = %(dir)s/%(name)s.pem
private_key = %(dir)s/%(name)s.key
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = optional
"""


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Authority:
    """A CA in a directory, with what it has issued; `above` has signed its certificate."""

    def __init__(self, directory, name="ca", above=None):
        self.dir = os.path.join(directory, name)
        os.mkdir(self.dir)
        self.pem = self.path("ca.pem")
        if above:
            for made, file in zip(above.issue(name, name, "", basic="CA:TRUE"),
                                  (self.pem, self.path("ca.key"))):
                shutil.copy(made, file)
        else:
            openssl("req", "-x509", "-new", "-key", self.make_key("ca"), "-subj", "/CN=" + name,
                    "-days", "30", "-out", self.pem)
        self.config = self.path("config")
        for file, text in (("config", CA_CONFIG % {"dir": self.dir, "name": "ca"}), ("index", ""),
                           ("serial", "1000\n"), ("crlnumber", "01\n")):
            with open(self.path(file), "w") as out:
                out.write(text)
        self.crl = self.path("crl.pem")
        self.write_crl()

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_key(self, name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                self.path(name + ".key"))
        os.chmod(self.path(name + ".key"), 0o600)
        return self.path(name + ".key")

    def issue(self, name, cn, extensions, *options, basic="CA:FALSE"):
        """Returns the files of a certificate and its key."""
        key = self.make_key(name)
        request, extra = self.path(name + ".csr"), self.path(name + ".ext")
        openssl("req", "-new", "-key", key, "-subj", "/CN=" + cn, "-out", request)
        with open(extra, "w") as out:
            out.write("basicConstraints=%s\n%s" % (basic, extensions))
        openssl("ca", "-batch", "-config", self.config, "-in", request, "-out",
                self.path(name + ".pem"), "-extfile", extra, "-notext",
                *(options or ("-days", "20")))
        return self.path(name + ".pem"), key

    def write_crl(self):
        openssl("ca", "-config", self.config, "-gencrl", "-out", self.crl)

    def revoke(self, pem):
        openssl("ca", "-config", self.config, "-revoke", pem)
        self.write_crl()


def fingerprint(key):
    """SHA-256 of the SubjectPublicKeyInfo."""
    der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                         stdout=subprocess.PIPE).stdout
    return "sha256:" + hashlib.sha256(der).hexdigest()


def pkcs8_of(key):
    """The key in the form that gnutls-cli wants, in a file of its own."""
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", key + ".p8")
    return key + ".p8"


class World:
    """All the keys and certificates of the tests, made once."""

    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.ca = Authority(self.dir)
        self.strange = Authority(self.dir, "strange")
        server, client = "extendedKeyUsage=serverAuth\n", "extendedKeyUsage=clientAuth\n"
        names = server + "subjectAltName=DNS:localhost,IP:127.0.0.1,URI:coaps://lamp.example\n"
        old = ("-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
        young = ("-startdate", "20900101000000Z", "-enddate", "20910101000000Z")
        self.server = self.ca.issue("server", "lamp", names)
        self.elsewhere = self.ca.issue("elsewhere", "other",
                                       server + "subjectAltName=DNS:other.example,DNS:Big.Example\n")
        self.old_server = self.ca.issue("old_server", "lamp", names, *old)
        self.revoked_server = self.ca.issue("revoked_server", "lamp", names)
        self.client = self.ca.issue("client", "dev-1", client)
        self.old = self.ca.issue("old", "dev-2", client, *old)
        self.young = self.ca.issue("young", "dev-3", client, *young)
        self.revoked = self.ca.issue("revoked", "dev-4", client)
        self.misused = self.ca.issue("misused", "dev-5", server)
        self.stranger = self.strange.issue("client", "dev-1", client)
        self.ca.revoke(self.revoked[0])
        self.ca.revoke(self.revoked_server[0])
        self.raw = self.ca.make_key("raw")
        self.peers = os.path.join(self.dir, "peers")
        with open(self.peers, "w") as out:
            out.write("# name fingerprint\nlamp %s\n" % fingerprint(self.raw))

    def configure(self, **keys):
        """Writes a configuration with these keys of the section dtls."""
        path = os.path.join(self.dir, "copald.conf")
        with open(path, "w") as out:
            out.write("dtls = {\n%s}\n" % "".join("  %s = %s\n" % (k, json.dumps(v))
                                                  for k, v in keys.items()))
        return path

    def close(self):
        shutil.rmtree(self.dir)


world = None


def setUpModule():
    global world
    world = World()


def tearDownModule():
    world.close()


def copal(*arguments):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COPAL_") or k.endswith("DIR")}
    return subprocess.run([os.path.join(BUILD, "copal"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, env=clean)


class Daemon(unittest.TestCase):
    """copald with one configuration, and ways to talk to it."""

    CONTENT = b"seen from afar"
    keys = {}

    def setUp(self):
        self.server = Server("--config", world.configure(**self.keys))
        with open(self.server.keys) as psk:
            self.assertIn("device:", psk.read())
        uri = "coaps://localhost:%d/" % self.server.port
        for path in ("x", "x%0A"):
            r = copal("put", "-4", uri + path, "--psk-file", self.server.keys, "-d",
                      self.CONTENT.decode())
            self.assertEqual(r.returncode, 0, r.stderr)

    def tearDown(self):
        self.assertEqual(self.server.close(), 0)

    def assert_refused(self, counter, reason):
        n = self.server.settled(**{"handshakes_refused_" + counter: 1})
        self.assertEqual(n.get("handshakes_refused_" + counter), 1, n)
        lines = [l for l in self.server.read().splitlines() if '"handshake_failed"' in l]
        self.assertEqual(len(lines), 1)
        self.assertIn('"reason":"refused"', lines[0])
        self.assertIn(reason, lines[0])

    def reload(self, event='"event":"reloaded"'):
        """SIGHUP, and waits for what the log says then."""
        seen = self.server.read().count(event)
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 120
        while self.server.read().count(event) == seen:
            self.assertLess(time.monotonic(), end, self.server.read())
            time.sleep(0.05)

    def s_client(self, *options, until=CONTENT, wait=60):
        return s_client(self.server.port, *options, until=until, wait=wait)

    def gnutls_cli(self, priority, *options):
        return talk(["gnutls-cli", "--udp", "-p", str(self.server.port), "127.0.0.1",
                     "--priority", "NONE:+VERS-DTLS1.2:+AEAD:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:" +
                     priority, *options],
                    bytes.fromhex("40012021b2780a"), self.CONTENT, wait=60, ready=b"Simple Client Mode")

    def libcoap(self, program, *options):
        r = subprocess.run([program, "-B", "5", "-m", "get", *options,
                            "coaps://127.0.0.1:%d/x" % self.server.port],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        return r.stdout


class Certificates(Daemon):
    """Clients must show a certificate of the CA; pre-shared keys are good, too."""

    def setUp(self):
        pem, key = world.server
        self.keys = {"certificate": pem, "key": key, "ca": world.ca.pem, "crl": world.ca.crl}
        super().setUp()

    @needed("openssl")
    def test_openssl_each_suite(self):
        pem, key = world.client
        for suite in SUITES:
            said = self.s_client("-cipher", suite + ":@SECLEVEL=0", "-cert", pem, "-key", key,
                                 "-CAfile", world.ca.pem, "-verify_return_error",
                                 "-verify_hostname", "localhost")
            self.assertIn(self.CONTENT, said, suite)
            self.assertIn(b"Verify return code: 0 (ok)", said)
            self.assertIn(suite.encode(), said)

    @needed("openssl")
    def test_openssl_small_datagrams(self):
        pem, key = world.client
        said = self.s_client("-cipher", SUITES[0] + ":@SECLEVEL=0", "-cert", pem, "-key", key,
                             "-mtu", "256")
        self.assertIn(self.CONTENT, said)

    @needed("openssl")
    def test_openssl_ticket_resumes_until_it_is_revoked(self):
        ca, pem, key = world.ca, *world.client
        ticket = os.path.join(self.server.dir, "ticket")
        options = ("-cipher", SUITES[0] + ":@SECLEVEL=0", "-cert", pem, "-key", key)
        self.s_client(*options, "-sess_out", ticket)
        said = self.s_client(*options, "-sess_in", ticket)
        self.assertIn(self.CONTENT, said)
        self.assertIn(b"Reused", said)
        self.assertEqual(self.server.counters()["handshakes_resumed"], 1)
        with tempfile.NamedTemporaryFile(dir=world.dir, delete=False) as kept:
            with open(ca.crl, "rb") as crl:
                kept.write(crl.read())
        index = ca.path("index")
        shutil.copy(index, index + ".kept")
        try:
            ca.revoke(pem)
            self.reload()
            said = self.s_client(*options, "-sess_in", ticket)
        finally:
            os.replace(kept.name, ca.crl)
            os.replace(index + ".kept", index)
        self.assertNotIn(self.CONTENT, said)
        self.assert_refused("revoked", "the certificate of 'dev-1' is revoked")

    @needed("gnutls-cli")
    def test_gnutls_each_suite(self):
        pem, key = world.client
        for suite in GNUTLS_SUITES:
            said = self.gnutls_cli("+%s:+ECDHE-ECDSA:+CTYPE-X.509" % suite, "--x509cafile",
                                   world.ca.pem, "--x509certfile", pem, "--x509keyfile", key)
            self.assertIn(self.CONTENT, said, suite)
            self.assertIn(b"The certificate is trusted", said)
            self.assertIn(b"ECDSA", said)
            self.assertIn(suite.encode(), said)

    def check_libcoap(self, program):
        pem, key = world.client
        said = self.libcoap(program, "-c", pem, "-j", key, "-C", world.ca.pem)
        self.assertIn(self.CONTENT, said)
        pem, key = world.stranger
        said = self.libcoap(program, "-c", pem, "-j", key, "-C", world.ca.pem)
        self.assertNotIn(self.CONTENT, said)
        self.assert_refused("unknown_ca", "no CA that is trusted")

    @needed("coap-client-gnutls")
    def test_libcoap_gnutls(self):
        self.check_libcoap("coap-client-gnutls")

    @needed("coap-client-openssl")
    def test_libcoap_openssl(self):
        self.check_libcoap("coap-client-openssl")

    def check_refused(self, files, alert, counter, reason):
        options = ("-cert", files[0], "-key", files[1]) if files else ()
        said = self.s_client("-cipher", SUITES[0] + ":@SECLEVEL=0", *options, until=b"lert number")
        self.assertNotIn(self.CONTENT, said)
        self.assertIn(alert, said)
        self.assert_refused(counter, reason)

    @needed("openssl")
    def test_stranger(self):
        self.check_refused(world.stranger, b"unknown ca", "unknown_ca",
                           "no CA that is trusted has signed the certificate of 'dev-1'")

    @needed("openssl")
    def test_expired(self):
        self.check_refused(world.old, b"certificate expired", "expired",
                           "the certificate of 'dev-2' expired at 2021-01-01T00:00:00Z")

    @needed("openssl")
    def test_not_yet_valid(self):
        self.check_refused(world.young, b"certificate expired", "not_yet_valid",
                           "the certificate of 'dev-3' is not valid before 2090-01-01T00:00:00Z")

    @needed("openssl")
    def test_revoked(self):
        self.check_refused(world.revoked, b"certificate revoked", "revoked",
                           "the certificate of 'dev-4' is revoked")

    @needed("openssl")
    def test_wrong_purpose(self):
        self.check_refused(world.misused, b"unsupported certificate", "purpose",
                           "is not for this purpose")

    @needed("openssl")
    def test_no_certificate(self):
        self.check_refused(None, b"handshake failure", "no_certificate", "shows no certificate")

    def test_reload_leaves_sessions_alone_and_bad_files_aside(self):
        uri = "coaps://127.0.0.1:%d" % self.server.port
        pem, key = world.client
        ping = subprocess.Popen(
            [os.path.join(BUILD, "copal"), "ping", "-c", "4", uri, "--ca", world.ca.pem, "--cert",
             pem, "--key", key], stdout=subprocess.PIPE)
        end = time.monotonic() + 120
        while self.server.counters().get("handshakes_completed", 0) < 3:  # two of setUp()
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        shutil.copy(world.ca.crl, world.ca.crl + ".kept")
        try:
            shutil.copy(world.strange.crl, world.ca.crl)
            self.server.process.send_signal(signal.SIGHUP)
            said = ping.communicate(timeout=120)[0]
            self.assertIn(b"4 sent, 4 answered", said)
            log = self.server.read()
            self.assertIn('"event":"credentials_refused"', log)
            self.assertIn("has signed revocation list 1 in it", log)
            r = copal("get", uri + "/x", "--ca", world.ca.pem, "--cert", pem, "--key", key)
            self.assertEqual(r.stdout, self.CONTENT)
        finally:
            os.replace(world.ca.crl + ".kept", world.ca.crl)


class ServerNames(Daemon):
    """Which certificate a server shows: RFC 6066 section 3."""

    CIPHER = ("-cipher", SUITES[0] + ":@SECLEVEL=0")

    def setUp(self):
        self.configure([world.elsewhere, world.server])
        super().setUp()

    def configure(self, pairs):
        self.keys = {"certificate": [p[0] for p in pairs], "key": [p[1] for p in pairs],
                     "ca": world.ca.pem, "clients": "optional"}
        world.configure(**self.keys)

    def shown(self, *options):
        said = self.s_client(*self.CIPHER, *options)
        self.assertIn(self.CONTENT, said)
        return re.search(rb"subject=CN = (\w+)", said).group(1).decode()

    @needed("openssl")
    def test_rfc6066_3_name_chooses_the_certificate(self):
        self.assertEqual(self.shown("-servername", "localhost"), "lamp")
        self.assertEqual(self.shown("-servername", "lamp.example"), "lamp")  # of a coaps URI
        self.assertEqual(self.shown("-servername", "LAMP.Example"), "lamp")  # RFC 4343
        self.assertEqual(self.shown("-servername", "other.example"), "other")
        self.assertEqual(self.shown("-servername", "unknown.example"), "other")
        self.assertEqual(self.shown("-noservername"), "other")

    @needed("openssl")
    def test_rfc6066_3_session_is_not_resumed_under_another_name(self):
        ticket = os.path.join(self.server.dir, "ticket")
        self.shown("-servername", "localhost", "-sess_out", ticket)
        said = self.s_client(*self.CIPHER, "-servername", "localhost", "-sess_in", ticket)
        self.assertIn(b"Reused", said)
        said = self.s_client(*self.CIPHER, "-servername", "other.example", "-sess_in", ticket)
        self.assertNotIn(b"Reused", said)
        self.assertIn(b"subject=CN = other", said)

    def test_copal_names_the_server_it_wants(self):
        for host in ("localhost", "LocalHost"):
            uri = "coaps://%s:%d/x" % (host, self.server.port)
            for options in (("--ca", world.ca.pem), ("--pin", fingerprint(world.server[1]))):
                r = copal("get", "-4", uri, *options)
                self.assertEqual(r.stdout, self.CONTENT, r.stderr)
        r = copal("get", "coaps://127.0.0.1:%d/x" % self.server.port, "--ca", world.ca.pem)
        self.assertIn(b"the certificate is that of 'other.example'", r.stderr)

    def test_profile_with_a_pin_names_the_server_it_wants(self):
        os.mkdir(os.path.join(self.server.dir, "copal"))
        profiles = os.path.join(self.server.dir, "copal", "profiles")
        with open(profiles, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write('lamp = { host = "localhost"; pin = "%s"; };\n' % fingerprint(world.server[1]))
        with mock.patch.dict(os.environ, XDG_CONFIG_HOME=self.server.dir):
            r = copal("get", "-4", "coaps://localhost:%d/x" % self.server.port)
        self.assertEqual(r.stdout, self.CONTENT, r.stderr)

    @needed("openssl")
    def test_reload_brings_another_certificate_and_leaves_sessions_alone(self):
        ping = subprocess.Popen(
            [os.path.join(BUILD, "copal"), "ping", "-4", "-c", "6", "--ca", world.ca.pem,
             "coaps://localhost:%d" % self.server.port], stdout=subprocess.PIPE)
        end = time.monotonic() + 120
        while self.server.counters().get("handshakes_completed", 0) < 3:  # two of setUp()
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.configure([world.server])
        self.reload('"event":"certificates_read"')
        self.assertEqual(self.shown("-servername", "other.example"), "lamp")
        self.configure([world.server, world.elsewhere])
        self.reload('"event":"certificates_read"')
        self.assertEqual(self.shown("-servername", "big.example"), "other")
        self.assertEqual(self.shown("-servername", "unknown.example"), "lamp")
        self.configure([world.server, (world.elsewhere[0], world.server[1])])
        self.reload('"event":"credentials_refused"')
        self.assertIn("elsewhere.pem: the key is that of another certificate: ", self.server.read())
        self.assertEqual(self.shown("-servername", "other.example"), "other")
        self.assertIn(b"6 sent, 6 answered", ping.communicate(timeout=120)[0])


class Named(Daemon):
    """A credentials file that names other files."""

    def setUp(self):
        self.credentials = os.path.join(world.dir, "credentials")
        self.name("")
        self.keys = {"credentials": self.credentials, "clients": "optional"}
        super().setUp()

    def name(self, text):
        with open(self.credentials, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write('psk = ( { identity = "other"; key = "00112233"; } );\n' + text)

    def get(self, *options):
        return copal("get", "-4", "coaps://localhost:%d/x" % self.server.port, "--timeout", "60",
                     *options)

    def test_files_named_by_a_reload_count_at_once(self):
        pem, key = world.server
        own = 'certificate = "%s"; key = "%s";\n' % (pem, key)
        client = ("--ca", world.ca.pem, "--cert", world.client[0], "--key", world.client[1])
        raw = ("--pin", fingerprint(key), "--raw-key", world.raw)
        self.assertNotEqual(self.get(*client).returncode, 0)
        self.name(own + 'ca = "%s";\n' % world.strange.pem)
        self.reload()
        self.assertEqual(self.get("--ca", world.ca.pem).stdout, self.CONTENT)
        self.assertNotEqual(self.get(*client).returncode, 0)
        self.name(own + 'ca = "%s"; crl = "%s"; raw_key = "%s";\n'
                  'raw_keys = ( { fingerprint = "%s"; identity = "lamp"; } );\n'
                  % (world.ca.pem, world.ca.crl, key, fingerprint(world.raw)))
        self.reload()
        for options in (client, raw):
            r = self.get(*options)
            self.assertEqual(r.stdout, self.CONTENT, r.stderr)
        revoked = self.get("--ca", world.ca.pem, "--cert", world.revoked[0], "--key",
                           world.revoked[1])
        self.assertIn(b"revoked", revoked.stderr)
        self.name('key = "%s";\n' % key)
        self.reload('"event":"credentials_refused"')
        self.assertEqual(self.get(*client).stdout, self.CONTENT)


class Chains(Daemon):
    """Both sides show an intermediate CA that the other one does not know."""

    def chain(self, files):
        path = files[0] + ".chain"
        with open(path, "wb") as out:
            for pem in (files[0], self.middle.pem):
                with open(pem, "rb") as part:
                    out.write(part.read())
        return path, files[1]

    def setUp(self):
        self.middle = Authority(world.dir, self.id().rpartition(".")[2], above=world.ca)
        server = self.chain(self.middle.issue("server", "lamp", "subjectAltName=IP:127.0.0.1\n"))
        self.client = self.chain(self.middle.issue("client", "dev-9", ""))
        self.keys = {"certificate": server[0], "key": server[1], "ca": world.ca.pem}
        super().setUp()

    @needed("openssl")
    def test_openssl(self):
        options = ("-cipher", SUITES[0] + ":@SECLEVEL=0", "-cert", self.client[0], "-key",
                   self.client[1], "-CAfile", world.ca.pem, "-verify_return_error", "-mtu", "300")
        self.assertNotIn(self.CONTENT, self.s_client(*options, until=b"lert number"))
        said = self.s_client(*options, "-cert_chain", self.client[0])
        self.assertIn(self.CONTENT, said)
        self.assertIn(b"Verify return code: 0 (ok)", said)
        self.assert_refused("unknown_ca", "no CA that is trusted")

    @needed("gnutls-cli")
    def test_gnutls(self):
        said = self.gnutls_cli("+AES-128-CCM-8:+ECDHE-ECDSA:+CTYPE-X.509", "--x509cafile",
                               world.ca.pem, "--x509certfile", self.client[0], "--x509keyfile",
                               self.client[1])
        self.assertIn(self.CONTENT, said)
        self.assertIn(b"The certificate is trusted", said)

    def test_copal(self):
        r = copal("get", "coaps://127.0.0.1:%d/x" % self.server.port, "--ca", world.ca.pem,
                  "--cert", self.client[0], "--key", self.client[1])
        self.assertEqual(r.stdout, self.CONTENT, r.stderr)


class Optional(Daemon):
    """Clients may show nothing; who shows something must be known."""

    def setUp(self):
        pem, key = world.server
        self.keys = {"certificate": pem, "key": key, "ca": world.ca.pem, "clients": "optional"}
        super().setUp()

    @needed("openssl")
    def test_nobody_and_somebody(self):
        cipher = ("-cipher", SUITES[0] + ":@SECLEVEL=0")
        self.assertIn(self.CONTENT, self.s_client(*cipher))
        pem, key = world.client
        self.assertIn(self.CONTENT, self.s_client(*cipher, "-cert", pem, "-key", key))
        pem, key = world.stranger
        self.assertIn(b"unknown ca", self.s_client(*cipher, "-cert", pem, "-key", key,
                                                   until=b"lert number"))


class Access(Daemon):
    """Who proves what may do what."""

    def setUp(self):
        pem, key = world.server
        rules = os.path.join(world.dir, "rules")
        with open(rules, "w") as out:
            out.write("allow psk:device * /**\nallow x509:dev-1 GET /x\n"
                      "allow rpk:lamp PUT /lamp\ndefault deny\n")
        self.keys = {"certificate": pem, "key": key, "ca": world.ca.pem, "raw_key": world.raw,
                     "raw_peers": world.peers, "clients": "optional"}
        config = world.configure(**self.keys)
        self.server = Server("--config", config, "--access", rules)
        self.uri = "coaps://localhost:%d/" % self.server.port
        r = copal("put", "-4", self.uri + "x", "--psk-file", self.server.keys, "-d", "it")
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_identities_reach_the_rules(self):
        pem, key = world.client
        x509 = ("--ca", world.ca.pem, "--cert", pem, "--key", key)
        raw = ("--pin", fingerprint(world.raw), "--raw-key", world.raw)
        self.assertEqual(copal("get", "-4", self.uri + "x", *x509).stdout, b"it")
        self.assertIn(b"4.03", copal("put", "-4", self.uri + "x", "-d", "1", *x509).stderr)
        self.assertEqual(copal("put", "-4", self.uri + "lamp", "-d", "1", *raw).returncode, 0)
        self.assertIn(b"4.03", copal("get", "-4", self.uri + "x", *raw).stderr)
        nobody = copal("get", "-4", self.uri + "x", "--ca", world.ca.pem)
        self.assertIn(b"4.01", nobody.stderr)


class RawKeys(Daemon):
    def setUp(self):
        self.keys = {"raw_key": world.server[1], "raw_peers": world.peers}
        super().setUp()
        self.public = os.path.join(world.dir, "raw.pub")
        openssl("pkey", "-in", world.raw, "-pubout", "-out", self.public)
        self.pkcs8 = pkcs8_of(world.raw)

    @needed("gnutls-cli")
    def test_gnutls_each_suite(self):
        for suite in GNUTLS_SUITES:
            said = self.gnutls_cli("+%s:+ECDHE-ECDSA:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK" % suite,
                                   "--insecure", "--rawpkkeyfile", self.pkcs8, "--rawpkfile",
                                   self.public)
            self.assertIn(self.CONTENT, said, suite)
            self.assertIn(suite.encode(), said)

    @needed("coap-client-gnutls")
    def test_libcoap(self):
        said = self.libcoap("coap-client-gnutls", "-M", world.raw)
        self.assertIn(self.CONTENT, said)

    @needed("coap-client-gnutls")
    def test_unknown_key(self):
        said = self.libcoap("coap-client-gnutls", "-M", world.client[1])
        self.assertNotIn(self.CONTENT, said)
        self.assert_refused("unknown_key", "the raw public key sha-256:" +
                            fingerprint(world.client[1])[7:] + " is not known")

    def test_copal(self):
        uri = "coaps://127.0.0.1:%d/x" % self.server.port
        right, wrong = fingerprint(world.server[1]), fingerprint(world.client[1])
        r = copal("get", uri, "--pin", right, "--raw-key", world.raw)
        self.assertEqual(r.stdout, self.CONTENT, r.stderr)
        r = copal("get", uri, "--pin", wrong, "--raw-key", world.raw)
        self.assertEqual(r.returncode, UNREACHABLE)
        self.assertIn(b"is not known", r.stderr)
        r = copal("get", uri, "--pin", right, "--raw-key", world.client[1])
        self.assertEqual(r.returncode, UNREACHABLE)
        self.assertIn(b"the server refuses it", r.stderr)
        r = copal("get", uri, "--insecure", "--raw-key", world.raw)
        self.assertEqual(r.stdout, self.CONTENT)
        self.assertIn(b"WARNING", r.stderr)


class Servers(unittest.TestCase):
    """copal with other people's servers."""

    @contextlib.contextmanager
    def running(self, port, *command):
        p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        try:
            wait_until_taken(port)
            yield p
        finally:
            p.terminate()
            p.stdin.close()
            p.wait(120)
            p.stdout.close()

    def answer(self, server):
        """Reads a request from the terminal of s_server and answers it."""
        said, end = b"", time.time() + 120
        while time.time() < end:
            if select.select([server.stdout], [], [], 0.2)[0]:
                said += os.read(server.stdout.fileno(), 65536)
            m = re.search(rb"([\x40-\x48])\x01(..)", said, re.DOTALL)
            if m:
                count = m.group(1)[0] & 15
                token = said[m.end():m.end() + count]
                server.stdin.write(bytes([0x60 + count, 0x45]) + m.group(2) + token + b"\xffhello")
                server.stdin.flush()
                return

    def start(self, *arguments):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COPAL_")}
        return subprocess.Popen([os.path.join(BUILD, "copal"), *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean)

    def s_server(self, port, files, *options):
        return self.running(port, "openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:%d" % port,
                            "-cert", files[0], "-key", files[1], "-quiet", *options)

    @needed("openssl")
    def test_openssl_each_suite(self):
        pem, key = world.client
        for suite in SUITES:
            port = free_port()
            with self.s_server(port, world.server, "-cipher", suite + ":@SECLEVEL=0", "-CAfile",
                               world.ca.pem, "-Verify", "1", "-verify_return_error") as server:
                p = self.start("get", "coaps://127.0.0.1:%d/x" % port, "--ca", world.ca.pem,
                               "--cert", pem, "--key", key, "--timeout", "60")
                self.answer(server)
                out, err = p.communicate(timeout=120)
                self.assertEqual(out, b"hello", (suite, err))

    def check_refused(self, files, reason, *options, host="127.0.0.1", connect=()):
        port = free_port()
        with self.s_server(port, files, "-cipher", SUITES[0] + ":@SECLEVEL=0"):
            r = copal("get", "coaps://%s:%d/x" % (host, port), *connect, *options)
        self.assertEqual(r.returncode, UNREACHABLE, r.stderr)
        self.assertIn(reason, r.stderr)

    @needed("openssl")
    def test_server_that_is_not_believed(self):
        ca = ("--ca", world.ca.pem)
        self.check_refused(world.server, b"no CA that is trusted has signed the certificate of "
                           b"'lamp'", "--ca", world.strange.pem)
        self.check_refused(world.old_server, b"expired at 2021-01-01T00:00:00Z", *ca)
        self.check_refused(world.elsewhere, b"that of 'other.example', 'Big.Example', "
                           b"not of '127.0.0.1:", *ca)
        self.check_refused(world.revoked_server, b"is revoked", *ca, "--crl", world.ca.crl)
        self.check_refused(world.client, b"is not for this purpose", *ca)
        self.check_refused(world.server, b"not the pinned one", *ca, "--pin",
                           fingerprint(world.raw))

    @needed("openssl")
    def test_name_in_a_uri_of_the_certificate(self):
        port = free_port()
        with self.s_server(port, world.elsewhere, "-cipher", SUITES[0] + ":@SECLEVEL=0",
                           "-servername", "lamp.example", "-cert2", world.server[0], "-key2",
                           world.server[1]) as server:
            p = self.start("get", "coaps://lamp.example/x", "--connect-to", "127.0.0.1:%d" % port,
                           "--ca", world.ca.pem, "--timeout", "60")
            self.answer(server)
            out, err = p.communicate(timeout=120)
            self.assertEqual(out, b"hello", err)

    @needed("gnutls-serv")
    def test_gnutls_certificates(self):
        port = free_port()
        pem, key = world.client
        with self.running(port, "gnutls-serv", "--udp", "--echo", "-p", str(port), "--x509certfile",
                          world.server[0], "--x509keyfile", world.server[1], "--x509cafile",
                          world.ca.pem, "--require-client-cert", "--verify-client-cert",
                          "--priority", "NORMAL:+AES-128-CCM-8:+ECDHE-ECDSA") as server:
            r = copal("get", "coaps://localhost:%d/x" % port, "-4", "--ca", world.ca.pem, "--cert",
                      pem, "--key", key, "--timeout", "10")
            self.assertNotEqual(r.returncode, UNREACHABLE, r.stderr) # an echo is no answer
            server.terminate()
            said = server.stdout.read()
            self.assertIn(b"Processing", said)

    def check_libcoap(self, program, extra, *options):
        port = free_port(2)  # coaps is the next one
        with self.running(port + 1, program, "-A", "127.0.0.1", "-p", str(port), *extra):
            r = copal("get", "coaps://127.0.0.1:%d/" % (port + 1), *options)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(b"libcoap", r.stdout)

    def check_libcoap_certificates(self, program):
        pem, key = world.client
        self.check_libcoap(program, ("-c", world.server[0], "-j", world.server[1], "-C",
                                     world.ca.pem, "-n"),
                           "--ca", world.ca.pem, "--cert", pem, "--key", key)

    @needed("coap-server-gnutls")
    def test_libcoap_gnutls(self):
        self.check_libcoap_certificates("coap-server-gnutls")

    @needed("coap-server-openssl")
    def test_libcoap_openssl(self):
        self.check_libcoap_certificates("coap-server-openssl")

    @needed("coap-server-gnutls")
    def test_libcoap_raw_keys(self):
        self.check_libcoap("coap-server-gnutls", ("-M", world.server[1]), "--pin",
                           fingerprint(world.server[1]), "--raw-key", world.raw)


class KeyLog(unittest.TestCase):
    """Secrets go to the file that SSLKEYLOGFILE names, and nowhere else."""

    def test_both_sides_write_the_same_secret(self):
        logs = [os.path.join(world.dir, name) for name in ("server.keys", "client.keys")]
        kept = os.environ.get("SSLKEYLOGFILE")
        pem, key = world.server
        try:
            os.environ["SSLKEYLOGFILE"] = logs[0]
            server = Server("--config", world.configure(certificate=pem, key=key, clients="none"))
            os.environ["SSLKEYLOGFILE"] = logs[1]
            r = copal("get", "coaps://localhost:%d/.well-known/core" % server.port, "-4", "--ca",
                      world.ca.pem)
        finally:
            os.environ.pop("SSLKEYLOGFILE")
            if kept is not None:
                os.environ["SSLKEYLOGFILE"] = kept
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(server.close(), 0)
        seen = []
        for log in logs:
            with open(log) as lines:
                seen.append([l for l in lines if l.startswith("CLIENT_RANDOM ")])
        self.assertEqual(len(seen[0]), 1)
        self.assertEqual(seen[0], seen[1])


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
