# SPDX-License-Identifier: Apache-2.0
"""Observation as its users see it. RFC 7641 section 3; large notifications after RFC 7959 section
3.4."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

from harness import (ACK, BLOCK2, CON, CONTENT_FORMAT, COPAL, ECHO, ETAG, FETCH, GET, MAX_AGE, NON,
                     OBSERVE, RST, URI_QUERY, WAIT_S, Message, Peer, Together, block, closed_port, code,
                     copal, uint)


class Source:
    """A server of one resource. A registration is answered by `first` and followed by what `script`
    holds: functions of (registration, mid) that return messages."""

    def __init__(self, first=b"0", script=(), options=()):
        self.first, self.script, self.options = first, script, list(options)
        self.registrations, self.deregistrations, self.fetches, self.acks = [], [], [], []

    def __call__(self, m, n):
        if m.code == 0:
            self.acks.append(m)
            return None
        if m.value(OBSERVE) == b"":
            self.registrations.append(m)
            return self.register(m)
        if m.value(OBSERVE) == uint(1):
            self.deregistrations.append(m)
            return m.reply("2.05", [], self.first)
        self.fetches.append(m)
        return self.fetch(m)

    def register(self, m):
        answers = [m.reply("2.05", [(OBSERVE, uint(10)), *self.options], self.first)]
        return answers + [make(m, 1000 + i) for i, make in enumerate(self.script)]

    def fetch(self, m):
        return m.reply("4.04")


def note(seq, payload, type_=NON, options=(), code_="2.05"):
    """A notification for the script of a Source."""
    observe = [(OBSERVE, uint(seq))] if seq is not None else []
    return lambda m, mid: Message(type_, code(code_), mid, m.token, observe + list(options), payload)


def lines(r):
    return [json.loads(line) for line in r.stdout.decode().splitlines()]


class Notifications(unittest.TestCase):
    def observe(self, source, *args, **more):
        with Peer(source) as p:
            r = copal("observe", *args, p.uri("/t"), **more)
        return r

    def test_printed_in_order_until_the_count(self):
        source = Source(script=[note(11, b"1"), note(12, b"2"), note(13, b"3")])
        r = self.observe(source, "-c", "3")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"0\n1\n2\n", b""))
        self.assertEqual(source.registrations[0].code, GET)

    def test_deregistered_at_the_end_with_the_same_token(self):
        source = Source()
        self.observe(source, "-c", "1")
        self.assertEqual([m.token for m in source.deregistrations], [source.registrations[0].token])

    def test_a_confirmable_one_is_acknowledged(self):
        source = Source(script=[note(11, b"1", CON)])
        self.assertEqual(self.observe(source, "-c", "2").stdout, b"0\n1\n")
        self.assertIn((ACK, 1000), [(m.type, m.mid) for m in source.acks])

    def test_an_older_one_is_dropped_and_counted(self):
        source = Source(script=[note(12, b"new"), note(11, b"old"), note(13, b"newer")])
        seen = lines(self.observe(source, "-c", "3", "--json"))
        self.assertEqual([(s["seq"], s["payload"]) for s in seen],
                         [(10, "0"), (12, "new"), (13, "newer")])
        self.assertEqual([s["gap"]["reordered"] for s in seen], [0, 0, 1])
        self.assertEqual([s["gap"]["seq_step"] for s in seen], [0, 2, 1])

    def test_the_sequence_wraps(self):
        source = Source(script=[note(0xFFFFFF, b"a"), note(0, b"b"), note(0xFFFFFE, b"c"),
                                note(1, b"d")], options=[])
        source.register = lambda m: [m.reply("2.05", [(OBSERVE, uint(0xFFFFFD))], b"x")] + [
            make(m, 1000 + i) for i, make in enumerate(source.script)]
        self.assertEqual(self.observe(source, "-c", "4").stdout, b"x\na\nb\nd\n")

    def test_json_tells_all(self):
        source = Source(first=b'{"v":1}', options=[(CONTENT_FORMAT, uint(50)), (ETAG, b"\x8f")])
        seen = lines(self.observe(source, "-c", "1", "--json"))[0]
        self.assertEqual((seen["count"], seen["seq"], seen["code"], seen["payload"]),
                         (1, 10, "2.05", {"v": 1}))
        self.assertEqual(seen["options"]["ETag"], ["0x8f"])
        self.assertEqual(seen["gap"]["cause"], "none")
        self.assertTrue(0 <= seen["elapsed_ms"] < 20000)

    def test_duration_ends_it(self):
        start = time.monotonic()
        source = Source()
        r = self.observe(source, "--duration", "3")
        self.assertEqual((r.returncode, r.stdout), (0, b"0\n"))
        self.assertTrue(2.9 < time.monotonic() - start < 60)
        self.assertEqual(len(source.deregistrations), 1)

    def test_interrupt_ends_it_in_order(self):
        source = Source()
        with Peer(source) as p:
            for how in (signal.SIGINT, signal.SIGTERM):
                child = subprocess.Popen([COPAL, "observe", p.uri("/t")], stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE)
                self.assertEqual(child.stdout.readline(), b"0\n")
                child.send_signal(how)
                out, err = child.communicate(timeout=WAIT_S)
                self.assertEqual((child.returncode, out, err), (0, b"", b""))
        self.assertEqual(len(source.deregistrations), 2)

    def test_without_a_reader_it_ends_in_order(self):
        source = Source()
        reader, writer = os.pipe()
        os.close(reader)
        with Peer(source) as p:
            r = subprocess.run([COPAL, "observe", p.uri("/t")], stdout=writer, timeout=WAIT_S)
        os.close(writer)
        self.assertEqual(r.returncode, 1)
        self.assertEqual(len(source.deregistrations), 1)

    def test_bytes_stay_bytes(self):
        source = Source(first=b"\x00\xff", script=[note(11, b"\x01")])
        self.assertEqual(self.observe(source, "-c", "2").stdout, b"\x00\xff\x01")

    def test_no_pretty_adds_nothing(self):
        source = Source(first=b"a", script=[note(11, b"b")])
        self.assertEqual(self.observe(source, "-c", "2", "--no-pretty").stdout, b"ab")

    def test_pretty_has_a_line_between(self):
        source = Source(first=b"a", script=[note(11, b"b")])
        out = self.observe(source, "-c", "2", "--pretty").stdout.decode()
        self.assertRegex(out, r"^--- \d\d:\d\d:\d\d\.\d{3}  2\.05 Content  #10\na\n"
                              r"--- .*  #11  \+\d+\.\d{3} s\nb\n$")

    def test_a_file_holds_the_newest(self):
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, "state")
            self.observe(Source(script=[note(11, b"one"), note(12, b"two")]), "-c", "3", "-o", name)
            with open(name, "rb") as f:
                self.assertEqual(f.read(), b"two")
            self.assertEqual(os.listdir(d), ["state"])

    def test_fetch_repeats_its_payload(self):
        source = Source()
        self.observe(source, "-c", "1", "-d", "q", "--content-format", "text")
        self.assertEqual([(m.code, m.payload) for m in source.registrations + source.deregistrations],
                         [(FETCH, b"q")] * 2)

    def test_attributes_are_the_query(self):
        source = Source()
        with Peer(source) as p:
            copal("observe", "-c", "1", p.uri("/t?c.gt=25&c.pmin=5"))
        self.assertEqual(source.registrations[0].values(URI_QUERY), [b"c.gt=25", b"c.pmin=5"])

    def test_an_echo_challenge_is_answered(self):
        source = Source()
        register = source.register
        source.register = lambda m: (register(m) if m.value(ECHO) == b"e"
                                     else m.reply("4.01", [(ECHO, b"e")]))
        self.assertEqual(self.observe(source, "-c", "1").stdout, b"0\n")
        self.assertEqual(len(source.registrations), 2)


class Exec(unittest.TestCase):
    def test_payload_and_environment(self):
        source = Source(first=b"hello", options=[(ETAG, b"\x8f\x01"), (CONTENT_FORMAT, b"")])
        with Peer(source) as p:
            r = copal("observe", "-c", "1", "--exec",
                      'echo "$(cat)|$COPAL_CODE|$COPAL_SEQUENCE|$COPAL_CONTENT_FORMAT|'
                      '$COPAL_ETAG|$COPAL_URI"', p.uri("/t"))
        self.assertEqual(r.stdout.decode(), "hello|2.05|10|text/plain;charset=utf-8|8f01|%s\n"
                         % p.uri("/t"))

    def test_runs_do_not_overlap(self):
        source = Source(script=[note(11, b"1"), note(12, b"2")])
        with Peer(source) as p:
            r = copal("observe", "-c", "3", "--exec", "echo begin; sleep 0.2; echo end", p.uri())
        self.assertEqual(r.stdout, b"begin\nend\n" * 3)

    def test_exit_status_is_told_when_asked(self):
        with Peer(Source()) as p:
            self.assertEqual(copal("observe", "-c", "1", "--exec", "exit 3", p.uri()).stderr, b"")
            r = copal("observe", "-v", "-c", "1", "--exec", "exit 3", p.uri())
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"copal: exec: exit status 3\n", r.stderr)

    def test_an_interrupt_ends_the_command_too(self):
        with Peer(Source()) as p:
            child = subprocess.Popen([COPAL, "observe", "--exec", "echo on; exec sleep 60", p.uri()],
                                     stdout=subprocess.PIPE)
            child.stdout.readline()
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=WAIT_S)
        self.assertEqual(child.returncode, 0)


class Large(unittest.TestCase):
    BODY = os.urandom(2500)

    def source(self, etags, **more):
        """Answers the registration with the first block; `etags` are those of the blocks after."""
        source = Source(first=self.BODY[:1024], options=[(BLOCK2, block(0, True, 1024)),
                                                         (ETAG, b"\x01")], **more)

        def fetch(m):
            num, _, size = m.block(BLOCK2)
            more_blocks = (num + 1) * size < len(self.BODY)
            return m.reply("2.05", [(BLOCK2, block(num, more_blocks, size)),
                                    (ETAG, etags[len(source.fetches) - 1])],
                           self.BODY[num * size:(num + 1) * size])
        source.fetch = fetch
        return source

    def test_the_rest_is_fetched(self):
        source = self.source([b"\x01", b"\x01"])
        with Peer(source) as p:
            r = copal("observe", "-c", "1", p.uri("/big"))
        self.assertEqual((r.returncode, r.stdout == self.BODY), (0, True))
        self.assertEqual([m.block(BLOCK2) for m in source.fetches],
                         [(1, False, 1024), (2, False, 1024)])
        self.assertTrue(all(m.token != source.registrations[0].token for m in source.fetches))
        self.assertTrue(all(m.values(OBSERVE) == [] for m in source.fetches))

    def test_one_that_changes_meanwhile_gives_way_to_the_newer(self):
        source = self.source([b"\x01", b"\x02"], script=[note(11, b"newer", options=[(ETAG, b"\x02")])])
        with Peer(source) as p:
            r = copal("observe", "-c", "1", p.uri("/big"))
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"newer\n", b""))


class Ends(unittest.TestCase):
    def test_not_observable_is_11_with_the_representation(self):
        with Peer(lambda m, n: m.reply("2.05", [], b"21")) as p:
            r = copal("observe", p.uri())
        self.assertEqual((r.returncode, r.stdout), (11, b"21\n"))
        self.assertIn(b"does not notify", r.stderr)
        self.assertEqual(len(p.received), 1)

    def test_polling_instead(self):
        def handler(m, n):
            return m.reply("2.05", [], b"a" if n < 3 else b"b")
        with Peer(handler) as p:
            r = copal("observe", "--poll", "0.1", "-c", "2", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, b"a\nb\n"))
        self.assertIsNone(p.received[1].value(OBSERVE))

    def test_polling_asks_with_the_etag(self):
        def handler(m, n):
            if m.value(ETAG) == b"\x01" and n < 4:
                return m.reply("2.03", [(ETAG, b"\x01")])
            return m.reply("2.05", [(ETAG, b"\x02" if n >= 4 else b"\x01")], b"%d" % n)
        with Peer(handler) as p:
            r = copal("observe", "--poll", "0.05", "-c", "3", "--no-pretty", p.uri())
        self.assertEqual(r.stdout, b"045")

    def test_polling_ends_with_the_duration_though_nobody_answers(self):
        start = time.monotonic()
        with Peer(lambda m, n: m.reply("2.05", [], b"a") if n < 2 else None) as p:
            r = copal("observe", "--poll", "0.1", "--duration", "3", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, b"a\n"))
        self.assertLess(time.monotonic() - start, 60)

    def test_an_error_at_first(self):
        with Peer(lambda m, n: m.reply("4.04", payload=b"gone")) as p:
            r = copal("observe", p.uri())
        self.assertEqual((r.returncode, r.stderr), (4, b"copal: 4.04 Not Found: gone\n"))

    def test_deletion_ends_it(self):
        source = Source(script=[note(None, b"deleted", CON, code_="4.04")])
        with Peer(source) as p:
            r = copal("observe", p.uri())
        self.assertEqual((r.returncode, r.stdout), (4, b"0\n"))
        self.assertIn(b"4.04", r.stderr)
        self.assertEqual(source.deregistrations, [])

    def test_nobody_there(self):
        r = copal("observe", "coap://127.0.0.1:%d" % closed_port())
        self.assertEqual(r.returncode, 7)

    def test_no_reconnect_tells_why(self):
        def lose(m, mid):
            return Message(RST, 0, m.mid)
        source = Source()
        source.register = lambda m: lose(m, 0)
        with Peer(source) as p:
            self.assertEqual(copal("observe", "--no-reconnect", p.uri()).returncode, 9)

    def test_usage(self):
        for args in (["--method", "put", "x"], ["--method", "get", "-d", "x", "x"],
                     ["--exec", "x", "-o", "y", "z"], ["coap://224.0.1.187/t"], []):
            self.assertEqual(copal("observe", *args).returncode, 2, args)


class Recovery(unittest.TestCase):
    """These wait: Max-Age 0 is stale after 5 to 15 seconds, RFC 7641 section 3.3.1."""

    def test_asks_again_when_stale(self):
        source = Source(options=[(MAX_AGE, b"")])
        with Peer(source) as p:
            r = copal("observe", "-c", "2", "--json", p.uri())
        self.assertEqual([s["gap"]["cause"] for s in lines(r)], ["none", "stale"])
        self.assertRegex(r.stderr.decode(), r"no notification for \d+ s, asking again")
        self.assertEqual(len({m.token for m in source.registrations}), 1)
        self.assertEqual(len({m.mid for m in source.registrations}), 2)

    def lose(self, answer, expected):
        """The second registration meets `answer`, the third is received again."""
        source = Source(options=[(MAX_AGE, b"")])
        register = source.register
        source.register = lambda m: (answer(m) if len({x.mid for x in source.registrations}) == 2
                                     else register(m))
        with Peer(source) as p:
            r = copal("observe", "-c", "2", "--json", "--ack-timeout", "1.5", "--max-retransmit",
                      "1", p.uri())
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual([s["gap"]["cause"] for s in lines(r)], ["none", "reconnected"])
        self.assertRegex(r.stderr.decode(), expected + r".*; asking again in (0\.[789]|1\.0) s")
        self.assertIn(b"copal: reconnected\n", r.stderr)

    def test_reconnects_after_a_reset(self):
        self.lose(lambda m: Message(RST, 0, m.mid), "reset the request")

    def test_reconnects_after_a_timeout(self):
        self.lose(lambda m: None, "no answer")

    def test_waits_for_a_resource_to_come_back(self):
        self.lose(lambda m: m.reply("4.04"), "4.04 Not Found")

    def test_reconnects_after_an_overload(self):
        self.lose(lambda m: m.reply("5.03"), "5.03 Service Unavailable")


def load_tests(loader, tests, pattern):
    """The tests of Recovery mostly wait, so they do it together."""
    del pattern
    suite = unittest.TestSuite()
    slow = []
    for group in tests:
        for test in group:
            (slow if isinstance(test, Recovery) else suite._tests).append(test)
    suite.addTest(Together(slow))
    return suite


if __name__ == "__main__":
    unittest.main()
