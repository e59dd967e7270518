"""Nodes as processes in their namespaces, and a small client for them."""

import os
import signal
import socket
import subprocess

PORT = 7711


class Refused(Exception):
    """The node answered an error."""


class Client:
    """One connection. Every failure of it is an OSError; then nothing is known of the last command."""

    def __init__(self, address, patience):
        self.socket = socket.create_connection((address, PORT), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.is_broken = False

    def call(self, *words):
        parts = [str(word).encode() for word in words]
        command = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.socket.sendall(command)
        reply = self.receive()
        if isinstance(reply, Refused):
            raise reply
        return reply

    def receive(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            return Refused(rest)
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"*":
            return [self.receive() for _ in range(length)]
        body = self.reader.read(length + 2)
        if len(body) < length + 2:
            raise ConnectionError("closed")
        return body[:-2].decode()

    def close(self):
        self.reader.close()
        self.socket.close()


class Node:
    def __init__(self, network, number, folder, binary, seeds):
        self.network, self.number, self.folder, self.binary = network, number, folder, binary
        self.host, self.process, self.paused = 2, None, False
        self.seeds = seeds
        os.makedirs(f"{folder}/data")

    @property
    def address(self):
        return self.network.address(self.number, self.host)

    def start(self):
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.network.inside(self.number), self.binary, "server", "--port", str(PORT), "--bind", self.address,
                 "--dir", f"{self.folder}/data", "--appendfsync", "always", "--protected-mode", "no",
                 "--cluster-secret", "behind the reef", "--cluster-join", self.seeds],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.paused = False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        if self.process:
            self.process.send_signal(signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.process and self.paused:
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def move(self):
        """Takes another address. It must be down."""
        old, self.host = self.host, self.host + 1
        self.network.move(self.number, old, self.host)

    def ended_by_itself(self):
        return self.process and self.process.poll() is not None

    def ask(self, *words):
        """One command on a connection of its own; nothing when that fails."""
        try:
            client = Client(self.address, 3)
            try:
                return client.call(*words)
            finally:
                client.close()
        except (OSError, Refused):
            return None

    def field(self, command, name):
        """A number out of INFO or CLUSTER INFO; nothing when the node does not answer."""
        text = self.ask(*command) or ""
        values = [line[len(name) + 1:] for line in text.split("\r\n") if line.startswith(name + ":")]
        return int(values[0]) if values else None
