# SPDX-License-Identifier: Apache-2.0
"""How a request ends, and the exit status that tells: responses, errors, silence, Reset, ICMP."""
import time
import unittest

from harness import (ACK, CON, DELETE, ECHO, EMPTY, GET, MAX_AGE, NO_RESPONSE, NON, PUT, RST,
                     URI_HOST, URI_PATH, URI_PORT, Message, Peer, closed_port, copal)

# What nobody answers may come soon; what somebody answers, when he has had time for it.
FAST = ("--ack-timeout", "0.05", "--max-retransmit", "2")
AGAIN = ("--ack-timeout", "3")


def content(payload=b"hello", options=()):
    return lambda m, n: m.reply("2.05", options, payload)


class Status(unittest.TestCase):
    def test_success_is_0(self):
        with Peer(content()) as p:
            r = copal("get", p.uri("/a/b?c=d"))
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"hello", b""))
        request = p.received[0]
        self.assertEqual((request.type, request.code), (CON, GET))
        self.assertEqual(request.options, [(URI_PATH, b"a"), (URI_PATH, b"b"), (15, b"c=d")])
        self.assertEqual(len(request.token), 8)

    def test_not_found_is_4(self):
        with Peer(lambda m, n: m.reply("4.04", payload=b"no such thing")) as p:
            r = copal("get", p.uri("/x"))
        self.assertEqual((r.returncode, r.stdout), (4, b""))
        self.assertEqual(r.stderr, b"copal: 4.04 Not Found: no such thing\n")

    def test_unavailable_is_5_and_says_when_to_try_again(self):
        with Peer(lambda m, n: m.reply("5.03", [(MAX_AGE, b"\x1e")])) as p:
            r = copal("get", p.uri("/x"))
        self.assertEqual(r.returncode, 5)
        self.assertEqual(r.stderr, b"copal: 5.03 Service Unavailable (try again in 30 s)\n")

    def test_unknown_code_of_a_class_counts_as_the_class(self):
        with Peer(lambda m, n: m.reply("4.31")) as p:
            self.assertEqual(copal("get", p.uri()).returncode, 4)

    def test_closed_port_is_7(self):
        r = copal("get", "coap://127.0.0.1:%d/" % closed_port())
        self.assertEqual(r.returncode, 7)
        self.assertIn(b"refused", r.stderr)

    def test_reset_is_9(self):
        with Peer(lambda m, n: Message(RST, EMPTY, m.mid)) as p:
            r = copal("get", p.uri())
        self.assertEqual(r.returncode, 9)
        self.assertIn(b"reset", r.stderr)

    def test_unresolvable_host_is_6(self):
        r = copal("get", "coap://no-such-host.invalid/")
        self.assertEqual(r.returncode, 6)
        self.assertIn(b"could not resolve host 'no-such-host.invalid'", r.stderr)

    def test_silent_prints_no_message(self):
        with Peer(lambda m, n: m.reply("4.04", payload=b"gone")) as p:
            r = copal("get", "-s", p.uri("/x"))
        self.assertEqual((r.returncode, r.stdout, r.stderr), (4, b"", b""))

    def test_problem_details_are_shown_as_text(self):
        # {-1: "No such thing", -2: "look at /a", -8: 65000}
        problem = b"\xa3\x20\x6dNo such thing\x21\x6alook at /a\x27\x19\xfd\xe8"
        with Peer(lambda m, n: m.reply("4.02", [(12, b"\x01\x01")], problem)) as p:
            r = copal("get", p.uri())
        self.assertEqual(r.returncode, 4)
        self.assertEqual(r.stderr, b"copal: 4.02 Bad Option: No such thing: look at /a "
                                   b"(unprocessed option: 65000)\n")

    def test_a_diagnostic_that_repeats_the_code_is_shown_once(self):
        shown = {b"Not Found": b"", b"Not Found: why": b": why", b"Not Founded": b": Not Founded"}
        for payload, text in shown.items():
            with Peer(lambda m, n, body=payload: m.reply("4.04", payload=body)) as p:
                r = copal("get", p.uri())
            self.assertEqual(r.stderr, b"copal: 4.04 Not Found" + text + b"\n")

    def test_control_characters_in_a_diagnostic_are_escaped(self):
        with Peer(lambda m, n: m.reply("4.00", payload=b"a\nb")) as p:
            r = copal("get", p.uri())
        self.assertEqual(r.stderr, b"copal: 4.00 Bad Request: a\\nb\n")


