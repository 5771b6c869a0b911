#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several hosts: groups, loss, addresses that change, amplification, observers that vanish.

Needs network namespaces (root, or a user namespace); exits 77 when none can be made.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import hosts
from hosts import BUILD, WAIT_S, Client, Link, Server, Unavailable
import wire
from wire import (ACK, CON, CONTENT_FORMAT, GET, NON, NO_RESPONSE, OBSERVE, POST, PUT, RST, TEXT)

ECHO = 252
GROUP = "224.0.1.187"
COPAL = os.path.join(BUILD, "copal")
LIBCOAP = shutil.which("coap-client-notls") or shutil.which("coap-client")

# Half a second of leisure, and patience with a silent observer for 4.5 to 7 seconds.
QUICK = """
server = { shards = 2; sockets = 16; };
transmission = { default_leisure = "500ms"; ack_timeout = "300ms"; max_retransmit = 3;
                 ack_delay = "100ms"; };
groups = { membership = "on"; };
"""
TRUSTING = QUICK + 'amplification = { trusted = ["10.77.0.0/16", "fd77::/64"]; };\n'
LEISURE_S = 0.5
PATIENCE_S = 7
ATTEMPTS = 10  # to measure: a busy machine lengthens a time now and then, and not always

link = None


def setUpModule():
    global link
    link = Link(3)


def tearDownModule():
    link.close()


class Net(unittest.TestCase):
    CONF = TRUSTING
    SERVERS = 1

    @classmethod
    def setUpClass(cls):
        cls.servers = [Server(link.hosts[n], cls.CONF) for n in range(cls.SERVERS)]
        cls.home = link.hosts[2]
        cls.to = [(server.host.ip4, server.port) for server in cls.servers]

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            server.stop()

    def setUp(self):
        self.path = "/t/" + self.id().rsplit(".", 1)[1]

    def client(self, *args, **more):
        client = Client(self.home, *args, **more)
        self.addCleanup(client.close)
        return client

    def put(self, value, server=0, path=None, client=None):
        got = (client or self.client()).ask(self.to[server], PUT, path or self.path,
                                            [(CONTENT_FORMAT, TEXT)], value)
        self.assertIn(got.code, ("2.01", "2.04"))


