# SPDX-License-Identifier: Apache-2.0
"""What clients notice when copald ends and starts again, in order or by a crash. docs/restart.md."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from daemon import ACK, CON, CONTENT, COPALD, CREATED, GET, POST, PUT, RST, WAIT_S, Daemon, \
    client, events, exchange, options_of, payload_of, ports, response

BUILD = os.path.dirname(COPALD)
CHANGED, FETCH, PATCH = 0x44, 5, 6
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, UNAVAILABLE = 0x81, 0x83, 0x84, 0xA3
CONTINUE, INCOMPLETE = 0x5F, 0x88
OBSERVE, LOCATION_PATH, URI_PATH, CONTENT_FORMAT, URI_QUERY, BLOCK1 = 6, 8, 11, 12, 15, 27
JSON, JSON_PATCH, SENML, SENML_ETCH = 50, 51, 110, 320
LIBCOAP = shutil.which("coap-client-notls")
ORDER, CRASH = signal.SIGTERM, signal.SIGKILL
QUIET_S = 1.5
SETTLE_S = 0.7  # the end of a registration is written behind the response
SHORT_PATIENCE = "transmission:\n{ ack_timeout = \"1s\"; max_retransmit = 2; };\n"


def encode(pairs):
    """Options with numbers and lengths below 269."""
    out, last = b"", 0
    for number, value in sorted(pairs, key=lambda p: p[0]):
        head, more = 0, b""
        for shift, n in ((4, number - last), (0, len(value))):
            head |= min(n, 13) << shift
            more += bytes([n - 13]) if n >= 13 else b""
        out += bytes([head]) + more + value
        last = number
    return out


def message(code, path, mid, token=b"zz", kind=CON, pairs=(), payload=b""):
    pairs = [(URI_PATH, p.encode()) for p in path.split("/")] + list(pairs)
    head = bytes([0x40 | kind << 4 | len(token), code, mid >> 8, mid & 255]) + token
    return head + encode(pairs) + (b"\xff" + payload if payload else b"")


def is_newer(v1, v2):
    """Whether v2 follows v1. RFC 7641 section 3.4."""
    return v1 < v2 and v2 - v1 < 1 << 23 or v1 > v2 and v1 - v2 > 1 << 23


class Notification:
    def __init__(self, raw):
        self.kind, self.code = raw[0] >> 4 & 3, raw[1]
        self.mid, self.token = raw[2:4], raw[4:4 + (raw[0] & 15)]
        observe = [v for n, v in options_of(raw) if n == OBSERVE]
        self.number = int.from_bytes(observe[0], "big") if observe else None
        self.payload = payload_of(raw)


class Observer:
    """A client that keeps its socket while the server comes and goes."""

    def __init__(self, test, port, path, code=GET, token=b"zz", pairs=(), payload=b""):
        self.test = test
        self.socket = client()
        test.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.peer = ("127.0.0.1", port)
        self.token = token
        self.heard = set()
        self.socket.sendto(message(code, path, 1, token, pairs=[(OBSERVE, b""), *pairs],
                                   payload=payload), self.peer)
        first = self.hear()
        test.assertEqual(first.code, CONTENT)
        test.assertIsNotNone(first.number)
        self.number = first.number

    def hear(self, wait=WAIT_S, answer=ACK):
        """The next notification; None: there was none. Who answers hears a repetition once."""
        self.socket.settimeout(wait)
        try:
            while True:
                raw, peer = self.socket.recvfrom(2048)
                if peer != self.peer or raw[1] == 0:
                    continue  # a stranger's, or the response to a request comes separately
                n = Notification(raw)
                if n.kind == CON and answer is not None or answer == RST:
                    self.socket.sendto(bytes([0x40 | answer << 4, 0]) + n.mid, self.peer)
                if answer is None or raw not in self.heard:
                    self.heard.add(raw)
                    return n
        except TimeoutError:
            return None

    def expect(self, payload):
        """Hears notifications up to one with this payload, each newer than the last; returns all."""
        heard, end = [], time.monotonic() + WAIT_S
        while time.monotonic() < end:
            n = self.hear()
            if n is None:
                break
            self.test.assertEqual((n.token, n.code), (self.token, CONTENT))
            self.test.assertTrue(is_newer(self.number, n.number), (self.number, n.number))
            self.number = n.number
            heard.append(n)
            if n.payload == payload:
                return heard
        raise AssertionError(f"no {payload} among {[n.payload for n in heard]}")


class Bed(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="copald-restart-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.config = os.path.join(self.dir, "conf")
        self.data = os.path.join(self.dir, "data")
        self.mid = 100
        self.daemon = None
        self.last_log = ""

    def tearDown(self):
        if self.daemon is not None:
            self.daemon.__exit__()

    def start(self, *args, port=None):
        self.args = args
        self.daemon = Daemon("--data", self.data, "--log-format", "json", *args,
                             listen=(f"coap://127.0.0.1:{port or ports.reserve()}",))
        self.assertIn("ready", self.daemon.ready)
        self.port = self.daemon.port

    def restart(self, how, settle=SETTLE_S):
        time.sleep(settle)
        status, _, self.last_log = self.daemon.stop(how)
        self.assertEqual(status, 0 if how == ORDER else -how, self.last_log)
        self.start(*self.args, port=self.port)

    def metrics(self):
        """The counters of the running server."""
        self.daemon.err = self.daemon.err.replace('"event":"metrics"', '"event":"read"')
        self.daemon.send_signal(signal.SIGUSR1)
        return self.daemon.wait_for_event("metrics")

    def wait_until_ended(self, observer):
        """Waits until the server has no relation left, and until its disk knows. One that ends within
        the first moments of a start, before its record is gone, may be restored once more: the client
        rejects its notification. RFC 7641 section 3.5."""
        end = time.monotonic() + WAIT_S
        while self.metrics()["relations"] > 0:
            self.assertLess(time.monotonic(), end)
            observer.hear(wait=0.05, answer=RST)
        self.metrics()  # the shard has gone on since
        self.put("behind", b"it")

    def counters(self):
        """Ends the daemon in order; what it has counted since it started."""
        status, _, log = self.daemon.stop()
        self.assertEqual(status, 0, log)
        found = {}
        for entry in events(log):
            found.update(entry)
        self.daemon = None
        return found

    def say(self, *args, via=None, **more):
        """One request in a datagram of its own; the whole answer."""
        return self.send(message(*args, **more), via)

    def send(self, datagram, via=None):
        s = via or client()
        try:
            s.settimeout(WAIT_S)
            s.sendto(datagram, ("127.0.0.1", self.port))
            return response(s, ("127.0.0.1", self.port))
        finally:
            if via is None:
                s.close()

    def put(self, path, value, format=0):
        self.mid += 1
        answer = self.say(PUT, path, self.mid, pairs=[
            (CONTENT_FORMAT, bytes([format]) if format else b"")], payload=value)
        self.assertIn(answer[1], (CREATED, CHANGED))

    def get(self, path, pairs=()):
        self.mid += 1
        answer = self.say(GET, path, self.mid, pairs=pairs)
        self.assertEqual(answer[1], CONTENT)
        return payload_of(answer)

    def children(self, path):
        links = self.get(".well-known/core", [(URI_QUERY, f"href=/{path}/*".encode())])
        return re.findall(rb"<([^>]*)>", links)


class RestartTest(Bed):
    def go_on(self, how):
        """An observation through a restart of that kind, twice."""
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.put("t", b"2")
        observer.expect(b"2")
        for value in (b"3", b"4"):
            self.restart(how)
            before = b"%d" % (int(value) - 1)
            first = observer.expect(before)[0]
            self.assertEqual((first.kind, first.payload), (CON, before))
            self.put("t", value)
            observer.expect(value)
        self.assertEqual(self.counters().get("registrations_restored", 0), 1)

    def test_rfc7641_4_1_an_observation_goes_on_after_an_orderly_restart(self):
        self.go_on(ORDER)

    def test_rfc7641_4_1_an_observation_goes_on_after_a_crash(self):
        self.go_on(CRASH)

    def test_rfc7641_4_4_sequence_numbers_move_forward_through_crashes_in_a_row(self):
        self.start()
        self.put("t", b"x")
        observer = Observer(self, self.port, "t")
        for i in range(20):
            self.put("t", b"%d" % i)
        observer.expect(b"19")
        for _ in range(3):
            self.restart(CRASH)
            observer.expect(b"19")

    def test_a_change_that_a_crash_follows_is_notified(self):
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.put("t", b"2")
        self.restart(CRASH)
        observer.expect(b"2")

    def test_an_observation_survives_a_crash_right_behind_its_answer(self):
        self.start()
        self.put("t", b"1")
        all_of_them = []
        for _ in range(6):
            all_of_them += [Observer(self, self.port, "t", token=bytes([i])) for i in range(5)]
            self.restart(CRASH, settle=0)
        for observer in all_of_them:
            observer.expect(b"1")
        self.put("t", b"2")
        for observer in all_of_them:
            observer.expect(b"2")
        self.assertEqual(self.counters().get("registrations_restored", 0), 30)

    def load(self, *lines):
        """Changes what is stored while nobody serves it."""
        head, end = {"copald_dump": 1, "revision": 0}, {"end": True, "resources": len(lines)}
        done = subprocess.run([COPALD, "--load", self.data, "--merge"], capture_output=True,
                              text=True, timeout=WAIT_S, check=False,
                              input="".join(json.dumps(line) + "\n" for line in [head, *lines, end]))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_rfc7641_4_2_what_changed_while_nobody_served_is_notified(self):
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.daemon.stop()  # in order: what is not checkpointed cannot be changed by another program
        self.load({"path": "/t", "text": "2", "content_format": 0})
        self.start(port=self.port)
        self.assertEqual(observer.expect(b"2")[0].kind, CON)

    def test_rfc7641_4_2_what_ended_while_nobody_served_is_told(self):
        self.start()
        answer = self.say(PUT, "t", 5, pairs=[(URI_QUERY, b"lt=5")], payload=b"1")
        self.assertEqual(answer[1], CREATED)
        observer = Observer(self, self.port, "t")
        self.daemon.stop(CRASH)
        time.sleep(5.5)
        self.start(port=self.port)
        n = observer.hear()
        self.assertEqual((n.kind, n.code, n.token), (CON, NOT_FOUND, observer.token))
        self.assert_forgotten(observer)

    def test_rfc7641_4_2_rules_that_changed_meanwhile_end_an_observation(self):
        rules = os.path.join(self.dir, "rules")

        def allow(what):
            with open(rules, "w", encoding="utf-8") as f:
                f.write(f"{what}\ndefault allow\n")

        allow("")
        self.start("--access", rules)
        self.put("t", b"1")
        self.put("u", b"1")
        denied, allowed = Observer(self, self.port, "t"), Observer(self, self.port, "u")
        allow("deny anyone observe /t")
        self.restart(CRASH)
        n = denied.hear()
        self.assertIn(n.code, (UNAUTHORIZED, FORBIDDEN))
        self.assertEqual((n.token, n.number), (denied.token, None))
        allowed.expect(b"1")
        self.put("t", b"2")
        self.assertIsNone(denied.hear(wait=QUIET_S))
        counters = self.counters()
        self.assertEqual((counters["registrations_disallowed"], counters["registrations_restored"]),
                         (1, 1))
        self.start("--access", rules, port=self.port)
        allowed.expect(b"1")
        self.assertIsNone(denied.hear(wait=QUIET_S))

    def test_rfc7641_4_1_what_cannot_be_kept_is_not_promised(self):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write('resources = { disk = "4 MiB" }\n')
        self.start("--config", self.config)
        self.put("t", b"1")
        self.filled = 0
        observer = client()
        self.addCleanup(observer.close)
        end = time.monotonic() + WAIT_S
        while True:  # a checkpoint may make room after all
            self.fill_up()
            answer = self.say(GET, "t", self.filled, via=observer, pairs=[(OBSERVE, b"")])
            self.assertEqual((answer[1], payload_of(answer)), (CONTENT, b"1"))
            if not [v for n, v in options_of(answer) if n == OBSERVE]:
                break
            self.assertLess(time.monotonic(), end)
            self.say(GET, "t", 0x8000 + self.filled, via=observer, pairs=[(OBSERVE, b"\1")])
        counters = self.counters()
        self.assertEqual((counters["registrations_unsaved"], counters["relations"]), (1, 0))

    def fill_up(self):
        """Writes until not even a small representation has room."""
        size = 1000
        while size > 0:
            self.filled += 1
            answer = self.say(PUT, f"fill/{self.filled}", self.filled & 0x7fff,
                              payload=b"x" * size)
            self.assertIn(answer[1], (CREATED, UNAVAILABLE))
            size = size // 2 if answer[1] == UNAVAILABLE else size

    def test_several_observers_go_on_each_with_its_token(self):
        self.start()
        self.put("t", b"1")
        all_of_them = [Observer(self, self.port, "t", token=bytes([i] * (i % 9))) for i in range(1, 30)]
        self.restart(CRASH)
        for observer in all_of_them:
            observer.expect(b"1")
        self.put("t", b"2")
        for observer in all_of_them:
            observer.expect(b"2")

    def assert_forgotten(self, observer):
        self.wait_until_ended(observer)
        self.restart(CRASH)
        self.assertIsNone(observer.hear(wait=QUIET_S))
        self.assertEqual(self.counters().get("registrations_restored", 0), 0)

    def test_rfc7641_4_5_an_observer_that_resets_is_forgotten_for_good(self):
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.restart(CRASH)
        self.assertEqual(observer.hear(answer=RST).kind, CON)
        self.assert_forgotten(observer)

    def test_rfc7641_3_6_a_deregistration_is_remembered(self):
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        answer = self.say(GET, "t", 2, via=observer.socket, pairs=[(OBSERVE, b"\1")])
        self.assertEqual(answer[1], CONTENT)
        self.assert_forgotten(observer)

    def test_rfc7641_4_5_a_silent_observer_is_forgotten_for_good(self):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(SHORT_PATIENCE)
        self.start("--config", self.config)
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.restart(CRASH)
        heard = 0
        while observer.hear(wait=12, answer=None) is not None:
            heard += 1
        self.assertGreater(heard, 1)
        self.assert_forgotten(observer)

    def test_an_observation_of_what_is_deleted_ends_and_stays_ended(self):
        self.start()
        self.put("t", b"1")
        observer = Observer(self, self.port, "t")
        self.mid += 1
        self.assertEqual(self.say(4, "t", self.mid)[1], 0x42)
        self.assertEqual(observer.hear().code, 0x84)
        self.assert_forgotten(observer)

    def test_a_conditional_observation_goes_on_with_its_conditions(self):
        for how in (ORDER, CRASH):
            with self.subTest(how=how.name):
                self.start()
                self.put("t", b"1")
                observer = Observer(self, self.port, "t", pairs=[(URI_QUERY, b"c.gt=10")])
                self.restart(how)
                while observer.hear(wait=QUIET_S) is not None:
                    pass  # the first one may come, whatever the condition
                self.put("t", b"5")
                heard = []
                while (n := observer.hear(wait=QUIET_S)) is not None:
                    heard.append(n.payload)
                self.put("t", b"20")
                heard += [n.payload for n in observer.expect(b"20")]
                self.assertNotIn(b"5", heard)
                self.counters()

    def test_an_observation_by_fetch_goes_on_with_its_document(self):
        self.start()
        self.put("t", b'[{"n":"a","v":1},{"n":"b","v":1}]', SENML)
        observer = Observer(self, self.port, "t", FETCH, pairs=[
            (CONTENT_FORMAT, SENML_ETCH.to_bytes(2, "big"))], payload=b'[{"n":"a"}]')
        self.restart(CRASH)
        first = observer.hear()
        self.assertEqual((first.kind, first.code), (CON, CONTENT))
        self.assertNotIn(b'"b"', first.payload)
        self.put("t", b'[{"n":"a","v":2},{"n":"b","v":2}]', SENML)
        second = observer.hear()
        self.assertIn(b'"a"', second.payload)
        self.assertIn(b"2", second.payload)
        self.assertNotIn(b'"b"', second.payload)
        self.assertTrue(is_newer(first.number, second.number))

    def test_rfc7252_4_5_post_repeated_after_a_crash_makes_one_child(self):
        self.start()
        with client() as s:
            again = message(POST, "c", 7, payload=b"hello")
            first = self.send(again, s)
            self.assertEqual(first[1], CREATED)
            for _ in range(2):
                self.restart(CRASH, settle=0)
                answer = self.send(again, s)
                self.assertEqual(answer[1], CREATED)
                self.assertEqual([o for o in options_of(answer) if o[0] == LOCATION_PATH],
                                 [o for o in options_of(first) if o[0] == LOCATION_PATH])
            self.assertEqual(len(self.children("c")), 1)
            other = self.send(message(POST, "c", 8, payload=b"hello"), s)
            self.assertEqual(other[1], CREATED)
            self.assertEqual(len(self.children("c")), 2)

    def test_rfc7252_4_5_patch_repeated_after_a_crash_is_applied_once(self):
        self.start()
        self.put("j", b"[1]", JSON)
        with client() as s:
            again = message(PATCH, "j", 9, pairs=[(CONTENT_FORMAT, bytes([JSON_PATCH]))],
                            payload=b'[{"op":"add","path":"/-","value":2}]')
            self.assertEqual(self.send(again, s)[1], CHANGED)
            self.restart(CRASH, settle=0)
            self.assertEqual(self.send(again, s)[1], CHANGED)
        self.assertEqual(re.sub(rb"\s", b"", self.get("j")), b"[1,2]")

    def test_rfc7252_4_5_replies_are_replayed_after_an_orderly_restart(self):
        self.start()
        with client() as s:
            put = message(PUT, "r", 20, payload=b"old")
            post = message(POST, "p", 21, payload=b"x")
            answers = [self.send(put, s), self.send(post, s)]
            self.put("r", b"new")
            self.restart(ORDER)
            self.assertEqual([self.send(put, s), self.send(post, s)], answers)
        self.assertEqual(self.get("r"), b"new")  # the duplicate did not undo it
        self.assertEqual(len(self.children("p")), 1)

    def test_rfc7959_2_9_2_an_upload_that_a_restart_cut_begins_again(self):
        self.start()

        def block(mid, number, more, payload):
            value = number << 4 | more << 3  # SZX 0
            return self.say(PUT, "u", mid, via=s, payload=payload, pairs=[
                (BLOCK1, bytes([value]) if value else b"")])[1]

        with client() as s:
            for how in (ORDER, CRASH):
                self.assertEqual(block(30, 0, 1, b"a" * 16), CONTINUE)
                self.restart(how, settle=0)
                self.assertEqual(block(31, 1, 0, b"b" * 16), INCOMPLETE)
                self.assertEqual(block(32, 0, 1, b"a" * 16), CONTINUE)
                self.assertIn(block(33, 1, 0, b"b" * 16), (CREATED, CHANGED))
                self.assertEqual(self.get("u"), b"a" * 16 + b"b" * 16)
                self.restart(ORDER, settle=0)

    def changes_at_once(self, count):
        """Sends changes that the server finds when it has just started; the codes of the answers, and
        how long it took from the start."""
        began = time.monotonic()
        self.start("--config", self.config)
        self.daemon.send_signal(signal.SIGSTOP)
        with client() as s:
            s.connect(("127.0.0.1", self.port))
            s.settimeout(3)
            tokens = [bytes([1, i >> 8, i & 255]) for i in range(count)]
            asked = {t: message(PUT, "many", i, token=t, payload=b"x") for i, t in enumerate(tokens)}
            for request in asked.values():
                s.send(request)
            self.daemon.send_signal(signal.SIGCONT)
            codes = {}
            while len(codes) < count:
                try:
                    answer = s.recv(2048)
                except TimeoutError:  # more came at once than this socket has room for
                    self.assertLess(time.monotonic() - began, WAIT_S)
                    for token in asked.keys() - codes.keys():
                        s.send(asked[token])
                    continue
                if answer[1] == 0:
                    continue  # the response comes separately
                if answer[0] >> 4 & 3 == CON:
                    s.send(bytes([0x60, 0]) + answer[2:4])
                codes[answer[4:7]] = answer[1]
        took = time.monotonic() - began
        self.counters()
        return set(codes.values()), took

    def test_changes_that_waited_for_the_start_are_not_too_many(self):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write("resources = { pending = 150 }\nserver = { shards = 1 }\n")
        for _ in range(10):
            codes, took = self.changes_at_once(300)
            if took < 4:  # it spares them for five seconds
                self.assertLessEqual(codes, {CREATED, CHANGED})
                return
        self.skipTest("the machine is too slow")

    def test_a_damaged_state_file_is_reported_and_the_server_serves(self):
        self.start()
        self.put("r", b"x")
        self.daemon.stop()
        state = os.path.join(self.data, "state")
        self.assertEqual(os.stat(state).st_mode & 0o777, 0o600)
        with open(state, "r+b") as f:
            f.seek(30)
            f.write(b"\xff\xfe\xfd")
        self.start(port=self.port)
        self.daemon.wait_for_event("state_lost")
        self.assertEqual(self.get("r"), b"x")
        self.assertFalse(os.path.exists(state))


class ClientTest(Bed):
    """Programs that know nothing of a restart."""

    def watch(self, *command):
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        os.set_blocking(p.stdout.fileno(), False)
        return p

    def wait_output(self, p, text):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.output += p.stdout.read() or b""
            if text in self.output:
                return
            time.sleep(0.05)
        raise AssertionError(f"no {text} in {self.output}")

    def follow(self, *command):
        self.output = b""
        p = self.watch(*command)
        self.wait_output(p, b"first")
        for i, how in enumerate((ORDER, CRASH)):
            self.restart(how)
            value = b"after-%d" % i
            self.put("t", value)
            self.wait_output(p, value)
        self.assertEqual(self.counters().get("registrations_restored", 0), 1)

    def test_copal_observe_follows_through_restarts(self):
        self.start()
        self.put("t", b"first")
        self.follow(os.path.join(BUILD, "copal"), "observe", f"coap://127.0.0.1:{self.port}/t")

    @unittest.skipUnless(LIBCOAP, "coap-client-notls is not installed")
    def test_libcoap_follows_through_restarts(self):
        self.start()
        self.put("t", b"first")
        self.follow(LIBCOAP, "-s", str(WAIT_S), "-m", "get", f"coap://127.0.0.1:{self.port}/t")


if __name__ == "__main__":
    unittest.main()
