# SPDX-License-Identifier: Apache-2.0
"""copal load over coaps: every client has a session, every answer is verified, and what happens to
sessions is told."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import daemon

COPAL = os.path.join(os.path.dirname(daemon.COPALD), "copal")
OK, UNREACHABLE = 0, 7


class OverDtls(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.keys = self.write_key("psk", b"a key of some length")

    def write_key(self, name, key):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("load:%s\n" % key.hex())
        return path

    def daemon(self, port=0):
        return daemon.Daemon("--store", "memory", "--psk-file", self.keys, listen=(f"coaps://127.0.0.1:{port}",))

    def uri(self, d, path):
        return re.search(r"coaps://127\.0\.0\.1:\d+", d.ready).group(0) + path

    def load(self, uri, *args, keys=None):
        done = subprocess.run([COPAL, "load", "--json", "--psk-file", keys or self.keys,
                               "--max-retransmit", "8", *args, uri],
                              capture_output=True, text=True, timeout=2 * daemon.WAIT_S, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    def put(self, uri, body):
        subprocess.run([COPAL, "put", "--psk-file", self.keys, uri, "-d", body], check=True,
                       stdout=subprocess.DEVNULL, timeout=daemon.WAIT_S)

    def test_each_client_has_a_session_and_all_is_answered(self):
        with self.daemon() as d:
            self.put(self.uri(d, "/x"), "hello")
            status, seen, err = self.load(self.uri(d, "/x"), "--clients", "40", "--window", "3",
                                          "--requests", "1000", "--threads", "2",
                                          "--expect-body", "hello")
            self.assertEqual((status, err), (OK, ""), seen)
            self.assertEqual((seen["answers"], seen["handshakes"]), (1000, 40))
            self.assertEqual({k: v for k, v in seen["faults"].items()
                              if v and k not in ("retransmissions", "duplicates")}, {})

    def test_bodies_in_blocks_and_observers(self):
        with self.daemon() as d:
            status, seen, _ = self.load(self.uri(d, "/b%d"), "--paths", "3", "--size", "5000",
                                        "--clients", "3", "--requests", "30")
            self.assertEqual((status, seen["answers"]), (OK, 30), seen)
            self.assertGreater(seen["messages"], 5 * 30 - 1)
            status, seen, _ = self.load(self.uri(d, "/o"), "--observe", "--clients", "10",
                                        "--requests", "20")
            self.assertEqual((status, seen["observers"]), (OK, 10), seen)
            self.assertEqual(seen["handshakes"], 11)  # and the writer
            self.assertEqual(seen["faults"]["incomplete"], 0)

    def test_a_key_that_is_wrong_is_told_before_anything_is_measured(self):
        bad = self.write_key("bad", b"another key")
        with self.daemon() as d:
            status, _, err = self.load(self.uri(d, "/x"), "--requests", "1", keys=bad)
            self.assertEqual(status, UNREACHABLE)
            self.assertIn("no secure session", err)

    def test_sessions_that_the_server_ends_are_counted_and_opened_again(self):
        for seconds in (8, 20, 40):  # a slow machine takes its time for the second server
            seen = self.lose_sessions(seconds)
            # And a new session may be given up, too.
            if (seen["faults"]["sessions_lost"] >= 4 and seen["handshakes"] >= 8 and
                    seen["codes"].get("2.05", 0) > 0 and seen["codes"].get("4.04", 0) > 0):
                return
        self.fail(seen)

    def test_the_writer_goes_on_when_the_server_comes_back(self):
        for seconds in (8, 20, 40):
            seen = self.lose_sessions(seconds, "--observe", "--clients", "3", "--rate", "20")
            # Three observers and the writer; the latter once more, for the former have nothing to say.
            self.assertEqual(seen["notifications_expected"],
                             seen["answers"] + seen["skipped_states"] + seen["missing_states"])
            if seen["handshakes"] >= 5 and seen["faults"]["incomplete"] == 3 and seen["missing_states"] > 0:
                return
        self.fail(seen)

    def test_nobody_there_is_told_at_once(self):
        port = daemon.ports.reserve()
        begin = time.monotonic()
        status, seen, err = self.load("coaps://127.0.0.1:%d/x" % port, "--requests", "1")
        self.assertEqual((status, err), (UNREACHABLE, "copal: no secure session: Connection refused\n"))
        self.assertEqual((seen["status"], "copal: %s\n" % seen["error"]), (status, err))
        self.assertLess(time.monotonic() - begin, 25)  # the handshake's own patience is longer

    def lose_sessions(self, seconds, *args):
        """What clients of a server say that ends in between."""
        port = daemon.ports.reserve()
        with self.daemon(port) as d:
            uri = self.uri(d, "/x")
            self.put(uri, "hello")
            again = []

            def restart():
                seen = {}
                while seen.get("handshakes_completed", 0) < 5:  # one was for the PUT
                    time.sleep(0.1)
                    d.err = ""
                    d.send_signal(signal.SIGUSR1)
                    seen = d.wait_for_event("metrics")
                time.sleep(0.5)
                d.stop()
                again.append(self.daemon(port))

            later = threading.Thread(target=restart)
            later.start()
            # What the new server answers is 4.04: it has nothing.
            _, seen, _ = self.load(uri, *(args or ("--clients", "4")), "--duration", str(seconds),
                                   "--warmup", "0.1", "--ack-timeout", "0.2", "--timeout", "0.5")
            later.join()
            again[0].__exit__()
            return seen


if __name__ == "__main__":
    unittest.main()
