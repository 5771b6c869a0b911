# SPDX-License-Identifier: Apache-2.0
"""Block2 of large representations, No-Response, problem details, and the socket's addresses.

RFC 7959 section 2, RFC 7967, RFC 9290, RFC 7252 section 5.3.2.
"""

import hashlib
import random
import subprocess

import wire
from peer import Peer, check, equal, one_of, table
from wire import (ACCEPT, ACK, BLOCK2, CON, CONTENT_FORMAT, ETAG, FETCH, GET, IF_MATCH, NON,
                  NO_RESPONSE, OCTETS, POST, PROBLEM_DETAILS, PUT, SENML_ETCH_JSON, SENML_JSON, SIZE2)

# Block2 -----------------------------------------------------------------------------------------


def body(size):
    """Bytes in which every block differs."""
    out = b""
    while len(out) < size:
        out += hashlib.sha256(b"%d" % len(out)).digest()
    return out[:size]


def large(p, size=4000):
    data = body(size)
    return p.made("large", data, [(CONTENT_FORMAT, OCTETS)]), data


def fetched(p, path, szx, start=None):
    """All blocks of a representation, `szx` offered from the first request (or not at all)."""
    out, num, tags = b"", 0, set()
    while True:
        pairs = [(BLOCK2, num << 4 | szx)] if start is None or num else []
        got = p.get(path, pairs)
        equal(got.code, "2.05", "code of block %d" % num)
        block = got.uint(BLOCK2)
        check(block is not None, "no Block2")
        equal(block >> 4, num, "number of the block")
        check(block & 7 <= szx, "block larger than asked for")
        szx = block & 7
        size = 1 << (szx + 4)
        check(len(got.payload) == size if block & 8 else len(got.payload) <= size, "size of block")
        tags.add(got.opt(ETAG))
        out += got.payload
        num += 1
        if not block & 8:
            equal(len(tags), 1, "number of entity-tags")
            check(None not in tags, "blocks without entity-tag")
            return out


@table(*[(str(n), n) for n in range(7)])
def rfc7959_2_4_early_negotiation_slices_in_the_size_asked_for(p, szx):
    path, data = large(p, 700 if szx < 2 else 4000)
    equal(fetched(p, path, szx), data, "body")


def rfc7959_2_4_large_representation_is_sliced_unasked(p):
    path, data = large(p)
    equal(fetched(p, path, 6, start=6), data, "body")


@table(("multiple", 2048), ("one_more", 2049), ("one_less", 2047), ("single", 1024), ("tiny", 5))
def rfc7959_2_2_last_block_ends_the_body(p, size):
    path, data = large(p, size)
    equal(fetched(p, path, 5), data, "body")


def rfc7959_2_2_random_access_returns_that_block(p):
    path, data = large(p)
    got = p.get(path, [(BLOCK2, 3 << 4 | 4)])
    equal((got.code, got.payload), ("2.05", data[3 * 256:4 * 256]), "block 3")


def rfc7959_2_2_more_bit_of_a_request_is_ignored(p):
    path, data = large(p)
    got = p.get(path, [(BLOCK2, 1 << 4 | 8 | 4)])
    equal((got.code, got.payload), ("2.05", data[256:512]), "block 1")


@table(("con", CON), ("non", NON))
def rfc7959_2_2_szx_7_yields_4_00(p, type_):
    path, _ = large(p)
    equal(p.get(path, [(BLOCK2, 7)], type_=type_).code, "4.00", "code")


@table(("just", 4), ("far", 1000), ("farthest", 0xFFFFF))
def rfc7959_2_4_block_beyond_the_end_is_refused(p, num):
    path, _ = large(p)
    one_of(p.get(path, [(BLOCK2, num << 4 | 6)]).code, ("4.00", "4.02"), "code")


def rfc7959_2_2_block2_of_four_bytes_yields_4_02(p):
    path, _ = large(p)
    equal(p.get(path, [(BLOCK2, b"\0\0\0\x06")]).code, "4.02", "code")


