# SPDX-License-Identifier: Apache-2.0
"""copal load against servers that behave, and against servers that do not: every fault is counted."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest

from harness import (ACK, BLOCK1, BLOCK2, CON, COPAL, ETAG, GET, NON, OBSERVE, PATIENT, PUT, RST, URI_PATH,
                     WAIT_S, Message, Peer, block, closed_port, code, copal, uint)

# Nobody answers, or in the end: four clients wait together.
SILENCE = ("--clients", "4", "--ack-timeout", "0.2", "--max-retransmit", "2", "--timeout", "4")


def load(peer, *args, path="/x"):
    """Runs it; returns the exit status and what the JSON object says."""
    r = copal("load", "--json", "--clients", "1", *PATIENT, *args, peer.uri(path))
    return r.returncode, json.loads(r.stdout)


def faults(seen):
    return {k: v for k, v in seen["faults"].items() if v}


def interrupt(args, is_time):
    """Runs it, and sends SIGINT when it is time; returns the exit status and what was written."""
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            until = time.monotonic() + WAIT_S
            while not is_time() and time.monotonic() < until:
                time.sleep(0.05)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=WAIT_S)
        finally:
            child.kill()
    return child.returncode, out, err


class Requests(unittest.TestCase):
    def test_counts_what_it_sends(self):
        with Peer(lambda m, n: m.reply("2.05", [], b"hello")) as p:
            status, seen = load(p, "-n", "20", "--clients", "4")
        self.assertEqual((status, len(p.received)), (0, 20))
        self.assertEqual((seen["answers"], seen["messages"], seen["body_bytes"]), (20, 20, 100))
        self.assertEqual((seen["codes"], faults(seen)), ({"2.05": 20}, {}))
        self.assertEqual({m.type for m in p.received}, {CON})
        self.assertEqual(len({m.token for m in p.received}), 20)

    def test_a_thread_without_a_request_of_its_own_is_over_at_once(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            for more in ((), ("--rate", "1000")):
                status, seen = load(p, "-n", "3", "--clients", "8", "--threads", "8", *more)
                self.assertEqual((status, seen["answers"], faults(seen)), (0, 3, {}))
        self.assertEqual(len(p.received), 6)

    def test_threads_have_files_of_their_own(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            r = subprocess.run(["sh", "-c", 'ulimit -S -n 300; exec "$0" "$@"', COPAL, "load", "--json", "--clients",
                                "300", "--threads", "64", "-n", "1", *PATIENT, p.uri("/x")],
                               capture_output=True, timeout=WAIT_S, check=False)
        self.assertEqual((r.returncode, r.stderr), (0, b""))

    def test_numbers_stand_in_the_path_in_turn(self):
        with Peer(lambda m, n: m.reply("2.04")) as p:
            status, _ = load(p, "-n", "7", "--paths", "3", "--size", "4", path="/dev/%d")
        self.assertEqual(status, 0)
        self.assertEqual([m.values(URI_PATH)[1] for m in p.received], [b"0", b"1", b"2", b"0", b"1", b"2", b"0"])
        self.assertEqual({(m.code, m.payload) for m in p.received}, {(PUT, b"0123")})

    def test_window_keeps_so_many_under_way(self):
        held = []

        def handler(m, n):
            held.append(m)
            if len(held) < 5:
                return None
            answers = [h.reply("2.05") for h in held]
            held.clear()
            return answers

        with Peer(handler) as p:
            status, seen = load(p, "-n", "10", "--window", "5")
        self.assertEqual((status, faults(seen)), (0, {}))

    def test_rate_is_kept_and_a_pause_counts_against_all_that_it_held_up(self):
        def handler(m, n):
            if n == 20:
                time.sleep(0.4)
            return m.reply("2.05")

        for _ in range(10):
            with Peer(handler) as p:
                status, seen = load(p, "--rate", "100", "--duration", "1", "--warmup", "0")
            self.assertEqual(status, 0)
            # Not more; less only when the machine had no time for the client at the end.
            self.assertLessEqual(seen["answers"], 103)
            if seen["answers"] > 50:
                break
        self.assertGreater(seen["answers"], 50)
        # Of a hundred requests forty were due while the server paused; one was on its way.
        latency, uncorrected = seen["latency"], seen["latency_uncorrected"]
        self.assertGreater(latency["p90_ms"], 100)
        self.assertGreater(latency["max_ms"], 350)
        self.assertEqual(uncorrected["count"], latency["count"])
        self.assertLess(uncorrected["mean_ms"], latency["mean_ms"])

    def test_every_place_of_the_schedule_is_accounted_for(self):
        def handler(m, n):
            time.sleep(0.2)
            return m.reply("2.05")

        with Peer(handler) as p:
            status, seen = load(p, "--rate", "1000", "--duration", "1", "--warmup", "0", "--timeout", "60")
        self.assertEqual(status, 0)
        self.assertLess(seen["answers"], 10)
        self.assertEqual(faults(seen), {"unsent": 1000 - seen["answers"]})

    def test_closed_loop_has_nothing_to_correct(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            _, seen = load(p, "-n", "3")
        self.assertNotIn("latency_uncorrected", seen)
        self.assertEqual((seen["latency"]["count"], seen["ports_changed"]), (3, 0))
        self.assertEqual((seen["method"], seen["is_confirmable"], seen["status"]), ("GET", True, 0))

    def test_timeout_ends_a_confirmable_request_before_its_retransmissions(self):
        with Peer(lambda m, n: None) as p:
            status, seen = load(p, "-n", "2", "--clients", "2", "--timeout", "0.5")
        self.assertEqual((status, faults(seen), len(p.received)), (8, {"timeouts": 2}, 2))

    def test_interrupt_ends_with_the_report(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            args = [COPAL, "load", "--json", *PATIENT, "--duration", "1000", "--warmup", "0", p.uri("/x")]
            status, out, err = interrupt(args, lambda: len(p.received) >= 100)
        seen = json.loads(out)
        self.assertEqual((status, err, seen["is_interrupted"]), (0, b"", True))
        self.assertGreater(seen["answers"], 30)
        self.assertLess(seen["elapsed_s"], 900)

    def test_non_confirmable(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            status, seen = load(p, "-n", "5", "--non")
        self.assertEqual((status, {m.type for m in p.received}), (0, {NON}))

    def test_separate_response_is_acknowledged(self):
        def handler(m, n):
            if m.type != CON or m.code == 0:
                return None
            return [Message(ACK, 0, m.mid), Message(CON, code("2.05"), 4711 + n, m.token)]

        with Peer(handler) as p:
            status, seen = load(p, "-n", "3")
        self.assertEqual((status, seen["answers"], faults(seen)), (0, 3, {}))
        self.assertEqual(sum(m.type == ACK and m.code == 0 for m in p.received), 3)

    def test_people_get_a_table(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            r = copal("load", "-n", "5", "--clients", "1", p.uri("/x"))
        text = r.stdout.decode()
        self.assertIn("GET, confirmable, 1 client with 1 under way each, closed loop, 5 in all\n", text)
        self.assertRegex(text, r"(?m)^  answers +5  ")
        self.assertRegex(text, r"(?m)^  codes +2\.05 5$")
        self.assertRegex(text, r"(?m)^  faults +none$")

    def test_cpu_time_of_the_server(self):
        with Peer(lambda m, n: m.reply("2.05")) as p:
            _, seen = load(p, "-n", "2000", "--pid", str(os.getpid()))
        self.assertGreater(seen["cpu_us_per_message"], 1)


class Blocks(unittest.TestCase):
    BODY = bytes(range(100))

    def download(self, m, n, tag=b"\x01", cut=0):
        num, _, size = m.block(BLOCK2) or (0, False, 32)
        part = self.BODY[num * size:(num + 1) * size]
        more = (num + 1) * size < len(self.BODY)
        tags = [(ETAG, tag)] if tag else []
        return m.reply("2.05", [*tags, (BLOCK2, block(num, more, size))], part)

    def test_download(self):
        with Peer(self.download) as p:
            status, seen = load(p, "-n", "3", "--expect-body", "@" + os.devnull)
            self.assertEqual((status, faults(seen)), (10, {"wrong_payload": 3}))
            status, seen = load(p, "-n", "3")
        self.assertEqual((status, seen["answers"], seen["messages"], seen["body_bytes"]), (0, 3, 12, 300))

    def test_download_without_entity_tags(self):
        with Peer(lambda m, n: self.download(m, n, tag=b"")) as p:
            status, seen = load(p, "-n", "3")
        self.assertEqual((status, faults(seen), seen["body_bytes"]), (0, {}, 300))

    def test_blocks_of_which_one_has_no_entity_tag(self):
        with Peer(lambda m, n: self.download(m, n, tag=b"" if n == 1 else b"\x01")) as p:
            status, seen = load(p, "-n", "1")
        self.assertEqual((status, faults(seen)), (10, {"wrong_payload": 1}))

    def test_a_block_that_is_not_full_has_no_successor(self):
        for number, part in ((0, b""), (0, b"short"), (1, bytes(32)), (0, bytes(33))):
            def handler(m, n):
                return m.reply("2.05", [(BLOCK2, block(number, True, 32))], part)
            with self.subTest(number=number, part=len(part)), Peer(handler) as p:
                status, seen = load(p, "-n", "2")
                self.assertEqual((status, faults(seen)), (10, {"wrong_block": 2}))
                self.assertEqual(len(p.received), 2)

    def test_a_block_that_is_larger_than_asked_for(self):
        with Peer(lambda m, n: m.reply("2.05", [(BLOCK2, block(0, False, 64))], b"x")) as p:
            status, seen = load(p, "-n", "1", "--block-size", "32")
        self.assertEqual((status, faults(seen)), (10, {"wrong_block": 1}))

    def test_an_answer_without_block_to_a_request_for_a_further_one(self):
        with Peer(lambda m, n: self.download(m, n) if n == 0 else m.reply("2.05", [(ETAG, b"\x01")], b"x")) as p:
            status, seen = load(p, "-n", "1")
        self.assertEqual((status, faults(seen)), (10, {"wrong_block": 1}))

    def test_an_upload_is_not_over_before_its_last_block(self):
        with Peer(lambda m, n: m.reply("2.04")) as p:  # as if it had understood Block1
            status, seen = load(p, "-n", "1", "--size", "100", "--block-size", "32")
        self.assertEqual((status, faults(seen), len(p.received)), (10, {"wrong_block": 1}, 1))

    def test_an_upload_whose_blocks_are_taken_one_by_one(self):
        with Peer(lambda m, n: m.reply("2.04", [(BLOCK1, m.value(BLOCK1))])) as p:
            status, seen = load(p, "-n", "1", "--size", "100", "--block-size", "32")
        self.assertEqual((status, faults(seen), seen["messages"]), (0, {}, 4))

    def test_a_port_without_message_ids_for_all_blocks_is_changed_before(self):
        def handler(m, n):
            return m.reply("2.31" if m.block(BLOCK1)[1] else "2.04", [(BLOCK1, m.value(BLOCK1))])

        blocks = 33000  # two uploads have more than there are Message IDs
        with Peer(handler) as p:
            status, seen = load(p, "-n", "2", "--size", str(16 * blocks), "--block-size", "16")
        self.assertEqual((status, seen["messages"], seen["ports_changed"], faults(seen)), (0, 2 * blocks, 1, {}))

    def test_continue_after_the_last_block_is_no_answer(self):
        self.assertEqual(self.codes_of("2.31", "--size", "5"), (10, {"wrong_code": 1}))

    def codes_of(self, answer, *args):
        with Peer(lambda m, n: m.reply(answer)) as p:
            status, seen = load(p, "-n", "1", *args)
        return status, faults(seen)

    def test_a_body_goes_again_in_smaller_blocks_when_it_is_refused(self):
        def handler(m, n):
            num, more, size = m.block(BLOCK1) or (0, False, 1024)
            if size > 32:
                return m.reply("4.13", [(BLOCK1, block(0, False, 32))])
            return m.reply("2.31" if more else "2.04", [(BLOCK1, block(num, more, size))])

        for args in (("--size", "100"), ("--size", "200", "--block-size", "64")):
            with Peer(handler) as p:
                status, seen = load(p, "-n", "1", *args)
            self.assertEqual((status, faults(seen), seen["codes"]), (0, {}, {"2.04": 1}))

    def test_blocks_of_two_representations(self):
        with Peer(lambda m, n: self.download(m, n, tag=bytes([n]))) as p:
            status, seen = load(p, "-n", "2")
        self.assertEqual((status, faults(seen)), (10, {"wrong_payload": 2}))

    def test_upload_in_smaller_blocks_as_the_server_asks(self):
        got = []

        def handler(m, n):
            num, more, size = m.block(BLOCK1)
            got.append((num, size, m.payload))
            if n == 0:  # the first 64 bytes are taken, from there on in blocks of 32
                return m.reply("2.31", [(BLOCK1, block(0, True, 32))])
            return m.reply("2.31" if more else "2.04", [(BLOCK1, block(num, more, size))])

        with Peer(handler) as p:
            status, seen = load(p, "-n", "1", "--size", "150", "--block-size", "64")
        self.assertEqual((status, faults(seen)), (0, {}))
        self.assertEqual([(n, s) for n, s, _ in got], [(0, 64), (2, 32), (3, 32), (4, 32)])
        self.assertEqual(b"".join(b for _, _, b in got), (b"0123456789abcdefghijklmnopqrstuvwxyz" * 5)[:150])


class Faults(unittest.TestCase):
    def check(self, handler, status, expected, *args):
        with Peer(handler) as p:
            found, seen = load(p, "-n", "4", *args)
        self.assertEqual(faults(seen), expected)
        self.assertEqual(found, status)

    def test_code(self):
        self.check(lambda m, n: m.reply("4.04"), 10, {"wrong_code": 4})
        self.check(lambda m, n: m.reply("2.04"), 10, {"wrong_code": 4}, "--expect", "2.05")
        self.check(lambda m, n: m.reply("4.04"), 0, {}, "--expect", "4.04")

    def test_payload(self):
        self.check(lambda m, n: m.reply("2.05", [], b"hallo"), 10, {"wrong_payload": 4}, "--expect-body", "hello")
        self.check(lambda m, n: m.reply("2.05", [], b"hello"), 0, {}, "--expect-body", "hello")

    def test_message_id(self):
        self.check(lambda m, n: Message(ACK, code("2.05"), m.mid ^ 1, m.token), 10, {"wrong_mid": 4})

    def test_token(self):
        def handler(m, n):
            return [Message(ACK, code("2.05"), m.mid, b"stranger"), m.reply("2.05")]
        self.check(handler, 10, {"wrong_token": 4})

    def test_type(self):
        self.check(lambda m, n: Message(ACK, code("2.05"), m.mid, m.token), 10, {"wrong_type": 4}, "--non")

    def test_malformed(self):
        self.check(lambda m, n: [b"\x00\x01\x02", m.reply("2.05")], 10, {"malformed": 4})

    def test_a_reset_or_acknowledgement_of_nothing(self):
        for type_ in (ACK, RST):
            self.check(lambda m, n: [Message(type_, 0, m.mid ^ 0x8000), m.reply("2.05")], 10, {"wrong_mid": 4})

    def test_an_acknowledgement_after_the_answer_is_no_fault(self):
        def handler(m, n):
            return [Message(NON, code("2.05"), 1 + n, m.token), Message(ACK, 0, m.mid)]
        self.check(handler, 0, {})

    def test_an_acknowledgement_of_a_non_confirmable_request(self):
        self.check(lambda m, n: [Message(ACK, 0, m.mid), m.reply("2.05")], 10, {"wrong_type": 4}, "--non")

    def test_a_stranger_s_response_is_rejected(self):
        def handler(m, n):
            if m.code == 0:
                return None
            return [Message(CON, code("2.05"), 4711, b"stranger"), m.reply("2.05")]
        with Peer(handler) as p:
            _, seen = load(p, "-n", "2")
        self.assertEqual(faults(seen), {"wrong_token": 2})
        self.assertEqual([m.mid for m in p.received if m.type == RST], [4711, 4711])

    def test_answer_twice_is_a_duplicate(self):
        def handler(m, n):
            return [m.reply("2.05")] * 2 if m.code == GET else None
        with Peer(handler) as p:
            status, seen = load(p, "-n", "50")
        self.assertEqual((status, seen["answers"]), (0, 50))
        self.assertGreaterEqual(seen["faults"]["duplicates"], 49)  # the last may come when all is over

    def test_loss_is_made_good_and_counted(self):
        seen = set()

        def handler(m, n):
            if m.token in seen:
                return m.reply("2.05")
            seen.add(m.token)
            return None
        self.check(handler, 0, {"retransmissions": 4}, "--clients", "4", "--ack-timeout", "3", "--timeout", "60")

    def test_silence(self):
        for _ in range(10):
            with Peer(lambda m, n: None) as p:
                status, seen = load(p, "-n", "4", *SILENCE)
            self.assertEqual((status, seen["faults"]["timeouts"]), (8, 4))
            # The last one is left out when a busy machine lets its time pass (MAX_TRANSMIT_SPAN).
            if seen["faults"]["retransmissions"] == 8:
                break
        self.assertEqual(faults(seen), {"retransmissions": 8, "timeouts": 4})
        self.check(lambda m, n: None, 8, {"timeouts": 4}, "--non", *SILENCE)
        self.check(lambda m, n: Message(ACK, 0, m.mid), 8, {"timeouts": 4}, *SILENCE, *PATIENT)

    def test_reset(self):
        self.check(lambda m, n: Message(RST, 0, m.mid), 9, {"resets": 4})

    def test_an_absent_server_is_not_asked_as_fast_as_one_can(self):
        r = copal("load", "--json", "--clients", "4", "--duration", "1", "--warmup", "0",
                  "coap://127.0.0.1:%d/x" % closed_port())
        seen = json.loads(r.stdout)
        self.assertEqual((r.returncode, seen["answers"]), (7, 0))
        self.assertLessEqual(faults(seen).pop("refused"), 4 * 11)

    def test_nobody_there(self):
        r = copal("load", "--json", "-n", "3", "coap://127.0.0.1:%d/x" % closed_port())
        self.assertEqual(r.returncode, 7)
        self.assertEqual(faults(json.loads(r.stdout)), {"refused": 3})


class Rogue(unittest.TestCase):
    """One server that does all that a server can do wrong, once each: the number in the path says what."""

    KINDS = ("right", "code", "busy", "payload", "block", "token", "mid", "unknown_mid", "malformed", "reset",
             "silent", "twice", "late", "separate", "right")
    COUNTS = {"wrong_code": 2, "wrong_payload": 1, "wrong_block": 1, "wrong_token": 1, "wrong_mid": 2,
              "malformed": 1, "resets": 1, "timeouts": 1, "duplicates": 1, "late": 1}
    TABLE = {"wrong code 2", "wrong payload 1", "wrong block 1", "wrong token 1", "wrong Message ID 2",
             "malformed 1", "resets 1", "timeouts 1", "duplicates 1", "late 1"}
    ARGS = ("-n", str(len(KINDS)), "--paths", str(len(KINDS)), "--expect-body", "ok", "--timeout", "6")

    def setUp(self):
        self.ignored = None

    def answer(self, m, n):
        if m.code == 0:
            return None
        kind = self.KINDS[int(m.values(URI_PATH)[0])]
        right = m.reply("2.05", [], b"ok")
        if kind == "silent":
            self.ignored = right
            return Message(ACK, 0, m.mid)
        return {
            "right": right,
            "code": m.reply("4.29"),
            "busy": m.reply("5.03"),
            "payload": m.reply("2.05", [], b"no"),
            "block": m.reply("2.05", [(BLOCK2, block(1, True, 16))], bytes(16)),
            "token": [Message(ACK, code("2.05"), m.mid, b"nobody's", [], b"ok"), right],
            "mid": Message(ACK, code("2.05"), m.mid ^ 0x8000, m.token, [], b"ok"),
            "unknown_mid": [Message(RST, 0, m.mid ^ 0x8000), right],
            "malformed": [b"\x45\x00garbage", right],
            "reset": Message(RST, 0, m.mid),
            "twice": [right, right],
            "late": [self.ignored, right],
            "separate": [Message(ACK, 0, m.mid), Message(CON, code("2.05"), 1, m.token, [], b"ok")],
        }[kind]

    def test_all_is_counted_exactly(self):
        with Peer(self.answer) as p:
            status, seen = load(p, *self.ARGS, path="/%d")
        self.assertEqual((status, seen["status"]), (10, 10))
        self.assertEqual(faults(seen), self.COUNTS)
        self.assertEqual(seen["answers"], 8)
        self.assertEqual(seen["codes"], {"2.05": 11, "4.29": 1, "5.03": 1})

    def test_and_shown_in_the_table(self):
        with Peer(self.answer) as p:
            r = copal("load", "--clients", "1", *PATIENT, *self.ARGS, p.uri("/%d"))
        self.assertEqual(r.returncode, 10)
        shown = re.search(r"(?m)^  faults +(.*)$", r.stdout.decode()).group(1)
        self.assertEqual(set(shown.split(", ")), self.TABLE)


class Subject:
    """A server with one observable resource: remembers observers and tells them of each PUT."""

    def __init__(self, tell=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.tell = tell or self.tell_all
        self.body, self.seq, self.mid, self.observers, self.stopping = b"", 1, 0, {}, False
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.socket.close()

    def uri(self, path):
        return "coap://127.0.0.1:%d%s" % (self.port, path)

    def notify(self, address, token, body, seq):
        self.mid += 1
        m = Message(NON, code("2.05"), self.mid & 0xffff, token, [(OBSERVE, uint(seq))], body)
        self.socket.sendto(m.pack(), address)

    def tell_all(self, change):
        for address, token in self.observers.items():
            self.notify(address, token, self.body, self.seq)

    def serve(self):
        changes = 0
        while True:
            try:
                data, address = self.socket.recvfrom(2048)
            except socket.timeout:
                if self.stopping:
                    return
                continue
            m = Message.parse(data)
            if m.code == PUT:
                self.body, self.seq = m.payload, self.seq + 1
                self.socket.sendto(m.reply("2.04").pack(), address)
                self.tell(changes)
                changes += 1
            elif m.code == GET and m.value(OBSERVE) == b"":
                self.observers[address] = m.token
                options = [(OBSERVE, uint(self.seq))]
                self.socket.sendto(m.reply("2.05", options, self.body).pack(), address)
            elif m.code == GET:
                self.observers.pop(address, None)


class Observe(unittest.TestCase):
    def check(self, subject, status, expected, *args):
        with subject as s:
            r = copal("load", "--json", "--observe", "--clients", "3", "-n", "10", *PATIENT, "--timeout",
                      "60", *args, s.uri("/t"))
            seen = json.loads(r.stdout)
            self.assertEqual(faults(seen), expected)
            self.assertEqual(r.returncode, status)
        self.assertEqual(seen["notifications_expected"],
                         seen["answers"] + seen["skipped_states"] + seen["missing_states"])
        return seen

    def test_lock_step(self):
        s = Subject()
        seen = self.check(s, 0, {})
        self.assertEqual((seen["observers"], seen["changes"], seen["answers"]), (3, 10, 30))
        self.assertEqual(s.observers, {}, "observers that are told no more deregister")

    def test_states_that_were_skipped_are_no_fault(self):
        s = Subject()
        s.tell = lambda change: change % 2 == 0 and s.tell_all(change)  # the first PUT creates
        seen = self.check(s, 0, {}, "--rate", "200")
        self.assertEqual((seen["answers"], seen["skipped_states"]), (15, 15))
        self.assertEqual((seen["notifications_expected"], seen["missing_states"]), (30, 0))

    def test_an_observer_without_the_last_state(self):
        s = Subject()

        def tell(change):
            for i, (address, token) in enumerate(s.observers.items()):
                if i < 2 or change < 10:
                    s.notify(address, token, s.body, s.seq)
        s.tell = tell
        seen = self.check(s, 10, {"incomplete": 1}, "--timeout", "10")
        self.assertEqual((seen["answers"], seen["missing_states"]), (29, 1))

    def test_a_notification_that_comes_twice_counts_once(self):
        s = Subject()

        def tell(change):
            for address, token in s.observers.items():
                for _ in range(2 if change == 5 else 1):
                    s.notify(address, token, s.body, s.seq)
        s.tell = tell
        seen = self.check(s, 0, {"duplicates": 3})
        self.assertEqual(seen["answers"], 30)

    def test_a_notification_of_a_state_that_is_known_counts_apart(self):
        s = Subject()

        def tell(change):
            for _ in range(2 if change == 5 else 1):
                s.tell_all(change)
                s.seq += 1
        s.tell = tell
        seen = self.check(s, 0, {})
        self.assertEqual((seen["answers"], seen["repeated_states"]), (30, 3))

    def test_a_resource_that_cannot_be_written(self):
        with Peer(lambda m, n: m.reply("4.05")) as p:
            r = copal("load", "--json", "--observe", "--clients", "2", "--paths", "1000", p.uri("/t%d"))
        self.assertEqual((r.returncode, faults(json.loads(r.stdout))), (10, {"wrong_code": 1}))
        self.assertEqual(len(p.received), 1)

    def test_interrupt_while_the_resource_is_written(self):
        with Peer(lambda m, n: None) as p:
            args = [COPAL, "load", "--json", *PATIENT, "--observe", p.uri("/t")]
            status, out, _ = interrupt(args, lambda: p.received)
        self.assertTrue(json.loads(out)["is_interrupted"])
        self.assertNotEqual(status, 0)

    def test_an_older_state_after_a_newer_one(self):
        s = Subject()
        old = []

        def tell(change):
            old.append(s.body)
            for address, token in s.observers.items():
                s.notify(address, token, s.body, s.seq)
                if change == 5:  # as if newer, and the newest once more
                    s.notify(address, token, old[2], s.seq + 1)
                    s.notify(address, token, s.body, s.seq + 2)
            s.seq += 2 if change == 5 else 0
        s.tell = tell
        self.check(s, 10, {"backwards": 3})

    def test_not_observable(self):
        with Peer(lambda m, n: m.reply("2.04" if m.code == PUT else "2.05", [], b"0000000000")) as p:
            r = copal("load", "--json", "--observe", "--clients", "2", p.uri("/t"))
        self.assertEqual(r.returncode, 11)
        self.assertEqual(faults(json.loads(r.stdout)), {"not_registered": 2})


class Mistakes(unittest.TestCase):
    def check(self, message, *args):
        r = copal("load", *args)
        self.assertEqual((r.returncode, r.stderr.decode()), (2, "copal: load: %s; see 'copal load --help'\n" % message))

    def test_on_the_command_line(self):
        self.check("no URI given")
        self.check("--clients: '0' is not a number from 1 to 1000000", "--clients", "0", "x")
        self.check("--rate: 'fast' is not a number from 0.001 to 100000000", "-r", "fast", "x")
        self.check("--expect: '2.5' is not a response code such as 2.05 or 4.04", "--expect", "2.5", "x")
        self.check("--data and --size exclude each other", "-d", "x", "--size", "3", "x")
        self.check("a GET request carries no payload", "-d", "x", "-m", "get", "x")
        self.check("there are more threads than clients", "--threads", "3", "--clients", "2", "x")
        self.check("--requests and --duration exclude each other", "-n", "3", "--duration", "2", "x")
        self.check("--random draws a number of --paths, which is not given", "--random", "x")
        self.check("--clients times --window is more than 16777216", "-c", "1000000", "-w", "1024", "x")
        self.check("--observe excludes --method, --non, --expect and --expect-body", "--observe", "--non", "x")

    def test_in_the_plan(self):
        for text, args in (("--paths needs a %d in the URI to stand for the number", ("--paths", "3", "127.0.0.1/x")),
                           ("there is no process with that --pid", ("--pid", "2147483646", "127.0.0.1/x"))):
            r = copal("load", *args)
            self.assertEqual((r.returncode, r.stderr.decode()), (2, "copal: %s\n" % text))
        r = copal("load", "--json", "--size", "16777217", "--block-size", "16", "127.0.0.1/x")
        self.assertEqual(r.returncode, 2)
        self.assertIn("more blocks of that --block-size than", json.loads(r.stdout)["error"])
        r = copal("load", "224.0.1.187/x")
        self.assertEqual((r.returncode, r.stderr), (3, b"copal: a group cannot be measured, for all its members answer\n"))


    def test_json_says_what_is_wrong(self):
        r = copal("load", "--json", "224.0.1.187/x")
        seen = json.loads(r.stdout)
        self.assertEqual((r.returncode, seen["status"]), (3, 3))
        self.assertEqual(b"copal: %s\n" % seen["error"].encode(), r.stderr)
        r = copal("load", "--json", "coap://nowhere.invalid/x")
        self.assertEqual((r.returncode, json.loads(r.stdout)["status"]), (6, 6))

    def test_the_manual_names_every_member(self):
        tree = os.environ.get("COPAL_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
        with open(os.path.join(tree, "docs", "man", "copal.1"), encoding="utf-8") as f:
            manual = f.read().split("prints one object in any case", 1)[1].split("\n.Cm discover\n", 1)[0]
        named = set(re.findall(r"\w+", manual))
        with Peer(lambda m, n: m.reply("2.05")) as p:
            _, seen = load(p, "-n", "3", "--rate", "1000")
        r = copal("load", "--json", "--observe", "coap://127.0.0.1:%d/x" % closed_port())
        for members in (seen, seen["faults"], seen["latency_uncorrected"], json.loads(r.stdout)):
            self.assertEqual(set(members) - named, set())

    def test_more_clients_than_files(self):
        with open("/proc/self/status", encoding="ascii") as f:
            capabilities = int(re.search(r"CapEff:\s*(\w+)", f.read()).group(1), 16)
        if capabilities >> 24 & 1:
            self.skipTest("this user may have as many files as he likes")
        r = subprocess.run(["sh", "-c", 'ulimit -n 100; exec "$0" load -s --json -c 1000 127.0.0.1/x', COPAL],
                           capture_output=True, timeout=WAIT_S, check=False)
        self.assertEqual((r.returncode, r.stderr), (1, b""))
        self.assertIn("1000 clients need 1065 open files, and the limit is 100;", json.loads(r.stdout)["error"])


class Terminal(unittest.TestCase):
    def watch(self, columns, **env):
        """What a terminal gets from a run of a second."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with Peer(lambda m, n: m.reply("4.04")) as p:
            args = [COPAL, "load", "--clients", "1", *PATIENT, "--duration", "1", "--warmup", "0", p.uri("/x")]
            child = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=slave,
                                     env=dict(os.environ, TERM="xterm", **env))
            out, _ = child.communicate(timeout=WAIT_S)
        os.close(slave)
        shown = b""
        while select.select([master], [], [], 0)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
        os.close(master)
        self.assertNotIn(b"\r", out)
        self.assertNotIn(b"\033", out)
        return shown.decode()

    def test_the_line_stays_one_line(self):
        for columns in (40, 50):
            shown = self.watch(columns)
            lines = shown.split("\r\033[K")
            self.assertGreater(len(lines), 2)
            self.assertEqual((lines[0], lines[-1]), ("", ""))
            for line in lines:
                self.assertLess(len(line), columns)

    def test_the_line_tells_of_faults(self):
        self.assertRegex(self.watch(80), r"\d+\.\d s  \d+ per second  \d+ answers  [1-9]\d* faults")


if __name__ == "__main__":
    unittest.main()
