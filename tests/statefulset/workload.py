"""Clients of the service: each talks to a pod that is ready, and goes to another when that one goes."""

import random
import threading
import time

from node import Refused

QUEUES = [f"queue-{n}" for n in range(4)]
# Far longer than any restart here: who gets a job twice before, gets a duplicate that nobody asked for.
RETRY = 60


class Workload:
    def __init__(self, kubelet, ledger, seed, producers=4, consumers=6, jobs_per_second=200, retry=RETRY):
        self.kubelet, self.ledger = kubelet, ledger
        self.retry = retry
        self.adding, self.consuming = True, True
        self.refusals, self.broken, self.failures = {}, 0, []
        self.added = []  # (when the first try began, how long until an ADDJOB was answered)
        self.waited = []  # (when it was delivered, how long after its ADDJOB was answered)
        self.answered_at = {}
        self.lock = threading.Lock()
        pause = producers / jobs_per_second
        run = [(self.produce, n, random.Random(f"{seed} producer {n}"), pause) for n in range(producers)]
        run += [(self.consume, random.Random(f"{seed} consumer {n}")) for n in range(consumers)]
        self.threads = [threading.Thread(target=self.guard, args=entry, daemon=True) for entry in run]
        for thread in self.threads:
            thread.start()

    def guard(self, what, *arguments):
        try:
            what(*arguments)
        except BaseException as failure:  # A client that fails is a failed test.
            self.failures.append(repr(failure))
            raise

    def connect(self, dice):
        """A connection to a pod that is ready; nothing when that came to nothing."""
        pods = self.kubelet.endpoints()
        if not pods:
            time.sleep(0.01)
            return None
        try:
            return dice.choice(pods).client()
        except (OSError, Refused):
            with self.lock:
                self.broken += 1
            time.sleep(0.01)
            return None

    def call(self, client, *words):
        """The reply, and whether the connection is of further use. A node that refuses something is left for another one."""
        try:
            return client.call(*words), True
        except Refused as refusal:
            with self.lock:
                word = f"{words[0]} {str(refusal).split(' ')[0]}"
                self.refusals[word] = self.refusals.get(word, 0) + 1
            time.sleep(0.01)
            return None, False
        except OSError:
            with self.lock:
                self.broken += 1
            return None, False

    def produce(self, number, dice, pause):
        client, count, began = None, 0, None
        while self.adding:
            began = began or time.monotonic()
            client = client or self.connect(dice)
            if not client:
                continue
            count += 1
            # What became of an ADDJOB that was not answered is unknown: the next try is another job.
            body = f"{number}-{count}-{began:.6f}"
            self.ledger.add(body, True)
            reply, good = self.call(client, "ADDJOB", dice.choice(QUEUES), body, 3000, "RETRY", self.retry)
            if reply is not None:
                now = time.monotonic()
                self.ledger.answer(body)
                with self.lock:
                    self.added.append((began, now - began))
                    self.answered_at[body] = now
                began = None
                time.sleep(pause)
            if not good:
                client.close()
                client = None

    def consume(self, dice):
        client, done = None, []
        while self.consuming or done:
            client = client or self.connect(dice)
            if not client:
                continue
            if done:
                # A worker that has done its work says so, at another node if it must: each node takes an ACKJOB.
                reply, good = self.call(client, "ACKJOB", *done)
                if reply is not None:
                    done = []
            else:
                jobs, good = self.call(client, "GETJOB", "TIMEOUT", 200, "COUNT", 4, "FROM", *QUEUES)
                now = time.monotonic()
                for _, id, body in jobs or []:
                    self.ledger.deliver(body)
                    done.append(id)
                    with self.lock:
                        self.waited.append((now, max(0.0, now - self.answered_at.get(body, now))))
            if not good:
                client.close()
                client = None
        if client:
            client.close()

    def latencies(self, since, until):
        """What clients saw of a span of time."""
        with self.lock:
            added = sorted(took for at, took in self.added if since <= at < until)
            waited = sorted(took for at, took in self.waited if since <= at < until)
        return f"ADDJOB {spread(added)}; until delivered {spread(waited)}"

    def slowest(self, since, until):
        with self.lock:
            return max((took for at, took in self.added if since <= at < until), default=0.0)

    def answers(self):
        with self.lock:
            return len(self.added)

    def join(self):
        self.adding = False
        self.consuming = False
        for thread in self.threads:
            thread.join(timeout=20)


def spread(values):
    if not values:
        return "none"
    at = [values[min(len(values) - 1, int(len(values) * share))] * 1000 for share in (0.5, 0.99)]
    return f"{len(values)}: p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms, max {values[-1] * 1000:.0f} ms"