class Delivery(unittest.TestCase):
    def test_silence_is_retransmitted_and_is_8(self):
        for _ in range(10):
            with Peer(lambda m, n: None) as p:
                r = copal("get", *FAST, p.uri())
            self.assertEqual(r.returncode, 8)
            # The last one is left out when a busy machine lets its time pass (MAX_TRANSMIT_SPAN).
            if len(p.received) == 3:
                break
        self.assertEqual(len(p.received), 3)
        self.assertEqual(len({m.pack() for m in p.received}), 1)
        self.assertIn(b"2 retransmissions", r.stderr)

    def test_retransmission_is_answered(self):
        with Peer(lambda m, n: m.reply("2.05", payload=b"late") if n == 1 else None) as p:
            r = copal("get", *AGAIN, "-w", "|%{retransmits}", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, b"late|1"))

    def test_timeout_limits_the_whole(self):
        begin = time.monotonic()
        with Peer(lambda m, n: None) as p:
            r = copal("get", "--timeout", "0.2", p.uri())
        self.assertEqual(r.returncode, 8)
        self.assertLess(time.monotonic() - begin, 60)
        self.assertEqual(len(p.received), 1)

    def test_retry_repeats_the_request_as_a_new_one(self):
        with Peer(lambda m, n: m.reply("2.05") if n == 2 else None) as p:
            r = copal("get", "--timeout", "4", "--retry", "3", p.uri())
        self.assertEqual(r.returncode, 0)
        self.assertEqual(len({m.mid for m in p.received}), 3)
        self.assertEqual(len({m.token for m in p.received}), 3)

    def test_retry_of_a_non_confirmable_request(self):
        begin = time.monotonic()
        with Peer(lambda m, n: None) as p:
            r = copal("get", "--non", "--timeout", "0.2", "--retry", "1", p.uri())
        self.assertEqual((r.returncode, len(p.received)), (8, 2))
        self.assertGreater(time.monotonic() - begin, 1)

    def test_separate_response_is_acknowledged(self):
        def handler(m, n):
            if m.type != CON:
                return None
            return [Message(ACK, EMPTY, m.mid),
                    Message(CON, 0x45, 4711, m.token, payload=b"separate")]
        with Peer(handler) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, b"separate"))
        self.assertEqual((p.received[1].type, p.received[1].code, p.received[1].mid),
                         (ACK, EMPTY, 4711))

    def test_response_with_another_token_is_not_taken(self):
        def handler(m, n):
            stray = Message(NON, 0x45, 1, b"\x01\x02\x03", payload=b"wrong")
            return [stray, m.reply("2.05", payload=b"right")] if m.code == GET else None
        with Peer(handler) as p:
            self.assertEqual(copal("get", p.uri()).stdout, b"right")

    def test_non_request(self):
        with Peer(content()) as p:
            r = copal("get", "--non", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, b"hello"))
        self.assertEqual(p.received[0].type, NON)

    def test_token_is_used(self):
        with Peer(content()) as p:
            copal("get", "--token", "0xc0ffee", p.uri())
        self.assertEqual(p.received[0].token, b"\xc0\xff\xee")

    def test_echo_is_returned(self):
        def handler(m, n):
            fresh = m.value(ECHO) == b"\x0a\x0b"
            return m.reply("2.04") if fresh else m.reply("4.01", [(ECHO, b"\x0a\x0b")])
        with Peer(handler) as p:
            r = copal("put", "-d", "x", p.uri())
        self.assertEqual((r.returncode, len(p.received)), (0, 2))
        self.assertEqual(p.received[1].payload, b"x")

    def test_echo_is_not_returned_for_ever(self):
        with Peer(lambda m, n: m.reply("4.01", [(ECHO, bytes([n]))])) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, len(p.received)), (4, 2))


class NoResponse(unittest.TestCase):
    def test_all_classes_do_not_wait(self):
        begin = time.monotonic()
        with Peer(lambda m, n: None) as p:
            r = copal("put", "--timeout", "100", "--no-response", "2,4,5", "-d", "x", p.uri())
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.assertLess(time.monotonic() - begin, 60)
        self.assertEqual((p.received[0].type, p.received[0].value(NO_RESPONSE)), (NON, b"\x1a"))

    def test_confirmable_waits_for_the_acknowledgement(self):
        with Peer(lambda m, n: Message(ACK, EMPTY, m.mid) if n == 1 else None) as p:
            r = copal("put", *AGAIN, "--con", "--no-response", "26", "-d", "x", p.uri())
        self.assertEqual((r.returncode, len(p.received)), (0, 2))

    def test_error_that_is_wanted_arrives(self):
        with Peer(lambda m, n: m.reply("4.05")) as p:
            r = copal("put", "--no-response", "2", "-d", "x", p.uri())
        self.assertEqual(r.returncode, 4)

    def test_silence_with_some_classes_is_success(self):
        with Peer(lambda m, n: None) as p:
            r = copal("put", "--no-response", "2", "--timeout", "0.2", "-d", "x", p.uri())
        self.assertEqual((r.returncode, r.stderr), (0, b""))


