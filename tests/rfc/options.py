# SPDX-License-Identifier: Apache-2.0
"""Options: critical, elective, ill-sized, too many; and what makes up the request URI.

RFC 7252 sections 5.4, 5.10 and 6.
"""

import wire
from peer import check, equal, one_of, table
from wire import (ACCEPT, CON, CONTENT_FORMAT, ETAG, GET, IF_MATCH, IF_NONE_MATCH, MAX_AGE, NON,
                  PROXY_SCHEME, PROXY_URI, PUT, SIZE1, TEXT, URI_HOST, URI_PATH, URI_PORT,
                  URI_QUERY)

CRITICAL = tuple((str(n), n) for n in (13, 101, 2049, 65001, 65535))
ELECTIVE = tuple((str(n), n) for n in (2, 10, 100, 2048, 65000, 65534))


@table(*CRITICAL)
def rfc7252_5_4_1_unknown_critical_option_in_con_yields_4_02(p, number):
    got = p.get(p.made(), [(number, b"v")])
    equal(got.code, "4.02", "code")


@table(*CRITICAL)
def rfc7252_5_4_1_bad_option_says_which(p, number):
    got = p.get("/", [(number, b"")])
    p.wants_text(got)
    check(str(number) in got.payload.decode(), "%r does not name %d" % (got.payload, number))


@table(*CRITICAL)
def rfc7252_5_4_1_unknown_critical_option_in_non_is_rejected(p, number):
    p.wants_reset_or_silence(p.build(GET, "/", [(number, b"v")], type_=NON))


def rfc7252_5_4_1_bad_option_is_not_executed(p):
    path = p.path()
    equal(p.put(path, b"x", [(65001, b"")]).code, "4.02", "code")
    equal(p.get(path).code, "4.04", "code of the GET")


@table(*ELECTIVE)
def rfc7252_5_4_1_unknown_elective_option_is_ignored(p, number):
    got = p.get(p.made(), [(number, b"v")])
    equal((got.code, got.payload), ("2.05", b"value"), "answer")


@table(*ELECTIVE)
def rfc7252_5_4_1_unknown_elective_option_in_put_is_ignored(p, number):
    equal(p.put(p.path(), b"x", [(number, b"v" * 20)]).code, "2.01", "code")


@table(("if_match_9", PUT, IF_MATCH, 9), ("uri_host_0", GET, URI_HOST, 0),
       ("uri_host_256", GET, URI_HOST, 256), ("if_none_match_1", PUT, IF_NONE_MATCH, 1),
       ("uri_port_3", GET, URI_PORT, 3), ("uri_path_256", GET, URI_PATH, 256),
       ("uri_query_256", GET, URI_QUERY, 256), ("accept_3", GET, ACCEPT, 3))
def rfc7252_5_4_3_ill_sized_critical_option_yields_4_02(p, method, number, size):
    equal(p.ask(method, p.path(), [(number, b"a" * size)]).code, "4.02", "code")


@table(("etag_0", ETAG, b""), ("etag_9", ETAG, b"123456789"), ("max_age_5", MAX_AGE, b"\0" * 5),
       ("size1_5", SIZE1, b"\0" * 5), ("content_format_3", CONTENT_FORMAT, b"\0\0\x32"))
def rfc7252_5_4_3_ill_sized_elective_option_is_ignored(p, number, value):
    path = p.made()
    equal(p.get(path, [(number, value)]).code, "2.05", "code of the GET")
    equal(p.put(path, b"other", [(number, value)]).code, "2.04", "code of the PUT")


def rfc7252_5_4_3_ill_sized_content_format_is_as_absent(p):
    path = p.path()
    p.put(path, b"x", [(CONTENT_FORMAT, b"\0\0\x32")])
    equal(p.get(path).opt(CONTENT_FORMAT), None, "Content-Format")


