# SPDX-License-Identifier: Apache-2.0
"""The servers that a user would pick instead of copald: installed by name into the build directory, as
the tests of interoperability do, begun and warmed up. Each serves one resource (the sources beside this
file) with the defaults of its library.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [os.path.dirname(HERE), os.path.join(SOURCE, "tests", "interop")]

from driver import run  # noqa: E402

PEERS = ("libcoap", "californium", "go-coap", "node-coap", "aiocoap")
INSTALL = {  # what brings a peer, or the runtime that it needs
    "libcoap": "apt-get install libcoap3-dev",
    "californium": "apt-get install default-jdk-headless maven",
    "go-coap": "apt-get install golang-go",
    "node-coap": "apt-get install nodejs npm",
    "aiocoap": "apt-get install python3-venv",
}
WRONG = {"malformed": "malformed", "backwards": "older states after newer ones"}


class PeerBench(run.Bench):
    """A bench that tells what each server lost, and warms up what compiles while it runs."""

    def __init__(self, build, quick, runs, seconds, warmup):
        super().__init__(build, quick, runs, seconds)
        self.warmup = {"californium": warmup, "node-coap": warmup / 2}
        self.deduplicator = None  # Californium's; None: as the library has it
        self.losses = {}  # of the row or point under way, by kind

    def load(self, server, *arguments):
        if "-t" in arguments and server.kind in self.warmup:
            arguments = (*arguments, "-w", self.warmup[server.kind])
        result = super().load(server, *arguments)
        self.losses.setdefault(server.kind, Losses()).add(result)
        return result

    def memory(self, server):
        """What is garbage is not counted."""
        if server.kind == "californium":
            return java_heap(server.pid)
        if server.kind in self.others:
            os.kill(server.pid, signal.SIGUSR2)  # the peers' servers collect
            time.sleep(1)
        return server.rss()


class Losses:
    """What the load generator missed, and why answers were wrong, over the runs of a row."""

    def __init__(self):
        self.messages = 0
        self.counts = {}

    def add(self, result):
        self.messages += result["messages"]
        # Of a fan-out all ends with the last state or does not; requests go on or they do not.
        is_fanout = "missing" in result
        gave_up = not result["last_state_seen"] if is_fanout else result["failed"]
        found = {"unanswered within a second": result["timeouts"],
                 "notifications not there within a second": result.get("missing", 0),
                 ("runs in which the last state did not reach all" if is_fanout else
                  "runs in which no more answers came"): int(gave_up),
                 **{WRONG.get(reason, f"wrong {reason}"): n
                    for reason, n in result["wrong_by"].items()}}
        for what, n in found.items():
            if n:
                self.counts[what] = self.counts.get(what, 0) + n

    def text(self):
        if not self.counts:
            return None
        lost = ", ".join(f"{what}: {n}" for what, n in self.counts.items())
        return f"{lost} (right: {self.messages})"


def java_heap_limit():
    """What Java takes by default: a quarter of the memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


def java_heap(pid):
    """Bytes that live in the heap of a Java process."""
    jcmd = run.which("jcmd")
    text = ""
    for command in ("GC.run", "GC.heap_info"):
        done = subprocess.run([jcmd, str(pid), command], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise run.Skip(f"jcmd: {done.stdout.strip().splitlines()[-1]}")
        text = done.stdout
    used = re.findall(r"(?:generation|heap)\s+total \d+K, used (\d+)K", text)
    if not used:
        raise run.Skip("jcmd told no size of the heap")
    return sum(map(int, used)) * 1024


# ------------------------------------------------------------------------------------------- peers


def begun(*command, confirmable=(), **environment):
    """How to begin a server, by its port. It ends by SIGINT, whatever this process was told of it."""
    prefix = ["env", "--default-signal=INT", *(f"{k}={v}" for k, v in environment.items())]
    return lambda port, is_con: [*prefix, *command, str(port), *(confirmable if is_con else ())]


def californium(bench, peers):
    java = peers.californium()
    if bench.deduplicator:
        java.append("-Dbench.deduplicator=" + bench.deduplicator)
    classes = bench.file("java")
    jars = java[java.index("-cp") + 1]
    wrong = peers.step(peers.tool("javac"), "-cp", jars, "-d", classes,
                       os.path.join(HERE, "Server.java"))
    if wrong:
        raise run.Skip(f"javac: {wrong}")
    java[java.index("-cp") + 1] = f"{classes}:{jars}"
    return begun(*java, "Server", confirmable=["con"])


def go_coap(_, peers):
    return begun(peers.go_coap("server", os.path.join(HERE, "gocoap"), "go-coap-bench"),
                 confirmable=["con"])


def node_coap(_, peers):
    node, environment = peers.node_coap()
    return begun(node, "--expose-gc", os.path.join(HERE, "server.js"), **environment)


def aiocoap(_, peers):
    return begun(peers.aiocoap(), os.path.join(HERE, "server.py"), confirmable=["con"])


MAKERS = {"californium": californium, "go-coap": go_coap, "node-coap": node_coap,
          "aiocoap": aiocoap}


def prepare(bench, wanted):
    """Installs the peers. Returns why those that cannot be had are left out."""
    os.environ["COPAL_BUILD_DIR"] = bench.build
    import peers  # installs into the build directory named there
    left_out = {}
    for kind in wanted:
        if kind not in MAKERS:
            continue
        print(f"installing {kind}", file=sys.stderr, flush=True)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                bench.others[kind] = MAKERS[kind](bench, peers)
        except peers.Missing as why:
            left_out[kind] = why.why
        except run.Skip as why:
            left_out[kind] = str(why)
    if "libcoap" in wanted and not os.access(os.path.join(bench.build, "bench/minimal"), os.X_OK):
        left_out["libcoap"] = "its library is not installed"
    return left_out
