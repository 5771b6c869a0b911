# SPDX-License-Identifier: Apache-2.0
"""Request bodies in blocks: Block1 of RFC 7959 sections 2.3, 2.5 and 2.9."""

import wire
from extensions import body
from peer import check, equal, one_of, table
from wire import BLOCK1, CONTENT_FORMAT, OCTETS, PATCH, POST, PUT, SIZE1


def block(p, path, data, num, szx, method=PUT, pairs=()):
    """Sends one block of `data`; returns the answer."""
    size = 1 << (szx + 4)
    more = (num + 1) * size < len(data)
    return p.ask(method, path,
                 [(CONTENT_FORMAT, OCTETS), (BLOCK1, num << 4 | more << 3 | szx)] + list(pairs),
                 data[num * size:(num + 1) * size])


def upload(p, path, data, szx, method=PUT):
    """Sends all blocks; every one but the last is to be continued. Returns the last answer."""
    count = -(-len(data) >> (szx + 4))
    for num in range(count - 1):
        got = block(p, path, data, num, szx, method)
        equal(got.code, "2.31", "code of block %d" % num)
        equal(got.uint(BLOCK1) >> 4, num, "number in the answer to block %d" % num)
    got = block(p, path, data, count - 1, szx, method)
    equal(got.uint(BLOCK1) >> 4, count - 1, "number in the last answer")
    return got


def fetch(p, path):
    """The whole representation."""
    out, num = b"", 0
    while True:
        got = p.get(path, [(wire.BLOCK2, num << 4 | 6)])
        equal(got.code, "2.05", "code of the GET")
        out += got.payload
        num += 1
        if not got.uint(wire.BLOCK2, 0) & 8:
            return out


@table(*[(str(n), n) for n in range(7)])
def rfc7959_2_5_body_in_blocks_is_assembled(p, szx):
    path, data = p.path(), body(700 if szx < 2 else 3000)
    equal(upload(p, path, data, szx).code, "2.01", "code of the last block")
    equal(fetch(p, path), data, "body")


@table(("one_block", 64), ("multiple", 128), ("one_more", 129))
def rfc7959_2_5_size_at_the_edge_is_assembled(p, size):
    path, data = p.path(), body(size)
    equal(upload(p, path, data, 2).code, "2.01", "code of the last block")
    equal(fetch(p, path), data, "body")


def rfc7959_2_5_post_in_blocks_creates_one_child(p):
    got = upload(p, p.path("c"), body(500), 3, POST)
    equal(got.code, "2.01", "code of the last block")
    equal(fetch(p, got.all(wire.LOCATION_PATH)), body(500), "body")


def rfc7959_2_5_nothing_changes_before_the_last_block(p):
    path, data = p.made(), body(200)
    equal(block(p, path, data, 0, 2).code, "2.31", "code of the first block")
    equal(p.another().get(path).payload, b"value", "payload meanwhile")


@table(("unasked", ()), ("asked", ((wire.BLOCK2, 2),)))
def rfc7959_2_3_continue_has_no_block2(p, pairs):
    path, data = p.path(), body(200)
    for num in range(3):
        got = block(p, path, data, num, 2, pairs=pairs)
        equal(got.code, "2.31", "code of block %d" % num)
        equal(got.all(wire.BLOCK2), [], "Block2 in the answer to block %d" % num)


@table(("first_missing", (1,)), ("gap", (0, 2)))
def rfc7959_2_9_2_missing_block_yields_4_08(p, nums):
    path, data = p.path(), body(300)
    got = [block(p, path, data, num, 2) for num in nums][-1]
    equal(got.code, "4.08", "code")
    equal(p.get(path).code, "4.04", "code of the GET")


def rfc7959_2_5_blocks_of_two_clients_do_not_mix(p):
    path, other = p.path(), p.another()
    mine, theirs = b"m" * 100, b"t" * 100
    block(p, path, mine, 0, 2)
    block(other, path, theirs, 0, 2)
    block(p, path, mine, 1, 2)
    block(other, path, theirs, 1, 2)
    one_of(fetch(p, path), (mine, theirs), "body")


def rfc7959_2_5_first_block_begins_anew(p):
    path, data = p.path(), body(200)
    block(p, path, b"x" * 200, 0, 2)
    equal(upload(p, path, data, 2).code, "2.01", "code of the last block")
    equal(fetch(p, path), data, "body")


def rfc7959_2_5_interleaved_bodies_are_not_mixed(p):
    """One endpoint sends two bodies at once to one resource, and nothing tells them apart."""
    path, bodies = p.path(), (b"a" * 192, b"b" * 192)
    codes = [[block(p, path, data, num, 2).code for data in bodies] for num in range(3)]
    check("2.01" not in codes[-1], "codes %s" % codes)
    equal(p.ask(wire.GET, path).code, "4.04", "code of the resource")


def rfc7959_2_5_last_block_within_the_body_is_refused(p):
    path = p.path()
    for num in range(3):
        equal(block(p, path, b"a" * 256, num, 2).code, "2.31", "code of block %d" % num)
    equal(block(p, path, b"b" * 70, 1, 2).code, "4.08", "code of a last block")
    equal(p.ask(wire.GET, path).code, "4.04", "code of the resource")


