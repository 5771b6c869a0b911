# SPDX-License-Identifier: Apache-2.0
"""The command line: help, mistakes and what is said about them, options onto the wire."""
import unittest

from harness import ACCEPT, CONTENT_FORMAT, ETAG, URI_QUERY, Peer, copal

COMMANDS = ["get", "put", "post", "delete", "fetch", "patch", "ipatch", "discover", "ping",
            "keygen"]


class Help(unittest.TestCase):
    def test_program(self):
        r = copal("--help")
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        for command in COMMANDS:
            self.assertIn(b"\n  %s " % command.encode(), r.stdout)
        self.assertIn(b"Exit status", r.stdout)

    def test_each_command(self):
        for command in COMMANDS:
            r = copal(command, "--help")
            self.assertEqual((r.returncode, r.stderr), (0, b""))
            self.assertIn(b"Usage: copal %s " % command.encode(), r.stdout)
            self.assertGreaterEqual(r.stdout.count(b"\n  copal %s" % command.encode()), 2, command)
            self.assertEqual(r.stdout, copal("help", command).stdout)
            self.assertLessEqual(max(map(len, r.stdout.split(b"\n"))), 100)

    def test_version(self):
        r = copal("--version")
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stdout, rb"^copal \d+\.\d+\.\d+\n$")


class Mistakes(unittest.TestCase):
    def check(self, status, message, *args):
        r = copal(*args)
        self.assertEqual((r.returncode, r.stdout), (status, b""), args)
        self.assertEqual(r.stderr.decode(), "copal: " + message + "\n", args)

    def test_commands(self):
        self.check(2, "no command given; see 'copal --help'")
        self.check(2, "unknown command 'gte'; did you mean 'copal get'?", "gte", "x")
        self.check(2, "unknown command 'xyzzy'; see 'copal --help'", "xyzzy")
        self.check(2, "'coap://h/x' is no command; did you mean 'copal get coap://h/x'?", "coap://h/x")

    def test_options(self):
        see = "; see 'copal get --help'"
        self.check(2, "get: unknown option '--foo'" + see, "get", "--foo", "x")
        self.check(2, "get: unknown option '--jsn', did you mean '--json'?" + see, "get", "--jsn", "x")
        self.check(2, "get: unknown option '-Z'" + see, "get", "-Z", "x")
        self.check(2, "get: option '--accept' needs a value: --accept FORMAT" + see, "get", "--accept")
        self.check(2, "get: option '--json' takes no value" + see, "get", "--json=1", "x")
        self.check(2, "get: no URI given" + see, "get")
        self.check(2, "get: one URI at a time, 'b' is too much" + see, "get", "a", "b")
        self.check(2, "get: a get request carries no payload; use fetch, put, post or patch" + see,
                   "get", "-d", "x", "y")
        self.check(2, "get: --con and --non exclude each other" + see, "get", "--con", "--non", "x")

    def test_values(self):
        see = "; see 'copal put --help'"
        self.check(2, "put: --accept: unknown Content-Format 'yaml'; use json, cbor, text, a media "
                      "type or a number" + see, "put", "--accept", "yaml", "x")
        self.check(2, "put: --option: unknown option name 'Foo'; use a registered name or a number up "
                      "to 65535" + see, "put", "-O", "Foo=1", "x")
        self.check(2, "put: --option: 'x' is not a value for option Max-Age, which takes a number" + see,
                   "put", "-O", "Max-Age=x", "x")
        self.check(2, "put: --option: the value of option ETag has 9 bytes, allowed are 1 to 8; give "
                      "the option by number to send it all the same" + see,
                   "put", "-O", "ETag=123456789", "x")
        self.check(2, "put: --if-match: 'xyz' is not 0 to 8 bytes in hexadecimal" + see,
                   "put", "--if-match", "xyz", "x")
        self.check(2, "put: --timeout: '-1' is not a number of seconds from 0.001 to 4000" + see,
                   "put", "--timeout", "-1", "x")
        self.check(2, "put: --hop-limit: a hop limit is at least 1" + see, "put", "--hop-limit", "0", "x")
        self.check(2, "put: --block-size: a block has 16, 32, 64, 128, 256, 512 or 1024 bytes" + see,
                   "put", "--block-size", "100", "x")
        self.check(2, "put: --no-response: '2,3' is not a list of classes such as 2,4,5 or a number "
                      "from 0 to 255" + see, "put", "--no-response", "2,3", "x")

    def test_uris(self):
        for scheme in ("coap+tcp", "coaps+tcp", "coap+ws", "coaps+ws"):
            self.check(3, "'%s://h/': scheme %s is not supported by this version, only coap and "
                          "coaps are"
                       % (scheme, scheme), "get", scheme + "://h/")
        self.check(3, "'http://h/': scheme http is not one of CoAP; write coap://HOST/PATH",
                   "get", "http://h/")
        self.check(3, "'coap://h/#x': a CoAP URI has no fragment; write '#' as %23", "get", "h/#x")
        for bad in ("coap://", "coap:///x", "coap://h:99999/", "coap://[::1/", "coap://u@h/",
                    "coap://h/%zz", "coap://h/" + "a" * 256):
            r = copal("get", bad)
            self.assertEqual(r.returncode, 3, bad)
            self.assertTrue(r.stderr.startswith(b"copal: '"), bad)


