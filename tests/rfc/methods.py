# SPDX-License-Identifier: Apache-2.0
"""Methods and what they do to resources. RFC 7252 section 5.8, RFC 8132."""

import json

import wire
from peer import check, equal, located, one_of, table
from wire import (ACCEPT, CONTENT_FORMAT, DELETE, ETAG, FETCH, IF_MATCH, IPATCH, JSON, JSON_PATCH,
                  MERGE_PATCH, NON, PATCH, POST, PUT, SENML_ETCH_JSON, SENML_JSON, TEXT)

UNKNOWN = tuple(("0.%02d" % n, n) for n in (8, 9, 15, 30, 31))

# RFC 7252 ----------------------------------------------------------------------------------------


@table(*UNKNOWN)
def rfc7252_5_8_unknown_method_yields_4_05(p, method):
    sent = p.build(method, p.made())
    p.send(sent)
    got = p.answer(sent)
    equal((got.type, got.code), (wire.ACK, "4.05"), "type and code")


@table(*UNKNOWN)
def rfc7252_5_8_unknown_method_on_what_is_absent_yields_4_05(p, method):
    equal(p.ask(method, p.path()).code, "4.05", "code")


@table(*UNKNOWN)
def rfc7252_5_8_unknown_method_in_non_yields_4_05(p, method):
    got = p.ask(method, p.made(), type_=NON)
    equal((got.type, got.code), (NON, "4.05"), "type and code")


@table(("post", POST), ("put", PUT), ("delete", DELETE))
def rfc7252_5_8_well_known_core_cannot_be_changed(p, method):
    equal(p.ask(method, "/.well-known/core", payload=b"</x>").code, "4.05", "code")


def rfc7252_5_8_1_get_returns_the_representation(p):
    got = p.get(p.made())
    equal((got.code, got.payload, got.uint(CONTENT_FORMAT)), ("2.05", b"value", TEXT), "answer")


def rfc7252_5_8_1_get_changes_nothing(p):
    path = p.made()
    tags = {p.get(path).opt(ETAG) for _ in range(5)}
    equal(len(tags), 1, "number of entity-tags")


def rfc7252_5_9_2_5_get_of_what_is_absent_yields_4_04(p):
    equal(p.get(p.path()).code, "4.04", "code")


def rfc7252_5_9_2_error_carries_a_diagnostic_payload(p):
    p.wants_text(p.get(p.path()))
    p.wants_text(p.ask(9, p.path()))
    p.wants_text(p.get([], [(wire.PROXY_URI, "coap://example.org/")]))


def rfc7252_5_8_3_put_creates(p):
    equal(p.put(p.path(), b"x").code, "2.01", "code")


def rfc7252_5_8_3_put_changes(p):
    path = p.made()
    equal(p.put(path, b"other").code, "2.04", "code")
    equal(p.get(path).payload, b"other", "payload")


def rfc7252_5_1_put_is_idempotent(p):
    path = p.made()
    for _ in range(3):
        equal(p.put(path, b"same").code, "2.04", "code")
    equal(p.get(path).payload, b"same", "payload")


def rfc7252_5_8_3_put_replaces_the_content_format(p):
    path = p.made()
    p.put(path, b"{}", [(CONTENT_FORMAT, JSON)])
    equal(p.get(path).uint(CONTENT_FORMAT), JSON, "Content-Format")


def rfc7252_5_8_3_put_of_nothing_is_a_representation(p):
    path = p.path()
    equal(p.put(path, b"").code, "2.01", "code")
    got = p.get(path)
    equal((got.code, got.payload), ("2.05", b""), "answer")


def rfc7252_5_8_3_put_keeps_every_byte(p):
    path, body = p.path(), bytes(range(256)) * 3
    p.put(path, body, [(CONTENT_FORMAT, wire.OCTETS)])
    equal(p.get(path).payload, body, "payload")


def rfc7252_5_8_3_put_through_non_works(p):
    path = p.path()
    equal(p.put(path, b"x", type_=NON).code, "2.01", "code")
    equal(p.get(path).payload, b"x", "payload")


