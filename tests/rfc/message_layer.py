# SPDX-License-Identifier: Apache-2.0
"""The message layer from outside. RFC 7252 sections 3 and 4."""

import wire
from peer import check, equal, one_of, table
from wire import ACK, CON, GET, NON, POST, RST, TEXT, CONTENT_FORMAT

# header ----------------------------------------------------------------------------------------


@table(("0", 0), ("2", 2), ("3", 3))
def rfc7252_3_unknown_version_is_ignored(p, version):
    p.wants_silence(*[wire.head(t, GET, p.next_mid(), version=version) for t in range(4)])


@table(("none", b""), ("one", b"\x40"), ("two", b"\x40\x01"), ("three", b"\x40\x01\x12"))
def rfc7252_3_shorter_than_a_header_is_ignored(p, data):
    p.wants_silence(data)


def rfc7252_3_answers_carry_version_1(p):
    equal(p.get("/.well-known/core").raw[0] >> 6, 1, "version")


def rfc7252_3_header_alone_is_a_request(p):
    sent = wire.head(CON, GET, p.next_mid())
    p.send(sent)
    got = p.answer(sent)
    check(got.code[0] in "24", "code %s" % got.code)


@table(*[(str(n), n) for n in range(9, 16)])
def rfc7252_3_reserved_token_length_without_its_token_is_rejected(p, tkl):
    p.wants_reset(wire.head(CON, GET, p.next_mid(), b"12", tkl=tkl))


@table(*[(str(n), n) for n in range(9, 16)])
def rfc7252_4_3_reserved_token_length_in_a_non_is_not_answered(p, tkl):
    p.wants_reset_or_silence(wire.head(NON, GET, p.next_mid(), b"12", tkl=tkl))


@table(*[(str(n), n) for n in range(1, 9)])
def rfc7252_3_truncated_token_is_rejected(p, tkl):
    p.wants_reset(wire.head(CON, GET, p.next_mid(), b"x" * (tkl - 1), tkl=tkl))


# format errors ---------------------------------------------------------------------------------

BROKEN = (
    ("marker_without_payload", b"\xff"),
    ("marker_without_payload_behind_option", b"\xb1a\xff"),
    ("delta_15", b"\xf0"),
    ("delta_15_with_length", b"\xf1a"),
    ("length_15", b"\xbf"),
    ("length_15_with_value", b"\xbf" + b"a" * 40),
    ("delta_13_truncated", b"\xd0"),
    ("delta_14_truncated", b"\xe0\x01"),
    ("length_13_truncated", b"\xbd"),
    ("length_14_truncated", b"\xbe\x00"),
    ("value_truncated", b"\xb4abc"),
    ("value_missing", b"\xb1"),
    ("long_value_truncated", b"\xbd\x05" + b"a" * 17),
    ("number_beyond_65535", b"\xe0\xff\xff"),
    ("number_sum_beyond_65535", b"\xe0\xfe\x00\xe0\x10\x00"),
)


@table(*BROKEN)
def rfc7252_3_1_format_error_in_con_is_rejected(p, run):
    p.wants_reset(wire.head(CON, GET, p.next_mid(), b"tk") + run)


@table(*BROKEN)
def rfc7252_4_3_format_error_in_non_is_not_answered(p, run):
    p.wants_reset_or_silence(wire.head(NON, GET, p.next_mid(), b"tk") + run)


@table(*BROKEN)
def rfc7252_4_2_format_error_in_ack_is_ignored(p, run):
    p.wants_silence(wire.head(ACK, wire.code("2.05"), p.next_mid(), b"tk") + run,
                    wire.head(RST, 0, p.next_mid()) + run)


@table(("con", CON), ("non", NON))
def rfc7252_4_rejected_request_is_not_executed(p, type_):
    path = p.path()
    whole = p.build(wire.PUT, path, payload=b"x", type_=type_)
    p.send(whole[:-1])
    if type_ == CON:
        equal(p.need().type, RST, "type of the answer")
    p.another().wants_silence()
    equal(p.another().get(path).code, "4.04", "code of a GET behind the rejected PUT")


