# SPDX-License-Identifier: Apache-2.0
"""Observe: registrations, notifications and how they end. RFC 7641."""

import wire
from peer import check, equal, table
from wire import (ACCEPT, ACK, BLOCK2, CON, CONTENT_FORMAT, ETAG, JSON, NON, NO_RESPONSE, OBSERVE,
                  RST, TEXT)

REGISTER, DEREGISTER = b"", b"\x01"


def observe(p, path, pairs=(), token=b"watch", type_=CON):
    """Registers; returns the first response."""
    got = p.get(path, [(OBSERVE, REGISTER)] + list(pairs), token=token, type_=type_)
    equal(got.code, "2.05", "code of the registration")
    check(got.opt(OBSERVE) is not None, "no Observe in %r" % got)
    return got


def notified(p, tokens=(b"watch",)):
    """The next notification; a confirmable one is acknowledged."""
    got = p.need()
    check(got.type in (CON, NON), "a notification of type %d" % got.type)
    check(got.token in tokens, "token of the notification is %r" % got.token)
    if got.type == CON:
        p.acknowledge(got)
    return got


def refuse(p, got):
    """Answers with a Reset, which has been taken when this returns: other clients are of other shards."""
    p.send(wire.head(RST, 0, got.mid))
    mid = p.ping()
    while (got := p.need()).type != RST or got.mid != mid:
        pass


def change(p, path, payload=b"new", format_=TEXT):
    equal(p.another().put(path, payload, [(CONTENT_FORMAT, format_)]).code, "2.04", "code of PUT")


def is_newer(later, sooner):
    """Serial number arithmetic on 24 bits. RFC 7641 section 3.4."""
    return 0 < (later - sooner) & 0xFFFFFF < 1 << 23


@table(("con", CON), ("non", NON))
def rfc7641_3_1_registration_returns_the_state_and_observe(p, type_):
    got = observe(p, p.made(), type_=type_)
    equal(got.payload, b"value", "payload")
    check(len(got.opt(OBSERVE)) <= 3, "Observe of %d bytes" % len(got.opt(OBSERVE)))


def rfc7641_3_2_change_is_notified_with_the_token(p):
    path = p.made()
    first = observe(p, path)
    change(p, path)
    got = notified(p)
    equal((got.code, got.payload, got.uint(CONTENT_FORMAT)), ("2.05", b"new", TEXT), "notification")
    check(is_newer(got.uint(OBSERVE), first.uint(OBSERVE)), "Observe does not increase")
    check(got.opt(ETAG) != first.opt(ETAG), "the same entity-tag")


def rfc7641_4_2_state_at_the_end_is_always_notified(p):
    path = p.made()
    last = observe(p, path).uint(OBSERVE)
    for i in range(20):
        change(p, path, b"%d" % i)
    payload = b""
    while payload != b"19":
        got = notified(p)
        check(is_newer(got.uint(OBSERVE), last), "Observe does not increase")
        last, payload = got.uint(OBSERVE), got.payload


def rfc7641_4_2_end_of_a_lifetime_ends_the_observation_with_4_04(p):
    path = p.made()
    for seconds in (1, 5, 25):  # a busy machine may come too late to register
        p.put(path, b"mortal", [(wire.URI_QUERY, "lt=%d" % seconds), (CONTENT_FORMAT, TEXT)])
        if p.get(path, [(OBSERVE, REGISTER)], token=b"watch").opt(OBSERVE) is not None:
            break
    got = notified(p)
    equal((got.code, got.opt(OBSERVE)), ("4.04", None), "last notification")
    equal(p.get(path).code, "4.04", "code of GET")


def rfc7641_4_1_all_observers_are_notified(p):
    path = p.made()
    watchers = [p.another() for _ in range(10)]
    for watcher in watchers:
        observe(watcher, path)
    change(p, path)
    equal({notified(watcher).payload for watcher in watchers}, {b"new"}, "payloads")


def rfc7641_4_1_same_token_replaces_the_registration(p):
    path = p.made()
    observe(p, path)
    observe(p, path)
    change(p, path)
    notified(p)
    p.wants_quiet()


def rfc7641_4_1_other_token_is_another_registration(p):
    path = p.made()
    observe(p, path, token=b"one")
    observe(p, path, token=b"two")
    change(p, path)
    tokens = {notified(p, (b"one", b"two")).token for _ in range(2)}
    equal(tokens, {b"one", b"two"}, "tokens")


def rfc7641_3_6_deregistration_ends_the_notifications(p):
    path = p.made()
    observe(p, path)
    got = p.get(path, [(OBSERVE, DEREGISTER)], token=b"watch")
    equal((got.code, got.opt(OBSERVE)), ("2.05", None), "code and Observe")
    change(p, path)
    p.wants_quiet()


