# SPDX-License-Identifier: Apache-2.0
"""Other people's observers while copald is killed, ended and upgraded: they go on without asking again.

  restart.py aiocoap|libcoap
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import peers

COPALD = os.path.join(peers.BUILD, "copald")
COPAL = os.path.join(peers.BUILD, "copal")
WAIT_S = 60


def observer(name, uri):
    if name == "aiocoap":
        return [peers.aiocoap(), os.path.join(peers.HERE, "aiocoap_observer.py"), uri]
    return ["stdbuf", "-o0", peers.libcoap("coap-client"), "-s", "600", "-m", "get", uri]


class Server:
    """One process after another on the same store and port."""

    def __init__(self, data):
        self.data, self.port = data, peers.free_port()
        self.log = open(data + ".log", "w+")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [COPALD, "--data", self.data, "--listen", "coap://127.0.0.1:%d" % self.port],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(re.search(r":(\d+) \(", self.process.stdout.readline()).group(1))
        self.pid = self.process.pid

    def end(self, how):
        os.kill(self.pid, how)
        self.process.wait()

    def upgrade(self):
        """The process that was started ends with 0 when another one serves."""
        os.kill(self.pid, signal.SIGUSR2)
        if self.process.wait(WAIT_S) != 0:
            raise SystemExit("not upgraded:\n" + self.text())
        self.pid = int(re.findall(r'"handed_over","pid":(\d+)', self.text())[-1])

    def text(self):
        # copald writes at the place that this file object has, too: it is not moved.
        return os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode()


class Watch:
    """What an observer prints."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        text = b""
        while got := os.read(self.process.stdout.fileno(), 4096):
            text += got
            self.lines.put(text)

    def expect(self, value):
        end = time.monotonic() + WAIT_S
        text = b""
        while time.monotonic() < end:
            try:
                text = self.lines.get(timeout=0.2)
            except queue.Empty:
                continue
            if b"ended" in text:
                break
            if value in text:
                return
        raise SystemExit("FAIL no %r, but %r" % (value, text[-400:]))


def put(server, value):
    subprocess.run([COPAL, "put", "-c", "text", "-d", value,
                    "coap://127.0.0.1:%d/t" % server.port], check=True, timeout=WAIT_S,
                   stdout=subprocess.DEVNULL)


def play(name, server):
    put(server, "value-0")
    watch = Watch(observer(name, "coap://127.0.0.1:%d/t" % server.port))
    try:
        watch.expect(b"value-0")
        for i, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None), 1):
            if how is None:
                server.upgrade()
            else:
                server.end(how)  # at once behind the last notification
                server.start()
            put(server, "value-%d" % i)
            watch.expect(b"value-%d" % i)
            print("goes on after", how.name if how else "SIGUSR2", flush=True)
        seen = server.text().count('"event":"metrics"')  # those of the processes before
        os.kill(server.pid, signal.SIGUSR1)
        end = time.monotonic() + WAIT_S
        while server.text().count('"event":"metrics"') == seen and time.monotonic() < end:
            time.sleep(0.1)
        counted = [line for line in server.text().splitlines() if '"event":"metrics"' in line][-1]
        # It never asked again: the only registration is the restored one.
        if '"registrations_restored":1' not in counted or "registrations_renewed" in counted:
            raise SystemExit("FAIL " + counted)
    finally:
        watch.process.kill()
        watch.process.wait()


def main():
    name = sys.argv[1]
    for program in (COPALD, COPAL):
        if not os.path.exists(program):
            peers.skip("%s is not built" % program)
    observer(name, "coap://127.0.0.1/t")
    top = tempfile.mkdtemp(prefix="copal-restart-")
    server = Server(os.path.join(top, "data"))
    try:
        play(name, server)
    except BaseException:
        print(server.text()[-20000:])
        raise
    finally:
        os.kill(server.pid, signal.SIGKILL)
        if server.process.poll() is None:
            server.process.wait()
        shutil.rmtree(top)
    print("ok")


main()
