# SPDX-License-Identifier: Apache-2.0
"""copald from outside: command line, exit codes, configuration, signals, log."""
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import (ACK, CONTENT, COPALD, CREATED, Daemon, GET, NON, POST, PUT, WAIT_S, client, events,
                    exchange, request, run)

OK, RUNTIME, USAGE, CONFIG = 0, 1, 2, 3
NOT_FOUND = 0x84


class ConfigFile:
    """A configuration file that can be rewritten."""

    def __init__(self, text):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()

    @property
    def name(self):
        return self.file.name

    def write(self, text):
        self.file.seek(0)
        self.file.truncate()
        self.file.write(text)
        self.file.flush()


class CommandLine(unittest.TestCase):
    def test_version_and_help(self):
        code, out, err = run("--version")
        self.assertEqual((code, err), (OK, ""))
        self.assertRegex(out, r"^copald \d+\.\d+\.\d+\n$")
        code, out, err = run("--help")
        self.assertEqual((code, err), (OK, ""))
        for option in ("--config", "--listen", "--store", "--data", "--check",
                       "--check-config",
                       "--print-config", "--log-level", "--log-format"):
            self.assertIn(option, out)

    def test_usage_errors_exit_2_and_say_what_is_wrong(self):
        for args, complaint in (
                (["--frobnicate"], "frobnicate"),
                (["--listen"], "requires an argument"),
                (["surplus"], "takes options only"),
                (["--store", "disk"], "the stores are journal, lmdb and memory"),
                (["--store", "memory", "--data", "/tmp/x"], "keeps nothing in files"),
                (["--data", ""], "not the name of a directory"),
                (["--log-level", "loud"], "expected is error, warn, info or debug"),
                (["--log-format", "xml"], "expected is text, json or auto"),
                (["--listen", "http://127.0.0.1"], "not a CoAP URI"),
                (["--listen", "127.0.0.1"], "not a CoAP URI"),
                (["--listen", "coap+tcp://127.0.0.1"], "supported are coap (UDP) and coaps"),
                (["--listen", "coap://localhost"], "an IP address of this machine is needed"),
                (["--listen", "coap://127.0.0.1/a"], "no path and no query"),
                (["--listen", "coap://127.0.0.1?a"], "no path and no query"),
                (["--listen", "coap://224.0.1.187"], "a group address"),
                (["--listen", "coap://127.0.0.1:65536"], "not a CoAP URI")):
            with self.subTest(args=args):
                code, out, err = run(*args)
                self.assertEqual((code, out), (USAGE, ""))
                self.assertIn(complaint, err)


