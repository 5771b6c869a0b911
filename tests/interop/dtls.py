# SPDX-License-Identifier: Apache-2.0
"""DTLS with other people's clients and servers, and over a network that changes: libcoap on GnuTLS
and on OpenSSL, openssl s_client, and copal through a relay that moves like a translator of addresses.
RFC 7252 section 9.1.3.1, RFC 9146 section 6."""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

from ports import reserve as free_port, wait_until_taken  # noqa: E402

BUILD = os.path.abspath(os.environ.get("COPAL_BUILD_DIR", "build/release"))
KEY = "secretPSK0123456"
PSK = ("-psk_identity", "device", "-psk", KEY.encode().hex())
SUITES = ("PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256")


def is_sanitized():
    """A build that keeps freed memory says nothing about memory."""
    with open(os.path.join(BUILD, "copald"), "rb") as program:
        return b"__asan_init" in program.read()


def wait_for_answers(ping, count=1):
    """Until that many more answers are shown by a running `copal ping`."""
    while count > 0:
        line = ping.stdout.readline()
        if not line:
            raise AssertionError("the pings have ended")
        count -= b" time=" in line


def needed(name):
    return unittest.skipUnless(shutil.which(name), "%s is not installed" % name)


class Server:
    """copald on a port of its own, with one identity of two keys."""

    def __init__(self, *options, listen=("--listen", "coaps://127.0.0.1:0")):
        self.dir = tempfile.mkdtemp()
        self.keys = os.path.join(self.dir, "psk")
        with open(self.keys, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("device:%s\n" % KEY.encode().hex())
        self.log = open(os.path.join(self.dir, "log"), "wb+")
        store = () if "--data" in options else ("--store", "memory")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "copald"), "--psk-file", self.keys, *listen, *store,
             "--log-level", "info", *options],
            stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        self.port = int(re.search(r"coaps://127.0.0.1:(\d+)", line).group(1))

    def counters(self):
        """What is counted now."""
        seen = self.read().count('"event":"metrics"')
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(1200):
            lines = [l for l in self.read().splitlines() if '"event":"metrics"' in l]
            if len(lines) > seen:
                return {k: int(v) for k, v in re.findall(r'"(\w+)":(\d+)', lines[-1])}
            time.sleep(0.05)
        raise AssertionError("no metrics")

    def settled(self, **wanted):
        """The counters when these are there, or after a minute: who is told by a shard that something has
        happened may ask before the shard has counted it."""
        end = time.monotonic() + 60
        while True:
            n = self.counters()
            if all(n.get(k) == v for k, v in wanted.items()) or time.monotonic() > end:
                return n

    def read(self):
        self.log.flush()
        with open(self.log.name) as lines:
            return lines.read()

    def memory(self):
        with open("/proc/%d/statm" % self.process.pid) as statm:
            return int(statm.read().split()[1]) * 4096

    def close(self):
        self.process.terminate()
        status = self.process.wait(120)
        if status != 0:  # it says why, which may be what a sanitizer has found
            print(self.read()[-20000:], file=sys.stderr)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.dir)
        return status


class Relay(threading.Thread):
    """Carries datagrams between a client and a server, and takes another port when told to."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.server = ("127.0.0.1", port)
        self.client = None
        self.is_over = False
        self.backs = []
        self.move()
        self.start()

    def close(self):
        self.is_over = True
        self.join()
        for each in [self.front, *self.backs]:
            each.close()

    def move(self):
        self.backs.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.backs[-1].bind(("127.0.0.1", 0))
        self.back = self.backs[-1]

    def run(self):
        while not self.is_over:
            # What is under way to a port given up arrives still: nothing depends on the moment.
            for ready in select.select([self.front, *self.backs], [], [], 0.05)[0]:
                data, source = ready.recvfrom(65535)
                if ready is not self.front:
                    self.front.sendto(data, self.client)
                else:
                    self.client = source
                    self.back.sendto(self.change(data), self.server)

    def change(self, data):
        """What becomes of a datagram of the client's."""
        return data


