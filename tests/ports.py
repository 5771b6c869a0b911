# SPDX-License-Identifier: Apache-2.0
"""Ports for the servers of tests. A server that tells its port is given port 0. One whose port must be
known beforehand, or be the same for the next process, gets it here: outside the range from which the
system serves sockets without a port of their own, and no other test's while this process lives."""
import errno
import random
import socket
import time

FIRST, END = 20000, 65000  # fixed ones of tests lie below
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

_held = []  # sockets whose names lock the ports


def _candidates():
    """All ports that the system does not hand out."""
    with open(RANGE, encoding="ascii") as f:
        low, high = map(int, f.read().split())
    return [p for p in range(FIRST, END) if not low <= p <= high] or list(range(FIRST, END))


def _lock(port):
    """Raises OSError when another process has it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind("\0copal-test-port-%d" % port)
    except OSError:
        lock.close()
        raise
    return lock


def _is_free(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            probe = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue  # a machine without this family
        with probe:
            try:
                probe.bind((address, port))
            except OSError as e:
                if family == socket.AF_INET or e.errno == errno.EADDRINUSE:
                    return False
    return True


def reserve(count=1):
    """The first of `count` UDP ports in a row, at which nobody listens."""
    ports = _candidates()
    random.SystemRandom().shuffle(ports)
    for first in ports:
        locks = []
        try:
            for port in range(first, first + count):
                locks.append(_lock(port))
                if not _is_free(port):
                    raise OSError("in use")
        except OSError:
            for lock in locks:
                lock.close()
            continue
        _held.extend(locks)
        return first
    raise RuntimeError("no free port")


def wait_until_taken(port, seconds=120):
    """Until a program has that UDP port: from then on, what is sent to it waits."""
    end, wanted = time.monotonic() + seconds, ":%04X" % port
    while time.monotonic() < end:
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            with open(table, encoding="ascii") as f:
                if any(line.split()[1].endswith(wanted) for line in f):
                    return
        time.sleep(0.02)
    raise RuntimeError("nobody at port %d" % port)
