#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills copald at random instants under load, again and again, on one data directory.

    kill_test.py [--engine lmdb|journal] [--cycles N] [--seed S]

Several sockets put, post, patch and delete, with and without conditions, and log what was
acknowledged. After each restart every acknowledged change must be there with its content and
entity-tag; what was under way may be there, but only as a whole; nothing else may be there.
"""
import argparse
import json
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import coap
from coap import (CHANGED, CONTENT, CREATED, DELETE, DELETED, ETAG, FORMAT, GET, IF_MATCH,
                  IF_NONE_MATCH, JSON, LOCATION_PATH, MERGE_PATCH, NOT_FOUND, PATCH, POST,
                  PRECONDITION, PUT, Copald, Line, path)

SOCKETS, KEYS, WINDOW = 6, 24, 6
LOAD_S = 0.15
FIRST_OPENS = 10
ABSENT = None


class Slot:
    """One resource, changed by one request at a time: what it is, and what it may be."""

    def __init__(self, key):
        self.key, self.state, self.may_be = key, ABSENT, None  # state: (body, entity-tag)


class Load:
    def __init__(self, rng):
        self.rng, self.serial, self.acknowledged = rng, 0, 0
        self.slots = [Slot(f"/s{s}/{'long/' + 'k' * 200 + '/' + 'x' * 200 + '/' if k % 8 == 0 else ''}"
                           f"{'y' * 150 if k % 8 == 0 else ''}r{k}")
                      for s in range(SOCKETS) for k in range(KEYS)]
        self.posted = {}        # key of a child: (body, entity-tag)
        self.posts = set()      # bodies of POSTs that were not answered
        self.tags = {}          # entity-tag: body

    def body(self):
        self.serial += 1
        return json.dumps({"n": self.serial, "pad": "p" * self.rng.choice((0, 0, 10, 200, 700))})

    # ---------------------------------------------------------------- requests

    def start_one(self, line, slot):
        """Sends one random change of a resource."""
        kind = self.rng.random()
        exists = slot.state is not ABSENT
        if kind < 0.1:
            body = self.body()
            self.posts.add(body)
            line.send(("post", slot, body), POST, path(f"/post{slot.key[2]}"), body.encode())
        elif kind < 0.2 and exists:
            slot.may_be = ABSENT
            line.send(("delete", slot, None), DELETE, path(slot.key))
        elif kind < 0.4 and exists:
            was = json.loads(slot.state[0])
            self.serial += 1
            was["n"] = self.serial
            slot.may_be = json.dumps(was, separators=(",", ":"))
            patch = json.dumps({"n": self.serial}).encode()
            line.send(("patch", slot, slot.may_be), PATCH,
                      path(slot.key) + [(FORMAT, bytes([MERGE_PATCH]))], patch)
        else:
            self.start_put(line, slot, exists)

    def start_put(self, line, slot, exists):
        options = path(slot.key) + [(FORMAT, bytes([JSON]))]
        kind = self.rng.random()
        if kind < 0.15:
            options += [(IF_MATCH, slot.state[1] if exists else b"")]
            allowed = exists
        elif kind < 0.25:
            options += [(IF_NONE_MATCH, b"")]
            allowed = not exists
        elif kind < 0.3:
            options += [(IF_MATCH, b"12345678")]
            allowed = False
        else:
            allowed = True
        body = self.body()
        if allowed:
            slot.may_be = body
        line.send(("put" if allowed else "refused", slot, body), PUT, options, body.encode())

    def finish(self, what, answer):
        kind, slot, body = what
        self.acknowledged += 1
        if kind == "refused":
            assert answer.code == PRECONDITION, (slot.key, hex(answer.code))
            return
        if kind == "post":
            assert answer.code == CREATED, hex(answer.code)
            key = "/" + "/".join(v.decode() for v in answer.all(LOCATION_PATH))
            self.posts.discard(body)
            self.posted[key] = (body, answer.get(ETAG))
        elif kind == "delete":
            assert answer.code == DELETED, hex(answer.code)
            slot.state = ABSENT
        else:
            assert answer.code in (CREATED, CHANGED), (kind, slot.key, hex(answer.code),
                                                       answer.payload)
            slot.state = (body, answer.get(ETAG))
        slot.may_be = None
        if kind != "delete":
            self.note_tag(answer.get(ETAG), body)

    def note_tag(self, tag, body):
        assert self.tags.setdefault(tag, canonical(body)) == canonical(body), "entity-tag reused"

    def run(self, copald, seconds):
        """Load until the time is over, then the kill, with requests under way."""
        lines = [Line(copald.port) for _ in range(SOCKETS)]
        free = [[s for s in self.slots if s.key.startswith(f"/s{i}/")] for i in range(SOCKETS)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for i, line in enumerate(lines):
                while len(line.under_way) < WINDOW:
                    slot = free[i].pop(self.rng.randrange(len(free[i])))
                    self.start_one(line, slot)
            ready, _, _ = select.select([line.socket for line in lines], [], [],
                                        max(0, end - time.monotonic()))
            for i, line in enumerate(lines):
                if line.socket in ready:
                    self.receive(line, free[i])
        copald.kill()
        for i, line in enumerate(lines):  # what was acknowledged before it died
            self.receive(line, free[i])
            line.close()

    def receive(self, line, free):
        for what, answer in line.receive():
            self.finish(what, answer)
            free.append(what[1])

    # ---------------------------------------------------------------- checks

    def verify(self, copald):
        line = Line(copald.port)
        for slot in self.slots:
            self.verify_slot(line, slot)
        _, _, listing = line.read(path("/.well-known/core"))
        listed = set(re.findall(r"<(/[^>]*)>", listing.decode())) - {"/.well-known/core"}
        children = {key for key in listed if key.startswith("/post")}
        expected = {s.key for s in self.slots if s.state is not ABSENT}
        assert listed - children == expected, (listed - children) ^ expected
        self.verify_children(line, children)
        line.close()
        return len(expected) + len(self.posted)

    def verify_slot(self, line, slot):
        answer = line.ask(GET, path(slot.key))
        is_there = answer.code == CONTENT
        assert is_there or answer.code == NOT_FOUND, hex(answer.code)
        found = (answer.payload.decode(), answer.get(ETAG)) if is_there else ABSENT
        if same(found, slot.state):
            pass
        elif slot.may_be is ABSENT:
            assert found is ABSENT, f"{slot.key}: lost: {slot.state}, found {found}"
        else:
            assert found is not ABSENT and canonical(found[0]) == canonical(slot.may_be), \
                f"{slot.key}: acknowledged {slot.state}, under way {slot.may_be}, found {found}"
            self.note_tag(found[1], found[0])
        slot.state, slot.may_be = found, None

    def verify_children(self, line, children):
        missing = set(self.posted) - children
        assert not missing, f"posted and lost: {missing}"
        for key in children:
            answer = line.ask(GET, path(key))
            found = (answer.payload.decode(), answer.get(ETAG))
            if key in self.posted:
                assert found == self.posted[key], (key, found, self.posted[key])
            else:
                assert found[0] in self.posts, f"{key}: nobody posted {found[0]}"
                self.posted[key] = found
        for key in list(self.posted)[:-20]:  # not too many
            assert line.ask(DELETE, path(key)).code == DELETED
            del self.posted[key]
        self.posts.clear()


def canonical(body):
    return json.dumps(json.loads(body), sort_keys=True)


def same(found, state):
    if found is ABSENT or state is ABSENT:
        return found is state
    return found[1] == state[1] and canonical(found[0]) == canonical(state[0])


def first_opens(top, rng, count):
    """SIGKILL while a data directory is made: the next start must find it usable."""
    for i in range(count):
        data = os.path.join(top, f"first{i}")
        copald = Copald(data, wait=False)
        time.sleep(rng.random() * 0.12)
        copald.kill()
        copald = Copald(data)
        line = Line(copald.port)
        assert line.ask(PUT, path("/a"), b"1").code == CREATED
        line.close()
        copald.kill()
        coap.check(data)
        coap.settle(data)
        assert coap.check(data) == 1


def kills(top, rng, count):
    load = Load(rng)
    data = os.path.join(top, "data")
    resources = 0
    for cycle in range(count):
        copald = Copald(data)
        resources = load.verify(copald)
        load.run(copald, rng.random() * LOAD_S)
        if cycle % 20 == 19:
            coap.check(data)
        if cycle % 100 == 99:
            print(f"{cycle + 1} kills, {load.acknowledged} acknowledged changes", flush=True)
    copald = Copald(data)
    resources = load.verify(copald)
    assert copald.stop() == 0
    assert coap.check(data) == resources
    return load.acknowledged


def main():
    parser = argparse.ArgumentParser(description="SIGKILL under load")
    parser.add_argument("--engine", choices=coap.ENGINES, default=coap.ENGINES[0])
    parser.add_argument("--cycles", type=int, default=150)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--dir", help="where the data directory is made")
    args = parser.parse_args()
    if not os.access(coap.COPALD, os.X_OK):
        print(f"skipped: no program {coap.COPALD}")
        return 77
    Copald.engine = args.engine
    print(f"{args.engine}, seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="copal-kill-", dir=args.dir) as top:
        first_opens(top, rng, min(args.cycles, FIRST_OPENS))
        acknowledged = kills(top, rng, args.cycles)
    print(f"{args.cycles} kills under load, {acknowledged} acknowledged changes, none lost, "
          f"{time.monotonic() - began:.0f} s")
    return 0 if acknowledged > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