@table(("uri_host", URI_HOST, b"localhost"), ("uri_port", URI_PORT, b"\x16\x33"),
       ("accept", ACCEPT, b""))
def rfc7252_5_4_5_supernumerary_critical_option_yields_4_02(p, number, value):
    equal(p.get(p.made(), [(number, value), (number, value)]).code, "4.02", "code")


def rfc7252_5_4_5_supernumerary_if_none_match_yields_4_02(p):
    path = p.path()
    equal(p.put(path, b"x", [(IF_NONE_MATCH, b""), (IF_NONE_MATCH, b"")]).code, "4.02", "code")
    equal(p.get(path).code, "4.04", "code of the GET")


def rfc7252_5_4_5_supernumerary_content_format_is_ignored(p):
    path = p.path()
    equal(p.put(path, b"{}", [(CONTENT_FORMAT, 50), (CONTENT_FORMAT, 60)]).code, "2.01", "code")
    equal(p.get(path).uint(CONTENT_FORMAT), 50, "Content-Format")


def rfc7252_5_4_5_supernumerary_max_age_is_ignored(p):
    path = p.path()
    p.put(path, b"x", [(MAX_AGE, 1000), (MAX_AGE, 5)])
    check(900 < p.get(path).uint(MAX_AGE, 60) <= 1000, "the second Max-Age counts")


@table(("text", b"\0\0", TEXT), ("json", b"\0\x32", 50))
def rfc7252_3_2_uint_with_leading_zero_bytes_is_read(p, value, number):
    path = p.path()
    equal(p.put(path, b"{}", [(CONTENT_FORMAT, value)]).code, "2.01", "code")
    equal(p.get(path).uint(CONTENT_FORMAT), number, "Content-Format")
    equal(p.get(path, [(ACCEPT, value)]).code, "2.05", "code with Accept")


def rfc7252_3_2_max_age_with_leading_zero_bytes_is_read(p):
    path = p.path()
    p.put(path, b"x", [(MAX_AGE, b"\0\0\x01\0")])
    check(250 < p.get(path).uint(MAX_AGE, 60) <= 256, "Max-Age is not 256")


def rfc7252_3_2_uint_is_sent_without_leading_zero_bytes(p):
    path = p.made()
    got = p.get(path)
    equal(got.opt(CONTENT_FORMAT), b"", "Content-Format 0")
    for number in (MAX_AGE, wire.SIZE2, wire.BLOCK2):
        for value in got.all(number):
            check(not value.startswith(b"\0"), "option %d is %s" % (number, value.hex()))


def rfc7252_5_4_4_default_value_is_left_out(p):
    path = p.made(pairs=[(MAX_AGE, 60)])
    check(p.get(path).uint(MAX_AGE) != 60, "Max-Age 60 is sent")


@table(*[(str(n), n) for n in (128, 132, 136, 140)])
def rfc7252_5_10_7_reserved_location_option_yields_4_02(p, number):
    got = p.get(p.made(), [(wire.LOCATION_PATH, "a"), (number, b"b")])
    equal(got.code, "4.02", "code")


def rfc7252_5_5_payload_of_get_is_ignored(p):
    path = p.made()
    got = p.get(path, payload=b"what for?")
    equal((got.code, got.payload), ("2.05", b"value"), "answer")


def rfc7252_5_5_payload_of_delete_is_ignored(p):
    path = p.made()
    equal(p.delete(path, payload=b"what for?").code, "2.02", "code")


def rfc7252_5_4_observe_out_of_get_is_ignored(p):
    equal(p.put(p.path(), b"x", [(wire.OBSERVE, b"")]).code, "2.01", "code")


# request URI -------------------------------------------------------------------------------------


@table(("literal", "127.0.0.1"), ("name", "localhost"), ("upper", "LOCALHOST"))
def rfc7252_5_10_1_uri_host_of_this_server_is_accepted(p, host):
    equal(p.get(p.made(), [(URI_HOST, host)]).code, "2.05", "code")


