# SPDX-License-Identifier: Apache-2.0
"""Live upgrades: no client notices one that succeeds, nor one that fails. docs/upgrade.md."""
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from daemon import COPALD, CON, CONTENT, CREATED, GET, POST, PUT, WAIT_S, exchange, options, \
    options_of, payload_of, ports

BUILD = os.path.dirname(COPALD)
CHANGED = 0x44
CLIENTS = 256
RATE = 20000

# A program that is started as the new copald and behaves badly. The layout of its message is that of
# src/server/upgrade_wire.h: the format, the kind, and a text at the end.
IMPOSTOR = """#!{python}
import os, signal, socket, struct, sys, time
channel = socket.socket(fileno=int(os.environ["COPALD_UPGRADE_FD"]))
FORMAT, OFFERED, READY, GO, SERVING, FAILED = 1, 4, 5, 6, 7, 8
SIZE = {size}
def say(kind, text=b""):
    channel.send(struct.pack("=II", FORMAT, kind).ljust(SIZE - 256, b"\\0") + text.ljust(256, b"\\0"))
def hear(kind):
    while True:
        message = channel.recv(SIZE)
        if not message:
            sys.exit(99)
        if struct.unpack("=II", message[:8])[1] == kind:
            return
def wait(gate):
    while not os.path.exists(gate):
        time.sleep(0.02)
hear(OFFERED)
{behaviour}
"""
MESSAGE_SIZE = 8 + 20 + 20 + 16 + 256


def alive(pid):
    """Whether the process runs; one that has ended and that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Line:
    """A line of copalds, each started by the one before it."""

    def __init__(self, *args, listen=("coap://127.0.0.1:0",), store=True, config=None, env=None):
        self.dir = tempfile.mkdtemp(prefix="copald-upgrade-")
        # Its own name, which may come to mean another program.
        self.program = self.file("copald")
        os.symlink(os.path.abspath(COPALD), self.program)
        self.log = open(self.file("log"), "w+", encoding="utf-8")
        self.out = open(self.file("out"), "w+", encoding="utf-8")
        command = [self.program, *args, "--log-format", "json"]
        if store:
            command += ["--data", self.file("data")]
        if config is not None:
            self.configure(config)
            command += ["--config", self.file("conf")]
        else:
            for uri in listen:
                command += ["--listen", uri]
        self.pids = []
        self.first = subprocess.Popen(command, stdout=self.out, stderr=self.log, env=env)
        self.pids.append(self.first.pid)
        self.seen = 0  # events looked at
        self.wait_for("ready")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for pid in self.pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.first.wait()
        for pid in self.pids:
            wait_until(lambda pid=pid: not alive(pid))
        self.log.close()
        self.out.close()
        shutil.rmtree(self.dir)

    def file(self, name):
        return os.path.join(self.dir, name)

    def open(self, gate):
        """Lets somebody go on who waits for it."""
        with open(self.file(gate), "w", encoding="utf-8"):
            pass

    def configure(self, text):
        with open(self.file("conf"), "w", encoding="utf-8") as f:
            f.write(text)

    def install(self, text):
        """Puts another program in the place of copald; None: none."""
        os.unlink(self.program)
        if text is None:
            return
        with open(self.program, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.program, 0o755)

    def reinstall(self):
        if os.path.lexists(self.program):
            os.unlink(self.program)
        os.symlink(os.path.abspath(COPALD), self.program)

    @property
    def pid(self):
        return self.pids[-1]

    @property
    def port(self):
        return self.ports()[0]

    def ports(self):
        """Of the addresses served last."""
        with open(self.file("out"), encoding="utf-8") as f:
            ready = [line for line in f if " ready: " in line][-1]
        return [int(p) for p in re.findall(r"coap://[^ ]*:(\d+)", ready)]

    def events(self):
        with open(self.file("log"), encoding="utf-8") as f:
            text = f.read()
        out = []
        for line in text[:text.rfind("\n") + 1].splitlines():
            if line.startswith("{"):
                out.append(json.loads(line))
        return out

    def text(self):
        with open(self.file("log"), encoding="utf-8") as f:
            return f.read()

    def wait_for(self, *names):
        """The next event with one of these names."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            events = self.events()
            for i, entry in enumerate(events[self.seen:], self.seen):
                if entry["event"] in names:
                    self.seen = i + 1
                    return entry
            time.sleep(0.02)
        raise AssertionError(f"no {names} in the log:\n{self.text()}")

    def upgrade(self):
        """Has the present one hand over; returns the time from there to the new one."""
        os.kill(self.pid, signal.SIGUSR2)
        entry = self.wait_for("handed_over", "upgrade_failed", "upgrade_refused")
        if entry["event"] != "handed_over":
            raise AssertionError(f"not handed over:\n{self.text()}")
        old = self.pid
        self.pids.append(entry["pid"])
        wait_until(lambda: not alive(old))

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.wait_for("stopped")
        wait_until(lambda: not alive(self.pid))


