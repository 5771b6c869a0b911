# SPDX-License-Identifier: Apache-2.0
"""Access rules, limits and --explain, seen from outside."""
import os
import re
import signal
import subprocess
import tempfile
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
KEY = b"correct horse"
RULES = """allow psk:dev-*  GET,PUT  /devices/{identity}/**
allow anyone     READ     /public/** /.well-known/core
default deny
"""
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY = 0x81, 0x83, 0x84, 0x9D


class WithRules(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.rules = os.path.join(directory.name, "rules")
        self.keys = os.path.join(directory.name, "psk")
        self.write(RULES)
        with open(self.keys, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("dev-1:%s\n" % KEY.hex())

    def write(self, text):
        with open(self.rules, "w") as out:
            out.write(text)


class Rules(WithRules):
    def test_who_is_not_known_is_answered_4_01_before_anything_is_told(self):
        with daemon.Daemon("--access", self.rules) as d:
            self.assertEqual(daemon.exchange(d.port, daemon.GET, "public", "x")[1], NOT_FOUND)
            for code, path in ((daemon.PUT, "public"), (daemon.GET, "secret")):
                self.assertEqual(daemon.exchange(d.port, code, path)[1], UNAUTHORIZED)

    def test_a_session_with_a_key_has_its_own_subtree(self):
        with daemon.Daemon("--access", self.rules, "--psk-file", self.keys,
                           listen=("coaps://127.0.0.1:0",)) as d:
            base = "coaps://127.0.0.1:" + d.ready.split("coaps://127.0.0.1:")[1].split()[0].strip("/")

            def ask(method, path, *more):
                done = subprocess.run([COPAL, method, base + path, "--psk-file", self.keys, *more],
                                      capture_output=True, text=True, timeout=daemon.WAIT_S)
                return done.returncode, done.stdout + done.stderr

            code, out = ask("put", "/devices/dev-1/t", "-d", "21")
            self.assertEqual(code, 0, out)
            code, out = ask("get", "/devices/dev-1/t")
            self.assertEqual(code, 0, out)
            self.assertIn("21", out)
            code, out = ask("put", "/devices/dev-2/t", "-d", "21")
            self.assertNotEqual(code, 0, out)
            self.assertIn("4.03", out)

    def test_discovery_lists_only_what_the_asker_may_get(self):
        with open(self.keys, "a") as out:
            out.write("dev-2:%s\nroot:%s\n" % (KEY.hex(), KEY.hex()))
        rules = "allow psk:root * /**\nallow psk:dev-* READ /.well-known/core\n" + RULES
        self.write(rules)
        with daemon.Daemon("--access", self.rules, "--psk-file", self.keys,
                           listen=("coaps://127.0.0.1:0", "coap://127.0.0.1:0")) as d:
            bases = dict(re.findall(r"(coaps?)://(127\.0\.0\.1:\d+)", d.ready))

            def ask(method, who, path, *more):
                done = subprocess.run(
                    [COPAL, method, f"coaps://{bases['coaps']}{path}", "--psk-file", self.keys,
                     "--identity", who, *more],
                    capture_output=True, text=True, timeout=daemon.WAIT_S)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout

            for path, rt in (("/public/a", "x"), ("/devices/dev-1/t", "t"),
                             ("/devices/dev-2/t", "t"), ("/devices/dev-10/t", "t")):
                ask("put", "root", f"{path}?rt={rt}", "-d", "1")

            def paths(who, query=""):
                listing = ask("get", who, "/.well-known/core" + query)
                return {link[1:link.index(">")] for link in listing.strip().split(",") if link}

            def seen_by_anyone():
                port = int(bases["coap"].rsplit(":", 1)[1])
                return daemon.exchange(port, daemon.GET, ".well-known", "core")[3]

            core = "/.well-known/core"
            everything = {core, "/public/a", "/devices/dev-1/t", "/devices/dev-2/t",
                          "/devices/dev-10/t"}
            self.assertEqual(paths("root"), everything)
            self.assertEqual(paths("dev-1"), {core, "/public/a", "/devices/dev-1/t"})
            self.assertEqual(paths("dev-2"), {core, "/public/a", "/devices/dev-2/t"})
            self.assertEqual(paths("dev-1", "?rt=t"), {"/devices/dev-1/t"})
            self.assertEqual(paths("dev-1", "?href=/devices/*"), {"/devices/dev-1/t"})
            self.assertEqual(paths("root", "?rt=t"), everything - {core, "/public/a"})
            self.assertNotIn(b"devices", seen_by_anyone())
            self.assertIn(b"/public/a", seen_by_anyone())

    def test_a_reload_takes_good_rules_and_leaves_the_old_ones_for_bad_ones(self):
        with daemon.Daemon("--access", self.rules, "--log-format", "json") as d:
            self.write("allow nobody-knows\n")
            d.send_signal(signal.SIGHUP)
            self.assertIn("rules", d.wait_for_event("reload_refused")["error"])
            self.assertEqual(daemon.exchange(d.port, daemon.GET, "public", "x")[1], NOT_FOUND)
            self.assertEqual(daemon.exchange(d.port, daemon.GET, "secret")[1], UNAUTHORIZED)
            self.write("deny anyone * /public/**\ndefault allow\n")
            d.send_signal(signal.SIGHUP)
            d.wait_for_event("reloaded")
            self.assertEqual(daemon.exchange(d.port, daemon.GET, "secret")[1], NOT_FOUND)
            self.assertEqual(daemon.exchange(d.port, daemon.GET, "public", "x")[1], UNAUTHORIZED)


class Limits(WithRules):
    def test_rfc8516_beyond_the_limit_4_29_says_with_max_age_when_to_ask_again(self):
        self.write('rate: { address = 1; address_burst = 2; };\n')
        with daemon.Daemon("--config", self.rules) as d, daemon.client() as s:
            s.settimeout(daemon.WAIT_S)
            for mid in range(1, 51):  # in far less than the 48 seconds that would be allowed
                s.sendto(daemon.request(daemon.GET, "x", mid=mid), ("127.0.0.1", d.port))
            codes = []
            while TOO_MANY not in codes:
                answer = s.recv(2048)
                codes.append(answer[1])
            self.assertGreaterEqual(len(codes), 3)
            self.assertEqual(set(codes[:-1]), {NOT_FOUND})
            self.assertEqual(answer[5:7], b"\xd1\x01")  # Max-Age, of one byte
            self.assertGreaterEqual(answer[7], 1)


class Explain(WithRules):
    def test_the_question_may_say_how_and_in_which_groups(self):
        self.write("group lamps\ngroup ops\nallow group:lamps PUT /l over secure\ndefault deny\n")
        for status, question in ((1, "psk:a PUT /l"), (0, "psk:a PUT /l in lamps"),
                                 (0, "psk:a PUT /l in ops,lamps"), (1, "psk:a PUT /l in ops"),
                                 (1, "psk:a PUT /l in lamps over any"),
                                 (0, "x509:a PUT /l over secure in lamps"),
                                 (2, "psk:a PUT /l in"), (2, "psk:a PUT /l in ,"),
                                 (2, "psk:a PUT /l over"), (2, "anonymous PUT /l in lamps")):
            with self.subTest(question):
                self.assertEqual(daemon.run("--access", self.rules, "--explain", question)[0], status)

    def test_the_exit_status_says_what_is_decided(self):
        for status, question, said in ((0, "psk:dev-1 PUT /devices/dev-1/t", ":1: allow psk:dev-*"),
                                       (1, "psk:dev-1 PUT /devices/dev-2/t", "4.03"),
                                       (1, "anonymous PUT /public/a", "4.01"),
                                       (1, "psk:dev-1 PUT /devices/dev-1/../x", "4.00"),
                                       (1, "psk:dev-1 PUT /devices/dev-1/%2e", "4.00"),
                                       (1, "anonymous GET /public/" + 256 * "a", "4.02"),
                                       (0, "anonymous GET /public/...", ":2: allow anyone"),
                                       (0, "anonymous GET /public/a", ":2: allow anyone")):
            with self.subTest(question):
                code, out, err = daemon.run("--access", self.rules, "--explain", question)
                self.assertEqual((code, err), (status, ""))
                self.assertIn(said, out)
        code, out, err = daemon.run("--access", self.rules, "--explain", "what?")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("expected is IDENTITY METHOD PATH", err)


if __name__ == "__main__":
    unittest.main()