class Storage(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.TemporaryDirectory()
        self.addCleanup(self.top.cleanup)
        self.data = os.path.join(self.top.name, "data")

    def test_resources_survive_kill_9(self):
        with Daemon("--data", self.data) as d:
            self.assertIn(f"(store: {self.data})", d.ready)
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"1")[1], CREATED)
            d.stop(signal.SIGKILL)
        self.assertEqual(os.stat(self.data).st_mode & 0o777, 0o700)
        with Daemon("--data", self.data) as d:
            self.assertEqual(exchange(d.port, GET, "a")[1::2], (CONTENT, b"1"))
            listing = exchange(d.port, GET, ".well-known", "core")[3]
            self.assertIn(b"</a>", listing)

    def test_configuration_names_the_store(self):
        for store in ('store = "lmdb"\n', ""):
            with ConfigFile(f'{store}data = "{self.data}"\n') as f, \
                    Daemon("--config", f.name, store=None) as d:
                self.assertIn(f"(store: {self.data})", d.ready)
        with ConfigFile('store = "memory"\n') as f, Daemon("--config", f.name, store=None) as d:
            self.assertIn("(store: memory)", d.ready)
        with ConfigFile("data = 7\n") as f:
            code, _, err = run("--config", f.name, "--check-config")
            self.assertEqual(code, CONFIG)
            self.assertIn("data: a string is expected", err)

    def test_command_line_chooses_memory_over_the_configuration(self):
        with ConfigFile(f'store = "lmdb"\ndata = "{self.data}"\n') as f, \
                Daemon("--config", f.name, "--store", "memory") as d:
            self.assertIn("(store: memory)", d.ready)
        self.assertFalse(os.path.exists(self.data))

    def test_second_copald_is_refused_and_named(self):
        with Daemon("--data", self.data) as d:
            code, out, err = run("--data", self.data, "--listen", "coap://127.0.0.1:0")
            self.assertEqual((code, out), (RUNTIME, ""))
            self.assertIn(f"in use by another copald, process {d.process.pid}", err)
            self.assertIn("a directory of its own: --data DIR", err)
            code, _, err = run("--check", self.data)
            self.assertEqual(code, RUNTIME)
            self.assertIn("in use", err)

    def test_directory_that_cannot_be_made_is_named(self):
        code, _, err = run("--data", "/proc/copald", "--listen", "coap://127.0.0.1:0")
        self.assertEqual(code, RUNTIME)
        self.assertIn("/proc/copald", err)
        self.assertIn("or keep nothing: --store memory", err)

    def test_check_says_what_is_there_and_changes_nothing(self):
        with Daemon("--data", self.data) as d:
            exchange(d.port, PUT, "a", payload=b"1")
            d.stop()
        file = os.path.join(self.data, "data.mdb")
        with open(file, "rb") as f:
            before = f.read()
        code, out, err = run("--check", self.data)
        self.assertEqual((code, err), (OK, ""))
        self.assertRegex(out, r": 1 resources, revision [12], \d+ bytes, no damage\n$")
        with open(file, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_check_finds_damage(self):
        with Daemon("--data", self.data) as d:
            exchange(d.port, PUT, "a", payload=b"a body to be damaged")
            d.stop()
        file = os.path.join(self.data, "data.mdb")
        with open(file, "r+b") as f:
            content = f.read()
            f.seek(content.index(b"a body to be damaged"))
            f.write(b"A")
        code, out, err = run("--check", self.data)
        self.assertEqual(code, RUNTIME)
        self.assertIn("/a: the checksum of its record is wrong", err)
        self.assertIn("damaged", out)

    def test_closed_standard_files_are_nobody_elses(self):
        pid_file = os.path.join(self.top.name, "pid")
        with ConfigFile('pid_file = "%s"\n' % pid_file) as f:
            with subprocess.Popen(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', COPALD, "--config", f.name,
                                   "--listen", "coap://127.0.0.1:0", "--data", self.data]) as p:
                try:
                    end = time.monotonic() + WAIT_S
                    while not os.path.exists(pid_file) and time.monotonic() < end:
                        time.sleep(0.02)
                    self.assertEqual([os.readlink("/proc/%d/fd/%d" % (p.pid, fd)) for fd in range(3)],
                                     3 * ["/dev/null"])
                finally:
                    p.terminate()
                self.assertEqual(p.wait(WAIT_S), OK)

    def test_check_reads_the_state_file_too(self):
        with Daemon("--data", self.data) as d:
            exchange(d.port, PUT, "a", payload=b"1")
            d.stop()
        file = os.path.join(self.data, "state")
        with open(file, "r+b") as f:
            f.seek(30)
            f.write(b"?")
        for _ in range(2):
            code, out, err = run("--check", self.data)
            self.assertEqual((code, err),
                             (RUNTIME, "copald: the state file is damaged or of an unknown version\n"))
            self.assertIn("damaged", out)
        self.assertTrue(os.path.exists(file))

    def test_check_needs_a_store(self):
        for name in (self.data, self.top.name):
            code, out, err = run("--check", name)
            self.assertEqual((code, out), (RUNTIME, ""))
            self.assertIn("is no data directory", err)
        self.assertEqual(os.listdir(self.top.name), [])