def rfc7959_2_2_only_block_larger_than_its_size_is_refused(p):
    equal(p.ask(PUT, p.path(), [(BLOCK1, 0)], b"x" * 17).code, "4.00", "code")


def rfc7959_2_5_duplicate_block_is_taken_once(p):
    path, data = p.path(), body(128)
    first = p.build(PUT, path, [(BLOCK1, 0 << 4 | 8 | 2)], data[:64])
    p.send(first)
    answer = p.answer(first)
    p.send(first)
    equal(p.need().raw.hex(), answer.raw.hex(), "answer to the duplicate")
    equal(p.ask(PUT, path, [(BLOCK1, 1 << 4 | 2)], data[64:]).code, "2.01", "code of the last")
    equal(fetch(p, path), data, "body")


def rfc7959_2_2_szx_7_of_an_upload_yields_4_00(p):
    equal(p.ask(PUT, p.path(), [(BLOCK1, 7)], b"x").code, "4.00", "code")


@table(("too_short", b"x" * 63), ("too_long", b"x" * 65), ("empty", b""))
def rfc7959_2_2_block_of_another_size_is_refused(p, payload):
    got = p.ask(PUT, p.path(), [(BLOCK1, 0 << 4 | 8 | 2)], payload)
    check(got.code.startswith("4."), "code %s" % got.code)


def rfc7959_2_9_3_announced_size_beyond_the_limit_yields_4_13(p):
    got = block(p, p.path(), body(200), 0, 2, pairs=[(SIZE1, p.limit + 1)])
    equal((got.code, got.uint(SIZE1)), ("4.13", p.limit), "code and Size1")


def rfc7959_2_9_3_body_that_grows_beyond_the_limit_yields_4_13(p):
    path, num = p.path(), 0
    got = block(p, path, b"x" * (p.limit + 2048), num, 6)
    while got.code == "2.31":
        num += 1
        got = block(p, path, b"x" * (p.limit + 2048), num, 6)
    equal((got.code, got.uint(SIZE1)), ("4.13", p.limit), "code and Size1")
    check(num * 1024 <= p.limit, "%d blocks were taken" % num)


def rfc7959_2_5_patch_in_blocks_is_applied(p):
    path = p.made("doc", b'{"a":1}', [(CONTENT_FORMAT, wire.JSON)])
    patch = b'{"a":' + b" " * 60 + b"2}"
    for num, more in ((0, 8), (1, 0)):
        pairs = [(CONTENT_FORMAT, wire.MERGE_PATCH), (BLOCK1, num << 4 | more | 2)]
        got = p.ask(PATCH, path, pairs, patch[num * 64:num * 64 + 64])
    equal(got.code, "2.04", "code of the last block")
    equal(p.get(path).payload.replace(b" ", b""), b'{"a":2}', "document")


def more_of(got):
    return got.uint(BLOCK1) >> 3 & 1


def rfc7959_2_3_only_continue_says_that_more_is_to_come(p):
    """Clients go on sending after an error that says so."""
    path, data = p.path(), body(300)
    got = block(p, path, data, 0, 2)
    equal((got.code, more_of(got)), ("2.31", 1), "code and more")
    got = block(p, path, data, 2, 2)
    equal((got.code, more_of(got)), ("4.08", 0), "code and more")
    got = block(p, path, data, 0, 2, pairs=[(SIZE1, p.limit + 1)])
    equal((got.code, more_of(got)), ("4.13", 0), "code and more")
    got = p.ask(PUT, path, [(BLOCK1, 8 | 2)], b"short")
    equal((got.code, more_of(got)), ("4.00", 0), "code and more")


# If-None-Match goes with the first block only -----------------------------------------------------


def creating(p, path, data, num, first_pairs):
    """Block `num` of a body as a client sends it that creates and does not replace."""
    return block(p, path, data, num, 4, pairs=first_pairs if num == 0 else [])


@table(("if_none_match", [(wire.IF_NONE_MATCH, b"")]), ("if_match", [(wire.IF_MATCH, b"12345678")]))
def rfc7959_2_10_condition_that_does_not_hold_refuses_the_first_block(p, pairs):
    path = p.made()
    equal(creating(p, path, body(400), 0, pairs).code, "4.12", "code of block 0")
    equal(p.get(path).payload, b"value", "representation")


def rfc7959_2_10_if_none_match_of_the_first_block_holds_for_the_whole(p):
    path, data, pairs = p.path(), body(400), [(wire.IF_NONE_MATCH, b"")]
    equal(creating(p, path, data, 0, pairs).code, "2.31", "code of block 0")
    equal(p.another().put(path, b"of another").code, "2.01", "code of PUT")
    equal(creating(p, path, data, 1, pairs).code, "4.12", "code of the last block")
    equal(p.get(path).payload, b"of another", "representation")


def rfc7959_2_10_if_none_match_of_an_upload_begun_anew_is_forgotten(p):
    path, data, pairs = p.path(), body(400), [(wire.IF_NONE_MATCH, b"")]
    equal(creating(p, path, data, 0, pairs).code, "2.31", "code of block 0")
    equal(p.another().put(path, b"of another").code, "2.01", "code of PUT")
    equal(creating(p, path, data, 0, []).code, "2.31", "code of block 0")
    equal(creating(p, path, data, 1, []).code, "2.04", "code of the last block")
    equal(fetch(p, path), data, "body")
