"""Three nodes on this machine, and clients that make them do a little of everything."""

import contextlib
import os
import random
import socket
import subprocess
import threading
import time

PASSWORD = "a secret"


class Refused(Exception):
    """The node answered an error."""


class Client:
    def __init__(self, port, password=PASSWORD):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.reader = self.socket.makefile("rb")
        if password:
            self.call("AUTH", password)

    def call(self, *words):
        parts = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        reply = self.receive()
        if isinstance(reply, Refused):
            raise reply
        return reply

    def receive(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind in (b"+", b"-", b":"):
            return {b"+": rest, b"-": Refused(rest), b":": int(rest) if kind == b":" else 0}[kind]
        length = int(rest)
        if length < 0:
            return None
        if kind == b"*":
            return [self.receive() for _ in range(length)]
        return self.reader.read(length + 2)[:-2].decode()

    def close(self):
        self.reader.close()
        self.socket.close()


def free_ports(count):
    """Ports below the ephemeral ones, with that of the bus free as well."""
    found, port = [], 13_000 + os.getpid() % 1000
    while len(found) < count:
        port += 1
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for derived in (port, port + 10_000):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", derived))
            found.append(port)
    return found


class Node:
    def __init__(self, binary, folder, port, http, seed):
        self.binary, self.folder, self.port, self.http, self.seed = binary, folder, port, http, seed
        self.process = None
        folder.mkdir(parents=True)

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "server", "--port", str(self.port), "--dir", self.folder, "--http-port", str(self.http),
                 "--requirepass", PASSWORD, "--cluster-secret", "behind the reef", "--cluster-join", self.seed,
                 "--slowlog-log-slower-than", "0", "--maxmemory", "20mb"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"a node does not serve:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def answers(self):
        with contextlib.suppress(OSError, Refused):
            client = Client(self.port)
            client.call("PING")
            client.close()
            return True
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()


class Traffic:
    """Producers, workers that succeed, fail and forget, publishers, readers, and clients that make mistakes, until `stop`."""

    QUEUES = ["mail", "reports", "thumbnails", "billing"]

    def __init__(self, nodes):
        self.nodes, self.going = nodes, True
        self.failures = []
        work = [self.produce] * 3 + [self.consume] * 6 + [self.blunder, self.publish, self.read]
        self.threads = [threading.Thread(target=self.run, args=(one, random.Random(n)), daemon=True) for n, one in enumerate(work)]
        for thread in self.threads:
            thread.start()

    def run(self, work, dice):
        """A session at a time; one that breaks because its node was killed is followed by another."""
        try:
            while self.going:
                with contextlib.suppress(OSError):
                    client = Client(dice.choice(self.nodes).port)
                    try:
                        work(client, dice)
                    finally:
                        client.close()
                time.sleep(0.05)
        except BaseException as failure:
            self.failures.append(repr(failure))
            raise

    def produce(self, client, dice):
        for number in range(200):
            if not self.going:
                return
            options = dice.choice([[], [], [], ["RETRY", 2], ["RETRY", 2], ["DELAY", 2], ["RETRY", 0, "REPLICATE", 1], ["TTL", 4, "RETRY", 3]])
            queue = self.QUEUES[min(3, int(dice.expovariate(0.9)))]
            with contextlib.suppress(Refused):
                client.call("ADDJOB", queue, "x" * dice.randrange(20, 2000), 1000, *options)
            if number % 40 == 0:
                with contextlib.suppress(Refused):
                    client.call("ADDJOB", "wide", "body", 200, "REPLICATE", 5)
                with contextlib.suppress(Refused):
                    client.call("ADDJOB", "short", "body", 1000, "MAXLEN", 3)
            if number % 100 == 0:
                client.call("ADDJOB", "nobody", "body", 1000, "TTL", 20, "RETRY", 5)
            time.sleep(dice.expovariate(40))

    def consume(self, client, dice):
        for _ in range(100):
            if not self.going:
                return
            for _, job, _ in client.call("GETJOB", "TIMEOUT", 500, "COUNT", 4, "FROM", *self.QUEUES) or []:
                time.sleep(dice.expovariate(60))
                fate = dice.random()
                with contextlib.suppress(Refused):
                    if fate < 0.04:
                        client.call("NACK", job)
                    elif fate > 0.03 + 0.04:
                        client.call("ACKJOB" if fate < 0.8 else "FASTACK", job)

    def publish(self, client, dice):
        for _ in range(200):
            if not self.going:
                return
            with contextlib.suppress(Refused):
                client.call("TPUB", f"orders.{dice.choice(['eu', 'us'])}", "x" * dice.randrange(20, 2000))
            time.sleep(dice.expovariate(40))

    def read(self, client, dice):
        """Two named readers: one that commits what it reads, and one that never does."""
        for _ in range(50):
            if not self.going:
                return
            with contextlib.suppress(Refused):
                client.call("TREAD", "AS", "forgetful", "PATTERN", "orders.eu")
                cursor, _entries = client.call("TREAD", "AS", "billing", "BLOCK", 500, "PATTERN", "orders.*")
                client.call("TCOMMIT", "billing", cursor)
            time.sleep(dice.expovariate(5))

    def blunder(self, client, dice):
        for words in (("GETJOB",), ("QLEN",), ("NO_SUCH_COMMAND",), ("ACKJOB", "nonsense")):
            with contextlib.suppress(Refused):
                client.call(*words)
        with contextlib.suppress(Refused, OSError):
            Client(dice.choice(self.nodes).port, "a wrong one").close()
        with socket.create_connection(("127.0.0.1", dice.choice(self.nodes).port), 5) as other:
            other.sendall(b"*1\r\n$x\r\n")
            other.recv(100)
        client.call("JSCAN", "0", "COUNT", 1000, "REPLY", "all")
        time.sleep(0.5)

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(timeout=20)
        return self.failures