@table(*[(str(n), n) for n in (0, 40, 41, 42, 47, 50, 60, 110, 112, 255, 256, 11542, 65000)])
def rfc7252_5_10_3_content_format_is_kept(p, number):
    path = p.made(pairs=[(CONTENT_FORMAT, number)])
    equal(p.get(path).uint(CONTENT_FORMAT), number, "Content-Format")


def rfc7252_5_10_3_absent_content_format_stays_absent(p):
    path = p.made(pairs=[])
    equal(p.get(path).opt(CONTENT_FORMAT), None, "Content-Format")


def rfc7252_5_8_2_post_creates_a_child_and_says_where(p):
    where = p.path("c")
    child = p.created(where)
    got = p.get(child)
    equal((got.code, got.payload, got.uint(CONTENT_FORMAT)), ("2.05", b"child", TEXT), "the child")


def rfc7252_5_8_2_post_creates_below_the_collection(p):
    where = p.path("c")
    child = [s.decode() for s in p.created(where)]
    equal("/" + "/".join(child[:-1]), where, "parent of the child")


def rfc7252_5_8_2_post_twice_creates_two(p):
    where = p.path("c")
    first, second = p.created(where), p.created(where)
    check(first != second, "both are %r" % first)
    p.delete(first)
    equal(p.get(second).code, "2.05", "code of the second")


def rfc7252_5_10_7_location_path_has_no_dot_segments(p):
    for segment in p.created(p.path("c")):
        check(segment not in (b".", b".."), "%r" % segment)


def rfc7252_5_8_2_post_through_non_works(p):
    located(p.post(p.path("c"), b"child", type_=NON))


def rfc7252_5_8_4_delete_removes(p):
    path = p.made()
    equal(p.delete(path).code, "2.02", "code")
    equal(p.get(path).code, "4.04", "code of the GET")


def rfc7252_5_8_4_delete_of_what_is_absent_succeeds(p):
    equal(p.delete(p.path()).code, "2.02", "code")


def rfc7252_5_1_delete_is_idempotent(p):
    path = p.made()
    equal([p.delete(path).code for _ in range(3)], ["2.02"] * 3, "codes")


def rfc7252_5_8_4_deleted_resource_can_be_made_again(p):
    path = p.made()
    p.delete(path)
    equal(p.put(path, b"again").code, "2.01", "code")


def rfc7252_5_8_4_delete_leaves_the_children(p):
    path = p.made()
    p.put(path + "/child", b"y")
    p.delete(path)
    equal(p.get(path + "/child").payload, b"y", "payload")


@table(("put", PUT), ("delete", DELETE))
def rfc7252_5_9_1_success_of_a_change_has_no_stale_content_format(p, method):
    got = p.ask(method, p.made(), payload=b"")
    if not got.payload:
        equal(got.opt(CONTENT_FORMAT), None, "Content-Format of an empty answer")


# RFC 8132: PATCH and iPATCH ---------------------------------------------------------------------

BOTH = (("patch", PATCH), ("ipatch", IPATCH))


def document(p, value, leaf="doc"):
    return p.made(leaf, json.dumps(value), [(CONTENT_FORMAT, JSON)])


def patched(p, method, path, format_, patch, pairs=()):
    body = patch if isinstance(patch, bytes) else json.dumps(patch)
    return p.ask(method, path, [(CONTENT_FORMAT, format_)] + list(pairs), body)


def loaded(p, path):
    return json.loads(p.get(path).payload)


@table(*BOTH)
def rfc8132_3_merge_patch_is_applied(p, method):
    path = document(p, {"a": 1, "b": {"c": 2, "d": 3}})
    equal(patched(p, method, path, MERGE_PATCH, {"a": 9, "b": {"c": None}}).code, "2.04", "code")
    equal(loaded(p, path), {"a": 9, "b": {"d": 3}}, "document")


@table(*BOTH)
def rfc8132_3_json_patch_is_applied(p, method):
    path = document(p, {"a": 1, "l": [1, 3]})
    patch = [{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2},
             {"op": "add", "path": "/n", "value": {"x": True}}, {"op": "remove", "path": "/l/0"}]
    equal(patched(p, method, path, JSON_PATCH, patch).code, "2.04", "code")
    equal(loaded(p, path), {"a": 2, "l": [3], "n": {"x": True}}, "document")


