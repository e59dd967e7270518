"""Producers and consumers that go on whatever happens to the nodes."""

import random
import threading
import time

from node import Client, Refused

QUEUES = [f"queue-{n}" for n in range(8)]
ONCE = ["RETRY", 0, "REPLICATE", 1, "TTL", 30]
AGAIN = [["RETRY", 2], ["RETRY", 2, "REPLICATE", 3], ["RETRY", 1, "REPLICATE", 2], ["RETRY", 3, "DELAY", 1]]


class Load:
    def __init__(self, nodes, ledger, seed, producers, consumers, jobs_per_second):
        self.nodes, self.ledger = nodes, ledger
        self.adding, self.consuming, self.draining = True, True, False
        self.refusals = {}
        self.broken = 0
        self.lock = threading.Lock()
        self.failures = []
        pause = producers / jobs_per_second
        run = [(self.produce, n, random.Random(f"{seed} producer {n}"), pause) for n in range(producers)]
        run += [(self.consume, n, random.Random(f"{seed} consumer {n}")) for n in range(consumers)]
        self.threads = [threading.Thread(target=self.guard, args=entry, daemon=True) for entry in run]
        for thread in self.threads:
            thread.start()

    def guard(self, what, *arguments):
        try:
            what(*arguments)
        except BaseException as failure:  # A client that fails is a failed test.
            self.failures.append(repr(failure))
            raise

    def sessions(self, dice, goes_on, patience):
        """Connections to random nodes, one after the other; each for a while, or until it breaks."""
        while goes_on():
            node = dice.choice(self.nodes)
            try:
                client = Client(node.address, patience)
            except OSError:
                time.sleep(0.02)
                continue
            try:
                for _ in range(dice.randrange(20, 200)):
                    if not goes_on():
                        break
                    yield client
            finally:
                client.close()

    def attempt(self, client, *words):
        """Calls, and counts what goes wrong. Returns whether the connection is still good, and the reply."""
        try:
            return True, client.call(*words)
        except Refused as refusal:
            with self.lock:
                word = str(refusal).split(" ")[0]
                self.refusals[word] = self.refusals.get(word, 0) + 1
            return True, None
        except OSError:
            with self.lock:
                self.broken += 1
            return False, None

    def produce(self, number, dice, pause):
        count = 0
        sessions = self.sessions(dice, lambda: self.adding, 3)
        client = next(sessions, None)
        while client:
            count += 1
            body = f"{number}-{count}"
            again = dice.random() < 0.8
            self.ledger.add(body, again)
            options = dice.choice(AGAIN) if again else ONCE
            good, reply = self.attempt(client, "ADDJOB", dice.choice(QUEUES), body, 1000, *options)
            if reply is not None:
                self.ledger.answer(body)
            time.sleep(pause)
            if not good:
                sessions = self.sessions(dice, lambda: self.adding, 3)
            client = next(sessions, None)

    def consume(self, number, dice):
        sessions = self.sessions(dice, lambda: self.consuming, 3)
        client = next(sessions, None)
        while client:
            queues = dice.sample(QUEUES, 4) if not self.draining else QUEUES
            good, reply = self.attempt(client, "GETJOB", "TIMEOUT", 100, "COUNT", 5, "FROM", *queues)
            for queue, id, body in reply or []:
                self.ledger.deliver(body)
                fate = dice.random()
                # Jobs are returned, or left, only while there are faults: the end is for emptying.
                if fate < 0.05 and not self.draining:
                    self.ledger.give_back(body)
                    if fate < 0.03 and good:
                        good, _ = self.attempt(client, "NACK", id)
                elif fate < 0.15:
                    # Somebody else says that it is done, maybe a node that has never seen it.
                    dice.choice(self.nodes).ask("ACKJOB", id)
                elif good:
                    good, counted = self.attempt(client, "ACKJOB", id)
                    if counted:
                        self.ledger.ack(body)
            if not good:
                sessions = self.sessions(dice, lambda: self.consuming, 3)
            client = next(sessions, None)

    def join(self):
        self.adding = self.consuming = False
        for thread in self.threads:
            thread.join(timeout=20)
