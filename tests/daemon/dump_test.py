# SPDX-License-Identifier: Apache-2.0
"""copald --dump, --load and --backup: what comes back is what was stored."""
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import daemon
from daemon import CONTENT, CREATED, GET, POST, PUT, Daemon

DELETE, DELETED, CHANGED, NOT_FOUND, BAD_REQUEST = 0x04, 0x42, 0x44, 0x84, 0x80
BINARY = bytes(range(256))


def run(*args, data=""):
    done = subprocess.run([daemon.COPALD, *args], input=data, capture_output=True, text=True,
                          timeout=daemon.WAIT_S)
    return done.returncode, done.stdout, done.stderr


def message(code, mid, options, payload=b""):
    """A confirmable request; options are (number, bytes) in order, any length up to 268."""
    out, last = bytearray([0x41, code, mid >> 8, mid & 255, 0xAB]), 0
    for number, value in options:
        delta, length = number - last, len(value)
        head = [min(delta, 13) << 4 | min(length, 13)]
        head += [delta - 13] if delta >= 13 else []
        head += [length - 13] if length >= 13 else []
        out += bytes(head) + value
        last = number
    return bytes(out) + (b"\xff" + payload if payload else b"")


class Client:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(daemon.WAIT_S)
        self.mid = int.from_bytes(os.urandom(2), "big") & 0x7fff

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def ask(self, code, path, payload=b"", content_format=None, max_age=None, query=()):
        options = [(11, p.encode()) for p in path.split("/")[1:]]
        options += [(12, bytes([content_format]))] if content_format is not None else []
        options += [(14, bytes([max_age]))] if max_age is not None else []
        options += [(15, q.encode()) for q in query]
        self.mid += 1
        self.socket.send(message(code, self.mid, options, payload))
        return daemon.response(self.socket, self.socket.getpeername())


def option_of(answer, wanted):
    """The value of one option of an answer, or None."""
    at, number = 4 + (answer[0] & 15), 0
    while at < len(answer) and answer[at] != 0xFF:
        delta, length = answer[at] >> 4, answer[at] & 15
        at += 1
        if delta == 13:
            delta, at = 13 + answer[at], at + 1
        if length == 13:
            length, at = 13 + answer[at], at + 1
        number += delta
        if number == wanted:
            return answer[at:at + length]
        at += length
    return None


def resources(dump):
    lines = [json.loads(line) for line in dump.splitlines()]
    return {line["path"]: line for line in lines[1:-1]}


class Case(unittest.TestCase):
    engine = ()

    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.data = self.dir("data")

    def dir(self, name):
        return os.path.join(self.root, name)

    def serve(self, where, *args):
        return Daemon("--data", where, "--log-format", "json", *self.engine, *args)

    def fill(self):
        with self.serve(self.data) as d, Client(d.port) as c:
            self.assertEqual(c.ask(PUT, "/text", "grüße\n".encode(), 0, 7)[1], CREATED)
            self.assertEqual(c.ask(PUT, "/bin", BINARY, 42)[1], CREATED)
            self.assertEqual(c.ask(PUT, "/a b/ü", b"x", query=["rt=temp c", "if=s"])[1], CREATED)
            self.assertEqual(c.ask(PUT, "/short", b"gone", query=["lt=1"])[1], CREATED)
            self.assertEqual(c.ask(PUT, "/long", b"stays", query=["lt=5000"])[1], CREATED)
            self.assertEqual(c.ask(PUT, "/" + "k" * 250 + "/" + "l" * 250, b"long")[1], CREATED)
            self.assertEqual(c.ask(PUT, "/text", b"again", 0, 7)[1], CHANGED)
            self.assertEqual(c.ask(PUT, "/none")[1], CREATED)
            etag = option_of(c.ask(GET, "/bin"), 4)
            self.assertEqual(d.stop()[0], 0)
        return etag

    def dump(self, where):
        code, out, err = run("--dump", where)
        self.assertEqual((code, err), (0, ""))
        return out


