#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A durable store on disks that fail, lie full or are cut off in the middle of a commit.

    failure_test.py [--engine lmdb|journal] [ARGUMENT OF unittest...]
"""
import argparse
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import coap
from coap import (CHANGED, CONTENT, CREATED, DELETE, DELETED, ETAG, GET, INTERNAL, MAX_AGE, NOT_FOUND,
                  PUT, UNAVAILABLE, Copald, Line, path)

SHIM = os.path.join(os.environ.get("COPAL_BUILD_DIR", "build/dev"), "failio.so")
KILL_POINTS = 24
ROLL_CHANGES, ROLL_KEYS = 6000, 48
ROLL_TMPFS_SIZE = 24 << 20  # files of 1 MiB
TMPFS_SIZE = 6 << 20
LARGE_TMPFS_SIZE = 24 << 20  # a checkpoint of a quarter of it frees more than the reserve
LOST_DATA = 4  # exit status
BURST_WINDOW = 200
# What a change needs: its write, and the sync behind it.
WRITE = {"lmdb": "pwrite", "journal": "append"}
SYNC = {"lmdb": "sync", "journal": "jsync"}
DATABASE_CALLS = ("pwrite", "meta", "sync")
JOURNAL_CALLS = ("append", "fill", "jsync", "jfallocate", "rename", "unlink")


def failing(rule, arm=None):
    """The environment in which system calls on the data file fail."""
    env = {"LD_PRELOAD": SHIM, "FAILIO": rule,
           "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    if arm:
        env["FAILIO_ARM"] = arm
    return env


def mount_tmpfs(test, folder, size):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder],
                          capture_output=True, check=False)
    if done.returncode != 0:
        test.skipTest("a small tmpfs cannot be mounted here")
    # What was added last is undone first: after copald has ended.
    test.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)


class Failure(unittest.TestCase):
    def setUp(self):
        top = tempfile.TemporaryDirectory(prefix="copal-fail-")
        self.addCleanup(top.cleanup)
        self.top, self.data = top.name, os.path.join(top.name, "data")
        self.arm_file = os.path.join(self.top, "arm")
        self.tags = set()

    def start(self, *args, **more):
        copald = Copald(self.data, *args, **more)
        line = Line(copald.port)
        self.addCleanup(self.end, copald, line)
        return copald, line

    @staticmethod
    def end(copald, line):
        line.close()
        if copald.process.poll() is None:
            copald.kill()

    def arm(self):
        with open(self.arm_file, "w", encoding="ascii"):
            pass

    def put(self, line, key, body=b"x"):
        return line.ask(PUT, path(key), body)

    def fails_for_good(self, rule):
        copald, line = self.start(env=failing(rule, self.arm_file))
        self.assertEqual(self.put(line, "/a", b"acknowledged").code, CREATED)
        self.arm()
        self.assertEqual(self.put(line, "/a", b"lost").code, INTERNAL)
        os.remove(self.arm_file)  # a sync that works again proves nothing
        self.assertEqual(self.put(line, "/b").code, INTERNAL)
        self.assertEqual(line.ask(DELETE, path("/a")).code, INTERNAL)
        for _ in range(3):
            answer = line.ask(GET, path("/a"))
            self.assertEqual((answer.code, answer.payload), (CONTENT, b"acknowledged"))
        self.assertIn("</a>", line.ask(GET, path("/.well-known/core")).payload.decode())
        self.assertIn('"event":"store_failed"', copald.read_log())
        copald.stop()
        copald, line = self.start()
        self.assertIn(line.ask(GET, path("/a")).payload, (b"acknowledged", b"lost"))
        self.assertEqual(self.put(line, "/b").code, CREATED)
        copald.stop()
        self.assertEqual(coap.check(self.data), 2)

    def test_failed_fsync_ends_acknowledging_for_good(self):
        self.fails_for_good(f"{SYNC[Copald.engine]}:1:EIO")

    def test_failed_fsync_for_lack_of_room_ends_acknowledging_for_good(self):
        if Copald.engine == "lmdb":
            self.skipTest("LMDB has errors of its own for that")
        self.fails_for_good("jsync:1:ENOSPC")

    def test_failed_write_ends_acknowledging_for_good(self):
        self.fails_for_good(f"{WRITE[Copald.engine]}:1:EIO")

    def test_short_write_ends_acknowledging_for_good_or_is_continued(self):
        if Copald.engine == "lmdb":
            self.fails_for_good("pwrite:1:short")
            return
        copald, line = self.start(env=failing("append:1:short"))
        for i in range(20):
            self.assertEqual(self.put(line, f"/r{i}", b"%d" % i * 300).code, CREATED)
        copald.kill()
        copald, line = self.start()
        for i in range(20):
            self.assertEqual(line.ask(GET, path(f"/r{i}")).payload, b"%d" % i * 300)
        copald.stop()
        self.assertEqual(coap.check(self.data), 20)

    def test_failed_write_of_the_meta_page_leaves_reads(self):
        if Copald.engine == "lmdb":
            self.fails_for_good("meta:1:EIO")
        else:
            self.fails_behind_the_answer("meta:1:EIO")

    def test_failed_checkpoint_loses_nothing(self):
        if Copald.engine == "lmdb":
            self.skipTest("no checkpoints")
        self.fails_behind_the_answer("pwrite:1:EIO")
        self.fails_behind_the_answer("sync:1:EIO")

    def fails_behind_the_answer(self, rule):
        """A checkpoint fails: what the journal has acknowledged is there, now and later."""
        shutil.rmtree(self.data, ignore_errors=True)
        copald, line = self.start(env=failing(rule, self.arm_file))
        self.assertEqual(self.put(line, "/a", b"before").code, CREATED)
        self.arm()
        self.assertEqual(self.put(line, "/a", b"acknowledged").code, CHANGED)
        end = time.monotonic() + coap.WAIT_S
        while self.put(line, "/late").code != INTERNAL:
            self.assertLess(time.monotonic(), end, "the checkpoint does not fail")
            time.sleep(0.05)
        self.assertEqual(line.ask(GET, path("/a")).payload, b"acknowledged")
        self.assertIn('"event":"store_failed"', copald.read_log())
        copald.stop()
        os.remove(self.arm_file)
        copald, line = self.start()
        self.assertEqual(line.ask(GET, path("/a")).payload, b"acknowledged")
        self.assertEqual(self.put(line, "/b").code, CREATED)
        copald.stop()
        coap.check(self.data)

    def test_file_that_is_cut_off_ends_the_process_with_a_sentence(self):
        copald, line = self.start()
        for i in range(100):
            self.assertEqual(self.put(line, f"/r{i}", b"x" * 900).code, CREATED)
        line.close()
        self.assertEqual(copald.stop(), 0)  # all of it is in the file
        copald, line = self.start()
        with open(os.path.join(self.data, "data.mdb"), "r+b") as f:
            f.truncate(8192)
        for i in range(100):
            line.send(None, GET, path(f"/r{i}"))
        self.assertEqual(copald.wait(), LOST_DATA)
        self.assertIn("the data file cannot be read", copald.read_log())

    def refuses_and_recovers(self, rule):
        copald, line = self.start(env=failing(rule, self.arm_file))
        for i in range(20):
            self.assertEqual(self.put(line, f"/r{i}", b"x" * 900).code, CREATED)
        self.arm()
        answer = self.put(line, "/a")
        self.assertEqual(answer.code, UNAVAILABLE)
        self.assertIsNotNone(answer.get(MAX_AGE))
        self.assertEqual(line.ask(GET, path("/r1")).payload, b"x" * 900)
        self.assertEqual(line.ask(GET, path("/a")).code, NOT_FOUND)
        os.remove(self.arm_file)
        self.assertEqual(self.put(line, "/a").code, CREATED)
        log = copald.read_log()
        self.assertIn('"event":"store_full"', log)
        self.assertIn('"event":"store_has_room"', log)
        self.assertNotIn("store_failed", log)
        copald.stop()
        self.assertEqual(coap.check(self.data), 21)

    def burst(self, copald, line, first, count, arm_at=None):
        """Puts so many resources with many requests under way; returns key: code of the answer.
        No entity-tag comes twice."""
        codes, begun = {}, first
        while len(codes) < count:
            while begun < first + count and len(line.under_way) < BURST_WINDOW:
                line.send(f"/b{begun}", PUT, path(f"/b{begun}"), b"%d" % begun * 100)
                begun += 1
            select.select([line.socket], [], [], coap.WAIT_S)
            for key, answer in line.receive():
                codes[key] = answer.code
                if answer.code == CREATED:
                    self.assertNotIn(answer.get(ETAG), self.tags)
                    self.tags.add(answer.get(ETAG))
            if arm_at is not None and len(codes) >= arm_at:
                self.arm()
                arm_at = None
        self.assertIsNone(copald.process.poll())
        return codes

    def check_burst(self, line, codes):
        """What was acknowledged is there, and nothing that was refused."""
        for key, code in codes.items():
            answer = line.ask(GET, path(key))
            wanted = CONTENT if code == CREATED else NOT_FOUND
            self.assertEqual((answer.code, key), (wanted, key))

    def test_failed_fsync_under_load_refuses_all_that_follows(self):
        copald, line = self.start(env=failing(f"{SYNC[Copald.engine]}:1:EIO", self.arm_file))
        codes = self.burst(copald, line, 0, 1500, arm_at=400)
        self.assertEqual(set(codes.values()), {CREATED, INTERNAL})
        self.check_burst(line, codes)
        copald.stop()
        os.remove(self.arm_file)
        copald, line = self.start()
        self.check_burst(line, {k: c for k, c in codes.items() if c == CREATED})
        copald.stop()
        coap.check(self.data)

    def test_lack_of_room_under_load_refuses_whole_changes(self):
        copald, line = self.start(env=failing(f"{WRITE[Copald.engine]}:1:ENOSPC", self.arm_file))
        codes = self.burst(copald, line, 0, 1500, arm_at=400)
        self.assertEqual(set(codes.values()), {CREATED, UNAVAILABLE})
        self.check_burst(line, codes)
        os.remove(self.arm_file)
        codes |= self.burst(copald, line, 1500, 300)
        self.assertEqual(codes["/b1799"], CREATED)
        self.check_burst(line, codes)
        self.assertNotIn("store_failed", copald.read_log())
        copald.stop()
        self.assertEqual(coap.check(self.data), list(codes.values()).count(CREATED))

    def test_write_without_room_is_refused_until_there_is_some(self):
        self.refuses_and_recovers(f"{WRITE[Copald.engine]}:1:ENOSPC")

    def killed_at(self, rule):
        """Load up to the kill inside a system call; then everything acknowledged is there."""
        if os.path.exists(self.data):
            shutil.rmtree(self.data)
        copald = Copald(self.data, env=failing(rule), wait=False)
        known = {}
        try:
            copald.wait_until_ready()
        except AssertionError:
            copald.wait()
        else:
            self.load(copald, known)
        copald, line = self.start()
        for key, bodies in known.items():
            answer = line.ask(GET, path(key))
            found = answer.payload if answer.code == CONTENT else None
            self.assertIn(found, bodies, (rule, key))
        self.end(copald, line)
        coap.check(self.data)

    def load(self, copald, known):
        """Writes until copald is dead. `known`: what each resource may be afterwards."""
        line = Line(copald.port)
        for i in range(200):
            key, body = f"/r{i % 7}", b"%d-" % i * (1 + i % 5 * 60)
            before = known.get(key, [None])
            known[key] = before + [body]
            line.send(None, PUT, path(key), body)
            while line.under_way and copald.process.poll() is None:
                time.sleep(0.0005)
                for _, answer in line.receive():
                    self.assertIn(answer.code, (CREATED, CHANGED))
                    known[key] = [body]
            if line.under_way:
                break
        line.close()
        self.end(copald, line)
        copald.wait()

    def test_sigkill_in_front_of_any_system_call(self):
        for call in ("any", *DATABASE_CALLS):
            for nth in range(1, KILL_POINTS, 1 if call == "any" else 3):
                with self.subTest(call=call, nth=nth):
                    self.killed_at(f"{call}:{nth}:kill")

    def test_sigkill_in_front_of_calls_on_the_journal(self):
        if Copald.engine == "lmdb":
            self.skipTest("no journal")
        for call in JOURNAL_CALLS:
            for nth in (1, 2, 3, 4, 6, 9, 14, 40):
                with self.subTest(call=call, nth=nth):
                    self.killed_at(f"{call}:{nth}:kill")

    def test_sigkill_while_the_journal_goes_to_other_files(self):
        if Copald.engine == "lmdb":
            self.skipTest("no journal")
        self.data = os.path.join(self.top, "small", "data")
        os.mkdir(os.path.dirname(self.data))
        mount_tmpfs(self, os.path.dirname(self.data), ROLL_TMPFS_SIZE)
        # The first of these calls, but for unlink, belong to the start.
        points = [(call, nth) for call in ("jfallocate", "fill", "rename") for nth in (2, 3, 4)]
        for call, nth in [*points, ("unlink", 1)]:
            with self.subTest(call=call, nth=nth):
                shutil.rmtree(self.data, ignore_errors=True)
                self.roll(f"{call}:{nth}:kill")

    def roll(self, rule):
        """More than the first file takes, with many changes under way; then all is there."""
        copald, line = self.start(env=failing(rule))
        known, begun = {}, {}
        for i in range(5 * ROLL_CHANGES):  # the file that is next is made beside
            key = f"/r{i % ROLL_KEYS}"
            while key in begun and copald.process.poll() is None:
                select.select([line.socket], [], [], 0.05)
                for (done, body), answer in line.receive():
                    self.assertIn(answer.code, (CREATED, CHANGED))
                    known[done] = body
                    del begun[done]
            if copald.process.poll() is not None:
                break
            begun[key] = b"%05d" % i * 200
            line.send((key, begun[key]), PUT, path(key), begun[key])
        self.assertIsNotNone(copald.process.poll(), "the call was not made")
        self.end(copald, line)
        copald.wait()
        copald, line = self.start()
        for key in known | begun:
            answer = line.ask(GET, path(key))
            found = answer.payload if answer.code == CONTENT else None
            self.assertIn(found, (known.get(key), begun.get(key, known.get(key))), (rule, key))
        self.end(copald, line)
        coap.check(self.data)

    def test_sigkill_while_it_ends_and_while_it_recovers(self):
        """The calls of the last checkpoint, of the end, and of the next start's recovery."""
        for call in ("any", "rename", "unlink", "meta"):
            for nth in range(1, 12, 1 if call == "any" else 4):
                with self.subTest(call=call, nth=nth):
                    self.killed_twice(f"{call}:{nth}:kill")

    def killed_twice(self, rule):
        shutil.rmtree(self.data, ignore_errors=True)
        copald, line = self.start(env=failing(rule, self.arm_file))
        for i in range(30):
            self.assertEqual(self.put(line, f"/r{i}", b"%d" % i * 100).code, CREATED)
        self.arm()
        copald.stop()
        self.end(copald, line)
        os.remove(self.arm_file)
        copald = Copald(self.data, env=failing(rule), wait=False)
        try:
            copald.wait_until_ready()
        except AssertionError:
            copald.wait()
        else:
            copald.kill()
        copald, line = self.start()
        for i in range(30):
            self.assertEqual(line.ask(GET, path(f"/r{i}")).payload, b"%d" % i * 100, (rule, i))
        self.end(copald, line)
        coap.check(self.data)
        coap.settle(self.data)
        self.assertEqual(coap.check(self.data), 30)