class Announcer(Relay):
    """Puts a ClientKeyExchange of somebody else in front of the client's ChangeCipherSpec."""

    def change(self, data):
        name = b"superuser"
        body = struct.pack(">H", len(name)) + name
        message = b"\x10" + struct.pack(">I", len(body))[1:] + bytes(5) + struct.pack(">I", len(body))[1:] + body
        return b"\x16\xfe\xfd" + struct.pack(">QH", 20, len(message)) + message + data if data[0] == 20 else data


def talk(command, request, until, wait, ready=None):
    """Starts a client, lets it send bytes when it says that it is connected (or after a second), and
    returns what it says: until that has `until` in it, it ends, or time is up."""
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    said, is_sent, start = b"", False, time.monotonic()
    while until not in said and time.monotonic() < start + wait:
        is_over = p.poll() is not None
        if not is_sent and (ready in said if ready else time.monotonic() > start + 1):
            is_sent = True
            with contextlib.suppress(BrokenPipeError):
                p.stdin.write(request)
                p.stdin.flush()
        if select.select([p.stdout], [], [], 0.2)[0]:
            said += os.read(p.stdout.fileno(), 65536)
        elif is_over:
            break
        if is_over and not select.select([p.stdout], [], [], 0)[0]:
            break
    p.terminate()
    p.wait(120)
    with contextlib.suppress(BrokenPipeError):
        p.stdin.close()
    said += p.stdout.read()
    p.stdout.close()
    return said


def s_client(port, *options, until, wait=60):
    """Asks for /x with openssl s_client, and returns what that says. It ends by itself when it is
    refused."""
    return talk(["openssl", "s_client", "-dtls1_2", "-nocommands", "-connect", "127.0.0.1:%d" % port,
                 *options], bytes.fromhex("40010001b178"), until, wait, ready=b"Verify return code")


