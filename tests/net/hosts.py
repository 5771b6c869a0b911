# SPDX-License-Identifier: Apache-2.0
"""Hosts on a link: network namespaces with veth pairs on a bridge, and what runs in them."""
import atexit
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
BUILD = os.environ.get("COPAL_BUILD_DIR", "build/dev")
sys.path.insert(0, os.path.join(SOURCE, "tests/rfc"))

import wire

SKIPPED = 77
WAIT_S = 60  # only a failure waits so long
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """No network can be made here."""


def command(*args, check=True):
    done = subprocess.run(args, capture_output=True, text=True, timeout=WAIT_S)
    if check and done.returncode != 0:
        raise Unavailable("%s: %s" % (" ".join(args), done.stderr.strip()))
    return done.stdout


def move_to(path):
    with open(path, "rb") as namespace:
        if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise Unavailable("setns: %s" % os.strerror(ctypes.get_errno()))


def nft(namespace, rules):
    done = subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=rules,
                          text=True, capture_output=True, timeout=WAIT_S)
    if done.returncode != 0:
        raise Unavailable("nft: " + done.stderr.strip())


class Host:
    """A network namespace with one interface, eth0."""

    def __init__(self, link, number):
        self.name = "%s-h%d" % (link.name, number)
        self.ip4, self.ip6 = "10.77.0.%d" % number, "fd77::%d" % number
        command("ip", "netns", "add", self.name)
        link.names.append(self.name)
        self.switch, self.port = link.switch, "port%d" % number
        port = self.port
        self.ip("link", "add", "eth0", "type", "veth", "peer", "name", port)
        self.ip("link", "set", port, "netns", link.switch)
        command("ip", "-n", link.switch, "link", "set", port, "master", "br0", "up")
        self.ip("link", "set", "lo", "up")
        # Without duplicate address detection the addresses can be used at once.
        self.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        self.ip("addr", "add", self.ip4 + "/16", "dev", "eth0")
        self.ip("addr", "add", self.ip6 + "/64", "dev", "eth0", "nodad")
        self.ip("link", "set", "eth0", "up")
        self.ip("route", "add", "224.0.0.0/4", "dev", "eth0")

    def ip(self, *args):
        return command("ip", "-n", self.name, *args)

    def args(self, *args):
        return ["ip", "netns", "exec", self.name, *args]

    def run(self, *args):
        return command(*self.args(*args))

    def start(self, *args, **more):
        return subprocess.Popen(self.args(*args), **more)

    @contextlib.contextmanager
    def inside(self):
        """Sockets made within belong to this host."""
        move_to("/run/netns/" + self.name)
        try:
            yield
        finally:
            move_to(Host.home)

    def index(self):
        with self.inside():
            return socket.if_nametoindex("eth0")

    def nft(self, rules):
        nft(self.name, rules)

    def lose(self, percent):
        """Drops that part of all datagrams on the bridge, both ways, so that the sender hears
        nothing of it; 0 ends it."""
        table = "loss_" + self.port
        nft(self.switch, "table bridge %s\ndelete table bridge %s\n" % (table, table))
        if percent:
            nft(self.switch, "table bridge %s { chain f { type filter hook forward priority 0;\n"
                " iifname %s ether type ip numgen random mod 100 < %d drop;\n"
                " oifname %s ether type ip numgen random mod 100 < %d drop;\n }\n}\n"
                % (table, self.port, percent, self.port, percent))


class Link:
    """A bridge with hosts."""

    def __init__(self, hosts):
        self.name = "copal%d" % os.getpid()
        self.names = []
        atexit.register(self.close)
        # The namespace that this process is in now, kept open under a name that stays valid.
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        Host.home = "/proc/self/fd/%d" % self.home
        try:
            self.switch = self.name + "-sw"
            command("ip", "netns", "add", self.switch)
            self.names.append(self.switch)
            command("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge",
                    "mcast_snooping", "0")
            command("ip", "-n", self.switch, "link", "set", "br0", "up")
            self.hosts = [Host(self, n + 1) for n in range(hosts)]
            self.hosts[0].lose(1)
            self.hosts[0].lose(0)
        except (OSError, subprocess.SubprocessError) as why:
            raise Unavailable(str(why)) from why

    def close(self):
        for name in self.names:
            command("ip", "netns", "del", name, check=False)
        self.names = []


