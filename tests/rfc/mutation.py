# SPDX-License-Identifier: Apache-2.0
"""Random and mutated datagrams: the server stays alive and answers behind them.

The seed is printed with a failure; COPAL_SEED=n repeats it. RFC 7252 section 11.1.
"""

import os
import random
import time

import wire
from peer import check, equal
from wire import RST

SECONDS = 2.0


def seeds(rng):
    """Valid messages to start from."""
    path = [(wire.URI_PATH, "t"), (wire.URI_PATH, "fuzz"), (wire.URI_PATH, "%d" % rng.randrange(9))]
    pairs = [(wire.IF_MATCH, b""), (wire.ETAG, b"12345678"), (wire.CONTENT_FORMAT, 50),
             (wire.MAX_AGE, 7), (wire.URI_QUERY, "rt=a b"), (wire.ACCEPT, 50), (wire.BLOCK2, 0x16),
             (wire.BLOCK1, 0x0E), (wire.SIZE1, 1 << 20), (wire.NO_RESPONSE, 2), (wire.OBSERVE, 0),
             (wire.PROXY_URI, "coap://a/"), (wire.ACCEPT, 257), (wire.URI_QUERY, "href=/t*")]
    chosen = rng.sample(pairs, rng.randrange(5))
    bodies = [b"", b"text", b'{"a":[1,{"b":null}]}', b'[{"op":"add","path":"/x","value":1}]',
              rng.randbytes(rng.randrange(200))]
    if rng.random() < 0.2:
        path = [(wire.URI_PATH, ".well-known"), (wire.URI_PATH, "core")]
    return wire.message(rng.randrange(4), rng.choice([1, 2, 3, 4, 5, 6, 7, 9, 69, 132]),
                        rng.randrange(65536), rng.randbytes(rng.randrange(9)), path + chosen,
                        rng.choice(bodies))


def mutated(rng, data):
    """A few bytes flipped, cut, doubled or inserted."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice([0, 1, 0x0D, 0x0E, 0xD0, 0xE0, 0xEE, 0xFF, 0x7F, 0x80])
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            data += data[at:at + rng.randrange(1, 40)]
    return bytes(data[:1400])


def storm(p, rng, make):
    """Sends for SECONDS; pings now and then, and drains what comes back."""
    until, sent = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        for _ in range(50):
            p.send(make(rng))
            sent += 1
        alive(p)
    return sent


def alive(p):
    """A ping is answered, however much else is."""
    for _ in range(5):
        mid = p.ping()
        while True:
            data = p.recv_raw(10)
            if data is None:
                break
            got = wire.Message(data)
            if got.type == RST and got.mid == mid:
                return
    check(False, "no answer to a ping")


def seeded(p, make):
    seed = int(os.environ.get("COPAL_SEED", random.randrange(1 << 32)))
    try:
        storm(p, random.Random(seed), make)
    except Exception as why:
        raise type(why)("%s (seed %d)" % (why, seed)) from why
    equal(p.another().put(p.path(), b"x").code, "2.01", "code behind seed %d" % seed)


def rfc7252_11_1_mutated_messages_do_no_harm(p):
    seeded(p, lambda rng: mutated(rng, seeds(rng)))


def rfc7252_11_1_random_datagrams_do_no_harm(p):
    seeded(p, lambda rng: rng.randbytes(rng.randrange(0, 120)))


def rfc7252_11_1_random_bytes_behind_a_header_do_no_harm(p):
    seeded(p, lambda rng: wire.head(rng.randrange(4), rng.randrange(256), rng.randrange(65536))
           + rng.randbytes(rng.randrange(0, 60)))


def rfc7252_11_1_valid_messages_in_any_combination_do_no_harm(p):
    seeded(p, seeds)