def wait_until(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def impostor(behaviour):
    return IMPOSTOR.format(python=sys.executable, size=MESSAGE_SIZE, behaviour=behaviour)


def surge(port, seconds, put_every=4):
    return subprocess.Popen([os.path.join(BUILD, "tests/daemon/daemon_surge"), str(port),
                             str(CLIENTS), str(RATE), str(seconds), str(put_every)],
                            stdout=subprocess.PIPE, text=True)


def children_of_log(port):
    """How many resources the server lists below /log."""
    listing = subprocess.run([os.path.join(BUILD, "copal"), "get", "--accept", "40",
                              f"coap://127.0.0.1:{port}/.well-known/core?href=/log/*"],
                             capture_output=True, text=True, timeout=WAIT_S, check=True)
    return listing.stdout.count("</log/")


def is_newer(v1, v2):
    """Whether v2 follows v1. RFC 7641 section 3.4."""
    return v1 < v2 and v2 - v1 < 1 << 23 or v1 > v2 and v1 - v2 > 1 << 23


class Audience(threading.Thread):
    """Clients that observe what a surge changes, one resource each, and find fault."""

    COUNT = 16

    def __init__(self, port):
        super().__init__(daemon=True)
        self.is_over = False
        self.faults, self.heard = [], 0
        self.sockets, self.numbers, self.last = {}, {}, {}
        self.poll = select.poll()
        for i in range(self.COUNT):
            exchange(port, PUT, "surge", str(i), payload=b"0")
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.connect(("127.0.0.1", port))
            s.send(bytes([0x42, GET, i, 1, 0xEE, i]) + options((6, b""), (11, b"surge"),
                                                               (11, str(i).encode())))
            self.sockets[s.fileno()] = s
            self.poll.register(s, select.POLLIN)

    def take(self, s, m):
        if m[0] >> 4 & 3 == CON:
            s.send(bytes([0x60, 0]) + m[2:4])
        if m[1] == 0:
            return  # the response comes separately
        found = [v for n, v in options_of(m) if n == 6]
        if m[0] & 15 != 2 or m[1] != CONTENT or not found:
            self.faults.append(m.hex())
            return
        i, number = m[5], int.from_bytes(found[0], "big")
        if i in self.numbers and not is_newer(self.numbers[i], number):
            self.faults.append(f"{self.numbers[i]} then {number}")
        self.numbers[i], self.last[i] = number, payload_of(m)
        self.heard += 1

    def run(self):
        while not self.is_over:
            for fd, _ in self.poll.poll(200):
                try:
                    self.take(self.sockets[fd], self.sockets[fd].recv(2048))
                except ConnectionRefusedError as e:
                    self.faults.append(str(e))

    def judge(self, test, port):
        """Everybody has heard what is there now."""
        def is_heard():
            return self.last == {i: exchange(port, GET, "surge", str(i))[3] for i in range(self.COUNT)}

        wait_until(lambda: self.faults or is_heard())
        self.is_over = True
        self.join()
        test.assertEqual(self.faults[:5], [])
        test.assertGreater(self.heard, 2 * self.COUNT)
        for s in self.sockets.values():
            s.close()


class UnderLoad(unittest.TestCase):
    def check(self, line, load):
        out, _ = load.communicate(timeout=WAIT_S)
        result = json.loads(out)
        print(json.dumps(result), file=sys.stderr)
        self.assertEqual(0, load.returncode, result)
        self.assertEqual(0, result["wrong"] + result["timeouts"] + result["refused"], result)
        self.assertLessEqual(result["most_retransmits"], 1, result)
        self.assertGreater(result["puts"], 0)
        # What was acknowledged exists, and nothing was carried out twice.
        self.assertEqual(result["posts"], children_of_log(line.port))

    def test_no_client_notices_upgrades(self):
        with Line() as line:
            load = surge(line.port, 8)
            for _ in range(4):
                time.sleep(1)
                line.upgrade()
            self.check(line, load)
            line.stop()
            self.assertEqual(0, line.first.wait(WAIT_S))

    def test_no_observer_notices_upgrades_amid_changes(self):
        with Line() as line:
            audience = Audience(line.port)
            load = surge(line.port, 6, put_every=1)
            audience.start()
            for _ in range(3):
                time.sleep(1)
                line.upgrade()
            self.check(line, load)
            audience.judge(self, line.port)
            line.stop()

    def test_no_client_notices_upgrades_that_fail(self):
        failures = ["say(FAILED, b'not today')", "sys.exit(7)",
                    "say(READY); hear(GO); os.kill(os.getpid(), signal.SIGSEGV)",
                    "say(READY); hear(GO); say(FAILED, b'the store is locked')",
                    "say(READY); sys.exit(8)"]
        with Line() as line:
            load = surge(line.port, 8)
            for failure in failures:
                time.sleep(0.5)
                line.install(impostor(failure))
                os.kill(line.pid, signal.SIGUSR2)
                line.wait_for("upgrade_failed")
            line.reinstall()
            time.sleep(1)
            line.upgrade()
            self.check(line, load)
            line.stop()


class Failing(unittest.TestCase):
    """The old one goes on serving, and says what was wrong."""

    def fail(self, line, *expected):
        os.kill(line.pid, signal.SIGUSR2)
        entry = line.wait_for("upgrade_failed", "upgrade_refused")
        for text in expected:
            self.assertIn(text, json.dumps(entry))
        self.assertTrue(alive(line.pid))

    def serves(self, line, body):
        self.assertIn(exchange(line.port, PUT, "a", payload=body)[1], (CREATED, CHANGED))
        self.assertEqual((CONTENT, body), exchange(line.port, GET, "a")[1::2])

    def test_program_that_is_missing(self):
        with Line() as line:
            line.install(None)
            self.fail(line, "upgrade_refused", line.program, "No such file")
            self.serves(line, b"1")

    def test_program_that_is_none(self):
        with Line() as line:
            line.install("#!/nowhere/at/all\n")
            self.fail(line, "upgrade_refused", "No such file")
            line.install("#!/bin/sh\nexit 7\n")
            self.fail(line, "upgrade_failed", "exit status 7")
            self.serves(line, b"1")

    def test_configuration_with_a_mistake(self):
        good = 'listen = ["coap://127.0.0.1:0"]\n'
        with Line(config=good) as line:
            self.serves(line, b"1")
            line.configure(good + "nonsense = 3\n")
            self.fail(line, "upgrade_failed", "exit status 3")
            self.assertIn("nonsense", line.text())
            self.serves(line, b"2")
            line.configure(good)
            line.upgrade()
            self.serves(line, b"3")

    def test_address_that_cannot_be_served(self):
        with Line(config='listen = ["coap://127.0.0.1:0"]\n') as line:
            line.configure('listen = ["coap://127.0.0.1:0", "coap://192.0.2.1"]\n')
            self.fail(line, "upgrade_failed", "192.0.2.1", "exit status 1")
            self.serves(line, b"1")

    def test_program_that_crashes_when_everything_is_given(self):
        with Line() as line:
            self.serves(line, b"1")
            line.install(impostor("say(READY); hear(GO); os.kill(os.getpid(), signal.SIGSEGV)"))
            self.fail(line, "upgrade_failed", "killed by signal 11")
            line.wait_for("ready")
            self.assertEqual((CONTENT, b"1"), exchange(line.port, GET, "a")[1::2])
            self.serves(line, b"2")
            line.reinstall()
            line.upgrade()
            self.assertEqual((CONTENT, b"2"), exchange(line.port, GET, "a")[1::2])
            line.stop()

    def test_program_that_says_why(self):
        with Line() as line:
            line.install(impostor("say(READY); hear(GO); say(FAILED, b'out of luck')"))
            self.fail(line, "upgrade_failed", "out of luck")
            line.wait_for("ready")
            self.serves(line, b"1")

    def test_program_that_talks_nonsense(self):
        with Line() as line:
            line.install(impostor("channel.send(b'hello')"))
            self.fail(line, "upgrade_failed")
            line.install(impostor("say(SERVING); time.sleep(1000)"))
            self.fail(line, "upgrade_failed", "out of turn", "signal 9")
            self.serves(line, b"1")

    def test_two_at_a_time_are_refused(self):
        with Line() as line:
            line.install(impostor(f"wait({line.file('gate')!r}); say(FAILED)"))
            os.kill(line.pid, signal.SIGUSR2)
            line.wait_for("upgrade_started")
            self.fail(line, "upgrade_refused", "under way")
            line.open("gate")
            line.wait_for("upgrade_failed")
            self.serves(line, b"1")

    def test_end_wins_over_an_upgrade(self):
        with Line() as line:
            line.install(impostor("time.sleep(1000)"))
            os.kill(line.pid, signal.SIGUSR2)
            started = line.wait_for("upgrade_started")
            line.stop()
            self.assertEqual(0, line.first.wait(WAIT_S))
            self.assertFalse(alive(started["pid"]))

    def test_variable_without_an_upgrade(self):
        done = subprocess.run([COPALD, "--listen", "coap://127.0.0.1:0"], capture_output=True,
                              text=True, timeout=WAIT_S, check=False,
                              env={**os.environ, "COPALD_UPGRADE_FD": "nonsense"})
        self.assertEqual(1, done.returncode)
        self.assertIn("COPALD_UPGRADE_FD", done.stderr)

    def test_replaced_program_is_started(self):
        with Line() as line:
            shell = f'#!/bin/sh\necho replaced >&2\nexec {os.path.abspath(COPALD)} "$@"\n'
            line.install(shell)
            line.upgrade()
            self.assertIn("replaced\n", line.text())
            self.serves(line, b"1")
            line.stop()


class Sockets(unittest.TestCase):
    def test_addresses_follow_the_configuration(self):
        one = '"coap://127.0.0.1:0"'
        config = f'listen = [{one}, "coap://127.0.0.2:0"]\nserver: {{ sockets = 16 }}\n'
        with Line(config=config) as line:
            port, other = line.ports()
            exchange(port, PUT, "a", payload=b"1")
            line.configure(f'listen = ["coap://127.0.0.3:0", {one}]\nserver: {{ sockets = 5 }}\n')
            line.upgrade()
            self.assertEqual(port, line.ports()[1])
            kept = [e for e in line.events() if e["event"] == "sockets_kept"]
            self.assertEqual([(16, 5)], [(e["sockets"], e["wanted"]) for e in kept])
            self.assertEqual((CONTENT, b"1"), exchange(port, GET, "a")[1::2])
            self.assertEqual((CONTENT, b"1"),
                             exchange(line.ports()[0], GET, "a", to="127.0.0.3")[1::2])
            self.assertIsNone(exchange(other, GET, "a", to="127.0.0.2", wait=0.3))
            line.stop()

    def test_all_addresses_follow_one(self):
        port = ports.reserve()
        with Line(config=f'listen = ["coap://127.0.0.1:{port}"]\n') as line:
            line.configure(f'listen = ["coap://0.0.0.0:{port}"]\n')
            line.upgrade()
            self.assertEqual(CREATED, exchange(port, PUT, "a", payload=b"1", to="127.0.0.9")[1])
            self.assertEqual((CONTENT, b"1"), exchange(port, GET, "a")[1::2])
            line.stop()

    def test_number_of_shards_may_change(self):
        conf = 'listen = ["coap://127.0.0.1:0"]\nserver: {{ shards = {} }}\n'
        with Line(config=conf.format(1)) as line:
            for shards in (3, 2):
                line.configure(conf.format(shards))
                line.upgrade()
                for i in range(20):
                    self.assertIsNotNone(exchange(line.port, POST, "log", payload=b"1"))
            line.stop()

    def test_sockets_too_many_for_poll(self):
        """A thread of each process waits for them by epoll; the old one leaves what comes late."""
        config = 'listen = ["coap://127.0.0.1:0"]\nserver: { shards = 1, sockets = 40 }\n'
        with Line(config=config) as line:
            for upgrades in range(3):
                for i in range(40):  # each by a port of its own, so by many of the sockets
                    exchange(line.port, PUT, "a", payload=b"%d" % i)
                    self.assertEqual((CONTENT, b"%d" % i), exchange(line.port, GET, "a")[1::2])
                if upgrades < 2:
                    line.upgrade()
            line.stop()

    def test_datagrams_wait_for_the_new_one(self):
        with Line() as line:
            line.install(f"#!/bin/sh\nsleep 0.5\nexec {os.path.abspath(COPALD)} \"$@\"\n")
            os.kill(line.pid, signal.SIGUSR2)
            line.wait_for("upgrade_yielding")
            self.assertEqual(CREATED, exchange(line.port, PUT, "a", payload=b"1")[1])  # sent once
            line.pids.append(line.wait_for("handed_over")["pid"])


class Supervised(unittest.TestCase):
    def test_service_manager_learns_the_new_process(self):
        with tempfile.TemporaryDirectory() as d, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(d, "notify")
            manager.bind(path)
            manager.settimeout(WAIT_S)
            with Line(env={**os.environ, "NOTIFY_SOCKET": path}) as line:
                self.assertIn(b"READY=1", manager.recv(1024))
                line.install("#!/bin/sh\nexit 1\n")
                os.kill(line.pid, signal.SIGUSR2)
                self.assertIn(b"RELOADING=1", manager.recv(1024))
                self.assertIn(b"READY=1", manager.recv(1024))
                line.wait_for("upgrade_failed")
                line.reinstall()
                os.kill(line.pid, signal.SIGUSR2)
                self.assertIn(b"RELOADING=1", manager.recv(1024))
                state = manager.recv(1024)
                self.assertIn(b"READY=1", state)
                line.pids.append(line.wait_for("handed_over")["pid"])
                self.assertIn(b"MAINPID=%d\n" % line.pid, state)
                self.assertIn(b"BARRIER=1", manager.recv(1024))
                line.stop()
                self.assertIn(b"STOPPING=1", manager.recv(1024))

    def test_pid_file_follows(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "copald.pid")
            conf = f'listen = ["coap://127.0.0.1:0"]\npid_file = "{path}"\n'

            def named():
                with open(path, encoding="ascii") as f:
                    return int(f.read())

            with Line(config=conf) as line:
                self.assertEqual(line.pid, named())
                line.upgrade()
                self.assertEqual(line.pid, named())
                line.install(impostor("say(READY); hear(GO); sys.exit(1)"))
                os.kill(line.pid, signal.SIGUSR2)
                line.wait_for("upgrade_failed")
                line.wait_for("ready")
                self.assertEqual(line.pid, named())
                line.stop()
                self.assertEqual([], os.listdir(d))

    def test_signals_in_between_reach_the_new_process(self):
        with Line() as line:
            line.install(impostor(f"say(READY); hear(GO); wait({line.file('gate')!r}); say(SERVING)\n"
                                  "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])\n"
                                  "time.sleep(1000)"))
            os.kill(line.pid, signal.SIGUSR2)
            line.wait_for("state_saved")
            os.kill(line.pid, signal.SIGTERM)
            line.open("gate")
            heir = line.wait_for("handed_over")["pid"]
            line.pids.append(heir)
            wait_until(lambda: not alive(heir))


class Memory(unittest.TestCase):
    def test_store_in_memory_cannot_be_handed_over(self):
        with Line("--store", "memory", store=False) as line:
            exchange(line.port, PUT, "a", payload=b"1")
            os.kill(line.pid, signal.SIGUSR2)
            self.assertIn("memory", line.wait_for("upgrade_refused")["error"])
            self.assertEqual((CONTENT, b"1"), exchange(line.port, GET, "a")[1::2])


if __name__ == "__main__":
    unittest.main()
