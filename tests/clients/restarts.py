"""The examples' workers, while their node is idle, stops and starts again, and is killed.

None of them may end, and each works on every job. All run at once, against one node.

The workers that extend their jobs (`Example.at_once`) then get jobs that fail, and jobs that take longer than their
retry, and are stopped with SIGTERM: with jobs in hand, and without a node.
"""

import contextlib
import dataclasses
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# redis-py 8 gives up on a reply after 5 s.
SOCKET_TIMEOUT = 5.0
# What the slowest library needs to come back: it retries what it retries.
PATIENCE = 60
# A slow job takes more than twice its retry. Its worker has this long to say WORKING, and the checks to stop a worker.
RETRY, SLOW = "2", "sleep 5"


@dataclasses.dataclass
class Example:
    """A worker. It works on `at_once` jobs at a time; 0: it does not extend its jobs, and is not asked to stop."""

    command: list
    queue: str
    at_once: int = 0


class Failed(Exception):
    """A worker ended, or did not do its work."""


def call(port, *words):
    """The reply, on a connection of its own: None when it is nil, empty when there is no reply."""
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        with connection.makefile(newline="") as reply:
            return value(reply)
    return ""


def value(reply):
    """Reads a value. Status replies and errors keep their first character."""
    line = reply.readline().strip()
    if line in ("*-1", "$-1"):
        return None
    if line.startswith("*"):
        return [value(reply) for _ in range(int(line[1:]))]
    if line.startswith("$"):
        return reply.read(int(line[1:]) + 2)[:-2]
    return int(line[1:]) if line.startswith(":") else line


def until(what, holds, check=lambda: None):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        check()
        if time.monotonic() > deadline:
            raise Failed(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


class Node:
    def __init__(self, binary, port, folder):
        self.port, self.log = port, folder / "node.log"
        data = folder / "data"
        data.mkdir()
        # What was acknowledged before a kill is on disk, so that nothing comes twice.
        self.command = [binary, "server", "--port", str(port), "--http-port", "0", "--dir", data, "--appendfsync", "always"]
        self.start()

    def start(self):
        with self.log.open("a") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        until("the node serves", lambda: call(self.port, "PING") == "+PONG", self.check)

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"the node has ended:\n{self.log.read_text()}")

    def stop(self, gently):
        (self.process.terminate if gently else self.process.kill)()
        code = self.process.wait(PATIENCE)
        if gently and code != 0:
            raise Failed(f"the node stops with {code}:\n{self.log.read_text()}")


class Worker:
    def __init__(self, name, example, port, environment, folder):
        self.name, self.port, self.environment = name, port, environment
        self.command, self.queue, self.at_once = example.command, example.queue, example.at_once
        self.out, self.errors = [folder / f"{name.replace('/', '-')}.{end}" for end in ("out", "err")]
        self.start()

    def start(self):
        with self.out.open("a") as out, self.errors.open("a") as errors:
            command = [*self.command, f"127.0.0.1:{self.port}", "work"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=errors)

    def end(self):
        self.process.kill()
        self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"it ended with {self.process.returncode}:\n{self.errors.read_text()[-3000:]}")

    def add(self, body, retry="60"):
        reply = call(self.port, "ADDJOB", self.queue, body, "3000", "RETRY", retry)
        if not reply.startswith("+"):
            raise Failed(f"ADDJOB is answered {reply}")
        return reply[1:]

    def shown(self, job):
        """What SHOW tells of a job; nothing when it is over."""
        pairs = call(self.port, "SHOW", job) or []
        return dict(zip(pairs[::2], pairs[1::2]))

    def finishes(self, jobs, body):
        """Waits for the end of jobs with one body; each is worked on once."""
        for job in jobs:
            until(f"acknowledges a job {body}", lambda job=job: call(self.port, "SHOW", job) is None, self.check)
        if (times := self.times(body)) != len(jobs):
            raise Failed(f"it worked {times} times on {len(jobs)} jobs {body}")

    def times(self, body):
        return self.out.read_text().splitlines().count(f"worked on {body}")

    def works_on(self, body):
        job = self.add(body)
        until(f"works on a job {body}", lambda: self.times(body) > 0, self.check)
        self.finishes([job], body)

    def produces_what_fails(self):
        """Adds a job as the example does, with MAXDELIVER and BACKOFF."""
        command = [*self.command, f"127.0.0.1:{self.port}", "produce", "fail always"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0 or not done.stdout.startswith("added"):
            raise Failed(f"produce ends with {done.returncode}:\n{done.stdout}{done.stderr}")

    def buries_what_fails(self):
        dead = f"{self.queue}.dead"
        until("a job that fails becomes a dead letter", lambda: call(self.port, "QLEN", dead) == 1, self.check)
        [[_queue, job, body, _meta, pairs]] = call(self.port, "GETJOB", "NOHANG", "WITHMETA", "FROM", dead)
        meta = dict(zip(pairs[::2], pairs[1::2]))
        told = [body, meta["shoal.dead.from"], meta["shoal.dead.text"], meta["shoal.dead.deliveries"]]
        if told[:2] != ["fail always", self.queue] or "fail always" not in told[2] or int(told[3]) < 2:
            raise Failed(f"a dead letter has {meta}")
        call(self.port, "ACKJOB", job)

    def takes(self, count, body):
        """Adds jobs, and waits until the worker has all of them."""
        jobs = [self.add(body, RETRY) for _ in range(count)]
        for job in jobs:
            until(f"takes a job {body}", lambda job=job: self.shown(job).get("state") == "active", self.check)
        return jobs

    def stops(self):
        self.process.send_signal(signal.SIGTERM)

    def stopped(self):
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"not within {PATIENCE} s: ends after SIGTERM") from None
        if code != 0:
            raise Failed(f"SIGTERM ends it with {code}:\n{self.errors.read_text()[-3000:]}")

    def sees_that_the_node_is_gone(self):
        before = len(self.errors.read_text())
        # The Rust client's own words.
        marks = ("connection:", "no link")
        return lambda: any(mark in self.errors.read_text()[before:] for mark in marks)


