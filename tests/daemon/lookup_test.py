# SPDX-License-Identifier: Apache-2.0
"""Keys from an external command or an HTTP endpoint, seen from outside."""
import functools
import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
LIBCOAP = [c for c in ("coap-client-openssl", "coap-client-gnutls") if shutil.which(c)]
KEY, OLD = b"correct horse", b"battery staple"
RULES = """group fleet
allow group:fleet * /fleet/{identity}
allow psk:local   * /local
default deny
"""


class WithLookup(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.rules = self.write("rules", RULES)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        with open(path, "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
        return path

    def serve(self, settings, *args, **more):
        conf = self.write("conf", 'store = "memory";\nlookup = { %s };\n' % settings)
        d = daemon.Daemon("--config", conf, "--access", self.rules, *args, listen=("coaps://127.0.0.1:0",),
                          **more)
        self.assertIn("coaps://", d.ready)
        self.base = "coaps://127.0.0.1:" + d.ready.split("coaps://127.0.0.1:")[1].split()[0].strip("/")
        return d

    def start_put(self, path, name, key):
        keys = self.write("client-" + name, "%s:%s\n" % (name, key.hex()))
        return subprocess.Popen([COPAL, "put", "-d", "x", self.base + path, "-t", "60", "--psk-file", keys],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def put(self, path, name, key):
        with self.start_put(path, name, key) as p:
            p.communicate(timeout=daemon.WAIT_S)
            return p.returncode

    def metrics(self, d):
        d.err = ""
        d.send_signal(signal.SIGUSR1)
        return d.wait_for_event("metrics")


class Command(WithLookup):
    def command(self, body):
        path = self.write("command", '#!/bin/sh\nread -r q\necho "$q" >> %s/noted\n%s\n' % (self.dir, body), 0o700)
        return 'command = [ "%s" ];' % path

    def noted(self):
        with open(os.path.join(self.dir, "noted")) as f:
            return [json.loads(line)["identity"] for line in f]

    def test_a_fleet(self):
        body = """case $q in
*'"identity":"dev-'*) echo '{"keys":["%s","%s"],"groups":["fleet"]}' ;;
*) echo '{}' ;;
esac""" % (KEY.hex(), OLD.hex())
        with self.serve(self.command(body)) as d:
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
            self.assertEqual(self.put("/fleet/dev-2", "dev-1", KEY), 4)
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", OLD), 0)
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", b"wrong"), 7)
            self.assertEqual(self.put("/fleet/dev-2", "dev-2", OLD), 0)
            self.assertEqual(self.put("/fleet/x", "--help", KEY), 7)
            self.assertEqual(self.put("/fleet/x", "--help", KEY), 7)
            self.assertEqual(self.noted(), ["dev-1", "dev-2", "--help"])
            seen = self.metrics(d)
            self.assertEqual((seen["lookups"], seen["lookups_found"], seen["lookups_unknown"]), (3, 2, 1))
            self.assertEqual(seen["lookup_known"], 2)
            d.send_signal(signal.SIGHUP)
            d.wait_for_event("reloaded")
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
            self.assertEqual(self.noted()[3:], ["dev-1"])

    def test_who_started_the_daemon_may_ignore_sigchld(self):
        body = "echo '%s'" % json.dumps({"key": KEY.hex(), "groups": ["fleet"]})
        ignore = functools.partial(signal.signal, signal.SIGCHLD, signal.SIG_IGN)
        with self.serve(self.command(body), preexec_fn=ignore) as d:
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
            self.assertEqual(self.metrics(d)["lookups_found"], 1)

    def test_nobody_is_held_up_by_somebody_who_is_asked_for(self):
        gate = os.path.join(self.dir, "gate")
        body = "case $q in *slow*) while [ ! -e %s ]; do sleep 0.1; done;; esac; echo '%s'" % (
            gate, json.dumps({"key": KEY.hex(), "groups": ["fleet"]}))
        with self.serve(self.command(body) + ' timeout = "30 s";'):
            with self.start_put("/fleet/slow", "slow", KEY) as slow:
                while not os.path.exists(os.path.join(self.dir, "noted")):
                    time.sleep(0.05)
                self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
                self.assertIsNone(slow.poll())
                self.write("gate", "")
                slow.communicate(timeout=daemon.WAIT_S)
                self.assertEqual(slow.returncode, 0)

    @unittest.skipUnless(LIBCOAP, "libcoap's client is not installed")
    def test_clients_of_libcoap_wait(self):
        body = "sleep 1.5; echo '{\"key\":\"%s\",\"groups\":[\"fleet\"]}'" % KEY.hex()
        with self.serve(self.command(body)):
            for client in LIBCOAP:
                done = subprocess.run([client, "-m", "put", "-e", "x", "-B", "10", "-u", client, "-k", KEY.decode(),
                                       self.base + "/fleet/" + client], capture_output=True, text=True, timeout=daemon.WAIT_S)
                self.assertEqual(done.stderr, "", client)

    def test_failures_are_told_and_not_repeated_at_once(self):
        with self.serve(self.command("sleep 60") + ' timeout = "500 ms";') as d:
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 7)
            self.assertIn("does not answer", d.wait_for_event("lookup_failed")["error"])
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 7)
            self.assertEqual(self.noted(), ["dev-1"])
            self.assertEqual(self.metrics(d)["lookups_timed_out"], 1)

    def test_files_are_asked_first(self):
        keys = self.write("keys", "local:%s\n" % KEY.hex())
        credentials = self.write("credentials", 'psk = ( { identity = "dev-9"; key = "%s"; groups = "fleet"; } );'
                                 % KEY.hex())
        with self.serve(self.command("echo '{}'"), "--psk-file", keys, "--credentials", credentials):
            self.assertEqual(self.put("/local", "local", KEY), 0)
            self.assertEqual(self.put("/fleet/dev-9", "dev-9", KEY), 0)
            self.assertFalse(os.path.exists(os.path.join(self.dir, "noted")))

    def test_what_cannot_work_is_refused_at_the_start(self):
        for settings, said in (('command = [ "sh" ];', "absolute name"), ('url = "ftp://x/";', "http"),
                               ('command = [ "/bin/sh" ]; url = "http://x/";', "one of them")):
            conf = self.write("conf", 'store = "memory";\nlookup = { %s };\n' % settings)
            code, _, err = daemon.run("--config", conf, "--listen", "coaps://127.0.0.1:0")
            self.assertNotEqual(code, 0)
            self.assertIn(said, err)


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((asked["identity"], self.headers.get("Authorization")))
        name = asked["identity"]
        status = {"nobody": 404, "broken": 500, "moved": 302}.get(name, 200)
        body = json.dumps({"key": KEY.hex(), "groups": ["fleet"]}).encode() if name != "large" else b"x" * 1000000
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Http(WithLookup):
    def setUp(self):
        super().setUp()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.http.asked = []
        self.http.handle_error = lambda *args: None  # copald ends, and with it its connections
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.addCleanup(self.http.server_close)
        self.addCleanup(self.http.shutdown)
        self.url = 'url = "http://127.0.0.1:%d/keys";' % self.http.server_port

    def test_a_fleet(self):
        token = self.write("token", "s3cret\n")
        with self.serve(self.url + ' token_file = "%s";' % token) as d:
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
            self.assertEqual(self.put("/fleet/nobody", "nobody", KEY), 7)
            self.assertEqual(self.http.asked, [("dev-1", "Bearer s3cret"), ("nobody", "Bearer s3cret")])
            self.assertEqual(self.metrics(d)["lookups_unknown"], 1)

    def test_failures(self):
        with self.serve(self.url) as d:
            for name, said in (("broken", "status 500"), ("moved", "status 302"), ("large", "")):
                self.assertEqual(self.put("/fleet/" + name, name, KEY), 7)
                self.assertIn(said, d.wait_for_event("lookup_failed")["error"])
                d.err = ""
            self.assertEqual(len(self.http.asked), 3)

    def test_https_wants_the_right_ca(self):
        ca = os.path.join(self.dir, "ca")
        for args in (("ca", "-o", ca), ("cert", "--ca", ca, "--host", "127.0.0.1", "-o", os.path.join(self.dir, "http")),
                     ("ca", "-o", os.path.join(self.dir, "other"))):
            subprocess.run([COPAL, "keygen", *args], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.dir, "http.pem"), os.path.join(self.dir, "http.key"))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        url = self.url.replace("http:", "https:")
        with self.serve('%s ca = "%s/ca.pem";' % (url, ca)):
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 0)
        with self.serve('%s ca = "%s/other/ca.pem";' % (url, self.dir)) as d:
            self.assertEqual(self.put("/fleet/dev-1", "dev-1", KEY), 7)
            self.assertIn("https://", d.wait_for_event("lookup_failed")["error"])
        self.assertEqual(len(self.http.asked), 1)

    def test_token_that_others_may_read_is_refused(self):
        token = self.write("token", "s3cret\n", 0o644)
        conf = self.write("conf", 'store = "memory";\nlookup = { %s token_file = "%s"; };\n' % (self.url, token))
        code, _, err = daemon.run("--config", conf, "--listen", "coaps://127.0.0.1:0")
        self.assertNotEqual(code, 0)
        self.assertIn("others may read it", err)


if __name__ == "__main__":
    unittest.main()