class RoundTrip(Case):
    def test_dump_says_everything(self):
        etag = self.fill()
        time.sleep(1.1)
        found = resources(self.dump(self.data))
        self.assertNotIn("/short", found)
        self.assertEqual(found["/text"]["text"], "again")
        self.assertEqual((found["/text"]["content_format"], found["/text"]["max_age"]), (0, 7))
        self.assertEqual(base64.b64decode(found["/bin"]["base64"]), BINARY)
        self.assertEqual(found["/bin"]["content_format"], 42)
        self.assertEqual(found["/bin"]["etag"], etag.hex())
        self.assertNotIn("max_age", found["/bin"])
        self.assertIn('rt="temp c"', found["/a%20b/%C3%BC"]["attributes"])
        self.assertEqual(found["/long"]["lifetime"], 5000)
        self.assertTrue(4000 < found["/long"]["lifetime_left"] < 5000)
        self.assertLess(abs(found["/bin"]["written_us"] / 1e6 - time.time()), 60)
        self.assertEqual(found["/none"]["text"], "")
        self.assertEqual(len(found), 6)

    def test_load_into_new_keeps_all(self):
        etag = self.fill()
        first = self.dump(self.data)
        copy = self.dir("copy")
        code, out, err = run("--load", copy, data=first)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("revisions kept", out)
        before, after = resources(first), resources(self.dump(copy))
        for lines in (before, after):
            lines.pop("/short", None)
            lines["/long"].pop("lifetime_left")
        self.assertEqual(before, after)
        self.assertEqual(run("--check", copy)[0], 0)
        with self.serve(copy) as d, Client(d.port) as c:
            answer = c.ask(GET, "/bin")
            self.assertEqual((answer[1], option_of(answer, 4)), (CONTENT, etag))
            self.assertEqual(daemon.payload_of(answer), BINARY)
            self.assertEqual(c.ask(PUT, "/bin", b"new")[1], CHANGED)
            d.stop()
        last = resources(self.dump(copy))["/bin"]["revision"]
        self.assertGreater(last, json.loads(first.splitlines()[0])["revision"])

    def test_lifetime_that_is_over_is_left_out(self):
        self.fill()
        dump = self.dump(self.data)
        time.sleep(1.1)
        code, out, _ = run("--load", self.dir("copy"), data=dump)
        self.assertEqual(code, 0)
        self.assertIn("6 resources loaded, 0 replaced", out)
        self.assertNotIn("/short", resources(self.dump(self.dir("copy"))))

    def test_dump_beside_a_running_copald(self):
        with self.serve(self.data) as d, Client(d.port) as c:
            self.assertEqual(c.ask(PUT, "/x", b"1")[1], CREATED)
            self.assertEqual(resources(self.dump(self.data))["/x"]["text"], "1")
            self.assertEqual(c.ask(PUT, "/x", b"2")[1], CHANGED)
            d.stop()


class Keys(Case):
    """Any path that a datagram can ask for is one of a resource. RFC 7252 section 5.10.1."""

    LONG = ([b"\xff" * 255] * 4, [b"\xff" * 255] * 4 + [b"x"], [b"s" * 255] * 4 + [b"t" * 90], [b""] * 64)

    def ask(self, c, code, segments, payload=b""):
        c.mid += 1
        c.socket.send(message(code, c.mid, [(11, s) for s in segments], payload))
        return c.socket.recv(65536)

    def test_rfc7252_5_10_1_long_paths_survive(self):
        with self.serve(self.data) as d, Client(d.port) as c:
            for i, path in enumerate(self.LONG):
                self.assertEqual(self.ask(c, PUT, path, b"body %d" % i)[1], CREATED)
            d.stop(signal.SIGKILL)
        with self.serve(self.data) as d, Client(d.port) as c:
            for i, path in enumerate(self.LONG):
                answer = self.ask(c, GET, path)
                self.assertEqual((answer[1], daemon.payload_of(answer)), (CONTENT, b"body %d" % i))
            self.assertEqual(d.stop()[0], 0)
        dump = self.dump(self.data)
        self.assertEqual(len(resources(dump)), len(self.LONG))
        self.assertEqual(run("--load", self.dir("copy"), data=dump)[0], 0)
        self.assertEqual(resources(dump), resources(self.dump(self.dir("copy"))))

    def test_rfc7252_5_10_7_no_child_is_made_that_cannot_be_named(self):
        with self.serve(self.data) as d, Client(d.port) as c:
            answer = self.ask(c, POST, [b"\xff" * 255] * 3 + [b"\xff" * 240], b"child")
            self.assertEqual(answer[1], CREATED)
            self.assertEqual(sum(n == 8 for n, _ in daemon.options_of(answer)), 5)
            self.assertEqual(self.ask(c, POST, [b"\xff" * 255] * 4, b"child")[1], BAD_REQUEST)
            self.assertEqual(d.stop()[0], 0)
        self.assertEqual(len(resources(self.dump(self.data))), 1)