class Server:
    """A copald on a host."""

    def __init__(self, host, conf="", port=5683):
        self.host, self.port = host, port
        self.conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.conf.write(conf)
        self.conf.flush()
        self.log = tempfile.TemporaryFile("w+")
        self.process = host.start(
            os.path.join(BUILD, "copald"), "--config", self.conf.name, "--store", "memory",
            "--listen", "coap://0.0.0.0:%d" % port, "--listen", "coap://[::]:%d" % port,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not select.select([self.process.stdout], [], [], WAIT_S)[0]:
            self.process.kill()
            raise AssertionError("copald is not ready")
        if not self.process.stdout.readline():
            raise AssertionError("copald did not start:\n" + self.text())

    def text(self):
        # copald writes at the place that this file object has, too: it is not moved.
        return os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode()

    def counters(self):
        """The counters as they are now."""
        before = self.text().count('"metrics"')
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            lines = [line for line in self.text().split("\n")[:-1] if '"metrics"' in line]
            if len(lines) > before:
                return json.loads(lines[-1])
            time.sleep(0.02)
        raise AssertionError("no counters in the log")

    def stop(self):
        """Ends it; fails when it had ended, or ends with an error."""
        self.process.terminate()
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "no end"
        self.process.stdout.close()
        text = self.text()
        self.log.close()
        self.conf.close()
        if status != 0:
            raise AssertionError("copald: %s\n%s" % (status, text[-4000:]))


class Got:
    """A datagram that came in."""

    def __init__(self, data, source, at):
        self.message, self.source, self.at = wire.Message(data), source[0], at


class Client:
    """A client endpoint on a host, without any behaviour of its own."""

    def __init__(self, host, ipv6=False, port=0):
        self.host = host
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        with host.inside():
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
            self.sock.bind(("::" if ipv6 else "0.0.0.0", port))
        self.mid = int.from_bytes(os.urandom(2), "big")
        self.confirmables = {}  # (source, Message ID) -> whether it was acknowledged

    def close(self):
        self.sock.close()

    def build(self, method, path, pairs=(), payload=b"", type_=wire.CON, token=None, query=()):
        self.mid = (self.mid + 1) & 0xFFFF
        every = [(wire.URI_PATH, s) for s in path.split("/") if s]
        every += [(wire.URI_QUERY, q) for q in query] + list(pairs)
        return wire.message(type_, method, self.mid, os.urandom(4) if token is None else token,
                            every, payload)

    def send(self, to, *args, **more):
        data = self.build(*args, **more)
        self.sock.sendto(data, to)
        return wire.Message(data)

    def collect(self, seconds, enough=None):
        """Everything that comes within the time, or until there is enough. What a busy machine makes the
        sender repeat counts once; it is acknowledged again, if it was before."""
        out, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (enough is None or len(out) < enough):
            if select.select([self.sock], [], [], left)[0]:
                try:
                    data, source = self.sock.recvfrom(65535)
                except ConnectionError:
                    continue
                got = Got(data, source, time.monotonic())
                key = got.source, got.message.mid
                if got.message.type != wire.CON or key not in self.confirmables:
                    out.append(got)
                elif self.confirmables[key]:
                    self.acknowledge(got, source)
                if got.message.type == wire.CON:
                    self.confirmables.setdefault(key, False)
        return out

    def ask(self, to, *args, tries=120, wait=0.5, **more):
        """A request repeated until it is answered; other messages are left out."""
        data = self.build(*args, **more)
        asked = wire.Message(data)
        for _ in range(tries):
            self.sock.sendto(data, to)
            for got in self.collect(wait, 1):
                if got.message.token == asked.token and got.message.code_byte:
                    return got.message
        raise AssertionError("no answer from %s" % (to,))

    def acknowledge(self, got, to):
        if got.message.type == wire.CON:
            self.confirmables[got.source, got.message.mid] = True
            self.sock.sendto(wire.head(wire.ACK, 0, got.message.mid), to)
