# SPDX-License-Identifier: Apache-2.0
"""What is printed where: exact bytes into a pipe, formatted bodies for people, JSON for programs."""
import json
import os
import pty
import subprocess
import tempfile
import unittest

from harness import (ACK, COPAL, CONTENT_FORMAT, EMPTY, ETAG, LOCATION_PATH, MAX_AGE, OBSERVE, RST,
                     URI_PATH, URI_QUERY, WAIT_S, Message, Peer, copal, uint)

BINARY = bytes(range(256))
LINKS = (b'</.well-known/core>;ct=40,</t>;rt="temperature c";if="sensor";ct="0 50";sz=12;obs;'
         b'title="Temp, \\"hall\\""')


def serve(payload, cf=None, options=(), code="2.05"):
    own = [] if cf is None else [(CONTENT_FORMAT, uint(cf))]
    return lambda m, n: m.reply(code, own + list(options), payload)


def fetch(payload, cf, *args, options=(), code="2.05", env=None):
    with Peer(serve(payload, cf, options, code)) as p:
        return copal("get", *args, p.uri("/x"), env=env)


def pretty(payload, cf, *args):
    r = fetch(payload, cf, "--pretty", *args)
    assert r.returncode == 0, r.stderr
    return r.stdout.decode()


def on_terminal(*args, env=None):
    """Output of copal with a terminal as standard output."""
    master, slave = pty.openpty()
    with subprocess.Popen([COPAL, *args], stdout=slave, stderr=slave, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, TERM="xterm", **(env or {}))) as p:
        os.close(slave)
        out = b""
        try:
            while chunk := os.read(master, 4096):
                out += chunk
        except OSError:  # how Linux reports that the other side was closed
            pass
        p.wait()
    os.close(master)
    return out.decode().replace("\r\n", "\n")


class Pipe(unittest.TestCase):
    def test_exact_bytes(self):
        for cf in (None, 0, 40, 42, 50, 60, 110):
            self.assertEqual(fetch(BINARY, cf).stdout, BINARY)

    def test_empty_success_prints_nothing(self):
        self.assertEqual(fetch(b"", None, code="2.04").stdout, b"")

    def test_file(self):
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, "body")
            r = fetch(BINARY, 42, "-o", name)
            self.assertEqual((r.returncode, r.stdout), (0, b""))
            with open(name, "rb") as f:
                self.assertEqual(f.read(), BINARY)

    def test_file_is_not_touched_by_an_error(self):
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, "body")
            r = fetch(b"no", None, "-o", name, code="4.04")
            self.assertEqual((r.returncode, os.path.exists(name)), (4, False))

    def test_file_that_cannot_be_written_is_1(self):
        r = fetch(b"x", None, "-o", "/no/such/directory/x")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"cannot write /no/such/directory/x", r.stderr)

    def test_include(self):
        r = fetch(b"{}", 50, "-i", options=[(ETAG, b"\xab\xcd"), (MAX_AGE, b"\x0a"), (65000, b"\x01")])
        self.assertEqual(r.stdout, b"2.05 Content\nETag: 0xabcd\nContent-Format: application/json\n"
                                   b"Max-Age: 10\n65000: 0x01\n\n{}")

    def test_include_of_an_error(self):
        r = fetch(b"why", None, "-i", code="4.04")
        self.assertEqual((r.stdout, r.stderr), (b"4.04 Not Found\n", b"copal: 4.04 Not Found: why\n"))

    def test_write_out(self):
        r = fetch(b"abc", 50, "-w", r"|%{code} %{size_download} %{content_format} %{method}%%\n%{no}",
                  code="2.05")
        self.assertEqual(r.stdout, b"abc|2.05 3 application/json GET%\n%{no}")

    def test_write_out_location_and_etag(self):
        opts = [(ETAG, b"\x8f\x3a"), (LOCATION_PATH, b"a b"), (LOCATION_PATH, b"7")]
        r = fetch(b"", None, "-w", "%{location} %{etag}", options=opts, code="2.01")
        self.assertEqual(r.stdout, b"/a%20b/7 8f3a")

    def test_write_out_without_response(self):
        with Peer(lambda m, n: None) as p:
            r = copal("get", "--timeout", "0.1", "-w", "%{code} %{exit_status}", p.uri())
        self.assertEqual((r.returncode, r.stdout), (8, b"0.00 8"))