class KeysOfLmdb(Keys):
    engine = ("--store", "lmdb")


class Load(Case):
    def head(self, **more):
        return json.dumps({"copald_dump": 1, "revision": 9, **more})

    def refused(self, *lines, where="new"):
        code, _, err = run("--load", self.dir(where), data="\n".join(lines) + "\n")
        self.assertEqual(code, 1)
        return err

    def test_non_empty_is_refused_without_merge(self):
        self.fill()
        lines = (self.head(), '{"path":"/bin","text":"m"}', '{"path":"/new","text":"n"}',
                 '{"end":true,"resources":2}')
        before = resources(self.dump(self.data))
        self.assertIn("--merge", self.refused(*lines, where="data"))
        self.assertEqual(before.keys() - {"/short"},  # ends in between, or has
                         resources(self.dump(self.data)).keys() - {"/short"})
        code, out, err = run("--load", self.data, "--merge", data="\n".join(lines))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("1 resources loaded, 1 replaced", out)
        self.assertIn("revisions new", out)
        found = resources(self.dump(self.data))
        self.assertEqual((found["/bin"]["text"], found["/new"]["text"]), ("m", "n"))
        highest = max(line["revision"] for line in before.values())
        self.assertGreater(found["/bin"]["revision"], highest)
        self.assertEqual(run("--check", self.data)[0], 0)

    def test_truncated_input_loads_nothing(self):
        self.fill()
        dump = self.dump(self.data)
        for end in range(0, len(dump) - 2, 97):
            code, _, err = run("--load", self.dir("new"), data=dump[:end])
            self.assertEqual(code, 1)
            self.assertRegex(err, r"line \d+: .*nothing was loaded")
        if os.path.exists(self.dir("new")):
            self.assertEqual(resources(self.dump(self.dir("new"))), {})

    def test_mistakes_name_line_and_member(self):
        end = '{"end":true,"resources":1}'
        good = '{"path":"/a","text":"x"}'
        for line, what in (
                ('{"path":"/a","text":"x"', "line 2: no JSON object"),
                ('{"path":"a","text":"x"}', 'line 2: "path"'),
                ('{"path":"/a b","text":"x"}', 'line 2: "path"'),
                ('{"path":"/%61","text":"x"}', 'line 2: "path"'),
                ('{"path":"/a/../b","text":"x"}', 'line 2: "path"'),
                ('{"path":"/.","text":"x"}', 'line 2: "path"'),
                ('{"path":"/' + "s" * 256 + '","text":"x"}', 'line 2: "path"'),
                ('{"text":"x"}', 'line 2: "path" is missing'),
                ('{"path":"/a"}', 'line 2: "text" is missing'),
                ('{"path":"/a","base64":"!"}', 'line 2: "base64"'),
                ('{"path":"/a","text":"","base64":""}', 'line 2: "base64"'),
                ('{"path":"/a","text":"x","maxage":1}', 'there is no "maxage"'),
                ('{"path":"/a","text":"x","max_age":-1}', 'line 2: "max_age"'),
                ('{"path":"/a","text":"x","content_format":65535}', 'line 2: "content_format"'),
                ('{"path":"/a","text":"x","revision":10}', 'line 2: "revision"'),
                ('{"path":"/a","text":"x","etag":"12"}', 'line 2: "etag"'),
                ('{"path":"/a","text":"x","attributes":"rt"}', 'line 2: "attributes"'),
                (good + "\n" + good, "line 3: its path is in the dump twice")):
            with self.subTest(line=line):
                self.assertIn(what, self.refused(self.head(), line, end))
        self.assertIn("line 1:", self.refused(good, end))
        self.assertIn("line 3: the last line counts", self.refused(self.head(), good,
                                                                   '{"end":true,"resources":2}'))
        self.assertIn("line 4:", self.refused(self.head(), good, end, good))
        self.assertEqual(resources(self.dump(self.dir("new"))), {})

    def test_limits_of_the_configuration_are_those_of_a_load(self):
        config = self.dir("small.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write("resources = { count = 2; body = 100; path = 20; };\n")
        def load(*lines, where="new"):
            text = "\n".join([self.head(), *lines, '{"end":true,"resources":%d}' % len(lines)]) + "\n"
            return run("--config", config, "--load", self.dir(where), "--merge", data=text)
        one, two, three = ('{"path":"/%s","text":"x"}' % name for name in ("a", "b", "c"))
        large = json.dumps({"path": "/l", "text": "x" * 101})
        self.assertIn("line 3: its size of 101 exceeds resources.body = 100", load(one, large)[2])
        long = json.dumps({"path": "/" + "p" * 20, "text": "x"})
        self.assertIn("line 2: its path of 21 exceeds resources.path = 20", load(long)[2])
        self.assertIn("line 4: resource number 3 exceeds resources.count = 2",
                      load(one, two, three)[2])
        self.assertEqual(resources(self.dump(self.dir("new"))), {})
        self.assertEqual(load(one, two)[0], 0)
        self.assertIn("line 2: resource number 3", load(three)[2])
        self.assertEqual(load(two)[0], 0)
        self.assertEqual(resources(self.dump(self.dir("new"))).keys(), {"/a", "/b"})

    def test_a_directory_in_use_is_refused(self):
        with self.serve(self.data) as d:
            err = self.refused(self.head(), '{"end":true,"resources":0}', where="data")
            self.assertIn("in use by another copald", err)
            d.stop()


class Damage(Case):
    def test_damaged_record_is_named_and_left_out(self):
        self.fill()
        path = os.path.join(self.data, "data.mdb")
        with open(path, "r+b") as f:
            data = f.read()
            at = data.find(BINARY)
            self.assertGreater(at, 0)
            while at >= 0:
                f.seek(at + 9)
                f.write(b"?")
                at = data.find(BINARY, at + 1)
        code, out, err = run("--dump", self.data)
        self.assertEqual(code, 1)
        self.assertIn("/bin: its record is damaged", err)
        self.assertNotIn("/bin", resources(out))
        self.assertIn("/text", resources(out))

    def test_a_page_that_makes_no_sense_is_named_by_all(self):
        with self.serve(self.data) as d, Client(d.port) as c:
            for i in range(40):
                self.assertEqual(c.ask(PUT, f"/k/{i:02}", b"body %02d " % i + b"x" * 900)[1], CREATED)
            self.assertEqual(d.stop()[0], 0)
        page, leaf = 4096, b"\x02\x00"
        with open(os.path.join(self.data, "data.mdb"), "r+b") as f:
            content = f.read()
            at = content.find(b"body 39 ")
            while at >= 0:
                flags = at // page * page + 10
                if content[flags:flags + 2] == leaf:
                    f.seek(flags)
                    f.write(bytes(2))
                at = content.find(b"body 39 ", at + 1)
        for args in (("--check", self.data), ("--dump", self.data)):
            code, _, err = run(*args)
            self.assertEqual(code, 1)
            self.assertIn(f"{self.data}: data.mdb is damaged: ", err)
        code, _, err = run("--data", self.data, "--listen", "coap://127.0.0.1:0")
        self.assertEqual(code, -signal.SIGABRT)
        self.assertIn(f"{self.data}: data.mdb is damaged: ", err)

    def test_no_data_directory(self):
        for action in (("--dump", self.dir("no")), ("--backup", self.dir("no"), self.dir("to"))):
            code, out, err = run(*action)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("is no data directory", err)
        self.assertFalse(os.path.exists(self.dir("to")))

    def test_a_database_with_nothing_in_it(self):
        self.fill()
        os.truncate(os.path.join(self.data, "data.mdb"), 0)
        for action in ("--check", "--dump"):
            code, out, err = run(action, self.data)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("data.mdb is empty", err)

    def test_full_output_is_an_error(self):
        self.fill()
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([daemon.COPALD, "--dump", self.data], stdout=full, text=True,
                                  stderr=subprocess.PIPE, timeout=daemon.WAIT_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)


class Backup(Case):
    def test_copy_is_the_same_and_gives_out_other_entity_tags(self):
        self.fill()
        copy = self.dir("copy")
        code, _, err = run("--backup", self.data, copy)
        self.assertEqual((code, err), (0, ""))
        before, after = resources(self.dump(self.data)), resources(self.dump(copy))
        before["/long"].pop("lifetime_left")
        after["/long"].pop("lifetime_left")
        before.pop("/short", None)
        after.pop("/short", None)
        self.assertEqual(before, after)
        self.assertEqual(run("--check", copy)[0], 0)
        tags = []
        for where in (self.data, copy):
            with self.serve(where) as d, Client(d.port) as c:
                self.assertEqual(c.ask(PUT, "/bin", where.encode())[1], CHANGED)
                tags.append(option_of(c.ask(GET, "/bin"), 4))
                d.stop()
        self.assertNotEqual(*tags)

    def test_copy_while_writes_go_on_is_a_state_that_was(self):
        """One writer, in order: the copy has all writes up to some one, and none behind it."""
        done, count = threading.Event(), [0]
        with self.serve(self.data) as d, Client(d.port) as c:
            def write():
                while not done.is_set():
                    c.ask(PUT, f"/n{count[0] % 50}", str(count[0]).encode())
                    count[0] += 1
            writer = threading.Thread(target=write)
            writer.start()
            bounds = []
            try:
                for i in range(3):
                    while count[0] < 60 * (i + 1):
                        time.sleep(0.01)
                    low = count[0]
                    code, _, err = run("--backup", self.data, self.dir(f"copy{i}"))
                    self.assertEqual((code, err), (0, ""))
                    bounds.append((low, count[0] + 1))
            finally:
                done.set()
                writer.join()
            d.stop()
        for i, (low, high) in enumerate(bounds):
            values = sorted(int(r["text"]) for r in resources(self.dump(self.dir(f"copy{i}"))).values())
            self.assertEqual(values, list(range(values[-1] - 49, values[-1] + 1)))
            self.assertTrue(low - 1 <= values[-1] <= high, (low, values[-1], high))
            self.assertEqual(run("--check", self.dir(f"copy{i}"))[0], 0)

    def test_target_with_something_in_it_is_left_alone(self):
        self.fill()
        os.mkdir(self.dir("full"))
        with open(os.path.join(self.dir("full"), "mine"), "w", encoding="utf-8"):
            pass
        code, _, err = run("--backup", self.data, self.dir("full"))
        self.assertEqual(code, 1)
        self.assertIn("no empty directory", err)
        self.assertEqual(os.listdir(self.dir("full")), ["mine"])

    def test_what_only_the_journal_has_is_in_dump_and_copy(self):
        """After SIGKILL, with changes that no checkpoint has: made, replaced, deleted, kept."""
        self.fill()
        with self.serve(self.data, "--store", "journal") as d, Client(d.port) as c:
            self.assertEqual(c.ask(PUT, "/a first", b"1")[1], CREATED)
            self.assertEqual(c.ask(PUT, "/text", b"newer")[1], CHANGED)
            self.assertEqual(c.ask(DELETE, "/bin")[1], DELETED)
            self.assertEqual(c.ask(PUT, "/zz last", b"1")[1], CREATED)
            self.assertEqual(c.ask(PUT, "/zz last", b"2" * 1000)[1], CHANGED)
            d.process.kill()
            d.process.wait()
        self.assertIn("the journal has", run("--check", self.data)[1])
        before = resources(self.dump(self.data))
        self.assertEqual(before["/a%20first"]["text"], "1")
        self.assertEqual(before["/text"]["text"], "newer")
        self.assertNotIn("/bin", before)
        self.assertEqual(before["/zz%20last"]["text"], "2" * 1000)
        self.assertEqual(before["/long"]["text"], "stays")
        self.assertEqual(list(before), sorted(before, key=str.encode))
        before.pop("/short", None)  # ends in between, or has
        self.assertEqual(run("--backup", self.data, self.dir("copy"))[0], 0)
        after = resources(self.dump(self.dir("copy")))
        after.pop("/short", None)
        self.assertEqual(after.keys(), before.keys())
        for path, line in after.items():
            line.pop("lifetime_left", None), before[path].pop("lifetime_left", None)
            self.assertEqual(line, before[path])
        self.assertEqual(run("--check", self.dir("copy"))[0], 0)
        with self.serve(self.dir("copy")) as d, Client(d.port) as c:
            self.assertEqual(daemon.payload_of(c.ask(GET, "/text")), b"newer")
            self.assertEqual(d.stop()[0], 0)


class Crashed(Case):
    """A directory whose journal was left open by a copald that was killed."""

    def crash(self, *args):
        with self.serve(self.data, *args) as d, Client(d.port) as c:
            for i in range(50):
                self.assertEqual(c.ask(PUT, f"/kept/{i}", b"acknowledged %d" % i)[1], CREATED)
            self.assertEqual(c.ask(PUT, "/kept/7", b"newer")[1], CHANGED)
            self.assertEqual(c.ask(DELETE, "/kept/8")[1], DELETED)
            d.process.kill()
            d.process.wait()


class LoadAfterCrash(Crashed):
    def load(self, *args, lines):
        return run("--load", self.data, *args, data="\n".join(lines) + "\n")

    def check_kept(self, found):
        self.assertEqual(len([p for p in found if p.startswith("/kept/")]), 49)
        self.assertEqual(found["/kept/7"]["text"], "newer")
        self.assertEqual(found["/kept/9"]["text"], "acknowledged 9")

    def test_load_recovers_what_was_acknowledged(self):
        self.crash()
        lines = ['{"copald_dump":1,"revision":9}', '{"path":"/kept/9","text":"loaded"}',
                 '{"path":"/new","text":"1"}', '{"end":true,"resources":2}']
        code, _, err = self.load(lines=lines)
        self.assertEqual(code, 1)
        self.assertRegex(err, r"left open; recovered [1-9]\d* batches")
        self.assertIn("holds resources", err)
        self.check_kept(resources(self.dump(self.data)))
        code, out, err = self.load("--merge", lines=lines)
        self.assertEqual((code, err), (0, ""))  # once is enough
        self.assertIn("1 resources loaded, 1 replaced", out)
        found = resources(self.dump(self.data))
        self.assertEqual(found["/kept/9"]["text"], "loaded")
        self.assertEqual(found["/new"]["text"], "1")
        self.assertEqual(found["/kept/7"]["text"], "newer")
        self.assertEqual(run("--check", self.data)[0], 0)

    def test_recovery_and_merge_in_one_go(self):
        self.crash()
        code, out, err = self.load("--merge", lines=[
            '{"copald_dump":1,"revision":9}', '{"path":"/new","text":"1"}',
            '{"end":true,"resources":1}'])
        self.assertEqual(code, 0, err)
        self.assertIn("left open", err)
        self.assertIn("1 resources loaded, 0 replaced", out)
        with self.serve(self.data) as d, Client(d.port) as c:
            self.assertEqual(daemon.payload_of(c.ask(GET, "/kept/7")), b"newer")
            self.assertEqual(c.ask(GET, "/kept/8")[1], NOT_FOUND)
            self.assertEqual(daemon.payload_of(c.ask(GET, "/new")), b"1")
            self.assertEqual(d.stop()[0], 0)

    def test_recovery_keeps_the_past_without_knowing_how_much(self):
        config = self.dir("history.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write("resources = { history = 10; }\n")
        with self.serve(self.data, "--config", config) as d, Client(d.port) as c:
            for value in (b"first", b"second", b"third"):
                self.assertIn(c.ask(PUT, "/h", value)[1], (CREATED, CHANGED))
            d.process.kill()
            d.process.wait()
        self.assertEqual(self.load(lines=['{"copald_dump":1,"revision":9}',
                                          '{"end":true,"resources":0}'])[0], 1)
        with self.serve(self.data, "--config", config) as d, Client(d.port) as c:
            answer = c.ask(GET, "/h", query=["history"])
            for value in (b"first", b"second", b"third"):
                self.assertIn(value, answer)
            self.assertEqual(d.stop()[0], 0)

    def test_damaged_journal_is_named_and_nothing_is_loaded(self):
        self.crash()
        journal = os.path.join(self.data, "journal")
        for name in os.listdir(journal):
            if name.endswith(".seg"):
                os.unlink(os.path.join(journal, name))
        code, _, err = self.load("--merge", lines=[
            '{"copald_dump":1,"revision":9}', '{"path":"/new","text":"1"}',
            '{"end":true,"resources":1}'])
        self.assertEqual(code, 1)
        self.assertIn("the journal is missing", err)


class JournalAhead(Case):
    """A data.mdb that was closed, put back beside a journal that has gone on without it."""

    def setUp(self):
        super().setUp()
        with self.serve(self.data) as d, Client(d.port) as c:
            self.assertEqual(c.ask(PUT, "/a", b"1")[1], CREATED)
            self.assertEqual(d.stop()[0], 0)
        shutil.copy(os.path.join(self.data, "data.mdb"), self.dir("old.mdb"))
        with self.serve(self.data) as d, Client(d.port) as c:
            self.assertEqual(c.ask(PUT, "/b", b"2")[1], CREATED)
            d.stop(signal.SIGKILL)
        shutil.copy(self.dir("old.mdb"), os.path.join(self.data, "data.mdb"))

    def refused(self, *args, data=""):
        code, out, err = run(*args, data=data)
        self.assertEqual(code, 1, err)
        for part in (self.data[:90], ".seg", "data.mdb does not know of", "copald --drop-journal DIR"):
            self.assertIn(part, err)
        return out

    def test_every_command_refuses_it(self):
        self.assertEqual(self.refused("--dump", self.data), "")
        self.refused("--backup", self.data, self.dir("copy"))
        self.assertFalse(os.path.exists(self.dir("copy")))
        self.refused("--check", self.data)
        dump = '{"copald_dump":1}\n{"path":"/z","text":"x"}\n{"end":true,"resources":1}\n'
        self.refused("--load", self.data, "--merge", data=dump)
        for store in ("journal", "lmdb"):
            self.refused("--data", self.data, "--store", store, "--listen", "coap://127.0.0.1:0")

    def test_dropping_it_goes_on_without_it(self):
        code, out, err = run("--drop-journal", self.data)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"goes on with 1 resources.*kept as journal\.dropped-\d+")
        self.assertEqual(run("--check", self.data)[0], 0)
        self.assertEqual(resources(self.dump(self.data)).keys(), {"/a"})


class DropJournal(Crashed):
    """Ways on when the journal of a copald that was killed cannot be read."""

    def segments(self):
        journal = os.path.join(self.data, "journal")
        return sorted(os.path.join(journal, n) for n in os.listdir(journal) if n.endswith(".seg"))

    def drop(self):
        code, out, err = run("--drop-journal", self.data)
        self.assertEqual((code, err), (0, ""))
        return out

    def damages(self):
        yield "is missing", lambda: shutil.rmtree(os.path.join(self.data, "journal"))
        yield "is missing", lambda: os.unlink(self.segments()[-1])
        yield "has lost its end", lambda: os.truncate(self.segments()[-1], 8192)
        yield "the header of", lambda: os.truncate(self.segments()[-1], 100)

    def test_what_data_mdb_has_goes_on(self):
        for why, damage in self.damages():
            with self.subTest(why=why):
                shutil.rmtree(self.data, ignore_errors=True)
                with self.serve(self.data) as d, Client(d.port) as c:
                    self.assertEqual(c.ask(PUT, "/old", b"1")[1], CREATED)
                    self.assertEqual(d.stop()[0], 0)
                self.crash()
                damage()
                code, _, err = run("--check", self.data)
                self.assertEqual(code, 1)
                self.assertIn(why, err)
                self.assertIn("copald --drop-journal DIR", err)
                self.drop()
                self.assertEqual(run("--check", self.data)[0], 0)
                with self.serve(self.data) as d, Client(d.port) as c:
                    self.assertEqual(c.ask(GET, "/old")[1], CONTENT)
                    self.assertEqual(c.ask(PUT, "/new", b"1")[1], CREATED)
                    self.assertEqual(d.stop()[0], 0)

    def test_entity_tags_that_are_lost_do_not_come_again(self):
        tags = set()
        with self.serve(self.data) as d, Client(d.port) as c:
            d.stop()
        for _ in range(2):
            with self.serve(self.data) as d, Client(d.port) as c:
                for i in range(10):
                    tags.add(option_of(c.ask(PUT, "/x", b"%d" % i), 4) or option_of(c.ask(GET, "/x"), 4))
                d.process.kill()
                d.process.wait()
            os.truncate(self.segments()[-1], 100)
            self.drop()
        self.assertEqual(len(tags), 20)

    def test_one_that_can_be_read_is_kept(self):
        self.crash()
        code, out, err = run("--drop-journal", self.data)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("can be read; start copald", err)
        before = self.dump(self.data)
        self.assertGreater(len(resources(before)), 0)
        with self.serve(self.data) as d:
            self.assertEqual(d.stop()[0], 0)
        self.assertEqual(resources(self.dump(self.data)), resources(before))
        code, out, err = run("--drop-journal", self.data)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("nothing to drop", err)

    def test_one_in_use_is_left_alone(self):
        with self.serve(self.data) as d:
            code, _, err = run("--drop-journal", self.data)
            self.assertEqual(code, 1)
            self.assertIn("in use by another copald", err)
            self.assertEqual(d.stop()[0], 0)

    def test_no_data_directory_is_made(self):
        code, _, err = run("--drop-journal", self.dir("no"))
        self.assertEqual(code, 1)
        self.assertIn("is no data directory", err)
        self.assertFalse(os.path.exists(self.dir("no")))


class BackupOfLmdb(Backup):
    """The same beside a copald without a journal."""

    engine = ("--store", "lmdb")


class Usage(Case):
    def test_wrong_usage(self):
        for args in (("--dump",), ("--merge",), ("--dump", "a", "--merge"), ("--backup", "a"),
                     ("--backup", "a", "b", "c"), ("--dump", "a", "--load", "b"),
                     ("--drop-journal",), ("--drop-journal", "a", "--check", "a"),
                     ("--dump", "a", "b")):
            with self.subTest(args=args):
                self.assertEqual(run(*args)[0], 2)


if __name__ == "__main__":
    unittest.main()