class DurableByDefault(unittest.TestCase):
    """copald that nobody has told where to keep resources."""

    def setUp(self):
        self.top = tempfile.TemporaryDirectory()
        self.addCleanup(self.top.cleanup)
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")}

    def keep(self, where, **more):
        """A resource outlives kill -9 in that directory, which is made for its owner alone."""
        with Daemon(store=None, env=self.env, **more) as d:
            self.assertIn(f"(store: {where})", d.ready, d.err)
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"1")[1], CREATED)
            d.stop(signal.SIGKILL)
        self.assertEqual(os.stat(where).st_mode & 0o777, 0o700)
        with Daemon(store=None, env=self.env, **more) as d:
            self.assertEqual(exchange(d.port, GET, "a")[1::2], (CONTENT, b"1"))

    def user(self):
        """Somebody who is not root."""
        if os.geteuid() != 0:
            return {}
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        try:
            code, _, _ = run("--version", **nobody)
        except PermissionError:
            code = RUNTIME
        if code != OK:
            self.skipTest("others may not run this copald")
        os.chown(self.top.name, 65534, 65534)
        return nobody

    def test_service_manager_names_the_directory(self):
        where = os.path.join(self.top.name, "state", "copal")
        self.env["STATE_DIRECTORY"] = where + ":/elsewhere"
        self.keep(where)

    def test_user_has_a_directory_for_state(self):
        user = self.user()
        self.env["XDG_STATE_HOME"] = self.top.name
        self.keep(os.path.join(self.top.name, "copal"), **user)

    def test_user_has_a_home(self):
        user = self.user()
        self.env["HOME"] = self.top.name
        self.keep(os.path.join(self.top.name, ".local/state/copal"), **user)

    def test_root_has_var_lib(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        code, out, _ = run("--print-config", env=self.env)
        self.assertEqual(code, OK)
        self.assertIn('\ndata = "/var/lib/copal"\n', "\n" + out)
        self.assertRegex(out, '(?m)^store = "(lmdb|journal)"$')

    def test_user_without_any_is_told_and_nothing_is_kept_in_memory_instead(self):
        user = self.user()
        code, out, err = run("--listen", "coap://127.0.0.1:0", env=self.env, **user)
        self.assertEqual((code, out), (CONFIG, ""))
        self.assertIn("use --data DIR, or --store memory", err)
        with Daemon("--store", "memory", env=self.env, **user) as d:
            self.assertIn("(store: memory)", d.ready)

    def test_directory_that_cannot_be_made_ends_the_start(self):
        user = self.user()
        self.env["HOME"] = "/proc/nothing"
        code, out, err = run("--listen", "coap://127.0.0.1:0", env=self.env, **user)
        self.assertEqual((code, out), (RUNTIME, ""))
        self.assertIn("/proc/nothing/.local/state/copal: cannot be made", err)
        self.assertIn("--data DIR", err)


class Configuration(unittest.TestCase):
    def test_check_config_accepts_what_is_right_without_serving(self):
        with ConfigFile('listen = "coap://127.0.0.1:1"\nlimits = { exchanges = 8 }\n') as f:
            self.assertEqual(run("--config", f.name, "--check-config"), (OK, "", ""))

    def test_mistakes_exit_3_with_file_line_and_key(self):
        with ConfigFile("limits = {\n  exchange = 8\n  chunk = 1\n}\n") as f:
            for args in ([], ["--check-config"]):
                code, out, err = run("--config", f.name, *args)
                self.assertEqual((code, out), (CONFIG, ""))
                self.assertIn(f"{f.name}:2: limits.exchange: unknown key", err)
                self.assertIn(f"{f.name}:3: limits.chunk: out of range", err)

    def test_missing_file_exits_3(self):
        code, _, err = run("--config", "/nonexistent", "--check-config")
        self.assertEqual(code, CONFIG)
        self.assertIn("/nonexistent: cannot be read", err)

    def test_full_output_is_an_error(self):
        for action in ("--print-config", "--help", "--version"):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([COPALD, action], stdout=full, stderr=subprocess.PIPE,
                                      text=True, timeout=WAIT_S)
            self.assertEqual((done.returncode, done.stderr), (
                RUNTIME, "copald: standard output cannot be written: No space left on device\n"))

    def test_printed_configuration_is_a_configuration(self):
        code, text, _ = run("--print-config", "--listen", "coap://[::1]:7", "--log-level", "debug")
        self.assertEqual(code, OK)
        self.assertIn('listen = ["coap://[::1]:7"]', text)
        self.assertIn('level = "debug"', text)
        with ConfigFile(text) as f:
            code, again, _ = run("--config", f.name, "--print-config")
            self.assertEqual((code, again), (OK, text))

    def test_sample_configuration_is_valid(self):
        sample = os.path.join(os.environ.get("COPAL_SOURCE_DIR", "."), "packaging/copald.conf")
        self.assertEqual(run("--config", sample, "--check-config"), (OK, "", ""))

    def test_every_key_is_documented(self):
        manual = os.path.join(os.environ.get("COPAL_SOURCE_DIR", "."), "docs/man/copald.conf.5")
        with open(manual, encoding="utf-8") as f:
            documented = set(re.findall(r"[A-Za-z_]+", " ".join(
                line for line in f if line.startswith(".It Va"))))
        keys = set(re.findall(r"(?m)^ *(\w+) = [^{\n]", run("--print-config")[1]))
        self.assertGreater(len(keys), 40)
        self.assertEqual(keys - documented, set())

    def test_command_line_replaces_the_addresses_of_the_file(self):
        with ConfigFile('listen = "coap://192.0.2.1"\n') as f, Daemon("--config", f.name) as d:
            self.assertIn("coap://127.0.0.1:", d.ready)
            self.assertNotIn("192.0.2.1", d.ready)

    def test_names_of_other_hosts_are_not_found(self):
        with ConfigFile('names = ["a.example"]\n') as f, Daemon("--config", f.name) as d:
            self.assertEqual(exchange(d.port, PUT, "x", payload=b"1", host=b"A.Example")[1], CREATED)
            self.assertEqual(exchange(d.port, GET, "x", host=b"b.example", mid=2)[1], NOT_FOUND)
            self.assertEqual(exchange(d.port, GET, "x", mid=3)[1], CONTENT)


class Serving(unittest.TestCase):
    def test_ready_line_is_the_only_output(self):
        with Daemon(listen=("coap://127.0.0.1:0", "coap://127.0.0.2:0")) as d:
            self.assertRegex(d.ready, r"^copald \d+\.\d+\.\d+ ready: coap://127\.0\.0\.1:\d+ "
                                      r"coap://127\.0\.0\.2:\d+ \(store: memory\)\n$")
            code, out, _ = d.stop()
            self.assertEqual((code, out), (OK, ""))

    def test_requests_are_answered_from_the_start(self):
        with Daemon() as d:
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"1", mid=1)[:3], (ACK, CREATED, 1))
            self.assertEqual(exchange(d.port, GET, "a", mid=2), (ACK, CONTENT, 2, b"1"))

    def test_every_source_port_reaches_a_shard(self):
        with ConfigFile("server = { shards = 3; sockets = 5 }\n") as f, \
                Daemon("--config", f.name) as d:
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"1")[1], CREATED)
            for mid in range(2, 66):
                self.assertEqual(exchange(d.port, GET, "a", mid=mid), (ACK, CONTENT, mid, b"1"))

    def test_more_shards_than_sockets_are_given_sockets(self):
        with ConfigFile("server = { shards = 4; sockets = 1 }\n") as f, \
                Daemon("--config", f.name) as d:
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"1")[1], CREATED)

    def test_reply_leaves_from_the_address_that_was_asked(self):
        with Daemon(listen=("coap://0.0.0.0:0",)) as d:
            port = int(d.ready.split(":")[3].split()[0])
            self.assertEqual(exchange(port, PUT, "a", payload=b"1", to="127.0.0.3")[1], CREATED)

    def test_broadcast_is_carried_out_once(self):
        with ConfigFile('server = { shards = 2; sockets = 8 }\n'
                        'transmission = { default_leisure = "0" }\n') as f, \
                Daemon("--config", f.name, listen=("coap://0.0.0.0:0",)) as d, client() as s:
            port = int(re.search(r"0\.0\.0\.0:(\d+)", d.ready).group(1))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.settimeout(WAIT_S)
            s.sendto(request(POST, "a", payload=b"1", kind=NON), ("127.255.255.255", port))
            self.assertEqual(s.recv(2048)[1], CREATED)
            _, _, log = d.stop()
            total = [e for e in events(log) if e["event"] == "metrics"][-1]
            self.assertEqual((total["rx_requests"], total["resources"]), (1, 1))

    def test_directory_of_uploads_that_is_missing_is_told_at_the_start(self):
        with ConfigFile('uploads = { directory = "/nonexistent" }\n') as f, \
                Daemon("--config", f.name) as d:
            _, _, log = d.stop()
            told = [e for e in events(log) if e["event"] == "uploads_directory_unusable"]
            self.assertEqual([e["directory"] for e in told], ["/nonexistent"])

    def test_without_configuration_it_serves_loopback_and_says_so(self):
        with Daemon(listen=()) as d:
            if not d.ready and "another program" in d.process.stderr.read():
                self.skipTest("port 5683 is in use")
            self.assertIn("coap://127.0.0.1:5683", d.ready)
            self.assertNotIn("0.0.0.0", d.ready)
            _, _, log = d.stop()
            entry = [e for e in events(log) if e["event"] == "loopback_only"][0]
            self.assertIn("--listen", entry["hint"])

    def test_address_in_use_is_named_with_advice(self):
        with Daemon() as d:
            code, out, err = run("--listen", f"coap://127.0.0.1:{d.port}")
            self.assertEqual((code, out), (RUNTIME, ""))
            self.assertIn(f"127.0.0.1:{d.port}", err)
            self.assertIn("another program or listen address has it", err)

    def test_address_of_another_machine_is_named(self):
        code, _, err = run("--listen", "coap://192.0.2.1")
        self.assertEqual(code, RUNTIME)
        self.assertIn("192.0.2.1:5683", err)
        self.assertIn("no interface of this machine has this address", err)