class Where(unittest.TestCase):
    def test_next_address_when_the_first_refuses(self):
        with Peer(content()) as p:
            r = copal("get", "coap://localhost:%d/" % p.port)
        self.assertEqual((r.returncode, r.stdout), (0, b"hello"))
        self.assertEqual(p.received[0].value(URI_HOST), b"localhost")

    def test_ipv6_literal(self):
        try:
            peer = Peer(content(), host="::1")
        except OSError:
            self.skipTest("no IPv6 on this machine")
        with peer as p:
            r = copal("get", "[::1]:%d/x" % p.port)
        self.assertEqual((r.returncode, r.stdout), (0, b"hello"))
        self.assertIsNone(p.received[0].value(URI_HOST))

    def test_connect_to_names_the_authority(self):
        with Peer(content()) as p:
            r = copal("get", "--connect-to", "127.0.0.1:%d" % p.port, "coap://example.org/x")
        self.assertEqual(r.returncode, 0)
        self.assertEqual(p.received[0].value(URI_HOST), b"example.org")
        self.assertEqual(p.received[0].value(URI_PORT), b"\x16\x33")

    def test_host_replaces_uri_host(self):
        with Peer(content()) as p:
            copal("get", "--host", "virtual", "coap://127.0.0.1:%d/x" % p.port)
        self.assertEqual(p.received[0].value(URI_HOST), b"virtual")

    def test_family_that_the_literal_has_not(self):
        r = copal("get", "-6", "coap://127.0.0.1/")
        self.assertEqual((r.returncode, r.stderr), (6, b"copal: '127.0.0.1' is not an IPv6 address\n"))


class Methods(unittest.TestCase):
    def test_codes(self):
        names = ["get", "post", "put", "delete", "fetch", "patch", "ipatch"]
        for number, name in enumerate(names, 1):
            with Peer(lambda m, n: m.reply("2.04")) as p:
                self.assertEqual(copal(name, p.uri()).returncode, 0, name)
            self.assertEqual(p.received[0].code, number, name)

    def test_payload_from_text_file_and_stdin(self):
        with Peer(lambda m, n: m.reply("2.04")) as p:
            copal("put", "-d", "text", p.uri())
            copal("put", "-d", "-", p.uri(), stdin=b"in\0put")
            copal("put", "-d", "@" + __file__, "--block-size", "1024", p.uri())
        self.assertEqual(p.received[0].payload, b"text")
        self.assertEqual(p.received[1].payload, b"in\0put")
        with open(__file__, "rb") as f:
            self.assertEqual(p.received[2].payload, f.read(1024))

    def test_missing_file_is_1(self):
        r = copal("put", "-d", "@/no/such/file", "coap://127.0.0.1/")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"cannot read /no/such/file: No such file", r.stderr)

    def test_delete_code(self):
        self.assertEqual((DELETE, PUT), (4, 3))
        with Peer(lambda m, n: m.reply("2.02")) as p:
            r = copal("delete", "--if-match", "8f3a", p.uri("/x"))
        self.assertEqual(r.returncode, 0)
        self.assertEqual(p.received[0].value(1), b"\x8f\x3a")


class Ping(unittest.TestCase):
    def test_answered(self):
        with Peer(lambda m, n: Message(RST, EMPTY, m.mid)) as p:
            r = copal("ping", "-c", "2", "--interval", "0.01", p.uri())
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"2 sent, 2 answered, 0% loss\nrtt min/avg/max/mdev = ", r.stdout)
        self.assertEqual([(m.type, m.code, m.token) for m in p.received], [(CON, EMPTY, b"")] * 2)

    def test_loss_is_shown_and_one_answer_suffices(self):
        with Peer(lambda m, n: Message(RST, EMPTY, m.mid) if n else None) as p:
            r = copal("ping", "-c", "2", "--interval", "0.01", "--timeout", "5", p.uri())
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"seq=1 no answer", r.stdout)
        self.assertIn(b"2 sent, 1 answered, 50% loss", r.stdout)

    def test_no_answer_is_8(self):
        with Peer(lambda m, n: None) as p:
            r = copal("ping", "-c", "1", "--timeout", "0.1", p.uri())
        self.assertEqual(r.returncode, 8)

    def test_refused_is_7(self):
        r = copal("ping", "-c", "1", "127.0.0.1:%d" % closed_port())
        self.assertEqual(r.returncode, 7)


if __name__ == "__main__":
    unittest.main()
