# SPDX-License-Identifier: Apache-2.0
"""DTLS sessions over restarts, upgrades and crashes, as their peers see them: observations go on, saved
sessions are sealed, no record number comes twice, and what may be a replay is doubted.
RFC 7641 section 3.4, RFC 9146, RFC 9175 section 2.3."""

import os
import random
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from dtls import BUILD, KEY, PSK, Server, copal, free_port, needed, s_client, wait_for_answers

TLS12_CID = 25
CREATED, CHANGED, UNAUTHORIZED = 0x41, 0x44, 0x81
WAIT_S = 60
CID_SIZE = 8  # of the server


def records(datagram):
    """(type, epoch, sequence number) of the records from the server to a copal client: its own CIDs
    have the same length as the server's."""
    at = 0
    while at + 13 <= len(datagram):
        kind, epoch = datagram[at], int.from_bytes(datagram[at + 3:at + 5], "big")
        cid = CID_SIZE if kind == TLS12_CID else 0
        length = int.from_bytes(datagram[at + 11 + cid:at + 13 + cid], "big")
        yield kind, epoch, int.from_bytes(datagram[at + 5:at + 11], "big"), datagram[at:at + 13 + cid + length]
        at += 13 + cid + length


class Recorder(threading.Thread):
    """Carries datagrams between one client and the server, and remembers all of them."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.bind(("127.0.0.1", 0))
        self.backs = [self.back]
        self.port = self.front.getsockname()[1]
        self.server = ("127.0.0.1", port)
        self.up, self.down = [], []  # datagrams
        self.client = None
        self.is_over = False
        self.start()

    def close(self):
        self.is_over = True
        self.join()
        for each in [self.front, *self.backs]:
            each.close()

    def move(self):
        """As a translator of addresses that has forgotten the client."""
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.bind(("127.0.0.1", 0))
        self.backs.append(self.back)

    def run(self):
        while not self.is_over:
            back = self.back
            for ready in select.select([self.front, back], [], [], 0.05)[0]:
                data, source = ready.recvfrom(65535)
                if ready is back:
                    self.down.append(data)
                    self.front.sendto(data, self.client)
                else:
                    self.client = source
                    self.up.append(data)
                    self.back.sendto(data, self.server)

    def numbers(self):
        """Of the protected records that the server sent, in order."""
        return [(epoch, seq) for datagram in self.down for _, epoch, seq, _ in records(datagram) if epoch > 0]


class Bed(unittest.TestCase):
    """One process after another on the same store and port."""

    def setUp(self):
        self.data = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.data)
        self.port = free_port()
        self.config = os.path.join(self.data, "conf")
        self.dtls, self.more = "", ""
        self.server = None
        self.extra = ()
        self.begin_options = []
        self.clients = []

    def tearDown(self):
        for p in self.clients:
            p.kill()
            p.wait()
            p.stdout.close()
        if self.server is not None and self.server.process.poll() is None:
            log = self.server.read()
            self.assertEqual(self.server.close(), 0, log)

    def begin(self):
        with open(self.config, "w") as out:
            out.write("dtls: { %s };\n%s" % (self.dtls, self.more))
        self.server = Server("--config", self.config, "--listen", "coaps://127.0.0.1:%d" % self.port,
                             "--data", os.path.join(self.data, "store"), *self.extra, listen=())
        return self.server

    def end(self, how=signal.SIGTERM):
        self.server.process.send_signal(how)
        status, log = self.server.process.wait(WAIT_S), self.server.read()
        self.assertEqual(status, 0 if how == signal.SIGTERM else -how, log[-20000:])
        self.server.process.stdout.close()
        self.server.log.close()
        shutil.rmtree(self.server.dir)
        self.server = None
        return log

    def restart(self, how=signal.SIGTERM):
        log = self.end(how)
        self.begin()
        return log

    def file(self, name):
        return os.path.join(self.data, "store", name)

    def uri(self, path="x", port=None):
        return "coaps://127.0.0.1:%d/%s" % (port or self.port, path)

    def sessions(self):
        """How many there are; None: another process serves."""
        return self.server.counters().get("sessions", 0) if self.server.process.poll() is None else None

    def put(self, text, path="x"):
        """A PUT in a session of its own, which is over when this returns."""
        before, end = self.sessions(), time.monotonic() + WAIT_S
        r = copal(self.server.keys, "put", self.uri(path), "-d", text)
        self.assertEqual(r.returncode, 0, r.stderr)
        while before is not None and self.sessions() > before:
            self.assertLess(time.monotonic(), end)

    def copal(self, *arguments):
        p = subprocess.Popen([os.path.join(BUILD, "copal"), *arguments], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                             env={**os.environ, "COPAL_PSK_FILE": self.keys()})
        self.addCleanup(p.stdin.close)
        self.clients.append(p)
        return p

    def keys(self):
        """A key file of its own: the server's go with it."""
        path = os.path.join(self.data, "psk")
        if not os.path.exists(path):
            shutil.copy(self.server.keys, path)
        return path

    def expect(self, p, text):
        """Reads what a client prints up to this text."""
        said, end = b"", time.monotonic() + WAIT_S
        while text.encode() not in said and time.monotonic() < end:
            if select.select([p.stdout], [], [], 0.5)[0]:
                more = os.read(p.stdout.fileno(), 65536)
                if not more:
                    break
                said += more
        self.assertIn(text.encode(), said)
        return said

    def wait_for(self, pattern):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            found = re.search(pattern, self.server.read())
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError("no %s in\n%s" % (pattern, self.server.read()))

    def saved(self):
        """Until the store has the registrations."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.server.counters().get("registrations_saved", 0) > 0:
                return
            time.sleep(0.1)
        raise AssertionError("no registration was saved")


class Observations(Bed):
    def observe(self, port=None):
        p = self.copal("observe", self.uri(port=port))
        self.expect(p, "one")
        return p

    def observe_libcoap(self):
        p = subprocess.Popen(["coap-client-openssl", "-s", "300", "-u", "device", "-k", KEY, self.uri()],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.clients.append(p)
        self.expect(p, "one")
        return p

    def check_no_handshakes(self, of_puts):
        n = self.server.counters()
        self.assertEqual(n["sessions_restored"], 1, n)
        self.assertEqual(n.get("handshakes_completed", 0), of_puts, n)
        self.assertEqual(n["registrations_restored"], 1, n)
        self.assertNotIn("registrations_dangling", n)

    def test_observation_goes_on_after_a_restart_in_order(self):
        self.begin()
        self.put("one")
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.observe(relay.port)
        self.saved()
        for text in ("two", "three"):
            self.restart()
            self.put(text)
            self.expect(p, text)
            self.check_no_handshakes(1)
        numbers = relay.numbers()
        self.assertGreater(len(numbers), 3)
        self.assertEqual(len(numbers), len(set(numbers)))

    @needed("coap-client-openssl")
    def test_observation_of_a_session_without_cid_goes_on(self):
        self.begin()
        self.put("one")
        p = self.observe_libcoap()
        self.saved()
        self.restart()
        self.put("two")
        self.expect(p, "two")
        self.check_no_handshakes(1)

    @needed("coap-client-openssl")
    def test_observations_find_their_shard_when_there_are_more_or_fewer(self):
        self.more = "server: { shards = 2; };\n"
        self.begin()
        self.put("one")
        clients = [self.observe() for _ in range(4)] + [self.observe_libcoap() for _ in range(4)]
        end = time.monotonic() + WAIT_S
        while self.server.counters().get("registrations_saved", 0) < len(clients):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        for shards in (1, 3, 2):
            self.more = "server: { shards = %d; };\n" % shards
            self.restart()
            text = "with %d" % shards
            self.put(text)
            for p in clients:
                self.expect(p, text)
            n = self.server.counters()
            self.assertEqual(n["sessions_restored"], len(clients), n)
            self.assertEqual(n.get("handshakes_completed", 0), 1, n)
            self.assertNotIn("registrations_dangling", n)
            self.assertNotIn("dtls_stray", n)
            self.assertNotIn("dtls_rx_unknown_cid", n)

    def test_numbers_of_notifications_move_forwards(self):
        self.begin()
        self.put("one")
        p = self.copal("observe", "--json", self.uri())
        said = self.expect(p, "Observe")
        self.saved()
        for text in ("two", "three"):
            self.put(text)
        self.restart()
        self.put("four")
        said += self.expect(p, "four")
        numbers = [int(n) for n in re.findall(rb'"Observe":(\d+)', said)]
        self.assertGreater(len(numbers), 2, said)
        for older, newer in zip(numbers, numbers[1:]):
            self.assertLess((newer - older) % (1 << 24), 1 << 23, numbers)  # RFC 7641 section 3.4
            self.assertNotEqual(newer, older)

    def test_observation_goes_on_through_an_upgrade(self):
        self.begin()
        self.put("one")
        p = self.observe()
        self.saved()
        first = self.server.process
        first.send_signal(signal.SIGUSR2)
        heir = int(self.wait_for(r'"event":"handed_over".*?"pid":(\d+)').group(1))
        first.wait(WAIT_S)
        self.assertIn('"sessions":1', self.wait_for(r'"event":"sessions_restored".*').group())
        self.put("two")
        self.expect(p, "two")
        os.kill(heir, signal.SIGTERM)
        self.wait_for('"event":"stopped"')

    def test_registrations_go_with_their_session(self):
        self.begin()
        self.put("one")
        p = self.observe()
        self.saved()
        p.kill()  # without a word: the session is there until its peer makes a new one, or for good
        p.wait()
        self.end(signal.SIGKILL)
        self.begin()
        self.wait_for("ready")
        end = time.monotonic() + WAIT_S
        while self.server.counters().get("registrations_dangling", 0) < 1:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.restart()
        n = self.server.counters()
        self.assertNotIn("registrations_dangling", n)
        self.assertNotIn("registrations_restored", n)

    def test_closed_session_leaves_no_registration(self):
        self.begin()
        self.put("one")
        p = self.copal("observe", "--count", "1", self.uri())
        self.expect(p, "one")
        p.wait(WAIT_S)
        end = time.monotonic() + WAIT_S
        while True:
            n = self.server.counters()
            # Deregistered and left at once: it may be found to be gone by both.
            if 0 < n.get("registrations_saved", 0) <= n.get("registrations_removed", 0):
                break
            self.assertLess(time.monotonic(), end, n)
            time.sleep(0.1)
        self.restart()
        n = self.server.counters()
        self.assertNotIn("registrations_dangling", n)
        self.assertNotIn("registrations_restored", n)


class Sessions(Bed):
    """What else goes on."""

    def s_client(self, *options):
        """One request by s_client; returns what it says."""
        return s_client(self.port, *PSK, "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0", *options,
                        until=b"\xffone", wait=WAIT_S)

    def resumed(self):
        n = self.server.counters()
        return n.get("handshakes_resumed", 0)

    @needed("openssl")
    def test_tickets_are_good_after_a_restart_and_void_after_a_reload(self):
        ticket = os.path.join(self.data, "ticket")
        self.begin()
        self.put("one")
        self.assertIn(b"one", self.s_client("-sess_out", ticket))
        self.restart()
        self.assertIn(b"Reused", self.s_client("-sess_in", ticket))
        self.assertEqual(self.resumed(), 1)
        self.server.process.send_signal(signal.SIGHUP)
        self.wait_for('"event":"reloaded"')
        self.assertNotIn(b"Reused", self.s_client("-sess_in", ticket))
        self.assertEqual(self.resumed(), 1)

    @needed("openssl")
    def test_tickets_are_void_when_their_time_is_over(self):
        self.dtls = 'ticket_rotation = "2s";'
        ticket = os.path.join(self.data, "ticket")
        self.begin()
        self.put("one")
        self.assertIn(b"one", self.s_client("-sess_out", ticket))
        before = self.server.read().count('"event":"ticket_key_rotated"')
        self.wait_for('("event":"ticket_key_rotated"(.|\n)*){%d}' % (before + 1))
        self.assertNotIn(b"Reused", self.s_client("-sess_in", ticket))
        self.assertEqual(self.resumed(), 0)

    def test_idle_limit_changes_live(self):
        self.begin()
        self.put("one")
        p = self.copal("observe", self.uri())
        self.expect(p, "one")
        self.dtls = 'idle_timeout = "1s";'
        with open(self.config, "w") as out:
            out.write("dtls: { %s };\n" % self.dtls)
        self.server.process.send_signal(signal.SIGHUP)
        self.assertIn("dtls.idle_timeout", self.wait_for(r'"event":"reloaded".*').group())
        end = time.monotonic() + WAIT_S
        while self.server.counters().get("sessions_idle", 0) < 1:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_address_changes_while_the_server_is_away(self):
        self.begin()
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.copal("ping", "-c", "12", "coaps://127.0.0.1:%d" % relay.port)
        wait_for_answers(p)
        self.end()
        relay.move()
        self.begin()
        said = p.communicate(timeout=WAIT_S)[0]
        self.assertGreaterEqual(int(re.search(rb"(\d+) answered", said).group(1)), 2, said)
        n = self.server.counters()
        self.assertEqual(n["sessions_restored"], 1, n)
        self.assertEqual(n["sessions_moved"], 1, n)
        self.assertNotIn("handshakes_started", n)
        numbers = relay.numbers()
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_client_that_forgot_its_session_connects_from_the_same_port(self):
        self.begin()
        self.put("one")
        relay = Recorder(self.port)  # which has one port
        self.addCleanup(relay.close)
        for _ in range(3):
            p = self.copal("observe", self.uri(port=relay.port))
            self.expect(p, "one")
            p.kill()
            p.wait()
        n = self.server.counters()
        self.assertEqual(n["sessions"], 1, n)
        self.assertEqual(n["sessions_replaced"], 2, n)


class Sealed(Bed):
    """The file of sessions."""

    def stop_with_a_session(self):
        self.begin()
        self.put("one")
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.copal("observe", self.uri(port=relay.port))
        self.expect(p, "one")
        return self.end()

    def check_lost(self, reason):
        self.begin()
        line = self.wait_for(r'"event":"sessions_lost".*').group()
        self.assertIn(reason, line)
        self.assertNotIn("sessions_restored", self.server.counters())
        self.assertFalse(os.path.exists(self.file("sessions")))
        self.put("alive")

    def change(self, name, at):
        with open(self.file(name), "r+b") as f:
            at = f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1]))

    def test_file_is_sealed_and_of_its_owner_alone(self):
        log = self.stop_with_a_session()
        self.assertIn('"event":"sessions_saved"', log)
        for name in ("sessions", "sessions.key"):
            self.assertEqual(stat.S_IMODE(os.stat(self.file(name)).st_mode), 0o600)
        with open(self.file("sessions"), "rb") as f:
            sealed = f.read()
        self.assertNotIn(b"device", sealed)  # the identity, which stands there in clear if anything does
        self.begin()
        self.assertEqual(self.server.counters()["sessions_restored"], 1)
        for name in ("sessions", "sessions.key"):
            self.assertFalse(os.path.exists(self.file(name)))

    def test_changed_file_is_refused(self):
        self.stop_with_a_session()
        for at in (3, 11, 14, 20, 60, -1):
            with self.subTest(at=at):
                self.change("sessions", at)
                self.check_lost("was changed, or sealed with another key")
                self.end()

    def test_cut_file_is_refused(self):
        self.stop_with_a_session()
        os.truncate(self.file("sessions"), 50)
        self.check_lost("was changed")

    def test_file_of_somebody_else_is_refused(self):
        self.stop_with_a_session()
        self.change("sessions.key", 5)
        self.check_lost("another key than sessions.key")

    def test_file_without_its_key_is_refused(self):
        self.stop_with_a_session()
        os.remove(self.file("sessions.key"))
        self.check_lost("cannot use the key sessions.key")

    def test_copy_of_the_file_is_worth_nothing_once_it_was_read(self):
        self.stop_with_a_session()
        copy = os.path.join(self.data, "copy")
        shutil.copy(self.file("sessions"), copy)
        self.begin()
        self.assertEqual(self.server.counters()["sessions_restored"], 1)
        self.end()
        shutil.copy(copy, self.file("sessions"))
        self.check_lost("was changed, or sealed with another key")

    def test_key_in_a_place_of_its_own_stays(self):
        key = os.path.join(self.data, "elsewhere")
        self.dtls = 'saved_key = "%s";' % key
        self.stop_with_a_session()
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        self.assertFalse(os.path.exists(self.file("sessions.key")))
        self.begin()
        self.assertEqual(self.server.counters()["sessions_restored"], 1)
        self.assertTrue(os.path.exists(key))
        self.end()
        os.chmod(key, 0o644)
        self.check_lost("can be read by everybody")


class Crashes(Bed):
    """The process is killed. RFC 9175 section 2.3."""

    def setUp(self):
        super().setUp()
        self.dtls = 'after_crash = "challenge"; checkpoint = "1s";'
        self.extra = ("--log-level", "debug")

    def checkpoint(self, sessions):
        """Waits for a checkpoint with that many sessions."""
        self.wait_for(r'"event":"checkpoint_written".*"sessions":%d\b' % sessions)

    def test_session_goes_on_and_no_number_comes_twice(self):
        self.begin()
        self.put("0")
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.copal("observe", self.uri(port=relay.port))
        self.expect(p, "0")
        self.saved()
        for round in range(1, 5):
            self.checkpoint(1)
            self.put("%d" % (10 * round))
            self.expect(p, "%d" % (10 * round))
            # After the checkpoint; so that numbers were used that the file does not tell of.
            self.restart(signal.SIGKILL if round != 3 else signal.SIGTERM)
            self.put("%d" % (10 * round + 1))
            self.expect(p, "%d" % (10 * round + 1))
            n = self.server.counters()
            # That of a PUT, too, when the checkpoint was made while there was one.
            self.assertIn(n["sessions_restored"], (1, 2), n)
            self.assertEqual(n.get("handshakes_completed", 0), 1, n)
            # Stale until an Echo comes, and this peer sends nothing but acknowledgements.
            self.assertIn(n.get("sessions_restored_stale", 0), (1, 2), n)
        numbers = relay.numbers()
        self.assertGreater(len(numbers), 8)
        self.assertEqual(len(numbers), len(set(numbers)), sorted(numbers))

    def checkpoints(self):
        return self.server.read().count('"event":"checkpoint_written"')

    def next_checkpoint(self):
        """Waits for a checkpoint; returns how many there are then."""
        before, end = self.checkpoints(), time.monotonic() + WAIT_S
        while (now := self.checkpoints()) == before:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        return now

    def open_client(self, port):
        """s_client, which sends what it reads as messages of one session."""
        p = subprocess.Popen(
            ["openssl", "s_client", "-dtls1_2", "-quiet", "-nocommands", "-connect", "127.0.0.1:%d" % port,
             "-psk_identity", "device", "-psk", KEY.encode().hex(), "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(p.stdin.close)
        self.clients.append(p)
        self.wait_for('"event":"session_opened"')
        return p

    def say(self, p, message):
        p.stdin.write(message)
        p.stdin.flush()

    def put_once(self, p, value, echo=b"", wait=WAIT_S):
        """One PUT; returns the code and the Echo value of the answer, or None."""
        self.mid += 1
        options = b"\xb1x" + (b"\xdd\xe4" + bytes([len(echo) - 13]) + echo if len(echo) > 12 else
                              bytes([0xd0 | len(echo), 252 - 11 - 13]) + echo if echo else b"")
        self.say(p, bytes([0x40, 3]) + self.mid.to_bytes(2, "big") + options + b"\xff" + value.encode())
        heard, end = b"", time.monotonic() + wait
        acknowledgement = re.compile(rb"\x60(.)" + re.escape(self.mid.to_bytes(2, "big")), re.S)
        while time.monotonic() < end:
            if select.select([p.stdout], [], [], 0.2)[0]:
                heard += os.read(p.stdout.fileno(), 65536)
            # s_client writes one message behind the other, and older answers may stand in front.
            found = acknowledgement.search(heard)
            if found and found.group(1) == b"\0":  # the disk takes its time: the response is separate
                found = re.compile(rb"\x40(.)(..)", re.S).match(heard, found.end())
                if found:
                    self.say(p, b"\x60\0" + found.group(2))
                    time.sleep(0.2)  # s_client makes one record of all that it finds
            if found:
                echo = re.match(rb"\xdc\xef(.{12})", heard[found.end():], re.S)
                return found.group(1)[0], echo.group(1) if echo else b""
        return None, b""

    def wait_count(self, name, least):
        end = time.monotonic() + WAIT_S
        while self.server.counters().get(name, 0) < least:
            self.assertLess(time.monotonic(), end, self.server.counters())
            time.sleep(0.1)

    def value(self):
        return copal(self.server.keys, "get", self.uri()).stdout.decode().strip()

    @needed("openssl")
    def test_unsafe_requests_need_an_echo_and_replays_have_none(self):
        self.mid = 100
        self.begin()
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.open_client(relay.port)
        self.assertEqual(self.put_once(p, "one"), (CREATED, b""))
        self.checkpoint(1)
        end = time.monotonic() + 10 * WAIT_S
        while True:  # until both come between two checkpoints
            self.assertLess(time.monotonic(), end)
            seen = self.next_checkpoint()
            before = len(relay.up)
            self.assertEqual(self.put_once(p, "two"), (CHANGED, b""))
            recorded = max(relay.up[before:], key=len)  # not an acknowledgement
            self.assertEqual(self.put_once(p, "three"), (CHANGED, b""))
            if self.checkpoints() == seen:
                break
        self.restart(signal.SIGKILL)
        self.assertEqual(self.server.counters()["sessions_restored_stale"], 1)
        # The checkpoint knows nothing of this record, so it is taken; but it has no effect.
        relay.back.sendto(recorded, relay.server)
        self.wait_count("doubted", 1)
        self.assertEqual(self.value(), "three")
        code, echo = self.put_once(p, "four")
        self.assertEqual((code, len(echo)), (UNAUTHORIZED, 12))
        self.assertEqual(self.value(), "three")
        self.assertEqual(self.put_once(p, "four", echo), (CHANGED, b""))
        self.assertEqual(self.value(), "four")
        self.assertEqual(self.server.counters()["sessions_proven"], 1)
        # Another record of before the crash is now known to be old; and nobody is asked again.
        relay.back.sendto(relay.up[-4], relay.server)
        self.wait_count("dtls_rx_replayed", 1)
        self.assertEqual(self.value(), "four")
        self.assertEqual(self.put_once(p, "five"), (CHANGED, b""))
        self.assertEqual(self.server.counters()["doubted"], 2)

    @needed("openssl")
    def test_no_number_comes_twice_whenever_the_server_is_killed(self):
        seed = random.randrange(1 << 32)
        dice = random.Random(seed)
        self.mid = 0
        client, survived, wires = None, 0, []
        self.begin()
        for _ in range(10):
            code, echo = self.put_once(client, "first", wait=8) if client else (None, b"")
            if code is None:  # there was no checkpoint when it was killed
                wires.append(Recorder(self.port))
                self.addCleanup(wires[-1].close)
                client = self.open_client(wires[-1].port)
            else:
                survived += 1
                self.assertEqual(code, UNAUTHORIZED, seed)
                self.assertEqual(self.put_once(client, "again", echo)[0], CHANGED, seed)
            until = time.monotonic() + dice.uniform(0.1, 2.5)
            while time.monotonic() < until:
                self.assertIn(self.put_once(client, "more")[0], (CREATED, CHANGED), seed)
            self.restart(signal.SIGKILL)
        self.assertGreaterEqual(survived, 1, seed)
        for wire in wires:
            numbers = wire.numbers()
            self.assertEqual(len(numbers), len(set(numbers)), seed)

    def test_crash_after_an_upgrade(self):
        self.begin()
        self.put("0")
        relay = Recorder(self.port)
        self.addCleanup(relay.close)
        p = self.copal("observe", self.uri(port=relay.port))
        self.expect(p, "0")
        self.saved()
        self.checkpoint(1)
        first = self.server.process
        first.send_signal(signal.SIGUSR2)
        heir = int(self.wait_for(r'"event":"handed_over".*?"pid":(\d+)').group(1))
        first.wait(WAIT_S)
        self.put("1")
        self.expect(p, "1")
        log = self.wait_for(r'"event":"handed_over"(.|\n)*"event":"checkpoint_written".*"sessions":1\b')
        self.assertIn('"after":"a stop in order"', log.group() + self.server.read())
        os.kill(heir, signal.SIGKILL)
        end = time.monotonic() + WAIT_S
        while os.path.exists("/proc/%d" % heir) and time.monotonic() < end:
            time.sleep(0.05)
        first.stdout.close()
        self.server.log.close()
        shutil.rmtree(self.server.dir)
        self.begin()
        self.put("2")
        self.expect(p, "2")
        self.assertIn(self.server.counters()["sessions_restored_stale"], (1, 2))
        numbers = relay.numbers()
        self.assertEqual(len(numbers), len(set(numbers)), sorted(numbers))

    def test_sessions_are_dropped_when_that_is_wanted(self):
        self.dtls = ""
        self.begin()
        self.put("0")
        p = self.copal("observe", self.uri())
        self.expect(p, "0")
        self.saved()
        self.restart(signal.SIGKILL)
        self.assertFalse(os.path.exists(self.file("sessions")))
        self.assertNotIn("sessions_restored", self.server.counters())

    def test_client_makes_a_new_session_when_nobody_answers(self):
        self.dtls = ""
        self.begin()
        p = self.copal("ping", "-c", "32", "coaps://127.0.0.1:%d" % self.port)
        wait_for_answers(p)
        self.restart(signal.SIGKILL)
        said = p.communicate(timeout=WAIT_S)[0]
        n = self.server.counters()
        self.assertEqual(n["handshakes_completed"], 1, (n, said))
        self.assertGreaterEqual(n["dtls_rx_unknown_cid"], 4)
        self.assertGreaterEqual(int(re.search(rb"(\d+) answered", said).group(1)), 5, said)

    def test_checkpoint_is_not_used_when_the_policy_is_another_by_then(self):
        self.begin()
        self.put("0")
        p = self.copal("observe", self.uri())
        self.expect(p, "0")
        self.checkpoint(1)
        self.dtls = 'after_crash = "drop";'
        self.restart(signal.SIGKILL)
        self.assertIn("after_crash is drop", self.wait_for(r'"event":"sessions_lost".*').group())
        self.assertNotIn("sessions_restored", self.server.counters())
        self.assertFalse(os.path.exists(self.file("sessions")))


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