class Wire(unittest.TestCase):
    def send(self, *args):
        with Peer(lambda m, n: m.reply("2.04")) as p:
            r = copal("post", *args, p.uri("/x"))
        self.assertEqual(r.returncode, 0, r.stderr)
        return p.received[0]

    def test_options_by_name_and_number(self):
        m = self.send("-O", "Uri-Query=x", "-O", "65000=0xabcd", "-O", "uri-query=y", "-O", "2048=text",
                      "-O", "12=60", "-O", "If-None-Match", "-O", "ETag=0x01", "-O", "4=")
        self.assertEqual(m.values(URI_QUERY), [b"x", b"y"])
        self.assertEqual((m.value(65000), m.value(2048), m.value(5)), (b"\xab\xcd", b"text", b""))
        self.assertEqual((m.value(CONTENT_FORMAT), m.values(ETAG)), (b"\x3c", [b"\x01", b""]))

    def test_content_formats_by_name(self):
        names = {"json": 50, "text": 0, "cbor": 60, "link-format": 40, "senml+json": 110,
                 "octet-stream": 42, "application/senml+cbor": 112, "text/plain": 0, "65000": 65000,
                 "problem-details": 257, "TEXT/PLAIN": 0, "application/json": 50}
        for name, number in names.items():
            m = self.send("--accept", name, "-c", name)
            self.assertEqual(int.from_bytes(m.value(ACCEPT), "big"), number, name)
            self.assertEqual(m.value(ACCEPT), m.value(CONTENT_FORMAT))

    def test_conditions(self):
        m = self.send("--if-match", "0x8f3a", "--if-match", "", "--etag", "01")
        self.assertEqual((m.values(1), m.values(ETAG)), ([b"\x8f\x3a", b""], [b"\x01"]))

    def test_hop_limit(self):
        self.assertEqual(self.send("--hop-limit", "10").value(16), b"\x0a")

    def test_an_option_replaces_what_the_uri_says(self):
        m = self.send("-O", "Uri-Host=other", "-O", "Uri-Path=more")
        self.assertEqual((m.values(3), m.values(11)), ([b"other"], [b"x", b"more"]))

    def test_option_value_with_equals_sign(self):
        self.assertEqual(self.send("--option=Uri-Query=a=b").values(URI_QUERY), [b"a=b"])

    def test_joined_letters_and_end_of_options(self):
        with Peer(lambda m, n: m.reply("2.04")) as p:
            r = copal("put", "-isdtext", "--", p.uri("/x"))
        self.assertEqual((r.returncode, p.received[0].payload), (0, b"text"))

    def test_characters_are_percent_encoded(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            copal("get", p.uri("/küche/a b?q=ä"))
        self.assertEqual(p.received[0].values(11), ["küche".encode(), b"a b"])
        self.assertEqual(p.received[0].values(15), ["q=ä".encode()])


if __name__ == "__main__":
    unittest.main()