class OpenFiles(unittest.TestCase):
    def start(self, soft, hard):
        return Daemon(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))

    def test_the_soft_limit_is_raised_to_the_hard_one(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with self.start(256, hard) as d:
            with open(f"/proc/{d.process.pid}/limits", encoding="ascii") as f:
                found = re.search(r"(?m)^Max open files +(\S+) +(\S+)", f.read())
            self.assertEqual(found.group(1), found.group(2))
            d.stop()
            self.assertNotIn("open_files_low", d.err)

    def test_a_limit_that_is_too_low_is_said(self):
        with self.start(256, 256) as d:
            _, _, log = d.stop()
            entry = [e for e in events(log) if e["event"] == "open_files_low"][0]
            self.assertEqual(entry["limit"], 256)
            self.assertGreater(entry["needed"], 1024)


class Signals(unittest.TestCase):
    def test_sigterm_and_sigint_end_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number), Daemon() as d:
                code, _, log = d.stop(number)
                self.assertEqual(code, OK)
                names = [e["event"] for e in events(log)]
                self.assertEqual(names[-3:], ["stopping", "metrics", "stopped"])

    def test_sigusr1_logs_counters(self):
        with Daemon() as d:
            for mid in range(1, 6):
                exchange(d.port, GET, "none", mid=mid)
            d.send_signal(signal.SIGUSR1)
            entry = d.wait_for_event("metrics")
            self.assertEqual(entry["rx_requests"], 5)
            self.assertEqual(entry["rx_datagrams"], 5)
            self.assertEqual(entry["tx_datagrams"], 5)

    def test_counters_of_services_are_logged(self):
        with Daemon() as d:
            self.assertEqual(exchange(d.port, PUT, "a", payload=b"x" * 16, block1=0x08)[1], 0x5f)
            self.assertEqual(exchange(d.port, PUT, "b", payload=b"x", block1=0x10, mid=2)[1], 0x88)
            _, _, log = d.stop()
            total = [e for e in events(log) if e["event"] == "metrics"][-1]
            self.assertEqual((total["uploads_open"], total["uploads_broken"]), (1, 1))

    def test_sighup_applies_what_can_change_live_and_names_the_rest(self):
        with ConfigFile("server = { shards = 1 }\n") as f, Daemon("--config", f.name) as d:
            self.assertEqual(exchange(d.port, PUT, "x", payload=b"1")[1], CREATED)
            self.assertEqual(exchange(d.port, GET, "x", host=b"b.example", mid=2)[1], CONTENT)
            f.write('names = ["a.example"]\nserver = { shards = 2 }\n')
            d.send_signal(signal.SIGHUP)
            entry = d.wait_for_event("reloaded")
            self.assertEqual(entry["changed"], "names")
            self.assertEqual(entry["needs_restart"], "server.shards")
            self.assertEqual(exchange(d.port, GET, "x", host=b"b.example", mid=3)[1], NOT_FOUND)
            self.assertEqual(exchange(d.port, GET, "x", host=b"a.example", mid=4)[1], CONTENT)

    def test_sighup_with_a_mistake_keeps_the_old_configuration(self):
        with ConfigFile('names = ["a.example"]\n') as f, Daemon("--config", f.name) as d:
            f.write('names = ["b.example"]\nmistake = 1\n')
            d.send_signal(signal.SIGHUP)
            entry = d.wait_for_event("reload_refused")
            self.assertIn(":2: mistake: unknown key", entry["error"])
            self.assertEqual(exchange(d.port, PUT, "x", payload=b"1", host=b"a.example")[1], CREATED)

    def test_service_manager_is_told(self):
        with tempfile.TemporaryDirectory() as d, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            path = os.path.join(d, "notify")
            s.bind(path)
            s.settimeout(WAIT_S)
            with Daemon(env=dict(os.environ, NOTIFY_SOCKET=path)) as daemon:
                self.assertTrue(s.recv(256).startswith(b"READY=1\n"))
                daemon.send_signal(signal.SIGHUP)
                self.assertRegex(s.recv(256), rb"^RELOADING=1\nMONOTONIC_USEC=\d+\n$")
                self.assertTrue(s.recv(256).startswith(b"READY=1\n"))
                daemon.stop()
                self.assertTrue(s.recv(256).startswith(b"STOPPING=1\n"))