def among(workers, failures):
    """A function that lets each worker act. Those that fail take no further part, and are noted in `failures`."""

    def each(act):
        """What `act` returns, by worker."""
        outcomes = {}
        for worker in list(workers):
            try:
                outcomes[worker] = act(worker)
            except Failed as failed:
                failures[worker.name] = failed
                workers.remove(worker)
        return outcomes

    return each


def play(node, each):
    """Lets all workers live through it."""
    each(lambda worker: worker.works_on("at first"))
    since = time.monotonic()
    # Nothing to do for longer than a library waits for a reply.
    until("idle", lambda: time.monotonic() - since > SOCKET_TIMEOUT + 1)
    each(lambda worker: worker.works_on("after a while"))
    node.stop(gently=True)
    node.start()
    each(lambda worker: worker.works_on("after a clean restart"))
    gone = each(lambda worker: worker.sees_that_the_node_is_gone())
    node.stop(gently=False)
    # Only then is it more than what its library gets over without a word.
    each(lambda worker: until("sees that the node is gone", gone[worker], worker.check))
    node.start()
    each(lambda worker: worker.works_on("after a kill"))


def play_on(node, each):
    """Lets the workers that extend their jobs fail, take long, and stop."""
    each(lambda worker: worker.produces_what_fails())
    each(lambda worker: worker.buries_what_fails())

    slow = each(lambda worker: worker.takes(1, SLOW))
    again = ready_again(slow)
    each(lambda worker: not_twice(worker, again))
    each(lambda worker: worker.finishes(slow[worker], SLOW))

    # A worker with as many jobs in hand as it can have: it finishes these, and leaves the next one.
    body = f"{SLOW} then stop"
    in_hand = each(lambda worker: worker.takes(worker.at_once, body))
    left = each(lambda worker: worker.add("left behind"))
    each(lambda worker: worker.stops())
    each(lambda worker: worker.stopped())
    each(lambda worker: worker.finishes(in_hand[worker], body))
    each(lambda worker: leaves(worker, left[worker]))
    each(lambda worker: worker.start())
    each(lambda worker: worker.finishes([left[worker]], "left behind"))

    gone = each(lambda worker: worker.sees_that_the_node_is_gone())
    node.stop(gently=False)
    each(lambda worker: until("sees that the node is gone", gone[worker], worker.check))
    each(lambda worker: worker.stops())
    each(lambda worker: worker.stopped())
    node.start()


def ready_again(slow):
    """Watches jobs until they are over: the workers with jobs that became ready while they had them in hand."""
    deadline = time.monotonic() + PATIENCE
    again, going_on = set(), True
    while going_on and time.monotonic() < deadline:
        shown = [(worker, worker.shown(job)) for worker, jobs in slow.items() for job in jobs]
        going_on = any(job for _worker, job in shown)
        again |= {worker for worker, job in shown if job and (job["state"] != "active" or job["additional-deliveries"] > 0)}
    return again


def not_twice(worker, again):
    if worker in again:
        raise Failed(f"a job {SLOW} with RETRY {RETRY} was ready again while it was worked on")


def leaves(worker, job):
    if worker.times("left behind") or worker.shown(job).get("state") != "queued":
        raise Failed("it took a job after SIGTERM")


def lines(binary, port, workers, environment):
    """A result line for each worker; `workers` are Examples, by name."""
    failures = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoalmq-restarts-")))
        node = Node(binary, port, folder)
        stack.callback(lambda: (node.process.kill(), node.process.wait()))
        running = []
        for name, example in workers.items():
            worker = Worker(name, example, port, environment, folder)
            stack.callback(worker.end)
            running.append(worker)
        try:
            play(node, among(running, failures))
            play_on(node, among([worker for worker in running if worker.at_once], failures))
        except Failed as failed:
            return [f"not ok restarts: {failed}"]
    told = lambda name: f"not ok {name}, restarts: {failures[name]}" if name in failures else f"ok {name}, restarts"  # noqa: E731
    return [told(name) for name in workers]
