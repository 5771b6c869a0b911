#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conformance tests of tests/rfc against a durable store, where every answer to a change
comes later and from another thread.

    conformance_test.py [--engine lmdb|journal] [ARGUMENT OF tests/rfc/run.py...]
"""
import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]

import coap
import ports

BODY_MAX = 8192  # as tests/rfc/run.py has it
RUN = os.path.join(os.environ.get("COPAL_SOURCE_DIR", "."), "tests", "rfc", "run.py")


def main():
    parser = argparse.ArgumentParser(description="conformance of a durable store")
    parser.add_argument("--engine", choices=coap.ENGINES, default=coap.ENGINES[0])
    args, rest = parser.parse_known_args()
    coap.Copald.engine = args.engine
    if not os.access(coap.COPALD, os.X_OK):
        print(f"skipped: no program {coap.COPALD}")
        return 77
    with tempfile.TemporaryDirectory(prefix="copal-rfc-") as top:
        config = os.path.join(top, "copald.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"resources: {{ body = {BODY_MAX}; }};\n"
                    # However long a busy disk takes, responses are piggybacked as from memory.
                    "transmission: { ack_timeout = \"8s\"; ack_delay = \"7s\"; };\n")
        data = os.path.join(top, "data")
        port = ports.reserve()
        copald = coap.Copald(data, "--config", config,
                             listen=(f"coap://0.0.0.0:{port}", f"coap://[::1]:{port}"))
        done = subprocess.run([sys.executable, RUN, "--target", f"127.0.0.1:{copald.port}",
                               *rest], check=False)
        ended = copald.stop()
        coap.check(data)
        if ended != 0:
            print(f"FAIL copald ended with {ended}:\n{copald.read_log()[-4000:]}")
        return done.returncode or ended


if __name__ == "__main__":
    sys.exit(main())