class Groups(Net):
    """RFC 7252 section 8, RFC 7390, and observing groups."""

    SERVERS = 2

    def to_group(self, *args, to=(GROUP, 5683), client=None, answers=0, **more):
        """What comes of a request: so many answers are awaited, and more as long as one may come."""
        client = client or self.client()
        client.send(to, *args, type_=more.pop("type_", NON), **more)
        return client.collect(WAIT_S, answers) + client.collect(LEISURE_S + 0.6)

    def test_each_server_answers_once_from_its_own_address(self):
        latest = []
        for _ in range(ATTEMPTS):
            client = self.client()
            asked = {client.send((GROUP, 5683), GET, "/.well-known/core", type_=NON).token
                     for _ in range(20)}
            began = time.monotonic()
            got = client.collect(WAIT_S, 40) + client.collect(LEISURE_S)
            self.assertEqual({g.message.type for g in got}, {NON})
            self.assertEqual({g.message.code for g in got}, {"2.05"})
            answers = sorted((g.message.token, g.source) for g in got)
            self.assertEqual(answers, sorted((t, host.ip4) for t in asked for host in link.hosts[:2]))
            late = [g.at - began for g in got]
            self.assertGreater(max(late) - min(late), LEISURE_S / 4)
            latest.append(max(late))
            if latest[-1] < LEISURE_S + 0.4:
                return
        self.fail("as late as %r" % latest)

    def test_ipv6_groups_are_joined(self):
        client = self.client(ipv6=True)
        scope = self.home.index()
        for group in ("ff02::fd", "ff05::fd"):
            with self.subTest(group=group):
                got = self.to_group(GET, "/.well-known/core", client=client,
                                    to=(group, 5683, 0, scope), answers=2)
                self.assertEqual(len(got), 2)
                self.assertEqual({g.message.code for g in got}, {"2.05"})
                for g in got:
                    self.assertRegex(g.source, r"^(fd77::[12]|fe80::.*)$")

    def test_errors_and_confirmable_requests_are_met_with_silence(self):
        self.assertEqual(self.to_group(GET, "/nothing/here"), [])
        self.assertEqual(self.to_group(GET, "/.well-known/core", type_=CON), [])
        self.assertEqual(self.to_group(GET, "/.well-known/core", query=[b"rt=none"]), [])

    def test_no_response_option_overrides(self):
        got = self.to_group(GET, "/nothing/here", [(NO_RESPONSE, b"")], answers=2)
        self.assertEqual([g.message.code for g in got], ["4.04", "4.04"])
        self.assertEqual(self.to_group(GET, "/.well-known/core", [(NO_RESPONSE, b"\x02")]), [])

    def test_repeated_request_is_answered_once(self):
        client = self.client()
        data = client.build(GET, "/.well-known/core", type_=NON)
        for _ in range(3):
            client.sock.sendto(data, (GROUP, 5683))
        self.assertEqual(len(client.collect(WAIT_S, 2)), 2)
        self.assertEqual(client.collect(LEISURE_S + 0.5), [])

    def test_group_is_observed(self):
        for n in (0, 1):
            self.put(b"old", n)
        client = self.client()
        got = self.to_group(GET, self.path, [(OBSERVE, b"")], token=b"watch", client=client,
                            answers=2)
        self.assertEqual(sorted(g.source for g in got), [h.ip4 for h in link.hosts[:2]])
        for g in got:
            self.assertIsNotNone(g.message.opt(OBSERVE))
        for n in (0, 1):
            self.put(b"new%d" % n, n)
        notes = []
        for _ in range(2):
            notes += client.collect(WAIT_S, 1)
            client.acknowledge(notes[-1], (notes[-1].source, 5683))
        self.assertEqual(sorted((g.source, g.message.payload, g.message.token) for g in notes),
                         [(link.hosts[n].ip4, b"new%d" % n, b"watch") for n in (0, 1)])
        got = self.to_group(GET, self.path, [(OBSERVE, b"\x01")], token=b"watch", client=client,
                            answers=2)
        self.assertEqual([g.message.opt(OBSERVE) for g in got], [None, None])
        for n in (0, 1):
            self.put(b"unseen", n)
        self.assertEqual(client.collect(LEISURE_S + 0.3), [])

    def await_state(self, client, value):
        """The first notification of that state; acknowledged, as is what comes before it."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            for got in client.collect(1, 1):
                if got.message.type == CON:
                    client.acknowledge(got, self.to[0])
                if got.message.payload == value:
                    return got.message
        self.fail("no notification of %r" % value)

    def test_acknowledgements_find_the_observation_whatever_the_shard(self):
        """What comes by unicast from a client reaches the shard that its address belongs to."""
        self.put(b"old")
        self.addCleanup(self.client().ask, self.to[0], wire.DELETE, self.path)
        clients = [self.client() for _ in range(8)]  # all of them of one shard: 1 time of 128
        for client in clients:
            client.send((GROUP, 5683), GET, self.path, [(OBSERVE, b"")], type_=NON, token=b"g")
        for client in clients:
            self.assertEqual(self.await_state(client, b"old").type, NON)
        self.put(b"first")
        for client in clients:
            self.assertEqual(self.await_state(client, b"first").type, CON)
        time.sleep(PATIENCE_S + 0.5)  # whose acknowledgement had not arrived would be given up
        self.put(b"second")
        for client in clients:
            self.await_state(client, b"second")
        for client in clients:
            gone = client.ask(self.to[0], GET, self.path, [(OBSERVE, b"\x01")], token=b"g")
            self.assertIsNone(gone.opt(OBSERVE))
        self.put(b"unseen")
        for client in clients:
            self.assertNotIn(b"unseen", [g.message.payload for g in client.collect(0.1)])

    def test_observing_what_only_one_member_has(self):
        self.put(b"here", 1)
        got = self.to_group(GET, self.path, [(OBSERVE, b"")], token=b"w", answers=1)
        self.assertEqual([g.source for g in got], [link.hosts[1].ip4])

    def test_memberships_are_set_at_run_time(self):
        group = ("224.0.9.9", 5683)
        client = self.client()
        get = lambda answers=0: self.to_group(GET, "/.well-known/core", to=group, client=client,
                                              answers=answers)
        self.assertEqual(get(), [])
        found = client.ask(self.to[0], GET, "/.well-known/core", query=[b"rt=core.gp"])
        self.assertEqual(found.payload, b'</coap-group>;rt="core.gp";ct=256')
        made = client.ask(self.to[0], POST, "/coap-group", [(CONTENT_FORMAT, b"\x01\x00")],
                          b'{"n":"nine","a":"224.0.9.9"}')
        self.assertEqual((made.code, made.all(wire.LOCATION_PATH)),
                         ("2.01", [b"coap-group", b"1"]))
        self.assertEqual([g.source for g in get(1)], [link.hosts[0].ip4])
        shown = client.ask(self.to[0], GET, "/coap-group")
        self.assertEqual((shown.payload, shown.uint(CONTENT_FORMAT)),
                         (b'{"1":{"n":"nine","a":"224.0.9.9"}}', 256))
        for body in (b'{"a":"10.0.0.1"}', b'{"a":"224.0.9.9:7777"}', b"{}"):
            refused = client.ask(self.to[0], POST, "/coap-group",
                                 [(CONTENT_FORMAT, b"\x01\x00")], body)
            self.assertEqual(refused.code, "4.00", body)
        self.assertEqual(client.ask(self.to[0], wire.DELETE, "/coap-group/1").code, "2.02")
        self.assertEqual(get(), [])

    def test_memberships_are_not_set_through_a_group(self):
        self.to_group(PUT, "/coap-group", [(CONTENT_FORMAT, b"\x01\x00")],
                      b'{"1":{"a":"224.0.9.10"}}')
        self.assertEqual(self.client().ask(self.to[0], GET, "/coap-group").payload, b"{}")


class Loss(Net):
    """Transfers and observations while datagrams are dropped."""

    CONF = TRUSTING.replace('max_retransmit = 3', 'max_retransmit = 8')
    # A client gives up after five attempts: of forty exchanges one fails in 40,000 runs.
    PERCENT = 3

    def setUp(self):
        super().setUp()
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.body = os.urandom(9000)
        self.sent = self.file("sent", self.body)
        self.uri = "coap://%s" % self.to[0][0]

    def file(self, name, content=None):
        path = os.path.join(self.dir.name, name)
        if content is not None:
            with open(path, "wb") as f:
                f.write(content)
        return path

    def content(self, name):
        with open(self.file(name), "rb") as f:
            return f.read()

    def together(self, *commands):
        """Runs the commands side by side with datagrams being dropped."""
        self.home.lose(self.PERCENT)
        try:
            running = [self.home.start(*c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                       for c in commands]
            for process, args in zip(running, commands):
                try:
                    out = process.communicate(timeout=150)[0]
                except subprocess.TimeoutExpired:
                    process.kill()
                    out = process.communicate()[0]
                self.assertEqual(process.returncode, 0, (args, out))
        finally:
            self.home.lose(0)

    def test_bodies_survive_in_both_directions(self):
        uploads = [[COPAL, "put", "-d", "@" + self.sent, self.uri + "/loss/copal"]]
        downloads = [[COPAL, "get", "-o", self.file("copal"), self.uri + "/loss/seed"]]
        if LIBCOAP:
            uploads.append([LIBCOAP, "-m", "put", "-b", "1024", "-B", "50", "-f", self.sent,
                            self.uri + "/loss/libcoap"])
            downloads.append([LIBCOAP, "-m", "get", "-b", "1024", "-B", "50", "-o",
                              self.file("libcoap"), self.uri + "/loss/seed"])
        done = self.home.start(COPAL, "put", "-d", "@" + self.sent, self.uri + "/loss/seed",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(done.wait(WAIT_S), 0)
        self.together(*uploads, *downloads)
        for name in ("copal", "libcoap") if LIBCOAP else ("copal",):
            self.assertEqual(self.content(name), self.body, "downloaded by " + name)
            check = self.home.start(COPAL, "get", "-o", self.file("check"),
                                    self.uri + "/loss/" + name)
            self.assertEqual(check.wait(WAIT_S), 0)
            self.assertEqual(self.content("check"), self.body, "uploaded by " + name)

    def test_observers_end_with_the_last_state_and_never_go_back(self):
        self.put(b"0")
        observers = [self.client() for _ in range(20)]
        for observer in observers:
            observer.ask(self.to[0], GET, self.path, [(OBSERVE, b"")], token=b"w")
        writer = Client(link.hosts[1])  # nothing of its traffic is lost
        self.addCleanup(writer.close)
        seen = [[] for _ in observers]
        self.home.lose(20)
        try:
            for n in range(1, 16):
                self.put(b"%d" % n, client=writer)
                self.drink(observers, seen, 0.05)
            for _ in range(60):
                self.drink(observers, seen, 0.2)
        finally:
            self.home.lose(0)
        end = time.monotonic() + 90
        while any(not s or s[-1] != 15 for s in seen) and time.monotonic() < end:
            self.drink(observers, seen, 0.2)
        self.assertEqual([s[-1] for s in seen], [15] * len(observers))
        for values in seen:
            self.assertEqual(values, sorted(values))

    def test_observing_programs_end_with_the_last_state(self):
        """copal completes notifications that are larger than a block with GETs.

        libcoap observes what fits in a block: it asks for a second one non-confirmably, and not
        again when that is lost.
        """
        body = lambda n, size: b"%d:" % n + bytes(48 + n % 10 for _ in range(size))
        near = "coap://%s%s/" % (self.to[0][0], self.path)
        large, small = near + "large", near + "small"
        sizes = {large: 1500, small: 900}
        programs = {"copal": (large, [COPAL, "observe", "--json", "--duration", "100", large])}
        if LIBCOAP:
            programs["libcoap"] = (small, [LIBCOAP, "-m", "get", "-s", "100", "-w", small])
        for uri, size in sizes.items():
            self.upload(body(0, size), uri)
        for name, (uri, args) in programs.items():
            self.watch(name, args)
            self.wait_for(body(0, sizes[uri]), name)
        self.home.lose(20)
        try:
            for n in range(1, 6):
                for uri, size in sizes.items():
                    self.upload(body(n, size), uri)
                time.sleep(0.2)
            time.sleep(3)
        finally:
            self.home.lose(0)
        for name, (uri, _) in programs.items():
            self.wait_for(body(5, sizes[uri]), name)
            states = re.findall(r"(\d):\1{900}", self.content(name).decode())
            self.assertEqual(states, sorted(states), name)

    def watch(self, name, args):
        """Starts a program that observes, its output in the file of that name."""
        with open(self.file(name), "wb") as out:
            process = self.home.start(*args, stdout=out, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def wait_for(self, body, name):
        end = time.monotonic() + WAIT_S
        while body not in self.content(name):
            self.assertLess(time.monotonic(), end, (name, body[:8], self.content(name)[-3000:]))
            time.sleep(0.1)

    def upload(self, body, uri):
        """Writes from a host that loses nothing."""
        sent = self.file("state", body)
        done = link.hosts[1].start(COPAL, "put", "--content-format", "0", "-d", "@" + sent, uri,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(done.wait(WAIT_S), 0)

    def drink(self, observers, seen, seconds):
        """Takes what has come, acknowledges it and keeps what is newer. RFC 7641 section 3.4."""
        time.sleep(seconds)
        for observer, values in zip(observers, seen):
            for got in observer.collect(0.002):
                observer.acknowledge(got, self.to[0])
                number = got.message.uint(OBSERVE)
                last = getattr(observer, "last", None)
                if last is None or 0 < (number - last) & 0xFFFFFF < 1 << 23:
                    observer.last = number
                    values.append(int(got.message.payload))


class Refused(Net):
    """A system that does not let datagrams out."""

    def test_copal_says_so_at_once(self):
        self.home.nft("table inet wall { chain o { type filter hook output priority 0;\n"
                      " udp dport 5683 drop;\n }\n}\n")
        self.addCleanup(self.home.nft, "delete table inet wall\n")
        done = self.home.start(COPAL, "get", "coap://%s/x" % self.to[0][0],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = done.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            done.kill()
            done.communicate()
            self.fail("copal does not end")
        self.assertEqual((done.returncode, out), (7, b""), err)


class Moving(Net):
    """A client whose address changes under way, as behind a NAT that forgets."""

    def test_observer_with_a_new_port_registers_again_and_the_old_one_ends(self):
        self.put(b"1")
        client = self.client(port=40000)
        first = client.ask(self.to[0], GET, self.path, [(OBSERVE, b"")], token=b"w")
        self.home.nft("table inet nat {\n"
                      "chain o { type filter hook output priority 0;\n"
                      " udp sport 40000 udp sport set 50000; }\n"
                      "chain i { type filter hook input priority 0;\n"
                      " udp dport 40000 drop; udp dport 50000 udp dport set 40000; }\n}\n")
        self.addCleanup(self.home.nft, "delete table inet nat\n")
        self.put(b"2")
        self.assertEqual(client.collect(0.5), [])
        again = client.ask(self.to[0], GET, self.path, [(OBSERVE, b"")], token=b"w")
        self.assertEqual(again.payload, b"2")
        self.assertLess(0, (again.uint(OBSERVE) - first.uint(OBSERVE)) & 0xFFFFFF)
        self.put(b"3")
        got = client.collect(WAIT_S, 1)
        self.assertEqual([g.message.payload for g in got], [b"3"])
        client.acknowledge(got[0], self.to[0])
        wait_for(lambda: self.servers[0].counters()["relations"], 1)


class Guarded(Net):
    """The amplification guard, seen from another host. RFC 9175 section 2.4."""

    # Each shard keeps budgets of its own: with one shard all sources of a prefix share one.
    CONF = (QUICK.replace("shards = 2; sockets = 16", "shards = 1; sockets = 4") +
            'amplification = { burst = "4 KiB"; refill = "16"; };\n')
    LARGE = b"x" * 900

    def setUp(self):
        super().setUp()
        # Written from the server's own host: a loopback address is trusted.
        writer = Client(link.hosts[0])
        writer.ask(("127.0.0.1", 5683), PUT, "/large", [], self.LARGE)
        writer.ask(("127.0.0.1", 5683), PUT, "/small", [], b"1")
        writer.close()

    def spend(self, client):
        """Asks for the large resource until an Echo is demanded; returns that answer."""
        for n in range(12):
            got = client.ask(self.to[0], GET, "/large")
            if got.code != "2.05":
                self.assertLessEqual(n, 5)
                return got
        self.fail("the budget does not end")

    def test_beyond_the_budget_a_stranger_must_return_an_echo(self):
        client = self.client()
        refused = self.spend(client)
        self.assertEqual((refused.code, refused.payload), ("4.01", b""))
        self.assertIn(refused.type, (ACK, NON))
        echo = refused.opt(ECHO)
        self.assertTrue(8 <= len(echo) <= 40)
        self.assertLess(len(refused.raw), 136)
        # What is small is free, and forged values help nobody.
        self.assertEqual(client.ask(self.to[0], GET, "/small").code, "2.05")
        self.assertEqual(client.ask(self.to[0], GET, "/large", [(ECHO, bytes(len(echo)))]).code,
                         "4.01")
        other = Client(link.hosts[1])
        self.addCleanup(other.close)
        self.spend(other)
        self.assertEqual(other.ask(self.to[0], GET, "/large", [(ECHO, echo)]).code, "4.01")
        # The Echo opens the way for its own client, and from then on without it.
        self.assertEqual(client.ask(self.to[0], GET, "/large", [(ECHO, echo)]).payload, self.LARGE)
        for _ in range(10):
            self.assertEqual(client.ask(self.to[0], GET, "/large").payload, self.LARGE)
        counters = self.servers[0].counters()
        self.assertGreaterEqual(counters["challenged"], 3)
        self.assertGreaterEqual(counters["guard_verified"], 1)

    def test_copal_answers_an_echo_by_itself(self):
        self.spend(self.client())
        for _ in range(3):
            done = self.home.start(COPAL, "get", "coap://%s/large" % self.to[0][0],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = done.communicate(timeout=WAIT_S)
            self.assertEqual((done.returncode, out.rstrip(b"\n")), (0, self.LARGE), err)

    def test_group_member_says_nothing_instead_of_a_challenge(self):
        self.spend(self.client())
        client = self.client()
        client.send((GROUP, 5683), GET, "/large", type_=NON)
        self.assertEqual([g.message.code_byte for g in client.collect(LEISURE_S + 0.4)
                          if g.message.code_byte], [])


class Trusted(Guarded):
    """A network that the configuration trusts is not limited."""

    CONF = Guarded.CONF.replace("refill", 'trusted = ["10.77.0.0/16"]; refill')

    def test_beyond_the_budget_a_stranger_must_return_an_echo(self):
        client = self.client()
        for _ in range(20):
            self.assertEqual(client.ask(self.to[0], GET, "/large").payload, self.LARGE)

    test_copal_answers_an_echo_by_itself = None
    test_group_member_says_nothing_instead_of_a_challenge = None


class Vanishing(Net):
    """Observers that go away, refuse, or ask for too much."""

    CONF = TRUSTING + "limits = { observations_per_client = 64; };\n"

    def register(self, count):
        observers = [self.client() for _ in range(count)]
        for observer in observers:
            got = observer.ask(self.to[0], GET, self.path, [(OBSERVE, b"")], token=b"w")
            self.assertIsNotNone(got.opt(OBSERVE))
        return observers

    def relations(self):
        return self.servers[0].counters()["relations"]

    def test_observers_of_a_host_that_is_gone_are_forgotten(self):
        self.put(b"0")
        self.register(20)
        before = self.relations()
        self.home.ip("link", "set", "eth0", "down")
        try:
            near = Client(link.hosts[1])
            self.addCleanup(near.close)
            times = []
            for n in range(3):
                began = time.monotonic()
                self.put(b"%d" % n, client=near)
                times.append(time.monotonic() - began)
            self.assertLess(min(times), 0.4, times)
            wait_for(self.relations, before - 20)
        finally:
            self.home.ip("link", "set", "eth0", "up")
            self.home.ip("route", "replace", "224.0.0.0/4", "dev", "eth0")
            time.sleep(0.1)

    def test_reset_ends_the_observation(self):
        self.put(b"0")
        observers = self.register(5)
        before = self.relations()
        self.put(b"1")
        for observer in observers:
            got = observer.collect(WAIT_S, 1)[0]
            observer.sock.sendto(wire.head(RST, 0, got.message.mid), self.to[0])
        wait_for(self.relations, before - 5)
        self.put(b"2")
        self.assertEqual([observer.collect(0.1) for observer in observers], [[]] * 5)

    def test_closed_port_ends_the_observation(self):
        self.put(b"0")
        observers = self.register(5)
        before = self.relations()
        for observer in observers:
            observer.close()
        self.put(b"1")
        wait_for(self.relations, before - 5)

    def test_z_flood_leaves_others_served(self):
        self.put(b"0")
        flood = self.client()
        near = Client(link.hosts[1])
        self.addCleanup(near.close)
        began, times = time.monotonic(), []
        while time.monotonic() - began < 2:
            for n in range(200):
                flood.send(self.to[0], GET, self.path, [(OBSERVE, b"")], token=os.urandom(4))
                flood.sock.sendto(os.urandom(1 + n % 60), self.to[0])
            asked = time.monotonic()
            near.ask(self.to[0], GET, self.path)
            times.append(time.monotonic() - asked)
        self.assertLess(sorted(times)[len(times) // 2], 1, times)
        self.put(b"1", client=near)
        self.assertEqual(near.ask(self.to[0], GET, self.path).payload, b"1")
        self.assertLessEqual(self.relations(), 64)
        self.assertGreater(self.servers[0].counters()["relations_refused"], 0)


def wait_for(read, wanted, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while (value := read()) != wanted:
        if time.monotonic() > end:
            raise AssertionError("%r, wanted %r" % (value, wanted))
        time.sleep(0.2)


def become_root():
    """Runs this again as root of a user namespace, where that is allowed."""
    if os.geteuid() == 0 or "COPAL_NET_INSIDE" in os.environ or not shutil.which("unshare"):
        return
    probe = subprocess.run(["unshare", "-rnm", "true"], capture_output=True)
    if probe.returncode == 0:
        os.environ["COPAL_NET_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-rnm", "sh", "-c",
                              'mount -t tmpfs none /run && exec "$@"', "sh", sys.executable,
                              *sys.argv])


def main():
    become_root()
    try:
        hosts.Link(1).close()
    except Unavailable as why:
        print("skipped: no network namespaces: %s" % why)
        return hosts.SKIPPED
    unittest.main(verbosity=2)


if __name__ == "__main__":
    sys.exit(main())