def rfc8132_3_json_patch_moves_and_copies(p):
    path = document(p, {"a": {"x": 1}, "b~/c": 5})
    patch = [{"op": "move", "from": "/a/x", "path": "/y"},
             {"op": "copy", "from": "/y", "path": "/z"},
             {"op": "replace", "path": "/b~0~1c", "value": 6}]
    equal(patched(p, PATCH, path, JSON_PATCH, patch).code, "2.04", "code")
    equal(loaded(p, path), {"a": {}, "y": 1, "z": 1, "b~/c": 6}, "document")


@table(*BOTH)
def rfc8132_3_patch_keeps_the_content_format_and_changes_the_etag(p, method):
    path = document(p, {"a": 1})
    before = p.get(path)
    patched(p, method, path, MERGE_PATCH, {"a": 2})
    after = p.get(path)
    equal(after.uint(CONTENT_FORMAT), JSON, "Content-Format")
    check(before.opt(ETAG) != after.opt(ETAG), "the ETag did not change")


@table(*BOTH)
def rfc8132_3_patch_is_all_or_nothing(p, method):
    path = document(p, {"a": 1})
    patch = [{"op": "replace", "path": "/a", "value": 2}, {"op": "remove", "path": "/none"}]
    one_of(patched(p, method, path, JSON_PATCH, patch).code, ("4.09", "4.22"), "code")
    equal(loaded(p, path), {"a": 1}, "document")


@table(*BOTH)
def rfc8132_3_4_failed_test_of_a_patch_is_a_conflict(p, method):
    path = document(p, {"a": 1})
    got = patched(p, method, path, JSON_PATCH, [{"op": "test", "path": "/a", "value": 2}])
    one_of(got.code, ("4.09", "4.22"), "code")
    p.wants_text(got)


@table(*BOTH)
def rfc8132_3_4_unsupported_patch_document_yields_4_15(p, method):
    got = patched(p, method, document(p, {"a": 1}), TEXT, b"a=2")
    equal(got.code, "4.15", "code")
    p.wants_text(got)


@table(*BOTH)
def rfc8132_3_4_patch_without_content_format_is_refused(p, method):
    got = p.ask(method, document(p, {"a": 1}), payload=b"{}")
    one_of(got.code, ("4.00", "4.15"), "code")


@table(("merge_patch", MERGE_PATCH, b'{"a":'), ("json_patch", JSON_PATCH, b"[{]"))
def rfc8132_3_4_malformed_patch_yields_4_00(p, format_, body):
    path = document(p, {"a": 1})
    equal(patched(p, PATCH, path, format_, body).code, "4.00", "code")
    equal(loaded(p, path), {"a": 1}, "document")


@table(("unknown_op", [{"op": "burn", "path": "/a"}]), ("no_path", [{"op": "remove"}]),
       ("no_array", {"op": "remove", "path": "/a"}),
       ("bad_pointer", [{"op": "remove", "path": "a"}]))
def rfc8132_3_4_patch_that_makes_no_sense_is_refused(p, patch):
    path = document(p, {"a": 1})
    one_of(patched(p, PATCH, path, JSON_PATCH, patch).code, ("4.00", "4.22"), "code")
    equal(loaded(p, path), {"a": 1}, "document")


@table(*BOTH)
def rfc8132_3_patch_must_suit_the_resource(p, method):
    got = patched(p, method, p.made(), MERGE_PATCH, {"a": 2})
    one_of(got.code, ("4.09", "4.15", "4.22"), "code")
    equal(p.get(p.path()).payload, b"value", "payload")


@table(*BOTH)
def rfc8132_3_json_patch_of_what_is_absent_is_refused(p, method):
    path = p.path()
    got = patched(p, method, path, JSON_PATCH, [{"op": "replace", "path": "/a", "value": 2}])
    one_of(got.code, ("4.04", "4.09", "4.22"), "code")
    equal(p.get(path).code, "4.04", "code of the GET")