def rfc7959_4_size2_tells_the_size(p):
    path, data = large(p)
    equal(p.get(path, [(SIZE2, b"")]).uint(SIZE2, len(data)), len(data), "Size2")


def rfc7959_2_4_block_of_a_non_is_sliced(p):
    path, data = large(p)
    got = p.get(path, [(BLOCK2, 4)], type_=NON)
    equal((got.type, got.payload), (NON, data[:256]), "block 0")


def rfc7252_4_6_answers_fit_1152_bytes(p):
    path, _ = large(p)
    check(len(p.get(path).raw) <= 1152, "a datagram beyond 1152 bytes")


def rfc7959_2_4_small_representation_needs_no_block2(p):
    equal(p.get(p.made()).opt(BLOCK2), None, "Block2")


# No-Response ------------------------------------------------------------------------------------


def quiet(p, sent):
    """At most an Empty acknowledgement answers; none for a Non-confirmable message."""
    p.send(sent)
    asked = wire.Message(sent)
    if asked.type == CON:
        got = p.need()
        equal((got.type, got.code_byte, got.mid), (ACK, 0, asked.mid), "answer")
    p.wants_quiet()


@table(("con_2", CON, 2), ("con_26", CON, 26), ("con_127", CON, 127), ("non_2", NON, 2),
       ("non_26", NON, 26), ("non_127", NON, 127))
def rfc7967_2_1_unwanted_success_is_suppressed(p, type_, value):
    path = p.path()
    quiet(p, p.build(PUT, path, [(NO_RESPONSE, value)], b"quiet", type_=type_))
    equal(p.get(path).payload, b"quiet", "payload")


@table(("con_8", CON, 8), ("con_26", CON, 26), ("non_8", NON, 8), ("non_26", NON, 26))
def rfc7967_2_1_unwanted_client_error_is_suppressed(p, type_, value):
    quiet(p, p.build(GET, p.path(), [(NO_RESPONSE, value)], type_=type_))


@table(("con_16", CON, 16), ("non_24", NON, 24))
def rfc7967_2_1_unwanted_server_error_is_suppressed(p, type_, value):
    quiet(p, p.build(GET, [], [(wire.PROXY_URI, "coap://example.org/"), (NO_RESPONSE, value)],
                     type_=type_))


@table(("0", 0), ("8", 8), ("16", 16), ("24", 24))
def rfc7967_2_1_wanted_success_is_delivered(p, value):
    for type_ in (CON, NON):
        got = p.get(p.made("x%d" % type_), [(NO_RESPONSE, value)], type_=type_)
        equal(got.code, "2.05", "code")


@table(("0", 0), ("2", 2), ("16", 16), ("18", 18))
def rfc7967_2_1_wanted_client_error_is_delivered(p, value):
    for type_ in (CON, NON):
        equal(p.get(p.path(), [(NO_RESPONSE, value)], type_=type_).code, "4.04", "code")


def rfc7967_2_1_wanted_server_error_is_delivered(p):
    got = p.get([], [(wire.PROXY_URI, "coap://example.org/"), (NO_RESPONSE, 10)])
    equal(got.code, "5.05", "code")


def rfc7967_2_ill_sized_no_response_is_ignored(p):
    equal(p.get(p.made(), [(NO_RESPONSE, b"\0\x1a")]).code, "2.05", "code")


def rfc7967_2_1_duplicate_of_a_suppressed_answer_is_acknowledged_again(p):
    sent = p.build(POST, p.path("c"), [(NO_RESPONSE, 26)], b"child")
    for _ in range(2):
        quiet(p, sent)
    listed = p.get("/.well-known/core", query=["href=%s/*" % p.path("c")]).payload.decode()
    equal(listed.count("<"), 1, "number of children")


# problem details --------------------------------------------------------------------------------