def rfc7252_3_1_two_byte_option_extensions_are_read(p):
    segment = "s" * 255
    path = p.path("one") + "/" + segment
    equal(p.put(path, b"deep").code, "2.01", "code")
    equal(p.get(path).payload, b"deep", "payload")


def rfc7252_3_1_options_of_high_number_are_read(p):
    path = p.made()
    got = p.get(path, [(65000, b"e" * 300), (2048, b"f" * 20)])
    equal(got.code, "2.05", "code")


# empty messages ---------------------------------------------------------------------------------


def rfc7252_4_3_ping_is_answered_with_reset(p):
    mid = p.ping()
    equal(p.need().raw.hex(), "7000%04x" % mid, "answer")


@table(("0000", 0), ("ffff", 0xFFFF), ("1234", 0x1234))
def rfc7252_4_4_reset_echoes_the_message_id(p, mid):
    p.wants_reset(wire.head(CON, 0, mid))


def rfc7252_4_5_ping_repeated_is_answered_again(p):
    mid = p.next_mid()
    for _ in range(3):
        p.wants_reset(wire.head(CON, 0, mid))


@table(("token", b"\x41\x00%b\x01"), ("token_length_alone", b"\x42\x00%b"),
       ("bytes", b"\x40\x00%b\x00"), ("option", b"\x40\x00%b\xb1a"),
       ("payload", b"\x40\x00%b\xffx"))
def rfc7252_4_1_empty_con_with_bytes_is_rejected(p, form):
    p.wants_reset(form % p.next_mid().to_bytes(2, "big"))


@table(("bare", b"\x50\x00%b"), ("token", b"\x51\x00%b\x01"), ("payload", b"\x50\x00%b\xffx"))
def rfc7252_4_3_empty_non_is_not_answered(p, form):
    p.wants_reset_or_silence(form % p.next_mid().to_bytes(2, "big"))


@table(("ack", b"\x60\x00%b"), ("rst", b"\x70\x00%b"), ("ack_with_bytes", b"\x60\x00%b\xffx"),
       ("rst_with_bytes", b"\x70\x00%b\xffx"), ("rst_with_token", b"\x71\x00%b\x01"))
def rfc7252_4_2_stray_empty_message_is_ignored(p, form):
    p.wants_silence(form % p.next_mid().to_bytes(2, "big"))


# codes -------------------------------------------------------------------------------------------

RESERVED = tuple((c, wire.code(c)) for c in
                 ("1.00", "1.01", "1.31", "6.00", "6.05", "6.31", "7.00", "7.01", "7.31"))


@table(*RESERVED)
def rfc7252_4_2_reserved_class_in_con_is_rejected(p, code):
    p.wants_reset(wire.head(CON, code, p.next_mid(), b"tk"))


@table(*RESERVED)
def rfc7252_4_3_reserved_class_in_non_is_not_answered(p, code):
    p.wants_reset_or_silence(wire.head(NON, code, p.next_mid(), b"tk"))


@table(*RESERVED)
def rfc7252_4_2_reserved_class_in_ack_is_ignored(p, code):
    p.wants_silence(wire.head(ACK, code, p.next_mid(), b"tk"))


@table(*[(c, wire.code(c)) for c in ("2.05", "2.01", "3.00", "3.31", "4.04", "5.00", "5.31")])
def rfc7252_4_2_unexpected_con_response_is_rejected(p, code):
    p.wants_reset(wire.head(CON, code, p.next_mid(), b"tk"))


@table(*[(c, wire.code(c)) for c in ("2.05", "3.01", "4.04", "5.00")])
def rfc7252_4_3_unexpected_non_response_is_not_answered(p, code):
    p.wants_reset_or_silence(wire.head(NON, code, p.next_mid(), b"tk"))


