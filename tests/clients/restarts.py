"""The examples' workers, while their node is idle, stops and starts again, and is killed.

None of them may end, and each works on every job. All run at once, against one node.
"""

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# redis-py 8 gives up on a reply after 5 s.
SOCKET_TIMEOUT = 5.0
# What the slowest library needs to come back: it retries what it retries.
PATIENCE = 60


class Failed(Exception):
    """A worker ended, or did not do its work."""


def call(port, *words):
    """The first line of the reply, on a connection of its own; empty when there is none."""
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        with connection.makefile() as reply:
            return reply.readline().strip()
    return ""


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
    def __init__(self, name, command, queue, port, environment, folder):
        self.name, self.queue, self.port = name, queue, port
        self.out, self.errors = [folder / f"{name.replace('/', '-')}.{end}" for end in ("out", "err")]
        with self.out.open("w") as out, self.errors.open("w") as errors:
            command = [*command, f"127.0.0.1:{port}", "work"]
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=errors)

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"it ended with {self.process.returncode}:\n{self.errors.read_text()[-3000:]}")

    def works_on(self, body):
        reply = call(self.port, "ADDJOB", self.queue, body, "3000", "RETRY", "60")
        if not reply.startswith("+"):
            raise Failed(f"ADDJOB is answered {reply}")
        lines = lambda: self.out.read_text().splitlines()  # noqa: E731
        until(f"works on a job {body}", lambda: f"worked on {body}" in lines(), self.check)
        until(f"acknowledges a job {body}", lambda: call(self.port, "SHOW", reply[1:])[1:] == "-1", self.check)
        if lines().count(f"worked on {body}") != 1:
            raise Failed(f"it worked twice on a job {body}")

    def sees_that_the_node_is_gone(self):
        before = len(self.errors.read_text())
        return lambda: "connection:" in self.errors.read_text()[before:]


def play(node, workers, note):
    """Lets all workers live through it; calls `note` for those that fail."""

    def each(act):
        for worker in list(workers):
            try:
                act(worker)
            except Failed as failed:
                note(worker, failed)
                workers.remove(worker)

    each(lambda worker: worker.works_on("at first"))
    since = time.monotonic()
    # Nothing to do for longer than a library waits for a reply.
    until("idle", lambda: time.monotonic() - since > SOCKET_TIMEOUT + 1)
    each(lambda worker: worker.works_on("after a while"))
    node.stop(gently=True)
    node.start()
    each(lambda worker: worker.works_on("after a clean restart"))
    gone = {worker: worker.sees_that_the_node_is_gone() for worker in workers}
    node.stop(gently=False)
    # Only then is it more than what its library gets over without a word.
    each(lambda worker: until("sees that the node is gone", gone[worker], worker.check))
    node.start()
    each(lambda worker: worker.works_on("after a kill"))


def lines(binary, port, workers, environment):
    """A result line for each worker; `workers` are commands and the queues that they work on, by name."""
    failures = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoalmq-restarts-")))
        node = Node(binary, port, folder)
        stack.callback(lambda: (node.process.kill(), node.process.wait()))
        running = []
        for name, (command, queue) in workers.items():
            worker = Worker(name, command, queue, port, environment, folder)
            stack.callback(lambda worker=worker: (worker.process.kill(), worker.process.wait()))
            running.append(worker)
        try:
            play(node, running, lambda worker, failed: failures.update({worker.name: failed}))
        except Failed as failed:
            return [f"not ok restarts: {failed}"]
    told = lambda name: f"not ok {name}, restarts: {failures[name]}" if name in failures else f"ok {name}, restarts"  # noqa: E731
    return [told(name) for name in workers]
