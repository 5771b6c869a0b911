# SPDX-License-Identifier: Apache-2.0
"""Entity-tags, conditions, Accept, Max-Age and size limits. RFC 7252 sections 5.6, 5.9 and 5.10."""

import time

import wire
from peer import check, equal, one_of, table
from wire import (ACCEPT, CBOR, CONTENT_FORMAT, DELETE, ETAG, IF_MATCH, IF_NONE_MATCH, JSON,
                  LINK_FORMAT, MAX_AGE, NON, POST, PUT, SIZE1, TEXT)

# entity-tags ------------------------------------------------------------------------------------


def rfc7252_5_10_6_representation_has_one_entity_tag(p):
    tags = p.get(p.made()).all(ETAG)
    equal(len(tags), 1, "number of entity-tags")
    check(1 <= len(tags[0]) <= 8, "size of %r" % tags[0])


def rfc7252_5_10_6_entity_tag_changes_with_the_representation(p):
    path = p.made()
    before = p.get(path).opt(ETAG)
    p.put(path, b"other")
    check(p.get(path).opt(ETAG) != before, "the entity-tag stayed")


def rfc7252_5_10_6_entity_tag_is_not_reused_for_another_format(p):
    path = p.made(payload=b"{}")
    before = p.get(path).opt(ETAG)
    p.put(path, b"{}", [(CONTENT_FORMAT, JSON)])
    check(p.get(path).opt(ETAG) != before, "the entity-tag stayed")


