#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Conditional query parameters and Observe on FETCH, from outside on loopback.

draft-ietf-core-conditional-attributes-12; RFC 8132 section 2.4, RFC 8790 section 3.1.
"""
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
SOURCE = os.environ.get("COPAL_SOURCE_DIR", ".")
sys.path[:0] = [os.path.join(SOURCE, "tests/rfc"), os.path.join(SOURCE, "tests/daemon")]

import wire
from daemon import Daemon
from peer import WAIT_S, Peer
from wire import CON, CONTENT_FORMAT, ETAG, JSON, MAX_AGE, NON, OBSERVE, RST, TEXT

SENML_JSON, SENML_CBOR, ETCH_JSON = 110, 112, 320
QUIET_S = 0.3  # in which nothing must come


def text(value):
    return value if isinstance(value, bytes) else str(value).encode()


class Watch:
    """An observation under way."""

    def __init__(self, case, path, *query, method=wire.GET, pairs=(), payload=b"", token=b"watch"):
        self.case, self.peer = case, case.peer()
        self.ask = dict(method=method, path=path, pairs=[(OBSERVE, b"")] + list(pairs),
                        payload=payload, query=[q.encode() for q in query], token=token)
        self.started = time.monotonic()  # no period of the server's begins sooner
        self.first = self.peer.ask(**self.ask)
        self.due, self.seen, self.confirmed = [], [], None
        case.watches.append(self)

    def expects(self, *values, after=None):
        """Is to be told these values, each when it is put, or when its peer in `after` is."""
        self.due = list(zip(map(text, after or values), map(text, values)))
        self.wanted = [payload for _, payload in self.due]
        return self

    def collect(self, body):
        """Takes what comes of the change to `body`. A notification that is due may wait for the round
        trip of the one before (RFC 7641 section 4.5.1), and the next change would replace it. That
        none is due is known from a ping: the shard of this client evaluates a change that was
        answered before it answers a ping."""
        if self.due and self.due[0][0] == body:
            self.due.pop(0)
            got = self.next()
            self.case.assertIsNotNone(got, (body, self.seen))
            self.seen.append(got.payload)
        mid = self.peer.ping()
        while (got := self.next()).type != RST or got.mid != mid:
            self.seen.append(got.payload)

    def next(self, timeout=WAIT_S):
        """The next notification, or None; a confirmable one is acknowledged, its repetition too."""
        while (got := self.peer.recv(timeout)) is not None and got.type == CON:
            self.peer.send(wire.head(wire.ACK, 0, got.mid))
            if got.mid != self.confirmed:
                self.confirmed = got.mid
                break
        return got

    def values(self, count, quiet=QUIET_S):
        """At least so many payloads, and those after them until nothing comes for that long."""
        while (got := self.next(WAIT_S if len(self.seen) < count else quiet)) is not None:
            self.seen.append(got.payload)
        return self.seen

    def check(self):
        """All that was expected has come, and nothing else."""
        self.case.assertEqual(self.values(0), self.wanted)


class Conditional(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()

    @classmethod
    def tearDownClass(cls):
        code, _, log = cls.daemon.stop()
        cls.daemon.__exit__()
        assert code == 0, log

    def setUp(self):
        self.path = "/c/" + self.id().rsplit(".", 1)[1]
        self.peers = []
        self.watches = []

    def tearDown(self):
        for peer in self.peers:
            peer.close()

    def peer(self):
        self.peers.append(Peer(("127.0.0.1", self.daemon.port), self.id()))
        return self.peers[-1]

    def put(self, value, format_=TEXT):
        answer = self.peer().put(self.path, text(value), [(CONTENT_FORMAT, format_)])
        self.assertIn(answer.code, ("2.01", "2.04"))

    def steps(self, *values, format_=TEXT):
        """Puts values one after the other, so that each is seen for itself by all who watch."""
        for value in values:
            self.put(value, format_)
            for watch in self.watches:
                watch.collect(text(value))

    def periods(self):
        """Seconds, more and more of them, each with a path of its own: for tests that must do something
        before a period is over, which a busy machine may not let them."""
        for seconds in (2, 6, 18, 54):
            self.path += "p"
            yield seconds
        self.fail("the machine is too slow")

    @staticmethod
    def is_within(watch, seconds):
        return time.monotonic() - watch.started < seconds

    def refused(self, *query):
        answer = self.peer().get(self.path, [(OBSERVE, b"")],
                                 query=[q.encode() for q in query])
        self.assertEqual(answer.code, "4.00", query)
        self.assertIsNone(answer.opt(OBSERVE))
        self.assertTrue(answer.payload)

    # parsing ---------------------------------------------------------------------------------

    def test_malformed_and_contradictory_parameters_are_refused(self):
        self.put(20)
        for query in (["c.gt"], ["c.gt="], ["c.gt=warm"], ["c.gt=1e3"], ["c.gt=0x10"],
                      ["c.gt=inf"], ["c.gt=1", "c.gt=2"], ["c.st=0"], ["c.st=-1"], ["c.pmin=0"],
                      ["c.pmax=0"], ["c.epmin=-1"], ["c.epmax=0"], ["c.pmin=2", "c.pmax=1"],
                      ["c.epmin=1", "c.epmax=1"], ["c.band"], ["c.band=1", "c.gt=1"],
                      ["c.edge=10"], ["c.edge=1"], ["c.edge"], ["c.con=2"], ["c.con"],
                      ["c.edge=1", "c.gt=1"], ["c.what=1"]):
            self.refused(*query)

    def test_parameters_are_checked_without_observe_too(self):
        self.put(20)
        self.assertEqual(self.peer().get(self.path, query=[b"c.st=0"]).code, "4.00")
        self.assertEqual(self.peer().get(self.path, query=[b"c.st=1"]).payload, b"20")

    def test_numeric_conditions_need_a_number(self):
        self.put("warm")
        self.refused("c.gt=1")
        self.put(b'{"v":1}', JSON)
        self.refused("c.lt=1")

    def test_other_queries_are_no_conditions(self):
        self.put("warm")
        self.assertIsNotNone(Watch(self, self.path, "x=1", "c").first.opt(OBSERVE))

    def test_tiny_maximum_periods_are_answered_without_observe(self):
        self.put(20)
        got = Watch(self, self.path, "c.pmax=0.001").first
        self.assertEqual((got.code, got.opt(OBSERVE)), ("2.05", None))

    # which changes ---------------------------------------------------------------------------

    def test_greater_than_notifies_of_crossings_both_ways(self):
        self.put(18.5)
        watch = Watch(self, self.path, "c.gt=25").expects(26, 24)
        self.assertEqual(watch.first.payload, b"18.5")
        self.steps(20, 25, 26, 30, 25.5, 24, 10)
        watch.check()

    def test_less_than_notifies_of_crossings_both_ways(self):
        self.put(18)
        watch = Watch(self, self.path, "c.lt=10.5").expects(10, 10.5)
        self.steps(12, 10, 5, 10.4, 10.5)
        watch.check()

    def test_step_is_measured_from_the_last_notification(self):
        self.put(10)
        watch = Watch(self, self.path, "c.st=2").expects(12, 10)
        self.steps(11, 11.9, 12, 13, 10)
        watch.check()

    def test_band_notifies_of_every_change_within(self):
        self.put(0)
        Watch(self, self.path, "c.band", "c.gt=10", "c.lt=20").expects(10, 15, 20)
        Watch(self, self.path, "c.band", "c.gt=20", "c.lt=10").expects(5, 25)
        Watch(self, self.path, "c.band", "c.lt=20").expects(20, 25)
        Watch(self, self.path, "c.band", "c.gt=10").expects(5, 10)
        self.steps(5, 10, 15, 20, 25)
        for watch in self.watches:
            watch.check()

    def test_edge_tells_rising_from_falling(self):
        self.put(0)
        rising = Watch(self, self.path, "c.edge=1").expects(1, "true")
        falling = Watch(self, self.path, "c.edge=0").expects("false")
        self.steps(0, 1, 1, "false", "true")
        rising.check()
        falling.check()

    def test_json_and_senml_are_compared_by_their_value(self):
        for format_, low, high in (
                (JSON, b"20", b"30"),
                (SENML_JSON, b'[{"n":"t","v":20}]', b'[{"bn":"t","bv":10,"v":20}]'),
                (SENML_CBOR, bytes.fromhex("81a2006174" "0214"), bytes.fromhex("81a2006174" "02181e"))):
            with self.subTest(format_=format_):
                self.path += "x"
                self.put(low, format_)
                watch = Watch(self, self.path, "c.gt=25").expects(high)
                self.assertEqual(watch.first.code, "2.05", watch.first.payload)
                self.steps(low, high, format_=format_)
                watch.check()
                self.watches.clear()

    # when ------------------------------------------------------------------------------------

    def test_minimum_period_holds_back_and_sends_the_newest(self):
        for seconds in self.periods():
            self.put(1)
            watch = Watch(self, self.path, "c.pmin=%d" % seconds)
            for value in (2, 3, 4):
                self.put(value)
            if self.is_within(watch, seconds):
                break
        self.assertEqual(watch.next().payload, b"4")
        self.assertFalse(self.is_within(watch, seconds - 0.1))
        self.assertEqual(watch.values(0), [])

    def test_minimum_period_forgets_what_was_undone(self):
        for seconds in self.periods():
            self.put(20)
            watch = Watch(self, self.path, "c.pmin=%d" % seconds, "c.gt=25")
            self.put(30)
            self.put(20)
            if self.is_within(watch, seconds):
                break
        self.assertEqual(watch.values(0, seconds + 0.5), [])

    def test_maximum_period_repeats_the_state(self):
        self.put(20)
        watch = Watch(self, self.path, "c.pmax=0.3", "c.gt=25")
        times = []
        for _ in range(3):
            self.assertEqual(watch.next().payload, b"20")
            times.append(time.monotonic() - watch.started)
        self.assertGreaterEqual(times[-1], 0.85)
        self.assertLess(times[-1], 30)

    def test_max_age_is_not_above_the_maximum_period(self):
        self.put(20)
        watch = Watch(self, self.path, "c.pmax=7")
        self.assertEqual(watch.first.uint(MAX_AGE), 7)
        self.put(21)
        self.assertEqual(watch.next().uint(MAX_AGE), 7)

    def test_evaluation_periods(self):
        for seconds in self.periods():
            self.put(20)
            slow = Watch(self, self.path, "c.epmin=%d" % seconds, "c.st=1")
            steady = Watch(self, self.path, "c.epmax=0.3", "c.band", "c.lt=10")
            self.put(25)
            self.put(30)
            if self.is_within(slow, seconds):
                break
        self.assertEqual(slow.next().payload, b"30")
        self.assertFalse(self.is_within(slow, seconds - 0.1))
        while steady.next().payload != b"30":
            pass
        self.assertEqual(steady.next().payload, b"30")  # evaluated without a change

    def test_confirmable_on_demand(self):
        self.put(1)
        watch = Watch(self, self.path, "c.con=1")
        other = Watch(self, self.path, "c.con=0")
        kinds = []
        for value in range(2, 6):
            self.put(value)
            self.assertEqual(watch.next().type, CON)
            kinds.append(other.next().type)
        self.assertIn(NON, kinds)

    # life ------------------------------------------------------------------------------------

    def test_clients_have_their_own_state(self):
        self.put(10)
        early = Watch(self, self.path, "c.st=5").expects(15)
        self.steps(14)
        late = Watch(self, self.path, "c.st=5").expects(19)
        self.steps(15, 19)
        early.check()
        late.check()

    def test_registering_anew_replaces_the_conditions(self):
        self.put(10)
        watch = Watch(self, self.path, "c.st=5").expects(11, 12)
        again = watch.peer.ask(**dict(watch.ask, query=[b"c.st=1"]))
        self.assertIsNotNone(again.opt(OBSERVE))
        self.steps(11, 12)
        watch.check()

    def test_deregistering_ends_it(self):
        for seconds in self.periods():
            self.put(10)
            watch = Watch(self, self.path, "c.pmax=%d" % seconds)
            watch.peer.ask(**dict(watch.ask, pairs=[(OBSERVE, b"\x01")]))
            if self.is_within(watch, seconds):
                break
        self.assertEqual(watch.values(0, seconds + 1), [])

    def test_deletion_is_told_whatever_the_conditions(self):
        self.put(10)
        watch = Watch(self, self.path, "c.gt=100", "c.pmin=60")
        self.peer().delete(self.path)
        got = watch.next()
        self.assertEqual((got.code, got.opt(OBSERVE)), ("4.04", None))

    def test_value_that_is_no_number_any_more_is_told(self):
        self.put(10)
        watch = Watch(self, self.path, "c.gt=100").expects("broken", 20)
        self.steps("broken", 20, 30)
        watch.check()

    # FETCH -----------------------------------------------------------------------------------

    PACK = b'[{"n":"a","v":%d},{"n":"b","v":%d}]'

    def fetch(self, name, *query, token=b"watch"):
        return Watch(self, self.path, *query, method=wire.FETCH, token=token,
                     pairs=[(CONTENT_FORMAT, ETCH_JSON)], payload=b'[{"n":"%s"}]' % name)

    def test_fetch_is_observed_with_its_selection(self):
        self.put(self.PACK % (1, 2), SENML_JSON)
        a, b = self.fetch(b"a"), self.fetch(b"b")
        self.assertIsNotNone(a.first.opt(OBSERVE))
        self.assertEqual(a.first.payload, b'[{"n":"a","v":1}]')
        self.put(self.PACK % (3, 4), SENML_JSON)
        self.assertEqual(a.next().payload, b'[{"n":"a","v":3}]')
        self.assertEqual(b.next().payload, b'[{"n":"b","v":4}]')

    def test_fetch_takes_conditions_on_the_selected_record(self):
        self.put(self.PACK % (1, 2), SENML_JSON)
        watch = self.fetch(b"b", "c.gt=10")
        watch.expects(b'[{"n":"b","v":11}]', after=[self.PACK % (1, 11)])
        self.steps(self.PACK % (50, 5), self.PACK % (1, 11), format_=SENML_JSON)
        watch.check()

    def test_fetch_of_a_changed_format_ends(self):
        self.put(self.PACK % (1, 2), SENML_JSON)
        watch = self.fetch(b"a")
        self.put(5)
        self.assertEqual(watch.next().code, "4.06")


if __name__ == "__main__":
    unittest.main()