def copal(keys, *arguments, **more):
    return subprocess.run([os.path.join(BUILD, "copal"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120,
                          env={**os.environ, "COPAL_PSK_FILE": keys}, **more)


class Clients(unittest.TestCase):
    def setUp(self):
        self.server = Server()

    def tearDown(self):
        self.assertEqual(self.server.close(), 0)

    def libcoap(self, program, *arguments, key=KEY, identity="device"):
        uri = "coaps://127.0.0.1:%d/x" % self.server.port
        return subprocess.run([program, "-B", "5", "-u", identity, "-k", key, *arguments, uri],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)

    def check_libcoap(self, program):
        self.libcoap(program, "-m", "put", "-e", program)
        r = self.libcoap(program, "-m", "get")
        self.assertIn(program.encode(), r.stdout)
        for wrong in ({"key": "another"}, {"identity": "stranger"}):
            r = self.libcoap(program, "-m", "get", **wrong)
            self.assertIn(b"lert", r.stdout)
        n = self.server.settled(handshakes_failed_wrong_key=2)
        self.assertEqual(n["handshakes_completed"], 2)
        self.assertEqual(n["handshakes_failed_wrong_key"], 2)

    @needed("coap-client-gnutls")
    def test_libcoap_gnutls(self):
        self.check_libcoap("coap-client-gnutls")

    @needed("coap-client-openssl")
    def test_libcoap_openssl(self):
        self.check_libcoap("coap-client-openssl")

    def s_client(self, *options):
        """Asks for /x with s_client, and returns the answer and what s_client says."""
        return s_client(self.server.port, *PSK, *options, until=b"seen by s_client")

    @needed("openssl")
    def test_openssl_each_suite(self):
        copal(self.server.keys, "put", "coaps://127.0.0.1:%d/x" % self.server.port, "-d",
              "seen by s_client")
        for suite in SUITES:
            said = self.s_client("-cipher", suite + ":@SECLEVEL=0")
            self.assertIn(b"seen by s_client", said, suite)
            self.assertIn(suite.encode(), said)

    @needed("openssl")
    def test_openssl_ticket_resumes(self):
        copal(self.server.keys, "put", "coaps://127.0.0.1:%d/x" % self.server.port, "-d",
              "seen by s_client")
        ticket = os.path.join(self.server.dir, "ticket")
        first = "PSK-AES128-CCM8:@SECLEVEL=0"
        self.s_client("-cipher", first, "-sess_out", ticket)
        said = self.s_client("-cipher", first, "-sess_in", ticket)
        self.assertIn(b"seen by s_client", said)
        self.assertIn(b"Reused", said)
        self.assertEqual(self.server.counters()["handshakes_resumed"], 1)

    @needed("openssl")
    def test_a_ticket_is_good_for_its_owner_only(self):
        with open(self.server.keys, "a") as keys:
            keys.write("superuser:%s\n" % b"another key".hex())
        rules = os.path.join(self.server.dir, "rules")
        with open(rules, "w") as out:
            out.write("allow psk:superuser GET /x\nallow psk:device PUT /x\ndefault deny\n")
        other = Server("--psk-file", self.server.keys, "--access", rules)
        self.addCleanup(other.close)
        copal(self.server.keys, "put", "coaps://127.0.0.1:%d/x" % other.port, "-d", "seen by s_client")
        ticket = os.path.join(self.server.dir, "ticket")
        first = "PSK-AES128-CCM8:@SECLEVEL=0"
        forbidden = bytes.fromhex("60830001")
        s_client(other.port, *PSK, "-cipher", first, "-sess_out", ticket, until=forbidden)
        relay = Announcer(other.port)
        self.addCleanup(relay.close)
        said = s_client(relay.port, *PSK, "-cipher", first, "-sess_in", ticket, until=forbidden)
        self.assertIn(b"Reused", said)
        self.assertIn(forbidden, said)
        self.assertEqual(other.counters()["handshakes_resumed"], 1)

    @needed("openssl")
    def test_suites_that_are_not_allowed(self):
        said = self.s_client("-cipher", "PSK-AES256-GCM-SHA384:PSK-AES128-CBC-SHA256:@SECLEVEL=0")
        self.assertIn(b"handshake failure", said)


class Network(unittest.TestCase):
    def setUp(self):
        self.server = Server()

    def tearDown(self):
        self.assertEqual(self.server.close(), 0)

    def test_session_goes_on_when_the_address_changes(self):
        uri = "coaps://127.0.0.1:%d/moving" % self.server.port
        self.assertEqual(copal(self.server.keys, "put", uri, "-d", "one").returncode, 0)
        relay = Relay(self.server.port)
        p = subprocess.Popen(
            [os.path.join(BUILD, "copal"), "get", "coaps://127.0.0.1:%d/moving" % relay.port],
            stdout=subprocess.PIPE, env={**os.environ, "COPAL_PSK_FILE": self.server.keys})
        self.assertEqual(p.communicate(timeout=120)[0].strip(), b"one")
        # Pings go on in one session while the relay changes its port twice.
        p = subprocess.Popen(
            [os.path.join(BUILD, "copal"), "ping", "-c", "6", "coaps://127.0.0.1:%d" % relay.port],
            stdout=subprocess.PIPE, env={**os.environ, "COPAL_PSK_FILE": self.server.keys})
        for _ in range(2):
            wait_for_answers(p)
            relay.move()
        said = p.communicate(timeout=120)[0]
        relay.close()
        self.assertIn(b"6 sent, 6 answered", said)
        n = self.server.counters()
        self.assertEqual(n["sessions_moved"], 2)
        self.assertEqual(n["handshakes_completed"], 3)

    def test_spoofed_hellos_take_no_memory(self):
        random = bytes(range(32))
        body = b"\xfe\xfd" + random + b"\0\0" + struct.pack("!HH", 2, 0xc0a8) + b"\1\0"
        hello = (b"\x16\xfe\xff\0\0\0\0\0\0\0\0" + struct.pack("!H", 12 + len(body)) +
                 b"\1" + struct.pack("!I", len(body))[1:] + b"\0\0\0\0\0" +
                 struct.pack("!I", len(body))[1:] + body)
        flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flood.connect(("127.0.0.1", self.server.port))
        for i in range(1000):
            flood.send(hello)
        before = self.server.memory()
        for i in range(30000):
            flood.send(hello)
        n = self.server.counters()
        self.assertGreater(n["dtls_cookies_sent"], 1000)
        self.assertNotIn("handshakes_started", n)
        self.assertLess(self.server.memory() - before, 1 << 20)
        flood.close()

    def test_handshakes_leave_no_memory_behind(self):
        uri = "coaps://127.0.0.1:%d/.well-known/core" % self.server.port
        for _ in range(20):
            copal(self.server.keys, "get", uri)
        before = self.server.memory()
        for _ in range(100):
            self.assertEqual(copal(self.server.keys, "get", uri).returncode, 0)
        if not is_sanitized():
            self.assertLess(self.server.memory() - before, 2 << 20)
        end = time.monotonic() + 60
        while "sessions" in (n := self.server.counters()):  # the last one may just be about to close
            self.assertLess(time.monotonic(), end, n)


class Restarts(unittest.TestCase):
    """One process after another on the same store and port."""

    def setUp(self):
        self.data = tempfile.mkdtemp()
        self.options = ["--listen", "coaps://127.0.0.1:%d" % free_port(), "--data", self.data]
        self.first = Server(*self.options, listen=())

    def tearDown(self):
        shutil.rmtree(self.data)

    def ping(self, count):
        return subprocess.Popen(
            [os.path.join(BUILD, "copal"), "ping", "-c", str(count),
             "coaps://127.0.0.1:%d" % self.first.port], stdout=subprocess.PIPE,
            env={**os.environ, "COPAL_PSK_FILE": self.first.keys})

    def test_session_goes_on_after_a_restart_in_order(self):
        p = self.ping(12)
        wait_for_answers(p)
        self.first.process.terminate()
        self.assertEqual(self.first.process.wait(120), 0)
        self.assertTrue(os.path.exists(os.path.join(self.data, "sessions")))
        second = Server(*self.options, listen=())
        self.assertFalse(os.path.exists(os.path.join(self.data, "sessions")))
        said = p.communicate(timeout=120)[0]
        n = second.counters()
        self.first.close()
        self.assertEqual(second.close(), 0)
        self.assertIn(b"12 sent", said)
        self.assertGreaterEqual(int(re.search(rb"(\d+) answered", said).group(1)), 2, said)
        self.assertEqual(n["sessions_restored"], 1, n)
        self.assertNotIn("handshakes_started", n)

    def test_session_goes_on_through_an_upgrade(self):
        p = self.ping(12)
        wait_for_answers(p)
        self.first.process.send_signal(signal.SIGUSR2)
        said = p.communicate(timeout=120)[0]
        self.first.process.wait(120)
        log = self.first.read()
        heir = int(re.search(r'"event":"handed_over".*?"pid":(\d+)', log).group(1))
        os.kill(heir, signal.SIGTERM)
        for _ in range(2400):
            if '"event":"stopped"' in self.first.read():
                break
            time.sleep(0.05)
        log = self.first.read()
        self.first.close()
        self.assertIn(b"12 sent", said)
        self.assertGreaterEqual(int(re.search(rb"(\d+) answered", said).group(1)), 2, said)
        last = [line for line in log.splitlines() if '"event":"metrics"' in line][-1]
        self.assertIn('"sessions_restored":1', last)
        self.assertNotIn('"handshakes_started"', last)

    def test_sessions_end_with_a_crash(self):
        p = self.ping(2)
        p.communicate(timeout=120)
        self.first.process.kill()
        self.first.process.wait(120)
        self.assertFalse(os.path.exists(os.path.join(self.data, "sessions")))
        second = Server(*self.options, listen=())
        n = second.counters()
        self.first.close()
        self.assertEqual(second.close(), 0)
        self.assertNotIn("sessions_restored", n)


class Servers(unittest.TestCase):
    """copal with libcoap's servers."""

    def check(self, program):
        directory = tempfile.mkdtemp()
        keys = os.path.join(directory, "psk")
        with open(keys, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write("device:%s\n" % KEY.encode().hex())
        port = free_port(2)  # coaps is the next one
        p = subprocess.Popen([program, "-A", "127.0.0.1", "-p", str(port), "-k", KEY, "-h", "hint"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until_taken(port + 1)
            r = copal(keys, "get", "coaps://127.0.0.1:%d/" % (port + 1))
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(b"libcoap", r.stdout)
        finally:
            p.terminate()
            p.wait(120)
            shutil.rmtree(directory)

    @needed("coap-server-gnutls")
    def test_libcoap_gnutls(self):
        self.check("coap-server-gnutls")

    @needed("coap-server-openssl")
    def test_libcoap_openssl(self):
        self.check("coap-server-openssl")


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
