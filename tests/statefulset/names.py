"""The name server of the cluster: what CoreDNS says of a headless service, late as it is.

A pod's address is told `lag` seconds after it has it, and for as long after it is gone: caches on the way do that.
"""

import socket
import struct
import threading
import time

A, AAAA, ANY_CLASS = 1, 28, 1
NO_SUCH_NAME = 3


class Names:
    def __init__(self, service, namespace, lag):
        self.domain = f"{service}.{namespace}.svc.cluster.local"
        self.search = f"{namespace}.svc.cluster.local svc.cluster.local cluster.local"
        self.lag = lag
        self.lock = threading.Lock()
        self.changes = []  # (from when on it is told, pod, address or None)
        self.told = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def tell(self, pod, address):
        with self.lock:
            self.changes.append((time.monotonic() + self.lag, pod, address))

    def addresses(self, name):
        """What a name has; nothing at all when there is no such name."""
        with self.lock:
            now = time.monotonic()
            due = [change for change in self.changes if change[0] <= now]
            self.changes = [change for change in self.changes if change[0] > now]
            for _, pod, address in due:
                self.told[pod] = address
            known = {pod: address for pod, address in self.told.items() if address}
        if name == self.domain:
            return list(known.values()) or None
        pod, _, domain = name.partition(".")
        return [known[pod]] if domain == self.domain and pod in known else None

    def serve(self):
        while True:
            question, asker = self.socket.recvfrom(512)
            self.socket.sendto(self.answer(question), asker)

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        (kind,) = struct.unpack("!H", question[at + 1:at + 3])
        asked = question[12:at + 5]
        found = self.addresses(".".join(labels))
        records = [struct.pack("!HHHIH", 0xC00C, A, ANY_CLASS, 5, 4) + socket.inet_aton(address)
                   for address in (found or []) if kind == A]
        code = 0 if found else NO_SUCH_NAME
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return head + asked + b"".join(records)
