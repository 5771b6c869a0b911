#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measuring programs notice what is wrong: a load generator that passes everything would make
every figure worthless. No figure is asserted."""
import json
import os
import socket
import subprocess
import sys
import time
import unittest

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tests")]

from ports import reserve as free_port, wait_until_taken  # noqa: E402

BUILD = os.environ["COPAL_BUILD_DIR"]


def program(name):
    return os.path.join(BUILD, "bench", name)


class Background:
    def __init__(self, port, *command):
        self.port = port
        self.process = subprocess.Popen(command)

    def __enter__(self):
        wait_until_taken(self.port)
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def echo(port, *arguments):
    return Background(port, program("echo"), *arguments, str(port))


def load(port, *arguments):
    done = subprocess.run([program("load"), *arguments, str(port)], stdout=subprocess.PIPE,
                          timeout=300, check=False)
    return done.returncode, json.loads(done.stdout)


class Requests(unittest.TestCase):
    def test_right_answers_are_counted_and_none_is_wrong(self):
        port = free_port()
        with echo(port) as server:
            for mode in (["get", "-e"], ["get", "-N"], ["put"], ["put", "-r", "10"]):
                status, r = load(port, *mode, "-s", "8", "-o", "16", "-t", "0.5", "-w", "0",
                                 "-P", str(server.pid))
                self.assertEqual(status, 0, r)
                self.assertEqual(r["wrong"], 0)
                self.assertGreater(r["messages"], 0)
                self.assertGreater(r["cpu_us"], 0)

    def test_a_count_is_kept(self):
        port = free_port()
        with echo(port):
            _, r = load(port, "put", "-r", "500", "-c", "500")
            self.assertEqual(r["messages"], 500)

    def test_a_rate_is_kept_and_what_it_lacks_is_told(self):
        port = free_port()
        with echo(port):
            began = time.monotonic()
            status, r = load(port, "get", "-e", "-s", "4", "-R", "200", "-t", "1", "-w", "0")
            self.assertEqual(status, 0, r)
            # As many as the rate makes due, if not all in time; what was answered in the window was
            # sent in it, or before it.
            self.assertGreater(r["messages"], 0)
            self.assertLessEqual(r["messages"], 200 * (time.monotonic() - began) + 1, r)
            self.assertAlmostEqual(r["messages"] + r["behind"], 200 * r["seconds"], delta=129)
        with echo(port):
            _, r = load(port, "get", "-s", "1", "-o", "1", "-R", "10000000", "-t", "0.3", "-w", "0")
            self.assertGreater(r["behind"], 0, r)

    def check_fault(self, fault, reason):
        port = free_port()
        with echo(port, "-f", fault, "-n", "100"):
            status, r = load(port, "get", "-e", "-c", "950", "-o", "4")
        self.assertEqual(status, 1, r)
        self.assertGreaterEqual(r["wrong_by"][reason], 9, r)
        self.assertEqual(r["wrong"], r["wrong_by"][reason], r)

    def test_wrong_mid_is_noticed(self):
        self.check_fault("mid", "mid")

    def test_wrong_code_is_noticed(self):
        self.check_fault("code", "code")

    def test_wrong_payload_is_noticed(self):
        self.check_fault("body", "payload")

    def check_unanswered(self, fault, reason):
        """The request stays open: the answer to its repetition is the one that counts."""
        port = free_port()
        with echo(port, "-f", fault, "-n", "100"):
            _, r = load(port, "get", "-c", "250", "-o", "64")
        self.assertEqual(r["messages"], 250)
        self.assertGreaterEqual(r["timeouts"], 2)
        if reason:
            self.assertGreaterEqual(r["wrong_by"][reason], 2, r)

    def test_lost_answer_is_a_timeout(self):
        self.check_unanswered("drop", None)

    def test_wrong_token_is_noticed(self):
        self.check_unanswered("token", "token")

    def test_malformed_answer_is_noticed(self):
        self.check_unanswered("cut", "malformed")

    def test_silence_is_a_failure(self):
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
            status, r = load(port, "get", "-t", "0.1", "-w", "0")
        self.assertEqual(status, 1)
        self.assertTrue(r["failed"])


class Observers(unittest.TestCase):
    def observe(self, port):
        return load(port, "observe", "-s", "50", "-t", "1", "-w", "0.05", "-l", "3")

    def test_everybody_gets_every_state(self):
        port = free_port()
        with echo(port):
            status, r = self.observe(port)
        self.assertEqual(status, 0, r)
        self.assertEqual(r["messages"], 50 * r["changes"])
        self.assertEqual(r["missing"], 0)
        self.assertTrue(r["last_state_seen"])

    def test_observers_of_several_resources_get_the_states_of_theirs(self):
        port = free_port()
        with echo(port):
            status, r = load(port, "observe", "-s", "12", "-r", "4", "-t", "0.5", "-w", "0.05",
                             "-l", "30")
        self.assertEqual(status, 0, r)
        # One that missed its second may have got the state later.
        self.assertGreaterEqual(r["messages"] + r["missing"], 3 * r["changes"], r)
        self.assertLessEqual(r["messages"], 3 * r["changes"], r)
        self.assertTrue(r["last_state_seen"])

    def test_older_state_is_noticed(self):
        port = free_port()
        with echo(port, "-f", "stale", "-n", "777"):
            _, r = self.observe(port)
        # An observer that is told the state it already has is behind; one that is told an older
        # one goes backwards.
        self.assertGreater(r["missing"] + r["wrong_by"]["backwards"], 0, r)

    def test_lost_notification_is_noticed(self):
        port = free_port()
        with echo(port, "-f", "drop", "-n", "777"):
            _, r = self.observe(port)
        self.assertGreater(r["missing"], 0, r)

    def test_wrong_token_is_noticed(self):
        port = free_port()
        with echo(port, "-f", "token", "-n", "777"):
            status, r = self.observe(port)
        self.assertEqual(status, 1)
        self.assertGreater(r["wrong_by"]["token"], 0, r)


class Relay(unittest.TestCase):
    def relay(self, port, target, delay, loss):
        return Background(port, program("relay"), "-d", str(delay), "-l", str(loss), "-s", "7", str(port),
                          str(target))

    def test_what_gets_through_is_whole_and_late(self):
        port, target = free_port(), free_port()
        with echo(target), self.relay(port, target, 20, 0):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(60)
                began = time.monotonic()
                s.sendto(b"\x41\x01\x12\x34\x77", ("127.0.0.1", port))
                answer = s.recv(2048)
                self.assertGreaterEqual(time.monotonic() - began, 0.04)
        self.assertEqual(answer[:6], b"\x61\x45\x12\x34\x77\xff")

    def test_loss_is_near_its_rate(self):
        port, target = free_port(), free_port()
        with echo(target), self.relay(port, target, 0, 20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(0.5)
                got = 0
                for i in range(1000):
                    s.sendto(b"\x40\x01" + i.to_bytes(2, "big"), ("127.0.0.1", port))
                    if i % 50 == 49:
                        got += self.drain(s)
        # 64 % come back through two lossy directions; the seed makes the count repeatable.
        self.assertGreater(got, 500)
        self.assertLess(got, 780)

    def drain(self, s):
        n = 0
        s.settimeout(0.3)
        try:
            while True:
                s.recv(2048)
                n += 1
        except TimeoutError:
            return n


if __name__ == "__main__":
    unittest.main()