def rfc7252_5_10_1_uri_port_of_this_server_is_accepted(p):
    equal(p.get(p.made(), [(URI_PORT, p.address[1])]).code, "2.05", "code")


def rfc7252_5_10_1_uri_host_and_port_do_not_name_another_resource(p):
    path = p.path()
    p.put(path, b"x", [(URI_HOST, "localhost"), (URI_PORT, p.address[1])])
    equal(p.get(path).payload, b"x", "payload")


@table(("empty_in_the_middle", ["a", "", "b"], ["a", "b"]), ("empty_at_the_end", ["a", ""], ["a"]),
       ("two_empty", ["a", "", ""], ["a", ""]), ("slash_in_a_segment", ["a/b"], ["a", "b"]),
       ("percent_is_literal", ["a%2Fb"], ["a/b"]), ("case", ["A"], ["a"]),
       ("space", ["a b"], ["a%20b"]), ("utf8", ["\u00fc"], ["u\u0308"]),
       ("plus", ["a+b"], ["a b"]), ("question_mark", ["a?b"], ["a"]), ("nul", ["a\0"], ["a"]),
       ("dots_in_a_name", ["..."], ["...."]))
def rfc7252_6_5_paths_name_different_resources(p, one, two):
    base = ["t", p.name]
    equal(p.put(base + one, b"one").code, "2.01", "code of the first PUT")
    equal(p.put(base + two, b"two").code, "2.01", "code of the second PUT")
    equal(p.get(base + one).payload, b"one", "payload of the first")
    equal(p.get(base + two).payload, b"two", "payload of the second")


@table(("dot", "."), ("dots", ".."))
def rfc7252_5_10_1_dot_segments_are_refused(p, segment):
    base = ["t", p.name]
    check(p.put(base + [segment], b"x").code.startswith("4."), "a dot segment was accepted")


@table(("truncated", b"\xc3"), ("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"))
def rfc7252_5_10_1_segment_that_is_not_utf8_does_no_harm(p, segment):
    path = ["t", p.name, segment]
    got = p.put(path, b"x")
    check(got.code[0] in "24", "code %s" % got.code)
    if got.code == "2.01":
        equal(p.get(path).payload, b"x", "payload")


def rfc7252_5_10_1_many_segments_are_read(p):
    path = ["t", p.name] + ["s%d" % i for i in range(30)]
    equal(p.put(path, b"deep").code, "2.01", "code")
    equal(p.get(path).payload, b"deep", "payload")


def rfc7252_6_5_root_is_the_same_with_and_without_an_empty_segment(p):
    equal(p.get([b""]).code, p.get("/").code, "code")


# proxy options -----------------------------------------------------------------------------------


@table(("coap", "coap://example.org/x"), ("http", "http://example.org/"), ("nonsense", "?"))
def rfc7252_5_10_2_proxy_uri_yields_5_05(p, uri):
    equal(p.get([], [(PROXY_URI, uri)]).code, "5.05", "code")


def rfc7252_5_10_2_proxy_uri_takes_precedence(p):
    path = p.made()
    equal(p.get(path, [(PROXY_URI, "coap://example.org/x")]).code, "5.05", "code")


def rfc7252_5_7_2_proxy_scheme_yields_5_05(p):
    got = p.get(p.path(), [(PROXY_SCHEME, "http"), (URI_HOST, "example.org")])
    equal(got.code, "5.05", "code")


def rfc7252_5_10_2_proxied_put_changes_nothing(p):
    path = p.made()
    p.put(path, b"other", [(PROXY_URI, "coap://example.org/x")])
    equal(p.get(path).payload, b"value", "payload")


@table(("con", CON), ("non", NON))
def rfc7252_5_10_2_proxying_not_supported_is_a_response(p, type_):
    got = p.get([], [(PROXY_URI, "coap://example.org/")], type_=type_)
    one_of(got.code, ("5.05",), "code")
