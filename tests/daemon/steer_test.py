# SPDX-License-Identifier: Apache-2.0
"""Several shards behind one address: each client meets the shard that knows it, and so do the errors
that the network reports about it. docs/upgrade.md."""
import time
import unittest

from daemon import CON, CONTENT, WAIT_S
from restart_test import CRASH, ORDER, Bed, Observer

OBSERVERS = 40
QUIET_S = 0.5
CONF = 'server = {{ shards = {shards}; sockets = 7 }}\nobserve = {{ confirm_every = {every} }}\n'


class Steering(Bed):
    def configure(self, shards, every=20):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONF.format(shards=shards, every=every))

    def gather(self):
        self.put("t", b"0")
        return [Observer(self, self.port, "t", token=bytes([i])) for i in range(OBSERVERS)]

    def test_every_observer_is_known_to_one_shard_however_many_there_are(self):
        self.configure(3)
        self.start("--config", self.config)
        all_of_them = self.gather()
        for shards, how in ((2, CRASH), (5, ORDER), (1, CRASH), (3, CRASH)):
            self.configure(shards)
            self.restart(how, settle=0)
            self.assertNotIn("steering_unavailable", self.last_log)
            for observer in all_of_them:
                self.assertEqual(observer.hear().kind, CON)
            value = b"%d" % shards
            self.put("t", value)
            for observer in all_of_them:
                n = observer.hear()
                self.assertEqual((n.code, n.payload), (CONTENT, value))
            time.sleep(QUIET_S)
            for observer in all_of_them:  # nobody is told by two
                self.assertIsNone(observer.hear(wait=0.001))
        self.assertEqual(self.counters()["registrations_restored"], OBSERVERS)

    def test_rfc7252_4_2_an_error_reaches_the_shard_that_has_sent(self):
        self.configure(4, every=1)  # all notifications are confirmable
        self.start("--config", self.config)
        all_of_them = self.gather()
        for observer in all_of_them[1:]:
            observer.socket.connect(("127.0.0.1", 9))  # deaf to all others: as if the port were closed
        self.put("t", b"1")
        self.assertEqual(all_of_them[0].hear().payload, b"1")
        began = time.monotonic()
        entry = self.metrics()
        while entry["relations"] > 1 and time.monotonic() - began < WAIT_S:
            time.sleep(0.1)
            entry = self.metrics()
        # By the word of the network, long before patience ends. A busy machine may repeat some.
        self.assertEqual(entry["relations"], 1)
        self.assertGreaterEqual(entry["network_errors"], OBSERVERS - 1)
        self.put("t", b"2")
        self.assertEqual(all_of_them[0].hear().payload, b"2")


if __name__ == "__main__":
    unittest.main()