def rfc7252_5_10_6_2_entity_tag_in_a_get_yields_2_03(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    got = p.get(path, [(ETAG, tag)])
    equal((got.code, got.opt(ETAG)), ("2.03", tag), "code and entity-tag")


def rfc7252_5_9_1_3_valid_has_an_entity_tag_and_no_payload(p):
    path = p.made()
    got = p.get(path, [(ETAG, p.get(path).opt(ETAG))])
    equal((len(got.all(ETAG)), got.payload), (1, b""), "entity-tags and payload")
    equal(got.opt(CONTENT_FORMAT), None, "Content-Format")


def rfc7252_5_10_6_2_one_of_several_entity_tags_is_enough(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    equal(p.get(path, [(ETAG, b"a"), (ETAG, b"12345678"), (ETAG, tag)]).code, "2.03", "code")


@table(("other", b"12345678"), ("short", b"\0"))
def rfc7252_5_10_6_2_other_entity_tag_yields_2_05(p, tag):
    equal(p.get(p.made(), [(ETAG, tag)]).code, "2.05", "code")


def rfc7252_5_10_6_prefix_of_an_entity_tag_is_another(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    if len(tag) > 1:
        equal(p.get(path, [(ETAG, tag[:-1])]).code, "2.05", "code")


def rfc7252_5_10_6_2_old_entity_tag_yields_the_new_representation(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    p.put(path, b"other")
    got = p.get(path, [(ETAG, tag)])
    equal((got.code, got.payload), ("2.05", b"other"), "answer")


def rfc7252_5_10_6_entity_tag_of_a_former_life_is_not_valid(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    p.delete(path)
    p.put(path, b"second life")
    equal(p.get(path, [(ETAG, tag)]).code, "2.05", "code")


def rfc7252_5_10_6_2_entity_tag_of_what_is_absent_yields_4_04(p):
    equal(p.get(p.path(), [(ETAG, b"12345678")]).code, "4.04", "code")


# If-Match ---------------------------------------------------------------------------------------

CHANGES = (("put", PUT), ("delete", DELETE))


@table(*CHANGES)
def rfc7252_5_10_8_1_if_match_that_holds_lets_through(p, method):
    path = p.made()
    got = p.ask(method, path, [(IF_MATCH, p.get(path).opt(ETAG))], b"x")
    one_of(got.code, ("2.02", "2.04"), "code")


@table(*CHANGES)
def rfc7252_5_10_8_1_if_match_of_another_tag_yields_4_12(p, method):
    path = p.made()
    equal(p.ask(method, path, [(IF_MATCH, b"12345678")], b"x").code, "4.12", "code")
    equal(p.get(path).payload, b"value", "payload")


@table(*CHANGES)
def rfc7252_5_10_8_1_one_of_several_if_match_is_enough(p, method):
    path = p.made()
    tags = [(IF_MATCH, b"a"), (IF_MATCH, p.get(path).opt(ETAG)), (IF_MATCH, b"12345678")]
    one_of(p.ask(method, path, tags, b"x").code, ("2.02", "2.04"), "code")


@table(*CHANGES)
def rfc7252_5_10_8_1_empty_if_match_on_what_exists_lets_through(p, method):
    one_of(p.ask(method, p.made(), [(IF_MATCH, b"")], b"x").code, ("2.02", "2.04"), "code")


@table(*CHANGES)
def rfc7252_5_10_8_1_empty_if_match_on_what_is_absent_yields_4_12(p, method):
    path = p.path()
    equal(p.ask(method, path, [(IF_MATCH, b"")], b"x").code, "4.12", "code")
    equal(p.get(path).code, "4.04", "code of the GET")


@table(*CHANGES)
def rfc7252_5_10_8_1_if_match_of_a_tag_on_what_is_absent_yields_4_12(p, method):
    equal(p.ask(method, p.path(), [(IF_MATCH, b"1234")], b"x").code, "4.12", "code")


def rfc7252_5_10_8_1_stale_if_match_does_not_overwrite(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    equal(p.put(path, b"mine", [(IF_MATCH, tag)]).code, "2.04", "code of the first")
    equal(p.put(path, b"late", [(IF_MATCH, tag)]).code, "4.12", "code of the second")
    equal(p.get(path).payload, b"mine", "payload")


def rfc7252_5_10_8_one_of_many_racing_changes_wins(p):
    path = p.made()
    tag = p.get(path).opt(ETAG)
    peers = [p.another() for _ in range(8)]
    sent = [q.build(PUT, path, [(IF_MATCH, tag)], b"%d" % i) for i, q in enumerate(peers)]
    for q, data in zip(peers, sent):
        q.send(data)
    codes = sorted(q.answer(data).code for q, data in zip(peers, sent))
    equal(codes, ["2.04"] + ["4.12"] * 7, "codes")


def rfc7252_5_10_8_failed_precondition_says_so(p):
    got = p.put(p.made(), b"x", [(IF_MATCH, b"12345678")])
    p.wants_text(got)


# If-None-Match ----------------------------------------------------------------------------------


def rfc7252_5_10_8_2_if_none_match_creates_what_is_absent(p):
    equal(p.put(p.path(), b"x", [(IF_NONE_MATCH, b"")]).code, "2.01", "code")


def rfc7252_5_10_8_2_if_none_match_on_what_exists_yields_4_12(p):
    path = p.made()
    equal(p.put(path, b"x", [(IF_NONE_MATCH, b"")]).code, "4.12", "code")
    equal(p.get(path).payload, b"value", "payload")


def rfc7252_5_10_8_2_if_none_match_after_delete_creates(p):
    path = p.made()
    p.delete(path)
    equal(p.put(path, b"x", [(IF_NONE_MATCH, b"")]).code, "2.01", "code")


def rfc7252_5_10_8_one_of_many_racing_creations_wins(p):
    path = p.path()
    peers = [p.another() for _ in range(8)]
    sent = [q.build(PUT, path, [(IF_NONE_MATCH, b"")], b"%d" % i) for i, q in enumerate(peers)]
    for q, data in zip(peers, sent):
        q.send(data)
    codes = sorted(q.answer(data).code for q, data in zip(peers, sent))
    equal(codes, ["2.01"] + ["4.12"] * 7, "codes")


def rfc7252_5_10_8_condition_in_a_non_is_obeyed(p):
    path = p.made()
    equal(p.put(path, b"x", [(IF_NONE_MATCH, b"")], type_=NON).code, "4.12", "code")


def rfc7252_5_10_8_replayed_success_is_not_a_failed_precondition(p):
    path = p.path()
    sent = p.build(PUT, path, [(IF_NONE_MATCH, b"")], b"x")
    p.send(sent)
    first = p.answer(sent)
    p.send(sent)
    equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")


# Accept -----------------------------------------------------------------------------------------


@table(("text", TEXT), ("json", JSON), ("cbor", CBOR))
def rfc7252_5_10_4_accept_of_what_there_is_yields_2_05(p, format_):
    got = p.get(p.made(pairs=[(CONTENT_FORMAT, format_)]), [(ACCEPT, format_)])
    equal((got.code, got.uint(CONTENT_FORMAT)), ("2.05", format_), "answer")


@table(("text", TEXT), ("link_format", LINK_FORMAT), ("reserved", 65000))
def rfc7252_5_10_4_accept_of_something_else_yields_4_06(p, format_):
    path = p.made(pairs=[(CONTENT_FORMAT, JSON)])
    got = p.get(path, [(ACCEPT, format_)])
    equal(got.code, "4.06", "code")
    p.wants_text(got)


def rfc7252_5_10_4_other_errors_take_precedence(p):
    equal(p.get(p.path(), [(ACCEPT, CBOR)]).code, "4.04", "code")


def rfc7252_5_10_4_accept_is_obeyed_by_discovery(p):
    equal(p.get("/.well-known/core", [(ACCEPT, LINK_FORMAT)]).code, "2.05", "code")
    equal(p.get("/.well-known/core", [(ACCEPT, TEXT)]).code, "4.06", "code")


def rfc7252_5_10_4_accept_does_not_hinder_changes(p):
    equal(p.put(p.path(), b"x", [(ACCEPT, CBOR)]).code, "2.01", "code")


# Max-Age ----------------------------------------------------------------------------------------


def rfc7252_5_10_5_default_max_age_is_60(p):
    check(1 <= p.get(p.made()).uint(MAX_AGE, 60) <= 60, "Max-Age is not about 60")


@table(*[(str(n), n) for n in (1, 255, 256, 65536, 0xFFFFFFFF)])
def rfc7252_5_10_5_max_age_of_the_writer_is_returned(p, seconds):
    path = p.made(pairs=[(MAX_AGE, seconds)])
    check(seconds - 60 <= p.get(path).uint(MAX_AGE, 60) <= seconds, "Max-Age is not %d" % seconds)


def rfc7252_5_6_1_max_age_0_is_returned_explicitly(p):
    equal(p.get(p.made(pairs=[(MAX_AGE, 0)])).opt(MAX_AGE), b"", "Max-Age")


def rfc7252_5_10_5_max_age_counts_down(p):
    path = p.made(pairs=[(MAX_AGE, 100)])
    time.sleep(1.2)
    check(p.get(path).uint(MAX_AGE, 60) < 100, "Max-Age did not go down")


def rfc7252_5_10_5_max_age_starts_anew_with_a_change(p):
    path = p.made(pairs=[(MAX_AGE, 3)])
    p.put(path, b"x", [(MAX_AGE, 500)])
    check(440 < p.get(path).uint(MAX_AGE, 60) <= 500, "Max-Age is not 500")


def rfc7252_5_9_1_3_valid_carries_max_age(p):
    path = p.made(pairs=[(MAX_AGE, 1000)])
    got = p.get(path, [(ETAG, p.get(path).opt(ETAG))])
    check(940 < got.uint(MAX_AGE, 60) <= 1000, "Max-Age is not about 1000")


# size -------------------------------------------------------------------------------------------


@table(("put", PUT), ("post", POST))
def rfc7252_5_9_2_9_body_beyond_the_limit_yields_4_13_with_size1(p, method):
    path = p.path()
    got = p.ask(method, path, [(CONTENT_FORMAT, wire.OCTETS)], b"x" * (p.limit + 1))
    equal(got.code, "4.13", "code")
    equal(got.uint(SIZE1), p.limit, "Size1")
    equal(p.get(path).code, "4.04", "code of the GET")


def rfc7252_5_9_2_9_body_at_the_limit_is_taken(p):
    equal(p.put(p.path(), b"x" * p.limit).code, "2.01", "code")
