"""Pods as Kubernetes would run them: a root of their own that is read-only, a user without rights, a volume, probes."""

import http.client
import os
import shutil
import signal
import subprocess
import threading
import time

from node import Client, Refused

# In place of the probes' own periods: the test is to end some day.
LOOK = 0.1

# Makes the root of a pod out of the machine's libraries, and becomes the node in it. Nothing else can be run there.
ENTER = """set -e
    mount --bind "$ROOT" "$ROOT"
    for lib in usr/lib usr/lib64 usr/lib32; do
        if [ -d "/$lib" ]; then mkdir -p "$ROOT/$lib"; mount --bind "/$lib" "$ROOT/$lib"; fi
    done
    mount --bind "$BINARY" "$ROOT/usr/local/bin/shoalmq"
    mount --bind "$VOLUME" "$ROOT$DATA"
    mount -t tmpfs tmpfs "$ROOT/tmp"
    mount -t proc proc "$ROOT/proc"
    mount -o remount,bind,ro "$ROOT"
    exec env -i "$@"
"""


class Pod:
    def __init__(self, network, number, manifest, names, folder, binary, extra):
        self.network, self.number, self.manifest, self.names = network, number, manifest, names
        self.name = f"{manifest.name}-{number - 1}"
        self.host, self.process = 2, None
        self.binary, self.extra = binary, extra
        self.root, self.volume, self.log = f"{folder}/{self.name}/root", f"{folder}/{self.name}/data", f"{folder}/{self.name}/log"
        os.makedirs(self.volume)
        if not mapped():
            os.chown(self.volume, manifest.user, manifest.user)

    @property
    def address(self):
        return self.network.address(self.number, self.host)

    def make_root(self):
        for directory in ["etc", "tmp", "proc", "usr/local/bin", self.manifest.data.lstrip("/")]:
            os.makedirs(f"{self.root}/{directory}", exist_ok=True)
        for link in ["lib", "lib64", "lib32"]:
            if os.path.islink(f"/{link}") and not os.path.islink(f"{self.root}/{link}"):
                os.symlink(f"usr/{link}", f"{self.root}/{link}")
        files = {"/usr/local/bin/shoalmq": "", "/etc/nsswitch.conf": "hosts: files dns\n",
                 "/etc/hosts": f"127.0.0.1 localhost\n{self.address} {self.name}\n",
                 "/etc/resolv.conf": f"nameserver {self.network.address(self.number, 1)}\n"
                                     f"search {self.names.search}\noptions ndots:5\n",
                 **self.manifest.files}
        for path, text in files.items():
            os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
            with open(self.root + path, "w") as file:
                file.write(text)

    def start(self):
        self.make_root()
        environment = {**self.manifest.environment(self.name, self.address, f"zone-{self.number}"), **self.extra}
        user = [] if mapped() else [f"--userspec={self.manifest.user}:{self.manifest.user}"]
        words = [f"{name}={value}" for name, value in environment.items()]
        words += [shutil.which("chroot"), *user, self.root, "/usr/local/bin/shoalmq", *self.manifest.container["args"]]
        setting = {"ROOT": self.root, "BINARY": self.binary, "VOLUME": self.volume, "DATA": self.manifest.data}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.network.inside(self.number), "unshare", "--mount", "sh", "-c", ENTER, "sh", *words],
                env={**os.environ, **setting}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.names.tell(self.name, self.address)

    def exec(self, command, timeout):
        """Runs a command in the pod, as an exec hook does."""
        target = str(self.process.pid)
        environment = self.manifest.environment(self.name, self.address, "")
        words = [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(["nsenter", "--target", target, "--mount", "--net", "env", "-i", *words, shutil.which("chroot"), self.root,
                               *command], capture_output=True, text=True, timeout=timeout)

    def probe(self, kind):
        """What the kubelet sees: whether the probe succeeds, and what was said."""
        path, port = self.manifest.probe(kind)
        connection = http.client.HTTPConnection(self.address, port, timeout=3)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status == 200, f"{answer.status} {answer.read().decode().strip()}"
        except (OSError, http.client.HTTPException) as error:
            return False, repr(error)
        finally:
            connection.close()

    def delete(self):
        """The end of a pod: preStop, SIGTERM, and SIGKILL when the grace period is over. Returns how long it took and what
        was wrong."""
        start, found = time.monotonic(), []
        try:
            hook = self.exec(self.manifest.pre_stop, self.manifest.grace)
            if hook.returncode:
                found.append(f"{self.name}: preStop failed: {hook.stdout}{hook.stderr}")
            if self.process.poll() is not None:
                found.append(f"{self.name} ended before SIGTERM: the kubelet would start it again")
        except subprocess.TimeoutExpired:
            found.append(f"{self.name}: preStop takes longer than the grace period")
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(max(0.0, start + self.manifest.grace - time.monotonic()))
            if code:
                found.append(f"{self.name} ended with {code}")
        except subprocess.TimeoutExpired:
            found.append(f"{self.name} is killed after {self.manifest.grace} s")
        took = time.monotonic() - start
        self.kill()
        return took, found

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.names.tell(self.name, None)

    def move(self):
        """The next pod of this name gets another address. It must be down."""
        old, self.host = self.host, self.host + 1
        self.network.move(self.number, old, self.host)

    def client(self, patience=5):
        client = Client(self.address, patience)
        try:
            client.call("AUTH", self.manifest.secrets["requirepass"])
        except (OSError, Refused):
            client.close()
            raise
        return client

    def ask(self, *words):
        """One command on a connection of its own; nothing when that fails."""
        try:
            client = self.client()
            try:
                return client.call(*words)
            finally:
                client.close()
        except (OSError, Refused):
            return None

    def field(self, command, name):
        """A number out of INFO or CLUSTER INFO; nothing when the node does not answer."""
        lines = (self.ask(*command) or "").split("\r\n")
        values = [line[len(name) + 1:] for line in lines if line.startswith(name + ":")]
        return int(values[0]) if values else None

    def get(self, path):
        """The API, with the password: status and text; nothing when it does not answer."""
        connection = http.client.HTTPConnection(self.address, self.manifest.probe("readiness")[1], timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.manifest.secrets['requirepass']}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def mapped():
    """Whether this process is root only in a namespace of users: then there is nobody else to be."""
    with open("/proc/self/uid_map") as text:
        return text.read().split() != ["0", "0", "4294967295"]


class Kubelet:
    """Asks the probes of all pods, keeps the endpoints of the service for clients, and notes what it would have to kill."""

    def __init__(self, pods):
        self.pods = pods
        self.ready = []
        self.started = {}
        self.complaints = []
        self.goes_on = True
        self.threads = [threading.Thread(target=self.look_at, args=(pod,), daemon=True) for pod in pods]
        self.lock = threading.Lock()
        for thread in self.threads:
            thread.start()

    def look_at(self, pod):
        failures = 0
        while self.goes_on:
            time.sleep(LOOK)
            process = pod.process
            if not process or process.poll() is not None:
                self.note(pod, False)
                continue
            if self.started.get(pod.name) != process.pid:
                self.note(pod, False)
                if not pod.probe("startup")[0]:
                    continue
                self.started[pod.name] = process.pid
            self.note(pod, pod.probe("readiness")[0])
            lives, said = pod.probe("liveness")
            failures = 0 if lives or pod.process is not process or process.poll() is not None else failures + 1
            if failures == pod.manifest.container["livenessProbe"]["failureThreshold"]:
                self.complaints.append(f"{pod.name} would be killed: it does not live: {said}")

    def note(self, pod, ready):
        with self.lock:
            if ready and pod not in self.ready:
                self.ready.append(pod)
            elif not ready and pod in self.ready:
                self.ready.remove(pod)

    def endpoints(self):
        with self.lock:
            return list(self.ready)

    def is_ready(self, pod):
        process = pod.process
        return bool(process) and self.started.get(pod.name) == process.pid and pod in self.endpoints()

    def close(self):
        self.goes_on = False
        for thread in self.threads:
            thread.join(timeout=10)
