"""Publishers, readers and subscribers of topics that go on whatever happens to the nodes, and what must follow."""

import random
import threading
import time

from load import Sessions
from node import Client, Refused

PATTERN = "topic.*"
CHANNELS = [f"topic.{n}" for n in range(6)]


class Reader:
    """What one reader was given, in order, wherever it went."""

    def __init__(self, name):
        self.name, self.cursor = name, "0"
        self.lock = threading.Lock()
        self.seen = {}  # id -> body
        self.highest = (0, 0)
        self.late = self.lost = 0
        self.faults = []

    def take(self, id, body, mark):
        order = tuple(int(part) for part in id.split("-"))
        with self.lock:
            if id in self.seen:
                self.faults.append(f"{self.name}: {id} came twice")
            self.seen[id] = body
            if mark:
                # It may lie above what is still to come in order, too.
                self.late += 1
                return
            if order <= self.highest:
                self.faults.append(f"{self.name}: {id} came behind {self.highest} and is not late")
            self.highest = max(self.highest, order)

    def take_entry(self, entry):
        """An entry of TREAD WITHMETA: a loss has no channel and no body."""
        id, channel, body, mark, *_ = entry
        if channel is None:
            with self.lock:
                self.lost += 1
        else:
            self.take(id, body, mark)

    def take_again(self, entry):
        """The same for a reader that may get it again."""
        id, channel, body, *_ = entry
        with self.lock:
            if channel is None:
                self.lost += 1
            else:
                self.seen[id] = body


