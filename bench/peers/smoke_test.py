#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The comparison with other people's servers runs with what is there, names what is not, tells what was
lost and says by its status whether copald leads. No figure is asserted."""
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import others  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "compare")
BUILD = os.environ["COPAL_BUILD_DIR"]
ROWS = ["get64", "put", "fan-non-1k", "startup-rss"]


def module(path):
    loader = importlib.machinery.SourceFileLoader("bench_" + os.path.basename(path), path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    made = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


compare = module(PROGRAM)
grow = module(os.path.join(os.path.dirname(HERE), "grow"))


def load_result(**changes):
    names = ("malformed", "type", "token", "mid", "code", "payload", "backwards")
    return {"messages": 100, "timeouts": 0, "failed": False,
            "wrong_by": {name: 0 for name in names}, **changes}


class Grow(unittest.TestCase):
    def test_point_has_a_figure_of_each_server(self):
        bench = others.PeerBench(BUILD, False, 1, 0.1, 0)
        bench.kinds = ("limit", "copald")
        try:
            point = grow.plots()[0].points(bench, 10)
        finally:
            shutil.rmtree(bench.dir)
        self.assertEqual(set(point), {"limit", "copald"})
        self.assertTrue(all(figure > 0 for figure in point.values()))
        self.assertEqual(bench.wrong, 0)


class Place(unittest.TestCase):
    def test_least_of_all_leads(self):
        self.assertEqual(compare.place({"copald": 2, "libcoap": 3, "aiocoap": 2}), "leads")

    def test_the_limit_is_no_peer(self):
        self.assertEqual(compare.place({"copald": 2, "limit": 1}), "leads")

    def test_who_is_ahead_is_named_best_first(self):
        self.assertEqual(compare.place({"copald": 4, "libcoap": 3, "go-coap": 2, "aiocoap": 9}),
                         "behind go-coap, libcoap")

    def test_without_a_figure_there_is_no_place(self):
        self.assertIsNone(compare.place({"libcoap": 3}))


class Status(unittest.TestCase):
    def status(self, places, wrong=0, failed=0):
        bench = type("Bench", (), {"wrong": wrong, "failed": failed})
        return compare.status(bench, [{"place": p} for p in places])

    def test_leading_every_row_is_success(self):
        self.assertEqual(self.status(["leads", "leads"]), 0)

    def test_a_row_that_another_leads_is_not(self):
        self.assertEqual(self.status(["leads", "behind libcoap"]), 3)
        self.assertEqual(self.status(["leads", None]), 3)

    def test_wrong_answers_are_worse(self):
        self.assertEqual(self.status(["behind libcoap"], wrong=1), 1)
        self.assertEqual(self.status(["leads"], failed=1), 1)


class Told(unittest.TestCase):
    def test_nothing_lost_says_nothing(self):
        losses = others.Losses()
        losses.add(load_result())
        self.assertIsNone(losses.text())

    def test_losses_add_up_over_runs(self):
        losses = others.Losses()
        wrong = {**load_result()["wrong_by"], "backwards": 2}
        losses.add(load_result(timeouts=3))
        losses.add(load_result(missing=5, last_state_seen=False, failed=True, wrong_by=wrong))
        self.assertEqual(losses.counts, {
            "unanswered within a second": 3, "notifications not there within a second": 5,
            "runs in which the last state did not reach all": 1, "older states after newer ones": 2})
        self.assertIn("(right: 200)", losses.text())

    def test_a_figure_with_losses_is_marked(self):
        record = {"medians": {"libcoap": 7.0, "go-coap": 8.0}, "skipped": {}, "lost": {"go-coap": "x"}}
        self.assertEqual(compare.figure(record, "libcoap"), "7.00")
        self.assertEqual(compare.figure(record, "go-coap"), "8.00*")

    def test_so_is_one_of_fewer_runs(self):
        record = {"medians": {"libcoap": 7.0}, "skipped": {"libcoap": "x", "aiocoap": "y"}, "lost": {}}
        self.assertEqual(compare.figure(record, "libcoap"), "7.00*")
        self.assertEqual(compare.figure(record, "aiocoap"), "skip")


class Program(unittest.TestCase):
    def run_it(self, *arguments, **environment):
        return subprocess.run([sys.executable, PROGRAM, "--build", BUILD, *arguments], text=True,
                              stdout=subprocess.PIPE, timeout=1000, check=False,
                              env={**os.environ, **environment})

    def test_what_is_there_is_compared_and_the_rest_named(self):
        with tempfile.TemporaryDirectory() as empty:
            figures = os.path.join(empty, "figures.json")
            done = self.run_it("--quick", "--seconds", "0.1", "--json", figures, "--only",
                               "libcoap,californium,go-coap,node-coap", *ROWS, PATH=empty)
            self.assertIn(done.returncode, (0, compare.NOT_LEADING), done.stdout)
            with open(figures, encoding="ascii") as f:
                told = json.load(f)
        for kind, runtime in (("californium", "java"), ("go-coap", "go"), ("node-coap", "node")):
            self.assertIn(f"{kind} is left out: {runtime} is not installed; apt-get install",
                          done.stdout)
        self.assertEqual([record["row"] for record in told["rows"]], ROWS)
        for record in told["rows"]:
            self.assertGreater(record["medians"]["limit"], 0)
            self.assertGreater(record["medians"]["copald"], 0)
            self.assertEqual(record["place"], compare.place(record["medians"]))
        self.assertEqual((told["wrong"], told["failed"]), (0, 0), done.stdout)
        is_leading = all(record["place"] == "leads" for record in told["rows"])
        self.assertEqual(done.returncode, 0 if is_leading else compare.NOT_LEADING)

    def test_unknown_names_are_refused(self):
        for arguments in (["--only", "nobody"], ["no-such-row"]):
            self.assertEqual(self.run_it(*arguments).returncode, 2)


if __name__ == "__main__":
    unittest.main()