class Draining(unittest.TestCase):
    """SIGTERM while the answer to a group request waits for its leisure (RFC 7252 section 8.2)."""

    CONF = """server = { shards = 1; sockets = 1 }
groups = { all_coap_nodes = "off" }
transmission = { default_leisure = "%s" }
drain_timeout = "%s"
"""

    def start(self, f):
        d = Daemon("--config", f.name, listen=("coap://0.0.0.0:0",))
        d.group_port = int(re.search(r"coap://0\.0\.0\.0:(\d+)", d.ready).group(1))
        return d

    def open_exchange(self, d, s):
        """Has the daemon owe the socket an answer to a broadcast. Its leisure is drawn, and too short
        now and then; there are as many draws as one likes."""
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.assertEqual(exchange(d.group_port, PUT, "a", payload=b"1")[1], CREATED)
        for mid in range(1, 41, 2):
            s.sendto(request(GET, "a", mid=mid, kind=NON), ("127.255.255.255", d.group_port))
            # The answer to the second comes when the broadcast has been read.
            if exchange(d.group_port, GET, "b", mid=mid + 1, via=s)[1] == NOT_FOUND:
                return
            s.settimeout(WAIT_S)
            self.assertEqual(s.recv(2048)[1], NOT_FOUND)
        self.fail("no leisure at all")

    def test_open_exchange_is_finished(self):
        with ConfigFile(self.CONF % ("10 s", "1 h")) as f, self.start(f) as d, client() as s:
            self.open_exchange(d, s)
            d.send_signal(signal.SIGTERM)
            d.wait_for_event("stopping")
            answer = s.recv(2048)
            self.assertEqual((answer[0] >> 4 & 3, answer[1], answer[-1:]), (NON, CONTENT, b"1"))
            _, err = d.process.communicate(timeout=WAIT_S)
            self.assertEqual(d.process.returncode, OK)
            total = [e for e in events(d.err + err) if e["event"] == "metrics"][-1]
            self.assertEqual(total["exchanges"], 0)

    def test_new_requests_are_left_to_a_successor(self):
        with ConfigFile(self.CONF % ("1 h", "1 h")) as f, self.start(f) as d, client() as s:
            self.open_exchange(d, s)
            d.send_signal(signal.SIGTERM)
            d.wait_for_event("stopping")
            mid = 10
            while exchange(d.group_port, GET, "a", mid=mid, wait=1) is not None:
                mid += 1  # the shard has not heard of it yet
                self.assertLess(mid, 100)
            self.assertEqual(d.stop()[0], OK)

    def test_open_exchange_is_given_up_at_the_deadline(self):
        with ConfigFile(self.CONF % ("1 h", "300 ms")) as f, self.start(f) as d, client() as s:
            self.open_exchange(d, s)
            code, _, log = d.stop()
            self.assertEqual(code, OK)
            self.assertEqual([e["exchanges"] for e in events(log) if e["event"] == "metrics"], [1])

    def test_second_signal_ends_at_once(self):
        with ConfigFile(self.CONF % ("1 h", "1 h")) as f, self.start(f) as d, client() as s:
            self.open_exchange(d, s)
            d.send_signal(signal.SIGTERM)
            d.wait_for_event("stopping")
            code, _, log = d.stop(signal.SIGINT)
            self.assertEqual(code, OK)
            self.assertEqual([e["event"] for e in events(log)][-2:], ["stopping_at_once", "stopped"])


