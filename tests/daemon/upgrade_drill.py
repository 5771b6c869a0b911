#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live upgrades under a load that is kept up whatever happens, and what its clients notice of them.

    upgrade_drill.py [--rate N] [--upgrades N] [--resources N]

Twice: with requests to read only, and with one in four that changes a resource on the disk. Fails when
a request is answered wrongly, late, or not after its first retransmission, or when the rate was not
reached. docs/upgrade.md
"""
import argparse
import json
import os
import subprocess
import sys
import time
from datetime import datetime

sys.dont_write_bytecode = True

from upgrade_test import BUILD, COPALD, Line

BODY = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr"  # what --size 64 makes
BEFORE_S, EACH_S = 2, 2
CLIENTS, WINDOW = 256, 40  # what waits while nobody answers must be under way: half a second and more
REACHED = 0.99


class Load:
    """copal load at a fixed rate. A second retransmission is not made, so that a request which would
    need it counts as one without an answer."""

    def __init__(self, port, rate, seconds, resources, *more):
        command = [os.path.join(BUILD, "copal"), "load", "--json", "--rate", str(rate), "--duration",
                   str(seconds), "--warmup", "1", "--clients", str(CLIENTS), "--window", str(WINDOW),
                   "--max-retransmit", "1", "--paths", str(resources), "--random", *more,
                   f"coap://127.0.0.1:{port}/drill/%d"]
        self.wanted = rate * seconds
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self):
        out, _ = self.process.communicate()
        r = json.loads(out)
        self.faults = {k: v for k, v in r["faults"].items() if v}
        self.answers, self.latency = r["answers"], r["latency"]
        errors = {k: v for k, v in self.faults.items() if k not in ("retransmissions", "late")}
        return self.process.returncode == 0 and not errors and self.answers >= REACHED * self.wanted


def at(event):
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00"))


def gaps(line):
    """Milliseconds for which nothing was read, of each upgrade."""
    began, out = None, []
    for event in line.events():
        if event["event"] == "upgrade_yielding":
            began = at(event)
        elif event["event"] == "taken_over":
            out.append(round((at(event) - began).total_seconds() * 1000))
    return out


def drops(line):
    """Datagrams for which the receive buffers had no room."""
    return sum(e.get("kernel_drops", 0) for e in line.events() if e["event"] == "metrics")


def fill(port, resources):
    subprocess.run([os.path.join(BUILD, "copal"), "load", "-m", "put", "-d", BODY, "--clients", "64",
                    "--warmup", "0", "-n", str(resources), "--paths", str(resources),
                    f"coap://127.0.0.1:{port}/drill/%d"], check=True, stdout=subprocess.DEVNULL)


def drill(name, args, is_mixed):
    seconds = BEFORE_S + EACH_S * args.upgrades
    with Line() as line:
        fill(line.port, args.resources)
        writes = args.rate // 4 if is_mixed else 0
        loads = [Load(line.port, args.rate - writes, seconds, args.resources, "--expect-body", BODY)]
        if writes:
            loads.append(Load(line.port, writes, seconds, args.resources, "-m", "put", "-d", BODY))
        time.sleep(BEFORE_S)
        for _ in range(args.upgrades):
            began = time.monotonic()
            line.upgrade()
            time.sleep(max(0, EACH_S - (time.monotonic() - began)))
        results = [load.result() for load in loads]
        line.stop()
        print(f"{name}: {args.upgrades} upgrades, "
              f"{sum(l.answers for l in loads) / seconds:.0f} answers per second; the longest "
              f"took {max(l.latency['max_ms'] for l in loads):.0f} ms; nothing was read for "
              f"{', '.join(map(str, gaps(line)))} ms; {drops(line)} datagrams lost in receive buffers; "
              f"faults: {[l.faults for l in loads if l.faults] or 'none'}", flush=True)
    return all(results)


def main():
    parser = argparse.ArgumentParser(description="live upgrades under load")
    parser.add_argument("--rate", type=int, default=20000, help="requests per second")
    parser.add_argument("--upgrades", type=int, default=5)
    parser.add_argument("--resources", type=int, default=1000)
    args = parser.parse_args()
    if not os.access(COPALD, os.X_OK):
        print(f"skipped: no program {COPALD}")
        return 77
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()}")
    good = [drill("GET", args, False), drill("GET and durable PUT, 3 to 1", args, True)]
    print(f"load of the machine behind: {os.getloadavg()[0]:.1f}")
    print("nobody has noticed" if all(good) else "FAILED: somebody has noticed, or the rate was missed")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
