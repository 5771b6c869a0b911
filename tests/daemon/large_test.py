# SPDX-License-Identifier: Apache-2.0
"""Bodies larger than the memory that they may take, and bodies that are left alone. RFC 7959
section 2.5; RFC 9175 section 3."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
sys.path[:0] = [os.path.join(SOURCE, "tests/daemon"), os.path.join(SOURCE, "tests/cli")]

from daemon import WAIT_S, Daemon, events  # noqa: E402
from daemon_test import ConfigFile  # noqa: E402
from harness import (ACK, BLOCK1, CON, COPAL, EMPTY, PUT, SIZE1, URI_PATH, Message, block,  # noqa: E402
                     code, uint)

MIB = 1 << 20
BODY = int(os.environ.get("COPAL_LARGE_MIB", "48")) * MIB
SLACK = 12 * MIB  # buffers, and what a sanitizer keeps back
BLOCK = 1024
WINDOW = 32
REQUEST_TAG = 292
CONFIG = 'listen = ["coap://127.0.0.1:0"]\nlog = { format = "json" }\nserver = { shards = 1 }\n' \
         'resources = { body = "512 MiB" }\nuploads = { size = "512 MiB"%s }\n'
ENV = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")


def part(num):
    """A kilobyte that no other block has."""
    return num.to_bytes(4, "big") * (BLOCK // 4)


def private_bytes(pid):
    """Memory of its own: what is mapped from files can be taken back at any time."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon"))


class Uploader:
    """Sends blocks of one upload, many at once."""

    def __init__(self, port, path=b"large"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(WAIT_S)
        self.path = path

    def close(self):
        self.socket.close()

    def send(self, num, more):
        opts = [(URI_PATH, self.path), (BLOCK1, block(num, more, BLOCK)), (REQUEST_TAG, b"t")]
        if num == 0:
            opts.append((SIZE1, uint(BODY)))
        self.socket.send(Message(CON, PUT, num & 0xffff, (num & 0xffff).to_bytes(2, "big"), opts,
                                 part(num)).pack())

    def receive(self):
        """The code of the answer; a late one follows an acknowledgement."""
        m = Message.parse(self.socket.recv(2048))
        if m.type == ACK and m.code == EMPTY:
            m = Message.parse(self.socket.recv(2048))
            self.socket.send(Message(ACK, EMPTY, m.mid).pack())
        return m.code

    def send_range(self, first, end):
        """All from `first` on, in pairs whose second block goes ahead."""
        for begin in range(first, end, WINDOW):
            nums = list(range(begin, min(begin + WINDOW, end)))
            for i in range(0, len(nums) - 1, 2):
                nums[i], nums[i + 1] = nums[i + 1], nums[i]
            for num in nums:
                self.send(num, True)
            for _ in nums:
                assert self.receive() == code("2.31")


class Large(unittest.TestCase):
    def upload(self, d):
        """All but the last block; returns what goes on with it."""
        u = Uploader(d.port)
        u.send(0, True)
        self.assertEqual(u.receive(), code("2.31"))
        u.send_range(1, BODY // BLOCK - 1)
        return u

    def check(self, d):
        """It comes back as it was."""
        with tempfile.NamedTemporaryFile(dir="/var/tmp") as f:
            subprocess.run([COPAL, "get", "--window", "32", "-t", "300", "-o", f.name,
                            f"coap://127.0.0.1:{d.port}/large"], check=True)
            with open(f.name, "rb") as got:
                for num in range(BODY // BLOCK):
                    if got.read(BLOCK) != part(num):
                        self.fail(f"block {num} differs")
                self.assertEqual(got.read(1), b"")

    def run_with(self, *args):
        with ConfigFile(CONFIG % "") as f, \
                Daemon("--config", f.name, *args, listen=(), env=ENV) as d:
            before = private_bytes(d.process.pid)
            u = self.upload(d)
            self.assertLess(private_bytes(d.process.pid) - before, SLACK, "before it is complete")
            u.send(BODY // BLOCK - 1, False)
            self.assertEqual(u.receive(), code("2.01"))
            u.close()
            after = private_bytes(d.process.pid) - before
            self.check(d)
            return after

    def test_in_memory_it_is_held_once(self):
        self.assertLess(self.run_with("--store", "memory"), BODY + SLACK)

    def test_on_disk_it_is_not_held(self):
        for engine in ("lmdb", "journal"):
            with self.subTest(engine), tempfile.TemporaryDirectory(dir="/var/tmp") as data:
                self.assertLess(self.run_with("--store", engine, "--data", data), BODY // 2 + SLACK)


class LeftAlone(unittest.TestCase):
    def test_uploads_end_without_further_traffic(self):
        with ConfigFile(CONFIG % ', lifetime = "1 s"') as f, \
                Daemon("--config", f.name, listen=(), env=ENV) as d:
            for n in range(3):
                u = Uploader(d.port, b"r%d" % n)
                u.send(0, True)
                self.assertEqual(u.receive(), code("2.31"))
                u.close()
            end, seen = time.monotonic() + WAIT_S, {}
            while seen.get("uploads_expired", 0) < 3 and time.monotonic() < end:
                time.sleep(0.5)
                d.err = ""
                d.send_signal(signal.SIGUSR1)
                seen = d.wait_for_event("metrics")
            _, _, log = d.stop()
            total = [e for e in events(log) if e["event"] == "metrics"][-1]
        self.assertEqual(total["uploads_expired"], 3)
        self.assertEqual(total.get("uploads_open", 0), 0)
        self.assertEqual(total.get("upload_bytes", 0), 0)


if __name__ == "__main__":
    unittest.main()
