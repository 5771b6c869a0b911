# SPDX-License-Identifier: Apache-2.0
"""Bodies larger than a datagram, in both directions. RFC 7959 section 2."""
import os
import unittest

from harness import (BLOCK1, BLOCK2, CONTENT_FORMAT, ETAG, FETCH, GET, IF_NONE_MATCH, SIZE1, SIZE2,
                     Peer, block, copal, uint)

BODY = os.urandom(3000)


def serve(body, size=1024, etag=lambda n: b"\x01", options=()):
    """A handler that serves `body` in blocks of at most `size` bytes."""
    def handler(m, n):
        num, _, want = m.block(BLOCK2) or (0, False, size)
        at, step = num * want, min(want, size)
        part = body[at:at + step]
        opts = [(BLOCK2, block(at // step, at + step < len(body), step)), *options]
        return m.reply("2.05", opts + ([(ETAG, etag(n))] if etag else []), part)
    return handler


class Server:
    """Assembles a Block1 upload; answers each block as told."""

    def __init__(self, prefer=1024):
        self.prefer, self.body = prefer, b""

    def __call__(self, m, n):
        num, more, size = m.block(BLOCK1)
        if num == 0:
            self.body = b""
        if num * size != len(self.body):
            return m.reply("4.08")
        self.body += m.payload
        echo = [(BLOCK1, block(num, more, min(size, self.prefer)))]
        return m.reply("2.31" if more else "2.04", echo)


class Download(unittest.TestCase):
    def test_assembled_exactly(self):
        with Peer(serve(BODY)) as p:
            r = copal("get", p.uri("/big"))
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))
        self.assertIsNone(p.received[0].block(BLOCK2))
        self.assertEqual([m.block(BLOCK2) for m in p.received[1:]],
                         [(1, False, 1024), (2, False, 1024)])
        self.assertTrue(all(m.value(11) == b"big" for m in p.received))

    def test_early_negotiation(self):
        with Peer(serve(BODY)) as p:
            r = copal("get", "--block-size", "256", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))
        self.assertEqual(p.received[0].block(BLOCK2), (0, False, 256))
        self.assertEqual(len(p.received), 12)

    def test_smaller_blocks_than_asked_for(self):
        with Peer(serve(BODY, size=64)) as p:
            r = copal("get", "--block-size", "512", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))

    def test_without_etag(self):
        with Peer(serve(BODY, etag=None)) as p:
            self.assertEqual(copal("get", p.uri()).stdout, BODY)

    def test_changed_representation_is_read_again(self):
        with Peer(serve(BODY, etag=lambda n: b"\x01" if n < 2 else b"\x02")) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))
        self.assertEqual(len(p.received), 6)

    def test_ever_changing_representation_is_10(self):
        with Peer(serve(BODY, etag=lambda n: bytes([n]))) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, r.stdout), (10, b""))
        self.assertIn(b"keeps changing", r.stderr)
        self.assertEqual(len(p.received), 8)

    def test_error_in_the_middle(self):
        def handler(m, n):
            return serve(BODY)(m, n) if n == 0 else m.reply("4.04", payload=b"deleted")
        with Peer(handler) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, r.stdout), (4, b""))
        self.assertEqual(r.stderr, b"copal: 4.04 Not Found: deleted\n")

    def test_wrong_block_is_10(self):
        with Peer(lambda m, n: m.reply("2.05", [(BLOCK2, block(0, True, 1024))], BODY[:1024])) as p:
            r = copal("get", p.uri())
        self.assertEqual((r.returncode, r.stdout), (10, b""))
        self.assertIn(b"another block", r.stderr)

    def test_short_block_is_10(self):
        with Peer(lambda m, n: m.reply("2.05", [(BLOCK2, block(0, True, 1024))], b"short")) as p:
            self.assertEqual(copal("get", p.uri()).returncode, 10)

    def test_a_block_asked_for_by_option_comes_alone(self):
        with Peer(serve(BODY, size=64)) as p:
            r = copal("get", "-O", "Block2=1/64", p.uri())
        self.assertEqual((r.returncode, r.stdout), (0, BODY[64:128]))
        self.assertEqual(len(p.received), 1)

    def test_fetch_repeats_its_payload(self):
        with Peer(serve(BODY)) as p:
            r = copal("fetch", "-d", "query", "-c", "text", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))
        self.assertEqual([(m.code, m.payload) for m in p.received], [(FETCH, b"query")] * 3)