class Topics(Sessions):
    """The load: publishers on all nodes, readers that carry their cursors from node to node, and subscribers."""

    def __init__(self, nodes, seed, publishers=4, readers=3, subscribers=2, named=1):
        super().__init__(nodes)
        self.publishing, self.reading = True, True
        self.sent = set()
        self.answered = {}  # id -> body
        self.pending = {}  # id -> body, published with too few copies
        self.readers = [Reader(f"reader {n}") for n in range(readers)]
        self.subscribers = [Reader(f"subscriber {n}") for n in range(subscribers)]
        self.named = [Reader(f"named reader {n}") for n in range(named)]
        self.start(
            [(self.publish, n, random.Random(f"{seed} publisher {n}")) for n in range(publishers)]
            + [(self.read, reader, random.Random(f"{seed} {reader.name}")) for reader in self.readers]
            + [(self.follow, reader, random.Random(f"{seed} {reader.name}")) for reader in self.subscribers]
            + [(self.read_named, reader, random.Random(f"{seed} {reader.name}")) for reader in self.named])

    def publish(self, number, dice):
        for count, client in enumerate(self.clients(dice, lambda: self.publishing, 3)):
            body = f"{number}-{count}"
            self.sent.add(body)
            options = dice.choice([[], [], ["REPLICATE", 1], ["REPLICATE", 2]])
            try:
                id = client.call("TPUB", dice.choice(CHANNELS), body, "TIMEOUT", 1000, *options)
                with self.lock:
                    self.answered[id] = body
            except Refused as refusal:
                word, *rest = str(refusal).split(" ")
                self.count_refusal(word)
                if word == "PENDING":
                    with self.lock:
                        self.pending[rest[0]] = body
            except OSError:
                self.break_off(client)
            time.sleep(dice.expovariate(60))

    def read(self, reader, dice):
        for client in self.clients(dice, lambda: self.reading, 5):
            page = self.read_page(client, "FROM", reader.cursor, *dice.choice([[], [], ["BLOCK", 200]]))
            if page:
                cursor, entries = page
                for entry in entries:
                    reader.take_entry(entry)
                reader.cursor = cursor
            time.sleep(dice.expovariate(100))

    def read_named(self, reader, dice):
        """A name moves with its commits. What is read and not committed comes again, so this reader gets entries more than once."""
        for client in self.clients(dice, lambda: self.reading, 5):
            page = self.read_page(client, "AS", "partitioned", "BLOCK", 200)
            if page:
                cursor, entries = page
                for entry in entries:
                    reader.take_again(entry)
                self.attempt(client, "TCOMMIT", "partitioned", cursor)

    def read_page(self, client, *start):
        """The cursor and the entries; nothing when there is no answer: then it is all read again."""
        return self.attempt(client, "TREAD", *start, "COUNT", 200, "WITHMETA", "PATTERN", PATTERN)

    def follow(self, reader, dice):
        """A subscription until its connection breaks, or for a while; then from its cursor at another node."""
        while self.reading:
            node = dice.choice(self.nodes)
            try:
                client = Client(node.address, 2)
            except OSError:
                time.sleep(0.02)
                continue
            try:
                client.call("TSUB", "FROM", reader.cursor, "WITHMETA", "PATTERN", PATTERN)
                for _ in range(dice.randrange(50, 500)):
                    if not self.reading:
                        break
                    _, _, channel, id, cursor, body, mark, *_ = client.receive()
                    if channel is None:
                        reader.lost += 1
                    else:
                        reader.take(id, body, mark)
                    reader.cursor = cursor
            except Refused as refusal:
                self.count_refusal(str(refusal).split(" ")[0])
            except OSError:
                # Nothing came for two seconds, or it broke.
                pass
            finally:
                client.close()

    def missing(self):
        """What was answered and has not come, by reader."""
        with self.lock:
            answered = dict(self.answered)
        found = {}
        for reader in self.readers + self.subscribers + self.named:
            with reader.lock:
                lacking = answered.keys() - reader.seen.keys()
            if lacking:
                found[reader.name] = sorted(lacking)
        return found

    def agree(self):
        """Whether every reader has all that was answered, and all that any of them has."""
        return not self.missing() and len(self.contents()) == 1

    def contents(self):
        """What readers have, each different one once."""
        found = set()
        for reader in self.readers + self.subscribers:
            with reader.lock:
                found.add(frozenset(reader.seen.items()))
        return found

    def faults(self):
        """What must not be. Empty when all is well; to be asked once nothing publishes any more."""
        found = [f"{name}: {len(ids)} that were answered have not come, such as {ids[:3]}" for name, ids in self.missing().items()]
        for reader in self.readers + self.subscribers + self.named:
            found += reader.faults[:5]
            strange = set(reader.seen.values()) - self.sent
            if strange:
                found.append(f"{reader.name}: never sent: {sorted(strange)[:3]}")
            for id, body in {**self.answered, **self.pending}.items():
                if reader.seen.get(id, body) != body:
                    found.append(f"{reader.name}: {id} is {reader.seen[id]}, not {body}")
            if reader.lost:
                found.append(f"{reader.name}: got {reader.lost} marks of losses")
        contents = self.contents()
        if len(contents) > 1:
            found.append(f"readers differ: {sorted(len(content) for content in contents)} entries")
        return found + [f"topics: {failure}" for failure in self.failures]

    def join(self):
        self.publishing = self.reading = False
        self.stop()

    def summary(self):
        late = sum(reader.late for reader in self.readers + self.subscribers)
        return (f"entries answered: {len(self.answered)}, pending: {len(self.pending)}, sent: {len(self.sent)}   late: {late}   "
                f"refusals: {self.refusals}   connections broken: {self.broken}")


def prove():
    """That the check sees what it is there for."""

    def faults(*given, answered=("1-1", "2-1")):
        topics = Topics.__new__(Topics)
        topics.lock, topics.failures = threading.Lock(), []
        topics.sent = {"a", "b"}
        topics.answered = dict(zip(answered, "ab"))
        topics.pending = {}
        topics.readers, topics.subscribers, topics.named = [Reader("one")], [], []
        for entry in given:
            topics.readers[0].take_entry(entry)
        return topics.faults()

    one, two = ["1-1", "c", "a", None, []], ["2-1", "c", "b", None, []]
    assert not faults(one, two)
    assert "not come" in faults(one)[0]
    assert "twice" in faults(one, two, two)[0]
    assert "not late" in faults(two, one)[0]
    assert not faults(two, ["1-1", "c", "a", "late", []])
    assert not faults(["2-1", "c", "b", "late", []], one)
    assert "losses" in faults(one, two, ["3-0", None, None, "lost", []])[0]
    assert "never sent" in faults(one, two, ["3-1", "c", "x", None, []])[0]
    assert "is b, not a" in faults(["1-1", "c", "b", None, []], answered=("1-1",))[0]
