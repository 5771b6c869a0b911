#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the client `copal` puts on the wire, seen by a server of raw bytes that misbehaves as told.

    client.py [--copal PATH] [WORD...]

RFC 7252 sections 4, 5 and 6.4, RFC 7967, RFC 8516, RFC 9290. Prints `ok` or `FAIL` for each test
and exits 1 when one failed.
"""

import argparse
import concurrent.futures
import os
import select
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

import ports
import wire
from peer import WAIT_S, Failure, check, equal, table
from wire import ACK, CON, NON, RST

OK, CLIENT_ERROR, UNREACHABLE, TIMEOUT, RESET = 0, 4, 7, 8, 9
CONTENT = wire.code("2.05")
SO_TIMESTAMPNS = 35  # socket(7); the module has no name for it
TIMESPEC = struct.Struct("qq")
PATIENT = ("--ack-timeout", "60")  # unless a test is about repetitions, there are none
ATTEMPTS = 10  # to measure: a busy machine lengthens an interval now and then, and not always


class Stage:
    """A server socket, and one run of the client against it."""

    def __init__(self, program):
        self.program = program
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.port = self.sock.getsockname()[1]
        self.process = None
        self.peer = None

    def end(self):
        """Ends the client, if it has not ended; what it has sent is not read."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        while select.select([self.sock], [], [], 0)[0]:
            self.sock.recv(65535)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.sock.close()

    def start(self, verb, path="/x", *options, host="127.0.0.1"):
        """Runs the client; the messages it sends are read with need()."""
        if verb != "ping" and "--ack-timeout" not in options:
            options += PATIENT
        command = [self.program, verb, "coap://%s:%d%s" % (host, self.port, path), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def recv(self, timeout=WAIT_S):
        """The next message of the client, or None. Its arrival time is `at`, as the kernel took it:
        on a busy machine this program comes to read it later."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        data, notes, _, self.peer = self.sock.recvmsg(65535, socket.CMSG_SPACE(TIMESPEC.size))
        got = wire.Message(data)
        seconds, nanoseconds = TIMESPEC.unpack(notes[0][2])
        got.at = seconds + nanoseconds / 1e9
        return got

    def need(self, timeout=WAIT_S):
        got = self.recv(timeout)
        check(got is not None, "the client sends nothing")
        return got

    def send(self, data, sock=None):
        (sock or self.sock).sendto(data, self.peer)

    def respond(self, asked, type_=ACK, payload=b"right", code=CONTENT, pairs=(), mid=None,
                token=None):
        """A response to `asked`; piggybacked unless `type_` says otherwise."""
        mid = asked.mid if mid is None else mid
        token = asked.token if token is None else token
        self.send(wire.message(type_, code, mid, token, pairs, payload))

    def ends(self, status=OK, output=b"right"):
        """The client ends with that exit status and output."""
        try:
            out, err = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            raise Failure("the client does not end") from None
        equal(self.process.returncode, status, "exit status (%r)" % err[-200:])
        if output is not None:
            equal(out, output, "output")
        return out, err


# requests ---------------------------------------------------------------------------------------


def rfc7252_4_2_request_is_confirmable_by_default(c):
    c.start("get")
    asked = c.need()
    equal((asked.type, asked.code_byte), (CON, wire.GET), "type and code")
    c.respond(asked)
    c.ends()


def rfc7252_4_3_request_is_non_confirmable_when_told(c):
    c.start("get", "/x", "--non")
    asked = c.need()
    equal(asked.type, NON, "type")
    c.respond(asked, NON, mid=7)
    c.ends()


@table(("get", "get", 1), ("post", "post", 2), ("put", "put", 3), ("delete", "delete", 4),
       ("fetch", "fetch", 5), ("patch", "patch", 6), ("ipatch", "ipatch", 7))
def rfc7252_5_8_verb_is_the_method(c, verb, code):
    body = ["-d", "{}", "-c", "json"] if code not in (1, 4) else []
    c.start(verb, "/x", *body)
    asked = c.need()
    equal((asked.code_byte, asked.payload), (code, b"{}" if body else b""), "code and payload")
    equal(asked.opt(wire.CONTENT_FORMAT), bytes([50]) if body else None, "Content-Format")
    c.respond(asked)
    c.ends()


def rfc7252_5_3_1_token_is_random_and_long_enough(c):
    tokens, mids = set(), set()
    for _ in range(4):
        c.start("get")
        asked = c.need()
        check(len(asked.token) >= 4, "token of %d bytes" % len(asked.token))
        tokens.add(asked.token)
        mids.add(asked.mid)
        c.respond(asked)
        c.ends()
    equal(len(tokens), 4, "number of tokens")
    check(len(mids) > 1, "the first Message ID is always the same")


@table(("root", "/", [], []), ("none", "", [], []), ("path", "/a/b", [b"a", b"b"], []),
       ("percent", "/a%20b/%C3%BC%2F", [b"a b", b"\xc3\xbc/"], []),
       ("trailing", "/a/", [b"a", b""], []), ("query", "/a?b=c&d", [b"a"], [b"b=c", b"d"]),
       ("query_percent", "/?x=%26", [], [b"x=&"]), ("dots", "/a/../b", [b"b"], []))
def rfc7252_6_4_uri_is_taken_apart(c, path, segments, arguments):
    c.start("get", path)
    asked = c.need()
    equal(asked.all(wire.URI_PATH), segments, "Uri-Path")
    equal(asked.all(wire.URI_QUERY), arguments, "Uri-Query")
    c.respond(asked)
    c.ends()


def rfc7252_6_4_literal_host_and_port_of_the_server_are_left_out(c):
    c.start("get")
    asked = c.need()
    equal((asked.opt(wire.URI_HOST), asked.opt(wire.URI_PORT)), (None, None), "options")
    c.respond(asked)
    c.ends()


def rfc7252_6_4_host_name_is_sent(c):
    c.start("get", "/x", "-4", host="LocalHost")
    asked = c.need()
    equal(asked.opt(wire.URI_HOST), b"localhost", "Uri-Host")
    c.respond(asked)
    c.ends()


@table(("no_host", "coap:///x"), ("fragment", "coap://127.0.0.1/x#y"),
       ("percent", "coap://127.0.0.1/%zz"), ("port", "coap://127.0.0.1:99999/"),
       ("relative", "/x"))
def rfc7252_6_1_invalid_uri_is_refused(c, uri):
    done = subprocess.run([c.program, "get", uri], stdin=subprocess.DEVNULL, capture_output=True)
    equal((done.returncode, done.stdout), (3, b""), "exit status and output")
    check(done.stderr, "no message")


# retransmission ---------------------------------------------------------------------------------


def rfc7252_4_2_request_is_retransmitted_with_doubling_intervals(c):
    wrong = []
    for n in range(ATTEMPTS):
        base = 0.2 * 2 ** (n // 2)  # what blurs short intervals is little of a long one
        c.start("get", "/x", "--ack-timeout", "%g" % base, "--max-retransmit", "3")
        sent = []
        while len(sent) < 4 and (got := c.recv(8 * base + 5)) is not None:
            sent.append(got)
        equal(len({m.raw for m in sent}), 1, "number of different datagrams")
        gaps = [b.at - a.at for a, b in zip(sent, sent[1:])]
        c.ends(TIMEOUT, b"")
        check(c.recv(0.1) is None, "a fifth transmission")
        # The last one is left out when a busy machine lets its time pass: MAX_TRANSMIT_SPAN.
        if (len(gaps) == 3 and base <= gaps[0] <= 1.6 * base and
                all(1.8 <= b / a <= 2.2 for a, b in zip(gaps, gaps[1:]))):
            return
        wrong.append(gaps)
    raise Failure("intervals %r" % wrong)


def rfc7252_4_2_first_interval_is_random(c):
    gaps = []
    for _ in range(ATTEMPTS):
        c.start("get", "/x", "--ack-timeout", "0.4", "--max-retransmit", "1")
        first, second = c.need(), c.recv(5)
        if second is not None:  # the machine may let its time pass: MAX_TRANSMIT_SPAN
            gaps.append(round(second.at - first.at, 3))
        c.ends(TIMEOUT, b"")
        c.end()
        if len(set(gaps)) > 1:  # a millisecond of two hundred each
            return
    raise Failure("always %r" % gaps)


def rfc7252_4_2_acknowledgement_ends_the_retransmission(c):
    for seconds in (2, 6, 18):  # a busy machine may let the first one pass
        c.start("get", "/x", "--ack-timeout", "%d" % seconds, "-t", "200")
        asked = c.need()
        c.send(wire.head(ACK, 0, asked.mid))
        if c.recv(1.75 * seconds) is None:
            break
        c.end()
    else:
        raise Failure("retransmitted after the acknowledgement")
    c.respond(asked, CON, mid=0x7777)
    equal(c.need().raw, wire.head(ACK, 0, 0x7777), "answer to the separate response")
    c.ends()


def rfc7252_4_2_reset_ends_the_exchange(c):
    c.start("get")
    c.send(wire.head(RST, 0, c.need().mid))
    c.ends(RESET, b"")


def rfc7252_4_2_unreachable_port_ends_the_exchange(c):
    c.sock.close()
    c.port = ports.reserve()
    c.start("get")
    c.ends(UNREACHABLE, b"")
    c.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def rfc7252_4_4_message_id_is_not_reused_by_a_retry(c):
    c.start("get", "/x", "--ack-timeout", "6", "--max-retransmit", "0", "--retry", "1")
    first, second = c.need(), c.need()
    check(first.mid != second.mid, "the same Message ID for another message")
    c.respond(second)
    c.ends()


# responses --------------------------------------------------------------------------------------


def rfc7252_5_2_2_separate_response_without_acknowledgement_is_taken(c):
    c.start("get")
    asked = c.need()
    c.respond(asked, CON, mid=0x1234)
    equal(c.need().raw, wire.head(ACK, 0, 0x1234), "answer to the separate response")
    c.ends()


@table(("non_to_con", (), NON), ("con_to_non", ("--non",), CON), ("non_to_non", ("--non",), NON))
def rfc7252_5_2_3_response_of_either_type_is_taken(c, options, type_):
    c.start("get", "/x", *options)
    asked = c.need()
    c.respond(asked, type_, mid=0x2345)
    if type_ == CON:
        equal(c.need().raw, wire.head(ACK, 0, 0x2345), "answer to the response")
    c.ends()


def rfc7252_5_3_2_response_with_another_token_is_not_taken(c):
    c.start("get")
    asked = c.need()
    c.respond(asked, CON, b"wrong", mid=1, token=bytes(len(asked.token)))
    equal(c.need().raw, wire.head(RST, 0, 1), "answer to the stray response")
    c.respond(asked, NON, mid=2)
    c.ends()


def rfc7252_5_3_2_piggybacked_response_with_another_token_is_not_taken(c):
    c.start("get")
    asked = c.need()
    c.respond(asked, payload=b"wrong", token=bytes(len(asked.token)))
    c.respond(asked, NON, mid=2)
    c.ends()


def rfc7252_5_3_2_piggybacked_response_with_another_message_id_is_not_taken(c):
    c.start("get")
    asked = c.need()
    c.respond(asked, payload=b"wrong", mid=asked.mid ^ 1)
    c.respond(asked)
    c.ends()


def rfc7252_5_3_2_response_from_another_endpoint_is_not_taken(c):
    c.start("get")
    asked = c.need()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        c.send(wire.message(NON, CONTENT, 3, asked.token, (), b"wrong"), other)
        c.send(wire.message(ACK, CONTENT, asked.mid, asked.token, (), b"wrong"), other)
        time.sleep(0.1)
    c.respond(asked)
    c.ends()


def rfc7252_5_4_1_critical_option_rejects_a_confirmable_response(c):
    c.start("get")
    asked = c.need()
    c.send(wire.head(ACK, 0, asked.mid))
    c.respond(asked, CON, b"wrong", pairs=[(65001, b"")], mid=9)
    equal(c.need().raw, wire.head(RST, 0, 9), "answer to the response")


def rfc7252_5_4_1_critical_option_rejects_a_piggybacked_response(c):
    c.start("get", "/x", "--ack-timeout", "0.5", "--max-retransmit", "1", "-t", "2")
    asked = c.need()
    c.respond(asked, payload=b"wrong", pairs=[(65001, b"")])
    out, _ = c.process.communicate(timeout=WAIT_S)
    check(c.process.returncode != 0 and b"wrong" not in out, "the response was taken: %r" % out)


def rfc7252_5_4_1_elective_option_of_a_response_is_ignored(c):
    c.start("get")
    c.respond(c.need(), pairs=[(65000, b"x")])
    c.ends()


@table(("request", wire.head(CON, wire.GET, 5, b"t"), None),
       ("ping", wire.head(CON, 0, 5), b"\x70\x00\x00\x05"),
       ("reserved_class", wire.head(CON, 0x20, 5, b"t"), b"\x70\x00\x00\x05"),
       ("format_error", wire.head(CON, wire.GET, 5, b"t") + b"\xff", b"\x70\x00\x00\x05"),
       ("version", wire.head(CON, wire.GET, 5, b"t", version=2), b""))
def rfc7252_4_2_client_reacts_as_any_endpoint(c, data, reaction):
    c.start("get")
    asked = c.need()
    c.send(data)
    if reaction is None:
        got = c.need()
        check(got.mid == 5 and (got.type == RST or got.code == "4.04"), "answer %r" % got)
    elif reaction:
        equal(c.need().raw, reaction, "answer")
    c.respond(asked)
    c.ends()


def rfc7252_4_5_duplicate_con_response_is_acknowledged_again(c):
    """While the next block is asked for, the response that brought the first comes again."""
    c.start("get", "/x")
    asked = c.need()
    whole = bytes(range(16)) * 2
    c.respond(asked, CON, whole[:16], pairs=[(wire.BLOCK2, 0x08)], mid=0x4321)
    seen = [c.need(), c.need()]
    acks = [m for m in seen if m.type == ACK]
    equal([m.mid for m in acks], [0x4321], "acknowledged Message IDs")
    following = [m for m in seen if m.type == CON][0]
    c.respond(asked, CON, whole[:16], pairs=[(wire.BLOCK2, 0x08)], mid=0x4321)
    equal(c.need().raw, wire.head(ACK, 0, 0x4321), "answer to the duplicate")
    equal(following.uint(wire.BLOCK2), 0x10, "Block2 of the following request")
    c.respond(following, payload=whole[16:], pairs=[(wire.BLOCK2, 0x10)])
    c.ends(OK, whole)


# ping -------------------------------------------------------------------------------------------


def rfc7252_4_3_ping_is_an_empty_confirmable_message(c):
    c.start("ping", "", "-c", "1")
    asked = c.need()
    equal((len(asked.raw), asked.type, asked.code_byte), (4, CON, 0), "message")
    c.send(wire.head(RST, 0, asked.mid))
    c.ends(OK, None)


def rfc7252_4_3_ping_without_answer_fails(c):
    c.start("ping", "", "-c", "1", "-t", "0.3")
    c.need()
    c.ends(TIMEOUT, None)


# errors -----------------------------------------------------------------------------------------


@table(("unauthorized", "4.01"), ("forbidden", "4.03"), ("too_many_requests", "4.29"))
def rfc8516_4_client_error_is_not_asked_for_again(c, code):
    c.start("get", "/x", "--retry", "3")
    c.respond(c.need(), code=wire.code(code), payload=b"", pairs=[(wire.MAX_AGE, 1)])
    check(c.recv(0.5) is None, "asked again")
    c.ends(CLIENT_ERROR, None)


def rfc7252_5_5_2_diagnostic_payload_is_shown(c):
    c.start("get")
    c.respond(c.need(), code=wire.code("4.04"), payload=b"no lamp of that name")
    out, err = c.ends(CLIENT_ERROR, None)
    check(b"no lamp of that name" in out + err, "the diagnostic payload is not shown")


def rfc9290_3_unknown_problem_details_are_ignored(c):
    details = (b"\xa5" b"\x20\x6fno lamp of that" b"\x23\x18\x84" b"\x38\x63\x83\x01\x02\x03"
               b"\x19\x03\xe8\xa1\x01\x02" b"\x68some:uri\xf5")
    c.start("get")
    c.respond(c.need(), code=wire.code("4.04"), payload=details,
              pairs=[(wire.CONTENT_FORMAT, wire.PROBLEM_DETAILS)])
    out, err = c.ends(CLIENT_ERROR, None)
    check(b"no lamp of that" in out + err, "the title is not shown: %r" % (out + err))


def rfc7967_2_1_nothing_is_awaited_when_no_response_is_wanted(c):
    began = time.monotonic()
    c.start("put", "/x", "-d", "on", "--no-response", "26")
    asked = c.need()
    equal((asked.type, asked.uint(wire.NO_RESPONSE)), (NON, 26), "type and No-Response")
    c.ends(OK, b"")
    check(time.monotonic() - began < 30, "it waited")


def rfc6690_3_3_huge_size_estimate_is_accepted(c):
    c.start("discover", "")
    listing = b'</big>;sz=99999999999999999999999;title="big one",</small>;rt="a b";if=c'
    c.respond(c.need(), payload=listing, pairs=[(wire.CONTENT_FORMAT, wire.LINK_FORMAT)])
    out, _ = c.ends(OK, None)
    check(b"/big" in out and b"/small" in out, "output %r" % out)


def rfc6690_4_1_filters_are_sent_as_queries(c):
    c.start("discover", "", "rt=lamp*")
    asked = c.need()
    equal((asked.all(wire.URI_PATH), asked.all(wire.URI_QUERY)),
          ([b".well-known", b"core"], [b"rt=lamp*"]), "path and query")
    c.respond(asked, payload=b"</a>;rt=lamp1", pairs=[(wire.CONTENT_FORMAT, wire.LINK_FORMAT)])
    c.ends(OK, None)


# runner -----------------------------------------------------------------------------------------


def cases():
    for name, test in list(globals().items()):
        if name.startswith("rfc"):
            for row in getattr(test, "rows", ((),)):
                yield name + ("/" + row[0] if row else ""), test, row[1:]


def run(case, program):
    label, test, arguments = case
    stage = Stage(program)
    try:
        test(stage, *arguments)
        return label, None
    except Exception as why:  # whatever went wrong is the test's result
        return label, str(why) if isinstance(why, Failure) else repr(why)
    finally:
        stage.close()


def main():
    parser = argparse.ArgumentParser(description="conformance tests of the client")
    build = os.environ.get("COPAL_BUILD_DIR", "build/release")
    parser.add_argument("--copal", default=os.path.join(build, "copal"))
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    if not os.access(args.copal, os.X_OK):
        print("skipped: no program %s" % args.copal)
        return 77
    chosen = [c for c in cases() if not args.words or any(w in c[0] for w in args.words)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda case: run(case, args.copal), chosen))
    failed = 0
    for label, why in results:
        failed += why is not None
        print("ok   " + label if why is None else "FAIL %s: %s" % (label, why))
    print("%d checks, %d failed" % (len(results), failed))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