class FullDisk(Failure):
    """On a file system that is really full."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.data)
        mount_tmpfs(self, self.data, TMPFS_SIZE)

    def fill(self, line, size=1000):
        for i in range(20000):
            answer = self.put(line, f"/f{i}", b"f" * size)
            if answer.code == UNAVAILABLE:
                self.assertIsNotNone(answer.get(MAX_AGE))
                return i
            self.assertEqual(answer.code, CREATED)
        raise AssertionError("the disk is never full")

    def check_full_and_recover(self, line, count):
        for i in range(0, count, max(1, count // 50)):
            self.assertEqual(line.ask(GET, path(f"/f{i}")).payload, b"f" * 1000)
        for i in range(count):
            self.assertEqual(line.ask(DELETE, path(f"/f{i}")).code, DELETED, i)
        self.assertEqual(self.put(line, "/new", b"n" * 1000).code, CREATED)

    def test_full_disk_refuses_writes_and_takes_deletes(self):
        copald, line = self.start()
        count = self.fill(line)
        self.assertGreater(count, 1000)
        self.check_full_and_recover(line, count)
        again = self.fill(line)
        self.assertGreater(again, count * 8 // 10)
        self.assertNotIn("store_failed", copald.read_log())
        self.assertEqual(copald.stop(), 0)
        self.assertEqual(coap.check(self.data), again + 1)

    def burst(self, line, requests):
        """Many requests under way; returns the code of each answer by its key."""
        codes, requests = {}, list(requests)
        while requests or line.under_way:
            while requests and len(line.under_way) < 64:
                code, key, body = requests.pop(0)
                line.send(key, code, path(key), body)
            self.assertTrue(select.select([line.socket], [], [], coap.WAIT_S)[0], "no answer")
            for key, answer in line.receive():
                codes[key] = answer.code
                if answer.code == UNAVAILABLE:
                    self.assertIsNotNone(answer.get(MAX_AGE))
        return codes

    def write_again(self, line, key, body):
        """A PUT within the patience of a client that is told to try again."""
        end = time.monotonic() + coap.WAIT_S
        code = UNAVAILABLE
        while code == UNAVAILABLE and time.monotonic() < end:
            code = self.put(line, key, body).code
        self.assertIn(code, (CREATED, CHANGED))

    def check_known(self, line, known, gone):
        for key in list(known)[:: max(1, len(known) // 200)]:
            self.assertEqual(line.ask(GET, path(key)).payload, known[key], key)
        for key in list(gone)[:: max(1, len(gone) // 50)]:
            self.assertEqual(line.ask(GET, path(key)).code, NOT_FOUND, key)

    def test_full_disk_has_room_after_a_quarter_is_deleted(self):
        """More is deleted at once than one checkpoint could change with the reserve alone."""
        self.data = os.path.join(self.top, "large")
        os.mkdir(self.data)
        mount_tmpfs(self, self.data, LARGE_TMPFS_SIZE)
        copald, line = self.start()
        known, gone, count = {}, [], 0
        while True:
            wanted = {f"/f{i}": b"%05d" % i * 180 for i in range(count, count + 250)}
            codes = self.burst(line, [(PUT, key, body) for key, body in wanted.items()])
            known |= {key: wanted[key] for key, code in codes.items() if code == CREATED}
            count += len(wanted)
            if UNAVAILABLE in codes.values():
                break
            self.assertEqual(set(codes.values()), {CREATED})
        self.assertGreater(len(known), 1000)
        for ends in (None, "stop", "kill", None):
            # Scattered ones, so that the checkpoint has many pages to change.
            changed = {key: b"changed" for key in list(known)[::7]}
            codes = self.burst(line, [(PUT, key, body) for key, body in changed.items()])
            self.assertLessEqual(set(codes.values()), {CHANGED, UNAVAILABLE})
            known |= {key: changed[key] for key, code in codes.items() if code == CHANGED}
            deleted = list(known)[: len(known) // 4]
            codes = self.burst(line, [(DELETE, key, b"") for key in deleted])
            self.assertEqual(set(codes.values()), {DELETED})
            known = {key: body for key, body in known.items() if key not in codes}
            gone += deleted
            if ends is not None:
                copald.stop() if ends == "stop" else copald.kill()
                copald, line = self.start()
            key = f"/again{len(gone)}"
            known[key] = b"again" * 100
            self.write_again(line, key, known[key])
            self.check_known(line, known, gone)
        self.assertNotIn("store_failed", copald.read_log())
        self.assertEqual(copald.stop(), 0)
        self.assertEqual(coap.check(self.data), len(known))

    def test_disk_filled_by_others_is_survived(self):
        copald, line = self.start()
        for i in range(100):
            self.assertEqual(self.put(line, f"/f{i}", b"f" * 1000).code, CREATED)
        others = os.path.join(self.data, "others")
        with open(others, "wb") as f:
            try:
                while True:
                    f.write(bytes(65536))
                    f.flush()
            except OSError:
                pass
        count = 100 + self.fill_from(line, 100)
        for i in range(0, count, 2):
            self.assertEqual(line.ask(DELETE, path(f"/f{i}")).code, DELETED)
        os.remove(others)
        self.assertEqual(self.put(line, "/new", b"n" * 1000).code, CREATED)
        self.assertEqual(line.ask(GET, path("/f1")).payload, b"f" * 1000)
        self.assertEqual(copald.stop(), 0)

    def fill_from(self, line, first):
        for i in range(first, 20000):
            if self.put(line, f"/f{i}", b"f" * 1000).code == UNAVAILABLE:
                return i - first
        raise AssertionError("the disk is never full")

    def test_full_disk_survives_kill_9(self):
        copald, line = self.start()
        count = self.fill(line)
        copald.kill()
        copald, line = self.start()
        refused = self.put(line, "/other", b"n" * 1000).code
        if Copald.engine == "lmdb":  # the journal may have room when it has begun anew
            self.assertEqual(refused, UNAVAILABLE)
        self.assertIn(refused, (CREATED, UNAVAILABLE))
        self.check_full_and_recover(line, count)


# The tests of a failing disk are not run again on a full one.
for name in [n for n in dir(Failure) if n.startswith("test_")]:
    setattr(FullDisk, name, None)

if __name__ == "__main__":
    if not os.access(SHIM, os.R_OK) or not os.access(coap.COPALD, os.X_OK):
        print("skipped: copald or failio.so is not built")
        sys.exit(77)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--engine", choices=coap.ENGINES, default=coap.ENGINES[0])
    args, rest = parser.parse_known_args()
    Copald.engine = args.engine
    unittest.main(argv=[sys.argv[0], *rest])