def rfc7641_3_6_reset_ends_the_notifications(p):
    path = p.made()
    observe(p, path)
    change(p, path)
    refuse(p, p.need())
    change(p, path, b"newer")
    p.wants_quiet()


def rfc7641_4_2_deletion_ends_with_an_error(p):
    path = p.made()
    observe(p, path)
    p.another().delete(path)
    got = notified(p)
    equal((got.code, got.opt(OBSERVE)), ("4.04", None), "code and Observe")
    p.another().put(path, b"again")
    p.wants_quiet()


def rfc7641_4_2_other_content_format_ends_with_4_06(p):
    path = p.made()
    observe(p, path)
    change(p, path, b"{}", JSON)
    equal(notified(p).code, "4.06", "code")
    change(p, path, b"[]", JSON)
    p.wants_quiet()


def rfc7641_4_1_failed_registration_has_no_observe(p):
    got = p.get(p.path(), [(OBSERVE, REGISTER)])
    equal((got.code, got.opt(OBSERVE)), ("4.04", None), "code and Observe")
    got = p.get(p.made(), [(OBSERVE, REGISTER), (ACCEPT, JSON)])
    equal((got.code, got.opt(OBSERVE)), ("4.06", None), "code and Observe")


def rfc7641_2_unknown_value_is_ignored(p):
    path = p.made()
    equal(p.get(path, [(OBSERVE, 2)]).code, "2.05", "code")
    change(p, path)
    p.wants_quiet()


def rfc7641_4_5_large_state_is_notified_by_its_first_block(p):
    path = p.made(payload=b"a" * 3000)
    observe(p, path)
    change(p, path, b"b" * 3000)
    got = notified(p)
    equal((got.uint(BLOCK2), len(got.payload)), (8 | 6, 1024), "Block2 and size")
    check(got.opt(OBSERVE) is not None, "no Observe")
    equal(p.get(path, [(BLOCK2, 1 << 4 | 6)]).opt(OBSERVE), None, "Observe of a later block")


def rfc7967_2_2_deregistration_without_a_response(p):
    path = p.made()
    observe(p, path)
    p.send(p.build(wire.GET, path, [(OBSERVE, DEREGISTER), (NO_RESPONSE, 26)], token=b"watch"))
    got = p.need()
    equal((got.type, got.code_byte), (ACK, 0), "type and code")
    change(p, path)
    p.wants_quiet()


def rfc7641_3_duplicate_registration_is_one_registration(p):
    path = p.made()
    sent = p.build(wire.GET, path, [(OBSERVE, REGISTER)], token=b"watch")
    for _ in range(2):
        p.send(sent)
        p.answer(sent)
    change(p, path)
    notified(p)
    p.wants_quiet()


@table(("deregistered", False), ("reset", True))
def rfc7252_4_5_late_copy_of_a_registration_taken_back_registers_nothing(p, is_reset):
    path = p.made()
    sent = p.build(wire.GET, path, [(OBSERVE, REGISTER)], token=b"watch")
    p.send(sent)
    first = p.answer(sent)
    check(first.opt(OBSERVE) is not None, "no Observe")
    if is_reset:
        change(p, path)
        refuse(p, p.need())
    else:
        p.get(path, [(OBSERVE, DEREGISTER)], token=b"watch")
    p.send(sent)
    got = p.answer(sent)
    # Either the very answer of then, as for every copy that is remembered, or one without Observe.
    if got.raw != first.raw:
        equal((got.code, got.opt(OBSERVE)), ("2.05", None), "answer to the copy")
    change(p, path, b"newer")
    p.wants_quiet()
    observe(p, path)  # another request


def rfc7252_4_5_late_copy_of_a_deregistration_ends_nothing_newer(p):
    path = p.made()
    observe(p, path)
    sent = p.build(wire.GET, path, [(OBSERVE, DEREGISTER)], token=b"watch")
    p.send(sent)
    p.answer(sent)
    observe(p, path)
    p.send(sent)
    p.answer(sent)
    change(p, path)
    equal(notified(p).payload, b"new", "payload")


def rfc7641_4_2_last_notification_is_repeated_until_acknowledged(p):
    path = p.made()
    observe(p, path)
    p.another().delete(path)
    first = p.need()
    equal((first.type, first.code, first.opt(OBSERVE)), (CON, "4.04", None), "last notification")
    equal(p.need().raw.hex(), first.raw.hex(), "its repetition")
    p.acknowledge(first)
    p.another().put(path, b"again")
    p.wants_quiet()