def cbor(data, at=0):
    """One CBOR item: the kinds that problem details are made of. RFC 8949 section 3."""
    major, arg, at = data[at] >> 5, data[at] & 31, at + 1
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(arg, 0)
    check(arg <= 27, "indefinite or reserved length")
    if size:
        arg = int.from_bytes(data[at:at + size], "big")
        at += size
    if major in (0, 1):
        return (arg if major == 0 else -1 - arg), at
    if major in (2, 3):
        piece = data[at:at + arg]
        equal(len(piece), arg, "length of a string")
        return (piece if major == 2 else piece.decode("utf-8")), at + arg
    if major in (4, 5):
        items = []
        for _ in range(arg * (major - 3)):
            item, at = cbor(data, at)
            items.append(item)
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
    check(major == 6, "major type %d" % major)
    return cbor(data, at)


def problem(p, method, path, pairs=(), payload=b""):
    """The problem details of an error. RFC 9290 section 2."""
    got = p.ask(method, path, list(pairs) + [(ACCEPT, PROBLEM_DETAILS)], payload)
    equal(got.uint(CONTENT_FORMAT), PROBLEM_DETAILS, "Content-Format of %r" % got)
    details, end = cbor(got.payload)
    equal(end, len(got.payload), "end of the CBOR item")
    check(isinstance(details, dict) and details, "no map: %r" % details)
    if -4 in details:
        equal(details[-4], got.code_byte, "response-code")
    return got.code, details


def rfc9290_2_not_found_has_problem_details(p):
    code, details = problem(p, GET, p.path())
    equal(code, "4.04", "code")
    check(-1 in details or -2 in details, "neither title nor detail in %r" % details)


def rfc9290_2_method_not_allowed_has_problem_details(p):
    equal(problem(p, 9, p.path())[0], "4.05", "code")


def rfc9290_2_failed_precondition_has_problem_details(p):
    code, _ = problem(p, PUT, p.made(), [(IF_MATCH, b"12345678")], b"x")
    equal(code, "4.12", "code")


def rfc9290_2_proxying_not_supported_has_problem_details(p):
    equal(problem(p, GET, [], [(wire.PROXY_URI, "coap://example.org/")])[0], "5.05", "code")


def rfc9290_3_1_1_bad_option_names_the_option(p):
    code, details = problem(p, GET, p.path(), [(65001, b"")])
    equal(code, "4.02", "code")
    named = details.get(-8)
    check(named == 65001 or named == [65001], "unprocessed option is %r" % named)


def rfc9290_2_not_acceptable_has_problem_details(p):
    equal(problem(p, GET, p.made())[0], "4.06", "code")


def rfc9290_2_success_is_no_problem(p):
    got = p.put(p.path(), b"x", [(ACCEPT, PROBLEM_DETAILS)])
    equal((got.code, got.opt(CONTENT_FORMAT)), ("2.01", None), "answer")


# addresses --------------------------------------------------------------------------------------


def rfc7252_5_3_2_answer_leaves_from_the_address_that_was_asked(p):
    for host in ("127.0.0.1", "127.0.0.2", "127.9.8.7"):
        other = Peer((host, p.address[1]), p.name)
        p.others.append(other)
        equal(other.get("/.well-known/core").code, "2.05", "code through " + host)


def rfc7252_5_3_2_answer_over_ipv6_leaves_from_the_address_that_was_asked(p):
    other = Peer(("::1", p.address[1]), p.name)
    p.others.append(other)
    equal(other.get("/.well-known/core").code, "2.05", "code")