class FullDisk(unittest.TestCase):
    """Standard output that cannot be written is an error, and said so once, whatever the command."""

    @staticmethod
    def run_into_full(*args):
        with open("/dev/full", "w", encoding="utf-8") as full:
            return subprocess.run([COPAL, *args], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, timeout=WAIT_S)

    def check(self, *args):
        r = self.run_into_full(*args)
        self.assertEqual((r.returncode, r.stderr),
                         (1, b"copal: cannot write standard output: No space left on device\n"), args)

    def test_requests(self):
        with Peer(serve(b"x", 0, [(OBSERVE, b"\x01")])) as p:
            for args in (("get",), ("get", "-i"), ("get", "--json"), ("get", "-o", "/dev/null", "-w", "x"),
                         ("observe", "-c", "1"), ("observe", "-c", "1", "--json"),
                         ("observe", "-c", "1", "-o", "-")):
                self.check(args[0], p.uri("/x"), *args[1:])

    def test_discover(self):
        with Peer(serve(LINKS, 40)) as p:
            self.check("discover", p.uri())
            self.check("discover", "--json", p.uri())

    def test_ping_ends(self):
        with Peer(lambda m, n: Message(RST, 0, m.mid)) as p:
            self.check("ping", p.uri())
            self.check("ping", "-c", "1", "--json", p.uri())

    def test_load(self):
        with Peer(serve(b"x", 0)) as p:
            for args in ((), ("--json",)):
                self.check("load", "-c", "1", "-n", "1", "--warmup", "0", *args, p.uri("/x"))

    def test_keygen(self):
        self.check("keygen", "psk")
        self.check("keygen", "psk", "--json")

    def test_help_and_version(self):
        for args in (("--help",), ("help", "get"), ("get", "--help"), ("--version",)):
            self.check(*args)

    def test_closed_standard_files_are_nobody_elses(self):
        with Peer(serve(b"x", 0, [(OBSERVE, b"\x01")])) as p:
            for args in (("get", p.uri("/x")), ("observe", p.uri("/x"), "-c", "1"), ("--version",)):
                r = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&- >&-', COPAL, *args],
                                   stderr=subprocess.PIPE, timeout=WAIT_S)
                self.assertEqual((r.returncode, r.stderr), (
                    1, b"copal: cannot write standard output: Bad file descriptor\n"), args)
            r = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&-', COPAL, "put", p.uri("/x"), "-d", "-"],
                               stderr=subprocess.PIPE, timeout=WAIT_S)
        self.assertEqual((r.returncode, r.stderr),
                         (1, b"copal: cannot read standard input: Bad file descriptor\n"))

    def test_reader_that_went_away_is_no_complaint(self):
        with Peer(serve(b"x" * 200, 0, [(OBSERVE, b"\x01")])) as p:
            reader, writer = os.pipe()
            os.close(reader)
            r = subprocess.run([COPAL, "observe", p.uri("/x"), "-c", "1"], stdout=writer,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=WAIT_S)
            os.close(writer)
        self.assertEqual((r.returncode, r.stderr), (1, b""))

    def test_silent_is_silent(self):
        with Peer(serve(b"x", 0)) as p:
            r = self.run_into_full("get", "-s", p.uri("/x"))
        self.assertEqual((r.returncode, r.stderr), (1, b""))