class Hasty:
    """Answers requests in pairs, the second one first; one that stays alone when it comes again. What
    was answered is answered as before: its repetition was under way."""

    def __init__(self, handler):
        self.handler, self.held, self.most = handler, [], 0
        self.answers = {}  # by Message ID

    def __call__(self, m, n):
        if m.mid in self.answers:
            return self.answers[m.mid]
        is_again = any(h.mid == m.mid for h in self.held)
        if not is_again:
            self.held.append(m)
        self.most = max(self.most, len(self.held))
        if n > 0 and len(self.held) < 2 and not is_again:
            return None
        for h in reversed(self.held):
            self.answers[h.mid] = self.handler(h, n)
        answers = [self.answers[h.mid] for h in reversed(self.held)]
        self.held = []
        return answers


class Window(unittest.TestCase):
    AGAIN = ("--ack-timeout", "1.5", "--max-retransmit", "6")

    def test_one_block_at_a_time_unless_told(self):
        hasty = Hasty(serve(BODY, size=128))
        with Peer(hasty) as p:
            r = copal("get", "--ack-timeout", "0.05", "--max-retransmit", "10", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY, hasty.most), (0, True, 1))

    def test_blocks_in_any_order_are_put_together(self):
        hasty = Hasty(serve(BODY, size=128))
        with Peer(hasty) as p:
            r = copal("get", "--window", "8", *self.AGAIN, p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY, hasty.most), (0, True, 2))

    def test_the_end_is_known_from_size2(self):
        with Peer(serve(BODY, size=128, options=[(SIZE2, uint(len(BODY)))])) as p:
            r = copal("get", "--window", "16", p.uri())
        self.assertEqual((r.returncode, r.stdout == BODY), (0, True))
        self.assertEqual(sorted((m.block(BLOCK2) or (0,))[0] for m in p.received), list(range(24)))

    def test_changed_representation_is_read_again(self):
        other = os.urandom(3000)

        def handler(m, n):
            return serve(BODY if n < 6 else other, 128, lambda _: b"a" if n < 6 else b"b")(m, n)
        with Peer(handler) as p:
            r = copal("get", "--window", "8", p.uri())
        self.assertEqual((r.returncode, r.stdout == other), (0, True))

    def test_upload_falls_back_where_blocks_must_come_in_order(self):
        server = Server()
        with Peer(Hasty(server)) as p:
            r = copal("put", "--window", "8", *self.AGAIN, "--block-size", "256", "-d", "@-",
                      p.uri(), stdin=BODY)
        self.assertEqual((r.returncode, server.body == BODY), (0, True))
        blocks = [num for num, _ in {(m.block(BLOCK1)[0], m.mid) for m in p.received}]
        self.assertEqual((blocks.count(0), blocks.count(11)), (2, 1))

    def test_the_last_block_leaves_last_and_alone(self):
        blocks = []

        def handler(m, n):
            num, more, size = m.block(BLOCK1)
            blocks.append(num)
            return m.reply("2.31" if more else "2.04", [(BLOCK1, block(num, more, size))])
        with Peer(Hasty(handler)) as p:
            r = copal("put", "--window", "8", *self.AGAIN, "--block-size", "256", "-d", "@-",
                      p.uri(), stdin=BODY)
        self.assertEqual((r.returncode, sorted(set(blocks)) == list(range(12))), (0, True))
        self.assertNotEqual(blocks, sorted(blocks))
        self.assertEqual(blocks[-1], 11)

    def test_a_number_is_needed(self):
        for value in ("0", "101", "x"):
            self.assertEqual(copal("get", "--window", value, "coap://127.0.0.1").returncode, 2)