def rfc7252_7_1_default_port_is_served(p):
    """A listen URI without a port; an address of its own, lest another server be in the way."""
    if p.copald is None:
        return
    host = "127.83.%d.%d" % (random.randrange(1, 255), random.randrange(1, 255))
    command = [p.copald, "--listen", "coap://" + host, "--store", "memory"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            check(server.stdout.readline(), "copald does not start")
            other = Peer((host, 5683), p.name)
            p.others.append(other)
            equal(other.get("/.well-known/core").code, "2.05", "code")
        finally:
            server.terminate()


def rfc7252_1_2_one_store_behind_ipv4_and_ipv6(p):
    path = p.made()
    other = Peer(("::1", p.address[1]), p.name)
    p.others.append(other)
    equal(other.get(path).payload, b"value", "payload")


# FETCH, whose answers may be long -----------------------------------------------------------------


def pack(p, count=60):
    """A SenML pack of so many records, one by one, and a fetch document for all of them."""
    path = p.path("pack")
    records = b",".join(b'{"n":"urn:dev:x:%d","v":%d}' % (i, i) for i in range(count))
    p.made("pack", b"[" + records + b"]", [(CONTENT_FORMAT, SENML_JSON)])
    document = b",".join(b'{"n":"urn:dev:x:%d"}' % i for i in range(count))
    return path, b"[" + document + b"]"


def fetch_further(p, path, got, pairs=(), payload=b""):
    """The other blocks of an answer, asked for one by one. Returns the whole."""
    out = got.payload
    while got.uint(BLOCK2, 0) & 8:
        block = got.uint(BLOCK2)
        want = (block >> 4) + 1
        got = p.ask(FETCH, path, [(BLOCK2, want << 4 | block & 7)] + list(pairs), payload)
        equal((got.code, got.uint(BLOCK2) >> 4), ("2.05", want), "code and number")
        out += got.payload
    return out


FORMAT = [(CONTENT_FORMAT, SENML_ETCH_JSON)]


@table(("said_again", True, FORMAT), ("not_said_again", False, FORMAT), ("bare", False, []))
def rfc7959_2_7_blocks_of_an_answer_to_fetch(p, is_again, pairs):
    path, document = pack(p, 30)
    got = p.ask(FETCH, path, FORMAT + [(BLOCK2, 2)], document)
    whole = p.ask(FETCH, path, FORMAT, document).payload
    equal(fetch_further(p, path, got, pairs, document if is_again else b""), whole, "body")


def rfc7959_2_7_answer_in_blocks_to_a_fetch_in_blocks(p):
    path, document = pack(p)
    for num in range(0, len(document), 256):
        more = num + 256 < len(document)
        pairs = FORMAT + [(wire.BLOCK1, num >> 4 | more << 3 | 4)]
        got = p.ask(FETCH, path, pairs, document[num:num + 256])
    equal(got.code, "2.05", "code")
    check(got.uint(BLOCK2) == 8 | 6, "no Block2 of 1024 bytes")
    check(b'"v":59}' in fetch_further(p, path, got, FORMAT), "the last record is missing")


def rfc7959_2_7_further_block_of_what_was_not_asked_yields_4_08(p):
    path, document = pack(p, 30)
    equal(p.another().ask(FETCH, path, FORMAT + [(BLOCK2, 2)], document).code, "2.05", "code")
    equal(p.ask(FETCH, path, FORMAT + [(BLOCK2, 1 << 4 | 2)]).code, "4.08", "code")


def rfc7959_2_6_further_blocks_of_a_notification_to_a_fetch(p):
    path, document = pack(p, 30)
    pairs = FORMAT + [(BLOCK2, 2), (wire.OBSERVE, b"")]
    check(p.ask(FETCH, path, pairs, document, token=b"w").opt(wire.OBSERVE) is not None, "Observe")
    records = b'[{"n":"urn:dev:x:1","v":5},%s]' % b",".join(
        b'{"n":"urn:dev:x:%d","v":7}' % i for i in range(2, 12))
    equal(p.another().put(path, records, [(CONTENT_FORMAT, SENML_JSON)]).code, "2.04", "code")
    got = p.need()
    p.send(wire.head(ACK, 0, got.mid))
    equal(got.token, b"w", "token")
    check(b'x:11","v":7}' in fetch_further(p, path, got, FORMAT), "the last record is missing")
