# SPDX-License-Identifier: Apache-2.0
"""Downloads into files: written as they come, interrupted, gone on with; and the progress bar. RFC
7959 section 2.4."""
import os
import pty
import subprocess
import tempfile
import time
import unittest

from harness import BLOCK2, COPAL, ETAG, RST, SIZE2, Message, Peer, block, copal, uint

BODY = os.urandom(10000)
SHOW_AFTER_S = 0.5


class Server:
    """Serves a body in blocks; from request number `ends_at` on it does as `end` says: a Reset."""

    def __init__(self, body=BODY, etag=b"\x01", ends_at=None, delay=0.0, size=1024, options=()):
        self.body, self.etag, self.ends_at, self.delay = body, etag, ends_at, delay
        self.size, self.options, self.asked, self.times = size, list(options), [], []
        self.end = lambda m: Message(RST, 0, m.mid)

    def __call__(self, m, n):
        num, _, want = m.block(BLOCK2) or (0, False, self.size)
        self.times.append(time.monotonic())
        if self.ends_at is not None and n >= self.ends_at:
            return self.end(m)
        time.sleep(self.delay)
        step = min(want, self.size)
        at = num * want
        self.asked.append(at)
        if at >= len(self.body) > 0:
            return m.reply("4.00")
        opts = [(BLOCK2, block(at // step, at + step < len(self.body), step)), *self.options]
        if self.etag:
            opts.append((ETAG, self.etag))
        return m.reply("2.05", opts, self.body[at:at + step])


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.name = os.path.join(self.directory.name, "fw")

    def get(self, server, *args):
        with Peer(server) as p:
            return copal("get", "-o", self.name, *args, p.uri("/fw"))

    def content(self, suffix=""):
        with open(self.name + suffix, "rb") as f:
            return f.read()

    def listed(self):
        return sorted(os.listdir(self.directory.name))

    def interrupt(self, at=4, **more):
        """A download that breaks off before request number `at`."""
        r = self.get(Server(ends_at=at, **more))
        self.assertEqual(r.returncode, 9)
        return r

    def test_whole(self):
        r = self.get(Server())
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"", b""))
        self.assertTrue(self.content() == BODY)
        self.assertEqual(self.listed(), ["fw"])

    def test_size_is_told(self):
        self.assertEqual(self.get(Server(), "-w", "%{size_download}").stdout, b"10000")

    def test_an_interrupted_one_leaves_its_part(self):
        server = Server(ends_at=4)
        server.end = lambda m: None  # silence
        r = self.get(server, "--ack-timeout", "5", "--max-retransmit", "0")
        self.assertEqual(r.returncode, 8)
        self.assertEqual(self.listed(), ["fw.part", "fw.part.etag"])
        self.assertTrue(self.content(".part") == BODY[:4096])
        self.assertEqual(self.content(".part.etag"), b"01\n")
        self.assertIn(b"fw.part; --continue goes on", r.stderr)

    def test_the_file_of_before_stays_until_the_new_one_is_whole(self):
        with open(self.name, "wb") as f:
            f.write(b"old")
        os.chmod(self.name, 0o640)
        self.interrupt()
        self.assertEqual(self.content(), b"old")
        self.get(Server())
        self.assertTrue(self.content() == BODY)
        self.assertEqual(os.stat(self.name).st_mode & 0o777, 0o640)

    def test_continue_asks_for_the_rest_only(self):
        self.interrupt()
        server = Server()
        r = self.get(server, "--continue")
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.assertEqual(server.asked[0], 4096)
        self.assertEqual(len(server.asked), 6)
        self.assertTrue(self.content() == BODY)
        self.assertEqual(self.listed(), ["fw"])

    def test_continue_begins_at_a_block(self):
        self.interrupt()
        with open(self.name + ".part", "ab") as f:
            f.write(b"torn")
        server = Server()
        self.get(server, "--continue")
        self.assertEqual(server.asked[0], 4096)
        self.assertTrue(self.content() == BODY)

    def test_continue_with_smaller_blocks_than_before(self):
        self.interrupt()
        server = Server(size=256)
        self.assertEqual(self.get(server, "--continue").returncode, 0)
        self.assertTrue(self.content() == BODY)

    def test_continue_of_another_representation_starts_over(self):
        self.interrupt()
        other = os.urandom(7000)
        server = Server(body=other, etag=b"\x02")
        self.assertEqual(self.get(server, "--continue").returncode, 0)
        self.assertEqual(server.asked[:3], [4096, 0, 1024])
        self.assertTrue(self.content() == other)

    def test_continue_of_a_shorter_representation_starts_over(self):
        self.interrupt()
        server = Server(body=b"short", etag=b"\x02")
        self.assertEqual(self.get(server, "--continue").returncode, 0)
        self.assertEqual(self.content(), b"short")
        self.assertEqual(self.listed(), ["fw"])

    def test_without_etag_nothing_is_kept(self):
        self.interrupt(etag=None)
        self.assertEqual(self.listed(), [])

    def test_continue_without_a_part_reads_all(self):
        server = Server()
        self.assertEqual(self.get(server, "--continue").returncode, 0)
        self.assertTrue(self.content() == BODY)

    def test_interrupted_again_it_still_goes_on(self):
        self.interrupt()
        self.assertEqual(self.get(Server(ends_at=2), "--continue").returncode, 9)
        self.assertTrue(self.content(".part") == BODY[:6144])
        server = Server()
        self.get(server, "--continue")
        self.assertEqual(server.asked[0], 6144)
        self.assertTrue(self.content() == BODY)

    def test_a_deleted_resource_is_an_error(self):
        self.interrupt()
        r = self.get(lambda m, n: m.reply("4.04"), "--continue")
        self.assertEqual(r.returncode, 4)
        self.assertNotIn("fw", self.listed())

    def test_a_changing_one_is_never_mixed(self):
        class Changing(Server):
            def __call__(self, m, n):
                if n == 3:
                    self.body, self.etag = b"B" * 9000, b"\x02"
                return super().__call__(m, n)
        self.assertEqual(self.get(Changing()).returncode, 0)
        self.assertEqual(self.content(), b"B" * 9000)

    def test_a_device_is_not_replaced(self):
        self.name = "/dev/null"
        self.assertEqual(self.get(Server()).returncode, 0)
        self.assertFalse(os.path.isfile("/dev/null"))

    def test_a_link_is_followed(self):
        real = os.path.join(self.directory.name, "real")
        with open(real, "wb") as f:
            f.write(b"x" * 20000)
        os.symlink(real, self.name)
        self.get(Server())
        self.assertTrue(os.path.islink(self.name))
        self.assertTrue(self.content() == BODY)

    def test_an_error_writes_nothing(self):
        self.get(lambda m, n: m.reply("4.04"))
        self.assertEqual(self.listed(), [])

    def test_no_such_directory(self):
        self.name = os.path.join(self.directory.name, "none", "fw")
        r = self.get(Server())
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"cannot write", r.stderr)

    def test_usage(self):
        for args in (["get", "--continue", "x"], ["get", "--continue", "-o", "-", "x"],
                     ["put", "--continue", "-o", "f", "x"]):
            self.assertEqual(copal(*args).returncode, 2, args)