@table(*[(c, wire.code(c)) for c in ("2.05", "3.01", "4.04", "5.00")])
def rfc7252_4_2_unexpected_response_in_ack_is_ignored(p, code):
    p.wants_silence(wire.head(ACK, code, p.next_mid(), b"tk"),
                    wire.head(RST, code, p.next_mid(), b"tk"))


@table(("ack", ACK), ("rst", RST))
def rfc7252_4_2_request_in_ack_or_rst_is_ignored(p, type_):
    path = p.made()
    p.wants_silence(p.build(wire.DELETE, path, type_=type_), p.build(wire.GET, path, type_=type_),
                    p.build(wire.PUT, path, payload=b"no", type_=type_))
    equal(p.get(path).payload, b"value", "payload")


# types of answers ------------------------------------------------------------------------------


def rfc7252_4_2_con_is_acknowledged_with_its_message_id(p):
    path = p.made()
    sent = p.build(GET, path, mid=0xBEEF)
    p.send(sent)
    got = p.need()
    equal((got.type, got.mid), (ACK, 0xBEEF), "type and Message ID")


def rfc7252_5_2_3_non_is_answered_with_non(p):
    path = p.made()
    got = p.get(path, type_=NON)
    equal((got.type, got.code, got.payload), (NON, "2.05", b"value"), "answer")


def rfc7252_4_3_non_is_never_acknowledged(p):
    path = p.made()
    sent = p.build(GET, path, type_=NON)
    p.send(sent)
    check(p.need().type != ACK, "acknowledged")
    p.wants_quiet(0.1)


def rfc7252_4_4_message_ids_of_non_responses_differ(p):
    path = p.made()
    mids = [p.get(path, type_=NON).mid for _ in range(40)]
    equal(len(set(mids)), 40, "number of Message IDs")


def rfc7252_4_4_first_message_id_is_random(p):
    path = p.made()
    mids = set()
    for _ in range(6):
        mids.add(p.another().get(path, type_=NON).mid)
    check(len(mids) > 1, "always %r" % mids)


# duplicates --------------------------------------------------------------------------------------


def rfc7252_4_5_duplicate_con_replays_ack(p):
    where = p.path("c")
    sent = p.build(POST, where, [(CONTENT_FORMAT, TEXT)], b"child")
    p.send(sent)
    first = p.need()
    for _ in range(3):
        p.send(sent)
        equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")


def rfc7252_4_5_duplicate_con_is_executed_once(p):
    where = p.path("c")
    sent = p.build(POST, where, [(CONTENT_FORMAT, TEXT)], b"child")
    for _ in range(4):
        p.send(sent)
    answers = [p.need() for _ in range(4)]
    full = {a.raw for a in answers if a.code_byte != 0}
    equal(len(full), 1, "number of different answers")
    listed = p.get("/.well-known/core", query=["href=%s/*" % where]).payload.decode()
    equal(listed.count("<"), 1, "number of children in %r" % listed)


def rfc7252_4_5_duplicate_put_after_a_change_does_not_undo_it(p):
    path = p.made()
    old = p.build(wire.PUT, path, payload=b"old")
    p.send(old)
    first = p.answer(old)
    p.put(path, b"new")
    p.send(old)
    equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")
    equal(p.get(path).payload, b"new", "payload")


def rfc7252_4_5_duplicate_error_is_replayed(p):
    sent = p.build(GET, p.path("absent"))
    p.send(sent)
    first = p.need()
    equal(first.code, "4.04", "code")
    p.send(sent)
    equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")


def rfc7252_4_5_duplicate_non_is_ignored(p):
    where = p.path("c")
    sent = p.build(POST, where, [(CONTENT_FORMAT, TEXT)], b"child", type_=NON)
    p.send(sent)
    p.answer(sent)
    p.send(sent)
    p.wants_quiet()
    listed = p.get("/.well-known/core", query=["href=%s/*" % where]).payload.decode()
    equal(listed.count("<"), 1, "number of children in %r" % listed)