def rfc8132_3_merge_patch_of_what_is_absent_creates_or_refuses(p):
    path = p.path()
    got = patched(p, PATCH, path, MERGE_PATCH, {"a": 2})
    one_of(got.code, ("2.01", "4.04"), "code")
    equal(p.get(path).code, "2.05" if got.code == "2.01" else "4.04", "code of the GET")


@table(*BOTH)
def rfc8132_3_patch_obeys_if_match(p, method):
    path = document(p, {"a": 1})
    got = patched(p, method, path, MERGE_PATCH, {"a": 2}, [(IF_MATCH, b"not it")])
    equal(got.code, "4.12", "code")
    equal(loaded(p, path), {"a": 1}, "document")
    tag = p.get(path).opt(ETAG)
    equal(patched(p, method, path, MERGE_PATCH, {"a": 2}, [(IF_MATCH, tag)]).code, "2.04", "code")


def rfc8132_3_ipatch_twice_is_as_once(p):
    path = document(p, {"a": 1})
    for _ in range(2):
        equal(patched(p, IPATCH, path, MERGE_PATCH, {"b": 2, "a": None}).code, "2.04", "code")
    equal(loaded(p, path), {"b": 2}, "document")


def rfc8132_3_duplicate_patch_is_applied_once(p):
    path = document(p, {"l": []})
    sent = p.build(PATCH, path, [(CONTENT_FORMAT, JSON_PATCH)],
                   json.dumps([{"op": "add", "path": "/l/-", "value": 1}]))
    p.send(sent)
    first = p.answer(sent)
    p.send(sent)
    equal(p.need().raw.hex(), first.raw.hex(), "answer to the duplicate")
    equal(loaded(p, path), {"l": [1]}, "document")


# RFC 8132: FETCH --------------------------------------------------------------------------------

PACK = [{"bn": "urn:dev:1/", "n": "temp", "u": "Cel", "v": 21.5}, {"n": "hum", "u": "%RH", "v": 40}]


def pack(p):
    return p.made("pack", json.dumps(PACK), [(CONTENT_FORMAT, SENML_JSON)])


def rfc8132_2_fetch_selects_senml_records(p):
    got = p.ask(FETCH, pack(p), [(CONTENT_FORMAT, SENML_ETCH_JSON)], '[{"n":"urn:dev:1/temp"}]')
    equal(got.code, "2.05", "code")
    found = json.loads(got.payload)
    text = got.payload.decode()
    check("temp" in text and "hum" not in text, "records are %r" % found)


def rfc8132_2_fetch_changes_nothing(p):
    path = pack(p)
    before = p.get(path).opt(ETAG)
    p.ask(FETCH, path, [(CONTENT_FORMAT, SENML_ETCH_JSON)], '[{"n":"urn:dev:1/temp"}]')
    equal(p.get(path).opt(ETAG), before, "ETag")


def rfc8132_2_3_1_fetch_without_content_format_is_refused(p):
    one_of(p.ask(FETCH, pack(p), payload='[{"n":"x"}]').code, ("4.00", "4.15"), "code")


@table(("text", TEXT), ("json", JSON), ("reserved", 64999))
def rfc8132_2_3_1_fetch_of_unsupported_format_yields_4_15(p, format_):
    got = p.ask(FETCH, pack(p), [(CONTENT_FORMAT, format_)], b"x")
    equal(got.code, "4.15", "code")
    p.wants_text(got)


def rfc8132_2_3_1_fetch_with_malformed_body_yields_4_00(p):
    got = p.ask(FETCH, pack(p), [(CONTENT_FORMAT, SENML_ETCH_JSON)], b"[{")
    one_of(got.code, ("4.00", "4.22"), "code")


def rfc8132_2_fetch_of_what_is_absent_yields_4_04(p):
    got = p.ask(FETCH, p.path(), [(CONTENT_FORMAT, SENML_ETCH_JSON)], '[{"n":"x"}]')
    equal(got.code, "4.04", "code")


def rfc8132_2_fetch_obeys_accept(p):
    got = p.ask(FETCH, pack(p), [(CONTENT_FORMAT, SENML_ETCH_JSON), (ACCEPT, wire.LINK_FORMAT)],
                '[{"n":"urn:dev:1/temp"}]')
    equal(got.code, "4.06", "code")