class Pretty(unittest.TestCase):
    def test_json(self):
        self.assertEqual(pretty(b'{"a":[1.10,{}],"b":"c\\u0041"}', 50),
                         '{\n  "a": [\n    1.10,\n    {}\n  ],\n  "b": "c\\u0041"\n}\n')

    def test_malformed_json_is_text(self):
        self.assertEqual(pretty(b'{"a":', 50), '{"a":\n')

    def test_cbor(self):
        body = bytes.fromhex("bf616101626869c1fb3ff8000000000000616bf5ff")
        self.assertEqual(pretty(body, 60), '{_ "a": 1, "hi": 1(1.5), "k": true}\n')

    def test_malformed_cbor_is_dumped(self):
        self.assertEqual(pretty(b"\x82\x01", 60),
                         "00000000  82 01                                             |..|\n")

    def test_cbor_sequence(self):
        self.assertEqual(pretty(b"\x01\x20\x41\xff", 63), "1\n-1\nh'ff'\n")

    def test_senml_json(self):
        body = b'[{"bn":"urn:d:","bt":1.7e9,"n":"t","u":"Cel","v":21.5},{"n":"on","vb":true}]'
        self.assertEqual(pretty(body, 110),
                         "NAME      VALUE  UNIT  TIME\n"
                         "urn:d:t   21.5   Cel   2023-11-14T22:13:20Z\n"
                         "urn:d:on  true         2023-11-14T22:13:20Z\n")

    def test_senml_cbor(self):
        # [{-2: "d/", 0: "t", 1: "Cel", 2: 21.5}, {0: "s", 3: "on"}]
        body = bytes.fromhex("82a421 62642f 00 6174 01 6343656c 02 f94d60 a2 00 6173 03 626f6e")
        self.assertEqual(pretty(body, 112), "NAME  VALUE  UNIT\nd/t   21.5   Cel\nd/s   on\n")

    def test_link_format(self):
        self.assertEqual(pretty(b'</a>;ct=0,</long>;rt="x y";obs', 40),
                         '</a>     ct=0\n</long>  rt="x y" obs\n')

    def test_text_cannot_drive_a_terminal(self):
        self.assertEqual(pretty(b"a\x1b[31mb\xc2\x9bc\xffd\xe2\x80\xaee\tf", 0),
                         "a\\x1b[31mb\\x9bc\\xffd\\u202ee\tf\n")

    def test_binary(self):
        self.assertEqual(pretty(b"\x00A" * 9, 42),
                         "00000000  00 41 00 41 00 41 00 41  00 41 00 41 00 41 00 41  "
                         "|.A.A.A.A.A.A.A.A|\n"
                         "00000010  00 41                                             |.A|\n")

    def test_colour_only_when_asked_in_a_pipe(self):
        self.assertNotIn("\x1b", pretty(b'{"a":1}', 50))
        self.assertIn("\x1b[34;1m\"a\"\x1b[0m", pretty(b'{"a":1}', 50, "--color", "always"))


class Terminal(unittest.TestCase):
    def get(self, payload, cf, *args, env=None, code="2.05"):
        with Peer(serve(payload, cf, code=code)) as p:
            return on_terminal("get", *args, p.uri("/x"), env=env)

    def test_formats_and_colours(self):
        out = self.get(b'{"a":1}', 50)
        self.assertIn('\x1b[34;1m"a"\x1b[0m: ', out)

    def test_no_color_is_honoured(self):
        self.assertEqual(self.get(b'{"a":1}', 50, env={"NO_COLOR": "1"}), '{\n  "a": 1\n}\n')

    def test_no_pretty(self):
        self.assertEqual(self.get(b'{"a":1}', 50, "--no-pretty"), '{"a":1}')

    def test_empty_success_says_so(self):
        self.assertEqual(self.get(b"", None, "--color", "never", code="2.04"), "2.04 Changed\n")

    def test_discover_table(self):
        with Peer(serve(LINKS, 40)) as p:
            out = on_terminal("discover", "--color", "never", p.uri())
        self.assertEqual(out,
                         "PATH               CT               RT             IF      TITLE"
                         "         SZ  OBS\n"
                         "/.well-known/core  link-format\n"
                         '/t                 text/plain json  temperature c  sensor  Temp, "hall"'
                         "  12  obs\n")