class Log(unittest.TestCase):
    def test_lines_are_json_objects_when_not_on_a_terminal(self):
        with Daemon() as d:
            _, _, log = d.stop()
            for entry in events(log):
                self.assertLessEqual({"time", "level", "event"}, set(entry))
                self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_text_on_demand(self):
        with Daemon("--log-format", "text") as d:
            _, _, log = d.stop()
            self.assertRegex(log, r"(?m)^\S+Z info  ready version=\S+ addresses=coap://\S+ ")

    def test_level_silences_what_is_below(self):
        with Daemon("--log-level", "error") as d:
            self.assertEqual(d.stop()[2], "")

    def test_rejected_datagrams_show_at_debug_and_are_limited(self):
        with Daemon("--log-level", "debug") as d:
            with client() as s:
                for _ in range(50):
                    s.sendto(b"\xc0\x01\x00\x01", ("127.0.0.1", d.port))
                # The answer to the same socket comes when all that was sent before has been read.
                self.assertEqual(exchange(d.port, GET, "x", via=s)[1], NOT_FOUND)
            _, _, log = d.stop()
            rejected = [e for e in events(log) if e["event"] == "datagram_rejected"]
            self.assertTrue(1 <= len(rejected) <= 10, len(rejected))
            self.assertEqual(rejected[0]["error"], "EVERSION")
            total = [e for e in events(log) if e["event"] == "metrics"][-1]
            self.assertEqual(total["rejected_EVERSION"], 50)


if __name__ == "__main__":
    unittest.main()