class Progress(unittest.TestCase):
    def watch(self, server, *args):
        """What a terminal shows of a download."""
        ours, theirs = pty.openpty()
        with Peer(server) as p:
            child = subprocess.Popen([COPAL, "get", "--block-size", "256", *args, p.uri()],
                                     stdout=subprocess.DEVNULL, stderr=theirs)
            os.close(theirs)
            shown = b""
            try:
                while True:
                    shown += os.read(ours, 4096)
            except OSError:  # the other side is closed
                pass
            self.assertEqual(child.wait(), 0)
        os.close(ours)
        return shown

    def test_of_a_known_size(self):
        shown = self.watch(Server(delay=0.03, options=[(SIZE2, uint(len(BODY)))]))
        self.assertRegex(shown, rb"\r\x1b\[K *\d+% .*of 9\.8 KiB  .*/s  0:\d\d left")
        self.assertTrue(shown.endswith(b"\r\x1b[K"))

    def test_of_a_growing_size(self):
        shown = self.watch(Server(delay=0.03))
        self.assertRegex(shown, rb"\r\x1b\[K\d+\.\d KiB  .*/s")
        self.assertNotIn(b"%", shown)

    def test_none_for_a_short_transfer(self):
        for _ in range(20):
            server = Server()
            shown = self.watch(server)
            if server.times[-1] - server.times[0] < SHOW_AFTER_S / 2:  # it was short
                break
        self.assertEqual(shown, b"")

    def test_none_when_silent(self):
        self.assertEqual(self.watch(Server(delay=0.02), "-s"), b"")


if __name__ == "__main__":
    unittest.main()