class Upload(unittest.TestCase):
    def put(self, handler, *args):
        with Peer(handler) as p:
            r = copal("put", "-d", "-", *args, p.uri("/x"), stdin=BODY)
        return r, p.received

    def test_in_blocks(self):
        server = Server()
        r, got = self.put(server, "-c", "json")
        self.assertEqual((r.returncode, server.body == BODY), (0, True))
        self.assertEqual([m.block(BLOCK1) for m in got],
                         [(0, True, 1024), (1, True, 1024), (2, False, 1024)])
        self.assertEqual(got[0].value(SIZE1), uint(len(BODY)))
        self.assertTrue(all(m.value(CONTENT_FORMAT) == b"\x32" for m in got))

    def test_server_prefers_smaller_blocks(self):
        server = Server(prefer=128)
        r, got = self.put(server)
        self.assertEqual((r.returncode, server.body == BODY), (0, True))
        self.assertEqual(got[1].block(BLOCK1), (8, True, 128))

    def test_if_none_match_only_with_the_first_block(self):
        _, got = self.put(Server(), "--if-none-match")
        self.assertEqual([m.value(IF_NONE_MATCH) for m in got], [b"", None, None])

    def test_too_large_with_smaller_size_begins_again(self):
        server = Server(prefer=64)

        def handler(m, n):
            return m.reply("4.13", [(BLOCK1, block(0, False, 64))]) if n == 0 else server(m, n)
        r, got = self.put(handler)
        self.assertEqual((r.returncode, server.body == BODY), (0, True))
        self.assertEqual(got[1].block(BLOCK1), (0, True, 64))

    def test_too_large_is_4_and_says_the_limit(self):
        r, got = self.put(lambda m, n: m.reply("4.13", [(SIZE1, uint(2000))]))
        self.assertEqual((r.returncode, len(got)), (4, 1))
        self.assertEqual(r.stderr, b"copal: 4.13 Request Entity Too Large (at most 2000 bytes)\n")

    def test_small_body_is_split_on_the_hint(self):
        server = Server(prefer=64)

        def handler(m, n):
            return m.reply("4.13", [(BLOCK1, block(0, False, 64))]) if n == 0 else server(m, n)
        with Peer(handler) as p:
            r = copal("put", "-d", "x" * 200, p.uri())
        self.assertEqual((r.returncode, server.body), (0, b"x" * 200))
        self.assertIsNone(p.received[0].block(BLOCK1))

    def test_small_body_is_split_without_a_size_in_the_hint(self):
        server = Server()

        def handler(m, n):
            return server(m, n) if m.block(BLOCK1) else m.reply("4.13")
        with Peer(handler) as p:
            r = copal("put", "-d", "x" * 200, p.uri())
        self.assertEqual((r.returncode, server.body), (0, b"x" * 200))
        self.assertEqual(p.received[1].block(BLOCK1), (0, True, 128))

    def test_forgotten_blocks_begin_again(self):
        server = Server()

        def handler(m, n):
            return m.reply("4.08") if n == 1 else server(m, n)
        r, got = self.put(handler)
        self.assertEqual((r.returncode, server.body == BODY, len(got)), (0, True, 5))

    def test_always_forgotten_is_4(self):
        r, got = self.put(lambda m, n: Server()(m, n))
        self.assertEqual((r.returncode, len(got)), (4, 8))
        self.assertIn(b"4.08 Request Entity Incomplete", r.stderr)

    def test_error_ends_it(self):
        r, got = self.put(lambda m, n: m.reply("4.03"))
        self.assertEqual((r.returncode, len(got)), (4, 1))

    def test_block_without_block_option_is_10(self):
        r, _ = self.put(lambda m, n: m.reply("2.31"))
        self.assertEqual(r.returncode, 10)

    def test_both_directions(self):
        server = Server()

        def handler(m, n):
            if m.block(BLOCK1) is None:
                num = m.block(BLOCK2)[0]
                part = BODY[num * 1024:(num + 1) * 1024]
                return m.reply("2.04", [(BLOCK2, block(num, num < 2, 1024))], part)
            answer = server(m, n)
            if not m.block(BLOCK1)[1]:
                answer.options.append((BLOCK2, block(0, True, 1024)))
                answer.payload = BODY[:1024]
            return answer
        with Peer(handler) as p:
            r = copal("post", "-d", "-", p.uri(), stdin=BODY)
        self.assertEqual((r.returncode, r.stdout == BODY, server.body == BODY), (0, True, True))
        self.assertEqual([m.payload for m in p.received[3:]], [b"", b""])
        self.assertNotEqual(p.received[0].code, GET)


if __name__ == "__main__":
    unittest.main()
