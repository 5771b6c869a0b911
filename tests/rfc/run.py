#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the conformance tests against a copald on a free loopback port, or against --target.

    run.py [--copald PATH | --target HOST:PORT] [--jobs N] [WORD...]

A test is a function whose name begins with the RFC and section it proves; only those that contain
one of the WORDs run. Prints `ok` or `FAIL` for each and exits 1 when one failed.
"""

import argparse
import concurrent.futures
import os
import select
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

import conditions
import discovery
import extensions
import message_layer
import methods
import mutation
import observe
import options
import ports
import uploads
from peer import WAIT_S, Failure, Peer

MODULES = (message_layer, options, methods, conditions, discovery, extensions, observe, uploads,
           mutation)
BODY_MAX = 8192


def cases():
    """Every test and row: (name, function, arguments)."""
    for module in MODULES:
        for name, test in vars(module).items():
            if not name.startswith("rfc"):
                continue
            for row in getattr(test, "rows", ((),)):
                label = name + ("/" + row[0] if row else "")
                yield label, test, row[1:]


class Server:
    """A copald of our own."""

    def __init__(self, program):
        self.port = ports.reserve()
        self.log = tempfile.TemporaryFile(mode="w+")
        self.config = tempfile.NamedTemporaryFile(mode="w", suffix=".conf")
        self.config.write("resources: { body = %d; };\n" % BODY_MAX)
        self.config.flush()
        listen = ["coap://0.0.0.0:%d" % self.port, "coap://[::1]:%d" % self.port]
        command = [program, "--config", self.config.name, "--store", "memory"]
        for uri in listen:
            command += ["--listen", uri]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not select.select([self.process.stdout], [], [], WAIT_S)[0]:
            self.fail("is not ready after %d s" % WAIT_S)
        if not self.process.stdout.readline():
            self.fail("did not start")

    def fail(self, why):
        self.process.kill()
        sys.exit("copald %s:\n%s" % (why, self.tail()))

    def tail(self):
        # copald writes at the place that this file object has, too: it is not moved.
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode()[-4000:]

    def stop(self):
        """Ends it with SIGTERM. Returns what is wrong with how it ended, or None."""
        if self.process.poll() is not None:
            return "copald ended by itself with %d:\n%s" % (self.process.returncode, self.tail())
        self.process.terminate()
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "copald does not end on SIGTERM"
        return None if status == 0 else "copald ended with %d:\n%s" % (status, self.tail())


def run(case, address, program):
    """Runs one case. Returns (label, what went wrong or None, seconds)."""
    label, test, arguments = case
    peer = Peer(address, label.replace("/", "_"))
    peer.limit, peer.copald = BODY_MAX, program
    began = time.monotonic()
    try:
        test(peer, *arguments)
        return label, None, time.monotonic() - began
    except Failure as why:
        return label, str(why), time.monotonic() - began
    except Exception as why:  # an answer so wrong that the test could not read it
        return label, "%s: %s" % (type(why).__name__, why), time.monotonic() - began
    finally:
        peer.close()


def is_alone(test):
    return test.__module__ == "mutation" or getattr(test, "alone", False)


def chosen(words):
    return [case for case in cases() if not words or any(word in case[0] for word in words)]


def main():
    parser = argparse.ArgumentParser(description="CoAP conformance tests")
    build = os.environ.get("COPAL_BUILD_DIR", "build/release")
    parser.add_argument("--copald", default=os.path.join(build, "copald"))
    parser.add_argument("--target", help="HOST:PORT of a server that runs already")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--list", action="store_true", help="print the names only")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    selected = chosen(args.words)
    if args.list:
        print("\n".join(label for label, _, _ in selected))
        return 0
    server, program = None, None
    if args.target:
        host, port = args.target.rsplit(":", 1)
        address = (host.strip("[]"), int(port))
    else:
        if not os.access(args.copald, os.X_OK):
            print("skipped: no program %s" % args.copald)
            return 77
        program = args.copald
        server = Server(program)
        address = ("127.0.0.1", server.port)
    began, failed = time.monotonic(), 0
    # Mutations come last: they keep the server busy and would delay the others.
    together = [case for case in selected if not is_alone(case[1])]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda case: run(case, address, program), together))
    results += [run(case, address, program) for case in selected if is_alone(case[1])]
    for label, why, _ in results:
        failed += why is not None
        print("ok   " + label if why is None else "FAIL %s: %s" % (label, why))
    ended = server.stop() if server else None
    if ended:
        print("FAIL " + ended)
    print("%d checks, %d failed, %.1f s" % (len(results), failed, time.monotonic() - began))
    return 1 if failed or ended or not results else 0


if __name__ == "__main__":
    sys.exit(main())
