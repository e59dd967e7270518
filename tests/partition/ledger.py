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
        self.told = {}  # body -> the id that its ADDJOB was answered with
        self.seen = {}  # id -> body, as deliveries say
        self.keys = {}  # body -> its key of DEDUP
        self.outcomes = {}  # id -> what WAITJOB says at the end

    def add(self, body, again, key=None):
        with self.lock:
            self.sent[body] = again
            if key is not None:
                self.keys[body] = key

    def answer(self, body, id=None):
        """Its ADDJOB was answered. With a key, the id may be that of another job."""
        with self.lock:
            self.answered.add(body)
            if id is not None:
                self.told[body] = id

    def deliver(self, body, id=None):
        with self.lock:
            self.delivered[body] += 1
            if id is not None:
                self.seen[id] = body
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
            open_ = [body for body in self.answered if self.sent[body] and not self.delivered[body] and not self.is_duplicate(body)]
        others = self.found()
        return sorted(body for body in open_ if body not in others)

    def is_duplicate(self, body):
        return self.outcomes.get(self.told.get(body), ("",))[0] == "duplicate"

    def body_of(self, id):
        """The job with this id: what was delivered under it, or else the first that was answered with it."""
        return self.seen.get(id) or next((body for body, told in self.told.items() if told == id), None)

    def found(self):
        """Jobs with keys whose producers got the id of another job."""
        with self.lock:
            first = {}
            for body, id in self.told.items():
                first.setdefault(id, self.seen.get(id, body))
            return {body: id for body, id in self.told.items() if body in self.keys and first[id] != body}

    def promised(self):
        """The ids of all at-least-once jobs that a producer was told."""
        with self.lock:
            return sorted({id for body, id in self.told.items() if self.sent[body]})

    def unsettled(self):
        """Promised ids that did not end in exactly one of the outcomes that this load leads to."""
        wrong = []
        for id in self.promised():
            outcome, detail = self.outcomes.get(id, ("nobody was asked", None))
            last, steps = detail, 0
            while outcome == "duplicate" and steps < 100:
                body, other = self.body_of(id), self.body_of(last)
                if body is None or other is None or self.keys.get(body) != self.keys.get(other):
                    break
                outcome, last = self.outcomes.get(last, ("nobody was asked", None))
                steps += 1
            if outcome != "acked":
                wrong.append(f"{id} ({self.body_of(id)}): {self.outcomes.get(id)}")
        return wrong

    def balance(self):
        """How many promised ids ended how."""
        return dict(sorted(collections.Counter(self.outcomes.get(id, ("?",))[0] for id in self.promised()).items()))

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
                             ("never sent", sorted(self.strange)),
                             ("added, and another job was the answer", sorted(body for body in self.found() if self.delivered[body]))]:
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
    keyed = [("add", "f", True, "k"), ("answer", "f", "F"), ("deliver", "f", "F"), ("add", "g", True, "k"), ("answer", "g", "F")]
    assert not history(*clean, *keyed)
    assert history(*clean, *keyed, ("deliver", "g", "G"))[0].startswith("added, and another")
    ledger = Ledger()
    for step, *arguments in keyed + [("add", "h", True, "k"), ("answer", "h", "H"), ("add", "i", True), ("answer", "i", "I")]:
        getattr(ledger, step)(*arguments)
    assert [line.split()[0] for line in ledger.unsettled()] == ["F", "H", "I"]
    ledger.outcomes = {"F": ("acked", None), "H": ("duplicate", "F"), "I": ("acked", None)}
    assert not ledger.unsettled() and ledger.missing() == ["i"]
    ledger.outcomes["F"] = ("expired", None)
    assert [line.split()[0] for line in ledger.unsettled()] == ["F", "H"]
