"""What the clients were told, and what must follow from it."""

import collections
import threading


class Ledger:
    """All that clients did and saw. Every job has a body of its own, which names it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}  # body -> at least once?
        self.answered = set()  # bodies whose ADDJOB was answered with an id
        self.delivered = collections.Counter()
        self.acked = set()
        self.returned = collections.Counter()  # on purpose: NACK, or left to its retry
        self.strange = []

    def add(self, body, again):
        with self.lock:
            self.sent[body] = again

    def answer(self, body):
        with self.lock:
            self.answered.add(body)

    def deliver(self, body):
        with self.lock:
            self.delivered[body] += 1
            if body not in self.sent:
                self.strange.append(body)

    def ack(self, body):
        with self.lock:
            self.acked.add(body)

    def give_back(self, body):
        with self.lock:
            self.returned[body] += 1

    def missing(self):
        """At-least-once jobs that were promised and have not been delivered."""
        with self.lock:
            return sorted(body for body in self.answered if self.sent[body] and not self.delivered[body])

    def twice(self):
        """At-most-once jobs that were delivered more than once."""
        with self.lock:
            return sorted(body for body, count in self.delivered.items() if count > 1 and not self.sent.get(body, True))

    def duplicates(self):
        """Deliveries of at-least-once jobs beyond the first and those that were asked for."""
        with self.lock:
            return sum(max(0, count - 1 - self.returned[body]) for body, count in self.delivered.items()
                       if self.sent.get(body, True))

    def faults(self):
        """What must not be. Empty when all is well."""
        found = []
        for name, bodies in [("lost", self.missing()), ("at most once, and twice", self.twice()),
                             ("never sent", sorted(self.strange))]:
            if bodies:
                found.append(f"{name}: {len(bodies)}, such as {bodies[:5]}")
        return found


def prove():
    """That a ledger sees what it is there for: each plain mistake is found, and a clean history is clean."""

    def history(*steps):
        ledger = Ledger()
        for step, *arguments in steps:
            getattr(ledger, step)(*arguments)
        return ledger.faults()

    clean = [("add", "a", True), ("answer", "a"), ("deliver", "a"), ("deliver", "a"),
             ("add", "b", False), ("answer", "b"), ("deliver", "b"), ("add", "unknown", True)]
    assert not history(*clean)
    assert history(*clean, ("add", "c", True), ("answer", "c"))[0].startswith("lost: 1")
    assert history(*clean, ("deliver", "b"))[0].startswith("at most once, and twice: 1")
    assert history(*clean, ("deliver", "d"))[0].startswith("never sent: 1")
    assert not history(*clean, ("add", "e", False), ("answer", "e"))