def rfc7252_4_4_same_message_id_from_another_endpoint_is_another_exchange(p):
    where = p.path("c")
    sent = p.build(POST, where, [(CONTENT_FORMAT, TEXT)], b"child")
    other = p.another()
    p.send(sent)
    other.send(sent)
    one, two = p.answer(sent), other.answer(sent)
    check(one.all(wire.LOCATION_PATH) != two.all(wire.LOCATION_PATH), "one child for two requests")


def rfc7252_4_5_new_message_id_is_a_new_request(p):
    where = p.path("c")
    check(p.created(where) != p.created(where), "one child for two requests")


def rfc7252_4_2_many_endpoints_are_served_at_once(p):
    path = p.made()
    peers = [p.another() for _ in range(30)]
    sent = [q.build(GET, path) for q in peers]
    for q, data in zip(peers, sent):
        q.send(data)
    for q, data in zip(peers, sent):
        equal(q.answer(data).payload, b"value", "payload")


def rfc7252_4_7_many_requests_of_one_endpoint_are_all_answered(p):
    path = p.made()
    sent = {i: p.build(GET, path, token=bytes([i])) for i in range(30)}
    for data in sent.values():
        p.send(data)
    tokens = {p.need().token for _ in sent}
    equal(len(tokens), 30, "number of answered tokens")


# tokens ------------------------------------------------------------------------------------------


@table(*[(str(n), n) for n in range(0, 9)])
def rfc7252_5_3_1_token_is_echoed(p, size):
    path = p.made()
    for type_ in (CON, NON):
        got = p.get(path, token=bytes(range(255, 255 - size, -1)), type_=type_)
        equal(got.code, "2.05", "code")


def rfc7252_5_3_1_token_of_zero_bytes_is_opaque(p):
    path = p.made()
    for token in (b"\0", b"\0\0", b"\0" * 8, b"\xff" * 8):
        equal(p.get(path, token=token).token, token, "token")


@table(*[(str(n), n) for n in (9, 10, 11, 12, 13, 14, 20, 32, 64)])
def rfc8974_2_1_extended_token_is_echoed_or_refused_with_4_00(p, size):
    path = p.made()
    one_of(p.get(path, token=bytes(range(size))).code, ("2.05", "4.00", "5.03"), "code")


@table(*[(str(n), n) for n in (268, 269, 270, 1000)])
def rfc8974_2_2_2_long_token_is_not_rejected_with_reset(p, size):
    token = bytes(i & 255 for i in range(size))
    one_of(p.get(p.path(), token=token).code, ("4.04", "4.00", "5.03"), "code")


@table(("con", CON), ("non", NON))
def rfc8974_2_1_token_length_15_is_a_format_error(p, type_):
    data = wire.head(type_, GET, p.next_mid(), b"x" * 40, tkl=15)
    if type_ == CON:
        p.wants_reset(data)
    else:
        p.wants_reset_or_silence(data)


@table(("13_without_extension", b"\x4d\x01%b"), ("14_without_extension", b"\x4e\x01%b"),
       ("14_half_extension", b"\x4e\x01%b\x01"), ("13_truncated", b"\x4d\x01%b\x05abc"),
       ("14_truncated", b"\x4e\x01%b\xff\xffabc"))
def rfc8974_2_1_truncated_extended_token_is_a_format_error(p, form):
    p.wants_reset(form % p.next_mid().to_bytes(2, "big"))


def rfc8974_2_2_1_duplicate_with_an_extended_token_replays_the_answer(p):
    sent = p.build(POST, p.path("c"), payload=b"child", token=bytes(range(24)))
    p.send(sent)
    first = p.need()
    p.send(sent)
    equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")
