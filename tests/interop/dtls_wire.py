# SPDX-License-Identifier: Apache-2.0
"""DTLS on the wire: tshark reads our records with the key log, forged and repeated ones have no effect,
and a server that ends at any packet of a handshake is met again. RFC 6347, RFC 9146 section 4."""

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

from dtls import BUILD, Server, copal, free_port, needed

TLS12_CID, HANDSHAKE, APPLICATION_DATA = 25, 22, 23
WAIT_S = 60
CID_SIZE = 8
RAW_IP = 101  # link type of a capture


class Wire(threading.Thread):
    """Carries datagrams between one client and a server. `hook(is_up, data)` is asked before each one
    and returns what is carried in its place."""

    def __init__(self, port, hook=None):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.server = ("127.0.0.1", port)
        self.seen = []  # (is_up, datagram)
        self.hook = hook or (lambda is_up, data: [data])
        self.client = None
        self.is_over = False
        self.start()

    def close(self):
        self.is_over = True
        self.join()
        self.front.close()
        self.back.close()

    def send(self, is_up, data):
        if is_up:
            self.back.sendto(data, self.server)
        else:
            self.front.sendto(data, self.client)

    def run(self):
        while not self.is_over:
            for ready in select.select([self.front, self.back], [], [], 0.05)[0]:
                data, source = ready.recvfrom(65535)
                is_up = ready is self.front
                if is_up:
                    self.client = source
                self.seen.append((is_up, data))
                for each in self.hook(is_up, data):
                    self.send(is_up, each)

    def of_type(self, kind, is_up=True):
        return [data for up, data in self.seen if up == is_up and data[0] == kind]


