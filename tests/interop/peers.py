# SPDX-License-Identifier: Apache-2.0
"""Other people's CoAP programs, installed by name into the build directory; never part of the tree.

Whatever cannot be had ends the test with status 77 and the reason as its last line.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

from ports import reserve as free_port  # noqa: E402, F401 (for those who import this module)

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("COPAL_BUILD_DIR", "build/release"))
CACHE = os.path.join(os.path.dirname(BUILD), "peers")

AIOCOAP = "aiocoap==0.4.17"
NODE_COAP = "coap@1.5.0"
# The newest, and one for the toolchain of Debian 12.
GO_COAP = ("github.com/plgd-dev/go-coap/v3@v3.5.5", "github.com/plgd-dev/go-coap/v3@v3.1.6")
PION = "github.com/pion/dtls/v3@v3.0.0"  # the last for the toolchain of Debian 12
CALIFORNIUM = "3.14.0"
INSTALL_TIME_S = 150
RETRY_AFTER_S = 300


class Missing(SystemExit):
    """A peer cannot be had, and why: ends a test with status 77 unless it is caught."""

    def __init__(self, why):
        super().__init__(77)
        self.why = " ".join(why.split())


def skip(why):
    missing = Missing(why)
    print("skipped: " + missing.why)
    raise missing


def tool(name):
    """A program that must be on the machine."""
    path = shutil.which(name)
    return path or skip("%s is not installed" % name)


def step(*command, cwd=None, env=None):
    """One step of an installation. Returns what went wrong, or None."""
    try:
        done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=INSTALL_TIME_S)
    except subprocess.TimeoutExpired:
        return "%s took longer than %d s" % (command[0], INSTALL_TIME_S)
    return None if done.returncode == 0 else (done.stdout.strip() or "failed").splitlines()[-1]


def recent_failure(path):
    """Why an installation failed a short while ago, or None: the next test need not wait again."""
    try:
        return open(path).read() if time.time() - os.path.getmtime(path) < RETRY_AFTER_S else None
    except FileNotFoundError:
        return None


def installed(name, version, install):
    """The directory of a peer; `install(directory)` fills it once per version."""
    directory = os.path.join(CACHE, name)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(CACHE, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = os.path.join(directory, ".installed")
        if os.path.exists(mark) and open(mark).read() == version:
            return directory
        failure = os.path.join(CACHE, name + ".failed")
        wrong = recent_failure(failure)
        if not wrong:
            shutil.rmtree(directory)
            os.makedirs(directory)
            wrong = install(directory)
            if wrong:
                with open(failure, "w") as out:
                    out.write(wrong)
        if wrong:
            skip("%s cannot be installed: %s" % (name, wrong))
        with open(mark, "w") as out:
            out.write(version)
        return directory


def libcoap(program):
    """coap-client or coap-server of Debian's libcoap3-bin."""
    for suffix in ("", "-notls", "-openssl", "-gnutls"):
        path = shutil.which(program + suffix)
        if path:
            return path
    return skip("%s is not installed (package libcoap3-bin)" % program)


def aiocoap(program="python3"):
    """A program of the virtual environment that has aiocoap."""

    def install(directory):
        return (step(sys.executable, "-m", "venv", directory)
                or step(os.path.join(directory, "bin/pip"), "install", "-q", AIOCOAP))

    return os.path.join(installed("aiocoap", AIOCOAP, install), "bin", program)


def node_coap():
    """The command prefix and environment that run a script with node-coap."""
    node, npm = tool("node"), tool("npm")

    def install(directory):
        with open(os.path.join(directory, "package.json"), "w") as out:
            out.write('{"name":"peer","version":"1.0.0","private":true}\n')
        return step(npm, "install", "--no-audit", "--no-fund", NODE_COAP, cwd=directory)

    directory = installed("node-coap", NODE_COAP, install)
    return node, {"NODE_PATH": os.path.join(directory, "node_modules")}


def californium():
    """The command that runs a Java source file with Californium and its DTLS."""
    java, maven = tool("java"), tool("mvn")

    def install(directory):
        wanted = "".join("<dependency><groupId>org.eclipse.californium</groupId><artifactId>%s"
                         "</artifactId><version>%s</version></dependency>" % (name, CALIFORNIUM)
                         for name in ("californium-core", "scandium"))
        with open(os.path.join(directory, "pom.xml"), "w") as out:
            out.write("<project><modelVersion>4.0.0</modelVersion><groupId>peer</groupId>"
                      "<artifactId>peer</artifactId><version>1</version><dependencies>%s"
                      "</dependencies></project>\n" % wanted)
        return step(maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars",
                    cwd=directory)

    directory = installed("californium", CALIFORNIUM + "+scandium", install)
    return [java, "-cp", os.path.join(directory, "jars", "*")]


def pion():
    """The client of pion/, built against pion's DTLS."""
    go = tool("go")
    with open(os.path.join(HERE, "pion", "main.go")) as source:
        text = source.read()

    def install(directory):
        for name, content in (("main.go", text), ("go.mod", "module peer\n\ngo 1.19\n")):
            with open(os.path.join(directory, name), "w") as out:
                out.write(content)
        env = {"GOFLAGS": "-mod=mod"}
        return (step(go, "get", PION, cwd=directory, env=env)
                or step(go, "build", "-o", "client", ".", cwd=directory, env=env))

    return os.path.join(installed("pion", PION + text, install), "client")


def go_coap(program, sources_in=os.path.join(HERE, "gocoap"), peer="go-coap"):
    """A program of a directory that has a main.go for each, built against go-coap."""
    go = tool("go")
    sources = {}
    for name in sorted(os.listdir(sources_in)):
        with open(os.path.join(sources_in, name, "main.go")) as source:
            sources[name] = source.read()

    def attempt(directory, module):
        for name, text in sources.items():
            os.makedirs(os.path.join(directory, name), exist_ok=True)
            with open(os.path.join(directory, name, "main.go"), "w") as out:
                out.write(text)
        with open(os.path.join(directory, "go.mod"), "w") as out:
            out.write("module peer\n\ngo 1.18\n")
        env = {"GOFLAGS": "-mod=mod"}
        return (step(go, "get", module, cwd=directory, env=env)
                or step(go, "build", "-o", "bin/", *("./" + name for name in sources),
                        cwd=directory, env=env))

    def install(directory):
        wrong = None
        for module in GO_COAP:
            wrong = attempt(directory, module)
            if not wrong:
                return None
        return wrong

    version = " ".join(GO_COAP) + "".join(sources.values())
    return os.path.join(installed(peer, version, install), "bin", program)