class Json(unittest.TestCase):
    def test_members(self):
        with Peer(serve(b'{"a": 1.10}', 50, [(ETAG, b"\xab"), (MAX_AGE, b""), (65000, b"\x01"),
                                             (65000, b"\x02")])) as p:
            r = copal("get", "--json", "--token", "0102", p.uri("/x"))
        self.assertEqual(r.returncode, 0)
        self.assertEqual(r.stdout.count(b"\n"), 1)
        self.assertIn(b'"payload":{"a":1.10}', r.stdout)
        o = json.loads(r.stdout)
        self.assertEqual((o["code"], o["code_name"], o["status"]), ("2.05", "Content", 0))
        self.assertEqual(o["options"], {"ETag": ["0xab"], "Content-Format": 50, "Max-Age": 0,
                                        "65000": ["0x01", "0x02"]})
        self.assertEqual((o["content_format"], o["payload_encoding"]), ("application/json", "json"))
        self.assertEqual((o["peer"], o["method"], o["token"]),
                         ("127.0.0.1:%d" % p.port, "GET", "0102"))
        self.assertEqual((o["exchanges"], o["retransmits"]), (1, 0))
        self.assertGreater(o["rtt_ms"], 0)

    def test_text(self):
        o = json.loads(fetch("grüße \"x\"\n".encode(), 0, "--json").stdout)
        self.assertEqual((o["payload"], o["payload_encoding"]), ("grüße \"x\"\n", "text"))

    def test_binary_is_base64(self):
        o = json.loads(fetch(b"\x00\xff\xfe\xfd", 42, "--json").stdout)
        self.assertEqual((o["payload"], o["payload_encoding"]), ("AP/+/Q==", "base64"))

    def test_cbor_comes_with_diagnostic_notation(self):
        o = json.loads(fetch(b"\xa1\x61a\x01", 60, "--json").stdout)
        self.assertEqual((o["payload"], o["payload_diag"]), ("oWFhAQ==", '{"a": 1}'))

    def test_error_response(self):
        r = fetch(b"gone", None, "--json", code="4.04")
        o = json.loads(r.stdout)
        self.assertEqual((r.returncode, o["status"], o["code"], o["payload"]), (4, 4, "4.04", "gone"))
        self.assertEqual(o["error"], "4.04 Not Found: gone")

    def test_timeout(self):
        with Peer(lambda m, n: None) as p:
            r = copal("get", "--json", "--timeout", "0.1", p.uri())
        o = json.loads(r.stdout)
        self.assertEqual((r.returncode, o["status"], "code" in o), (8, 8, False))

    def test_ping(self):
        with Peer(lambda m, n: Message(3, EMPTY, m.mid)) as p:
            r = copal("ping", "--json", "-c", "1", p.uri())
        o = json.loads(r.stdout)
        self.assertEqual((o["sent"], o["answered"], o["loss_percent"]), (1, 1, 0))


class Discover(unittest.TestCase):
    def test_request_and_raw_output(self):
        with Peer(serve(LINKS, 40)) as p:
            r = copal("discover", "127.0.0.1:%d" % p.port, "rt=temperature*")
        self.assertEqual((r.returncode, r.stdout), (0, LINKS))
        self.assertEqual(p.received[0].options, [(URI_PATH, b".well-known"), (URI_PATH, b"core"),
                                                 (URI_QUERY, b"rt=temperature*")])

    def test_json(self):
        with Peer(serve(LINKS, 40)) as p:
            r = copal("discover", "--json", p.uri())
        self.assertEqual(json.loads(r.stdout), [
            {"href": "/.well-known/core", "ct": 40},
            {"href": "/t", "rt": "temperature c", "if": "sensor", "ct": "0 50", "sz": 12,
             "obs": True, "title": 'Temp, "hall"'}])

    def test_malformed_document_is_10(self):
        with Peer(serve(b"not links", 40)) as p:
            r = copal("discover", "--json", p.uri())
        self.assertEqual((r.returncode, r.stdout), (10, b""))

    def test_other_path(self):
        with Peer(serve(LINKS, 40)) as p:
            copal("discover", p.uri("/rd-lookup/res"))
        self.assertEqual(p.received[0].values(URI_PATH), [b"rd-lookup", b"res"])

    def test_error(self):
        with Peer(lambda m, n: m.reply("4.04")) as p:
            r = copal("discover", "--json", p.uri())
        self.assertEqual(r.returncode, 4)


class Trace(unittest.TestCase):
    def test_messages_and_retransmission(self):
        def handler(m, n):
            if n == 0:
                return None
            return [b"\x40", m.reply("2.05", [(CONTENT_FORMAT, b"\x32")], b'{"a":1}')]
        with Peer(handler) as p:
            r = copal("get", "-v", "--ack-timeout", "1.5", "-O", "65000=0xab", "--token", "c0ffee",
                      p.uri("/a"))
        trace = r.stderr.decode()
        mid = p.received[0].mid
        self.assertIn("> 127.0.0.1:%d  CON GET  mid %d  token c0ffee\n          Uri-Path: a\n"
                      "          65000: 0xab\n" % (p.port, mid), trace)
        self.assertIn("(retransmission 1)", trace)
        self.assertIn("not a CoAP message (ESHORT)", trace)
        self.assertIn("ACK 2.05 Content  mid %d  token c0ffee\n"
                      "          Content-Format: application/json\n"
                      '          payload, 7 bytes: {"a":1}\n' % mid, trace)
        self.assertEqual(r.stdout, b'{"a":1}')
        self.assertEqual(ACK, 2)


if __name__ == "__main__":
    unittest.main()