def write_capture(path, seen, client, server):
    """A capture of the datagrams, as if they had come from an interface."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, RAW_IP))
        for i, (is_up, data) in enumerate(seen):
            ports = (client, server) if is_up else (server, client)
            udp = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), i, 0, 64, 17, 0,
                             b"\x7f\0\0\1", b"\x7f\0\0\1")
            out.write(struct.pack("<IIII", i, 0, len(ip + udp), len(ip + udp)) + ip + udp)


class Tshark(unittest.TestCase):
    """A third opinion on records with a connection ID."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.log = os.path.join(self.dir, "keys")

    def decode(self, seen, port, *fields):
        capture = os.path.join(self.dir, "pcap")
        write_capture(capture, seen, 40000, port)
        r = subprocess.run(
            ["tshark", "-r", capture, "-o", "tls.keylog_file:" + self.log, "-d", "udp.port==%d,dtls" % port,
             "-d", "dtls.port==%d,coap" % port, "-T", "fields", "-E", "occurrence=a",
             *[x for f in fields for x in ("-e", f)]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT_S)
        self.assertEqual(r.returncode, 0, r.stderr)
        return [line.split("\t") for line in r.stdout.decode().split("\n")[:-1]]

    def check(self, of_server):
        environment = dict(os.environ)
        try:
            if of_server:
                os.environ["SSLKEYLOGFILE"] = self.log
            server = Server()
        finally:
            os.environ.clear()
            os.environ.update(environment)
        wire = Wire(server.port)
        if not of_server:
            os.environ["SSLKEYLOGFILE"] = self.log
        try:
            r = copal(server.keys, "put", "coaps://127.0.0.1:%d/seen" % wire.port, "-d", "by tshark")
        finally:
            os.environ.clear()
            os.environ.update(environment)
        self.assertEqual(r.returncode, 0, r.stderr)
        time.sleep(0.2)
        wire.close()
        self.assertEqual(server.close(), 0)
        with open(self.log) as lines:
            self.assertRegex(lines.read(), r"(?m)^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}$")
        self.assertEqual(os.stat(self.log).st_mode & 0o007, 0)
        records = wire.of_type(TLS12_CID) + wire.of_type(TLS12_CID, is_up=False)
        self.assertGreaterEqual(len(records), 2)
        frames = self.decode(wire.seen, server.port, "dtls.record.special_type", "coap.code",
                             "coap.opt.uri_path", "data.text", "_ws.malformed", "coap.payload")
        self.assertEqual(len(frames), len(wire.seen))
        codes = [frame[1] for frame in frames if frame[1]]
        self.assertEqual(codes, ["3", "65"], frames)  # PUT and 2.01, which stood in records with a CID
        self.assertTrue(any(frame[2] == "seen" for frame in frames), frames)
        self.assertFalse(any(frame[4] for frame in frames), frames)
        sealed = [frame[0].split(",") for frame in frames if "25" in frame[0].split(",")]
        self.assertGreaterEqual(len(sealed), 4)  # the two Finished, request, response

    @needed("tshark")
    def test_records_are_read_with_the_key_log_of_the_server(self):
        self.check(True)

    @needed("tshark")
    def test_records_are_read_with_the_key_log_of_the_client(self):
        self.check(False)


class Hello(unittest.TestCase):
    def test_rfc9146_3_client_hello_offers_a_cid(self):
        server = Server()
        wire = Wire(server.port)
        self.assertEqual(copal(server.keys, "put", "coaps://127.0.0.1:%d/x" % wire.port, "-d", "1").returncode, 0)
        wire.close()
        self.assertEqual(server.close(), 0)
        hellos = wire.of_type(HANDSHAKE)
        # connection_id, 9 bytes: a ConnectionId of 8
        self.assertIn(b"\x00\x36\x00\x09\x08", hellos[0])
        self.assertIn(b"\x00\x36\x00\x09\x08", wire.of_type(HANDSHAKE, is_up=False)[1])


class Forged(unittest.TestCase):
    """Somebody on the path changes, repeats and cuts what passes. RFC 6347 section 4.1.2.7."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server_is_well)

    def server_is_well(self):
        self.assertEqual(self.server.close(), 0)

    def ping(self, wire, count=5):
        p = subprocess.run([os.path.join(BUILD, "copal"), "ping", "-c", str(count), "--interval", "0.2",
                            "coaps://127.0.0.1:%d" % wire.port], stdout=subprocess.PIPE, timeout=WAIT_S,
                           env={**os.environ, "COPAL_PSK_FILE": self.server.keys})
        return p.stdout

    def attack(self, hook):
        wire = Wire(self.server.port, hook)
        self.addCleanup(wire.close)
        said = self.ping(wire)
        self.assertIn(b"5 sent, 5 answered", said)
        n = self.server.counters()
        self.assertEqual(n["handshakes_completed"], 1)
        return n

    def test_replayed_records_have_no_effect(self):
        n = self.attack(lambda is_up, data: [data, data] if data[0] == TLS12_CID else [data])
        self.assertGreaterEqual(n["dtls_rx_replayed"], 5)
        self.assertLessEqual(n["dtls_rx_records"], 7)  # Finished, pings, close_notify

    def test_flipped_bits_have_no_effect(self):
        count = [0]

        def hook(is_up, data):
            if data[0] != TLS12_CID:
                return [data]
            forged = []
            for _ in range(20):
                at = 3 + count[0] % (len(data) - 3)
                count[0] += 7
                forged.append(data[:at] + bytes([data[at] ^ 1 << count[0] % 8]) + data[at + 1:])
            return [*forged, data]

        n = self.attack(hook)
        # Those with another number may be older than the window; those with another CID are nobody's.
        refused = sum(n.get(name, 0) for name in ("dtls_rx_forged", "dtls_rx_replayed", "dtls_malformed",
                                                  "dtls_rx_unknown_cid", "dtls_rx_epoch", "dtls_stray",
                                                  "handshake_records_filtered", "handshake_records_forged",
                                                  "handshake_records_overflown", "dtls_rx_form"))
        self.assertGreaterEqual(n["dtls_rx_forged"], 20)
        self.assertGreaterEqual(refused, 90)

    def test_cut_records_have_no_effect(self):
        def hook(is_up, data):
            if data[0] != TLS12_CID:
                return [data]
            return [*[data[:i] for i in range(0, len(data), 3)], data]

        n = self.attack(hook)
        self.assertGreaterEqual(n["dtls_malformed"], 30)

    def test_shortened_records_have_no_effect(self):
        def hook(is_up, data):
            if data[0] != TLS12_CID:
                return [data]
            at = 11 + CID_SIZE
            length = int.from_bytes(data[at:at + 2], "big")
            return [*[data[:at] + n.to_bytes(2, "big") + data[at + 2:at + 2 + n] for n in range(0, length)], data]

        n = self.attack(hook)
        self.assertGreaterEqual(n["dtls_rx_forged"] + n.get("handshake_records_forged", 0), 50)

    def test_plain_form_is_refused_where_a_cid_was_agreed_on(self):
        def hook(is_up, data):
            if data[0] != TLS12_CID or not is_up:
                return [data]
            return [bytes([APPLICATION_DATA]) + data[1:11] + data[11 + CID_SIZE:], data]

        n = self.attack(hook)
        self.assertGreaterEqual(n["dtls_rx_form"] + n.get("dtls_stray", 0), 5)

    def test_another_address_gets_nothing_by_repeating(self):
        wire = Wire(self.server.port)
        self.addCleanup(wire.close)
        self.assertIn(b"5 answered", self.ping(wire))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.1", 0))
            thief.settimeout(0.5)
            for data in wire.of_type(TLS12_CID):
                thief.sendto(data, wire.server)
            with self.assertRaises(TimeoutError):
                thief.recv(2048)
        n = self.server.counters()
        self.assertNotIn("sessions_moved", n)


class Kills(unittest.TestCase):
    """The server ends at one packet of a handshake, and another process goes on. A client whose
    handshake was lost begins another one when it has waited long enough, or is asked to."""

    def setUp(self):
        self.data = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.data)
        self.port = free_port()
        self.options = ["--listen", "coaps://127.0.0.1:%d" % self.port, "--data", self.data]

    def run_once(self, at, how):
        """Ends the server when packet `at` passes, before it is carried on. Returns whether there was
        such a packet."""
        servers = [Server(*self.options, listen=())]
        keys = servers[0].keys
        passed = [0]

        def hook(is_up, data):
            passed[0] += 1
            if passed[0] == at:
                servers[-1].process.send_signal(how)
                servers[-1].process.wait(WAIT_S)
                servers.append(Server(*self.options, listen=()))
            return [data]

        wire = Wire(self.port, hook)
        uri = "coaps://127.0.0.1:%d/x" % wire.port
        try:
            # Where a handshake is lost for good there is nothing to wait for.
            patience = "3" if 1 < at < 7 else "50" if how == signal.SIGTERM else "20"
            first = copal(keys, "put", uri, "-d", "%d" % at, "--ack-timeout", "0.5", "--timeout", patience)
            again = copal(keys, "put", uri, "-d", "again %d" % at)
            self.assertEqual(again.returncode, 0, (at, how, first, again))
            self.assertEqual(copal(keys, "get", uri).stdout.strip(), b"again %d" % at)
            n = servers[-1].counters()
            self.assertNotIn("dtls_rx_forged", n)
        finally:
            wire.close()
            for server in servers[:-1]:
                server.process.stdout.close()
                server.log.close()
                shutil.rmtree(server.dir)
            self.assertEqual(servers[-1].close(), 0)
        return len(servers) > 1, first.returncode == 0

    def sweep(self, how):
        at, survived = 1, []
        while True:
            was_there, went_on = self.run_once(at, how)
            if not was_there:
                break
            survived.append(went_on)
            at += 1
            if at > 8:  # hello, verify, hello, flight, flight, finished, request, response
                break
        self.assertGreaterEqual(len(survived), 8)
        return survived

    def test_server_that_stops_in_order_at_each_packet(self):
        survived = self.sweep(signal.SIGTERM)
        # Before the first flight there is no state; behind the last one it is kept. The reply to a
        # request that was lost comes with its retransmission.
        self.assertTrue(survived[0] and survived[6] and survived[7], survived)

    def test_server_that_is_killed_at_each_packet(self):
        survived = self.sweep(signal.SIGKILL)
        self.assertTrue(survived[0], survived)


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
