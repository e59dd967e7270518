"""Producers and consumers that go on whatever happens to the nodes."""

import random
import threading
import time

from node import Client, Refused

QUEUES = [f"queue-{n}" for n in range(8)]
ONCE = ["RETRY", 0, "REPLICATE", 1, "TTL", 30]
GRAVE = "grave"
# Ends are kept, so that every id can be accounted for.
KEEP = ["KEEP", 600]
FAILING = ["RETRY", 1, "MAXDELIVER", 3, "DEAD", GRAVE, "BACKOFF", 1, 2]
AGAIN = [["RETRY", 2], ["RETRY", 2, "REPLICATE", 3], ["RETRY", 1, "REPLICATE", 2], ["RETRY", 3, "DELAY", 1], FAILING]


class Sessions:
    """Threads that go on whatever happens to the nodes: each works on one connection after the other."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.refusals = {}
        self.broken = 0
        self.lock = threading.Lock()
        self.failures = []
        self.threads = []

    def start(self, work):
        """A thread for each: a function with its arguments."""
        self.threads = [threading.Thread(target=self.guard, args=entry, daemon=True) for entry in work]
        for thread in self.threads:
            thread.start()

    def guard(self, what, *arguments):
        try:
            what(*arguments)
        except BaseException as failure:  # A client that fails is a failed test.
            self.failures.append(repr(failure))
            raise

    def clients(self, dice, goes_on, patience):
        """A client for each step: to random nodes, one after the other; each for a while, or until it breaks."""
        while goes_on():
            node = dice.choice(self.nodes)
            try:
                client = Client(node.address, patience)
            except OSError:
                time.sleep(0.02)
                continue
            try:
                for _ in range(dice.randrange(20, 200)):
                    if not goes_on() or client.is_broken:
                        break
                    yield client
            finally:
                client.close()

    def count_refusal(self, word):
        with self.lock:
            self.refusals[word] = self.refusals.get(word, 0) + 1

    def break_off(self, client):
        """The connection failed: nothing is known of what was under way."""
        client.is_broken = True
        with self.lock:
            self.broken += 1

    def attempt(self, client, *words):
        """Calls, and counts what goes wrong. Returns the reply; nothing when there is none."""
        try:
            return client.call(*words)
        except Refused as refusal:
            self.count_refusal(str(refusal).split(" ")[0])
        except OSError:
            self.break_off(client)
        return None

    def stop(self):
        for thread in self.threads:
            thread.join(timeout=20)


class Load(Sessions):
    def __init__(self, nodes, ledger, seed, producers, consumers, jobs_per_second):
        super().__init__(nodes)
        self.ledger = ledger
        self.adding, self.consuming, self.draining = True, True, False
        self.redriven = 0
        pause = producers / jobs_per_second
        run = [(self.produce, n, random.Random(f"{seed} producer {n}"), pause) for n in range(producers)]
        run += [(self.consume, n, random.Random(f"{seed} consumer {n}")) for n in range(consumers)]
        run += [(self.redrive, random.Random(f"{seed} redrive"))]
        self.start(run)

    def produce(self, number, dice, pause):
        for count, client in enumerate(self.clients(dice, lambda: self.adding, 3), 1):
            body = f"{number}-{count}"
            again = dice.random() < 0.8
            options = dice.choice(AGAIN) + KEEP if again else ONCE
            queue = dice.choice(QUEUES)
            key = None
            if again and dice.random() < 0.2:
                # The queue is a part of the key.
                name = f"key-{dice.randrange(3)}"
                key, options = f"{queue} {name}", options + ["DEDUP", name]
            self.ledger.add(body, again, key)
            reply = self.attempt(client, "ADDJOB", queue, body, 1000, *options)
            if reply is not None:
                self.ledger.answer(body, reply)
            time.sleep(pause)

    def consume(self, number, dice):
        for client in self.clients(dice, lambda: self.consuming, 3):
            queues = dice.sample(QUEUES, 4) if not self.draining else QUEUES + [GRAVE]
            reply = self.attempt(client, "GETJOB", "TIMEOUT", 100, "COUNT", 5, "FROM", *queues)
            for queue, id, body in reply or []:
                self.ledger.deliver(body, id)
                fate = dice.random()
                # Jobs are returned, or left, only while there are faults: the end is for emptying.
                if fate < 0.05 and not self.draining:
                    self.ledger.give_back(body)
                    if fate < 0.03 and not client.is_broken:
                        how = ["DEAD", "REASON", "by the test"] if fate < 0.01 else []
                        self.attempt(client, "NACK", id, *how)
                elif fate < 0.15:
                    # Somebody else says that it is done, maybe a node that has never seen it.
                    dice.choice(self.nodes).ask("ACKJOB", id)
                elif not client.is_broken and self.attempt(client, "ACKJOB", id):
                    self.ledger.ack(body)

    def redrive(self, dice):
        """Sends dead letters back, while there are faults."""
        for client in self.clients(dice, lambda: self.consuming, 10):
            for queue in [GRAVE] + [f"{queue}.dead" for queue in QUEUES]:
                if not client.is_broken:
                    self.redriven += self.attempt(client, "REDRIVE", queue) or 0
            time.sleep(0.5)

    def account(self, client):
        """Asks for the ends of all jobs that producers were told, and of those that they are duplicates of."""
        outcomes = self.ledger.outcomes
        ids = self.ledger.promised()
        while ids:
            for first in range(0, len(ids), 1000):
                for id, outcome, detail in client.call("WAITJOB", "TIMEOUT", 5000, *ids[first : first + 1000]):
                    outcomes[id] = (outcome, detail)
            ids = sorted({detail for outcome, detail in outcomes.values() if outcome == "duplicate"} - outcomes.keys())

    def join(self):
        self.adding = self.consuming = False
        self.stop()
