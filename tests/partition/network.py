"""A network of namespaces: one per node, each on a wire of its own to this process's namespace, which routes.

What one node may not say to another is a rule of the router, so that every direction can be cut by itself and nothing
but `ip` is needed. The namespaces have no names: they go with the processes that hold them, and those with `enclose`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

MARK = "SHOALMQ_PARTITION_ENCLOSED"


def unshare():
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *users, "--net", "--pid", "--fork", "--kill-child",
            "--mount-proc"]


def why_not():
    """Why this machine cannot run the test, or nothing."""
    for tool in ["ip", "unshare", "nsenter", "setpriv"]:
        if not shutil.which(tool):
            return f"there is no {tool}"
    # All that is needed: a namespace in a namespace, a wire, a route and a rule.
    attempt = """set -e
        unshare --net true; ip link set lo up; ip link add near type veth peer name far
        echo 1 > /proc/sys/net/ipv4/ip_forward; ip rule add from 10.77.1.0/24 to 10.77.2.0/24 blackhole"""
    done = subprocess.run([*unshare(), "sh", "-c", attempt], capture_output=True, text=True)
    return done.stderr.strip() or "it allows no namespaces" if done.returncode else None


def enclose():
    """Runs this program again in namespaces of its own. All that it starts ends with it, however it ends."""
    child = subprocess.Popen([*unshare(), sys.executable, *sys.argv], env={**os.environ, MARK: "1"})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: child.kill())
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.kill()
        return child.wait()


def is_enclosed():
    return MARK in os.environ


def ip(*commands):
    """Runs commands of `ip` in order."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, check=True)


class Network:
    """Namespaces 1 to `count`, all in reach of each other and of this process."""

    def __init__(self, count):
        self.holders = {}
        self.cut_off = set()
        ip("link set lo up")
        with open("/proc/sys/net/ipv4/ip_forward", "w") as forward:
            forward.write("1")
        own = os.readlink("/proc/self/ns/net")
        for number in range(1, count + 1):
            holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
            self.holders[number] = holder
            namespace = f"/proc/{holder.pid}/ns/net"
            deadline = time.monotonic() + 10
            while os.readlink(namespace) == own:
                if holder.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("unshare --net makes no network namespace")
                time.sleep(0.001)
            ip(f"link add n{number} type veth peer name wire netns {holder.pid}",
               f"addr add 10.77.{number}.1/24 dev n{number}",
               f"link set n{number} up")
            for command in [f"addr add 10.77.{number}.2/24 dev wire", "link set lo up", "link set wire up",
                            f"route add default via 10.77.{number}.1"]:
                subprocess.run([*self.inside(number), "ip", *command.split()], check=True)

    def inside(self, number):
        """The words before a command that is to run in a namespace. It keeps its process id."""
        return ["nsenter", f"--net=/proc/{self.holders[number].pid}/ns/net"]

    def address(self, number, host=2):
        return f"10.77.{number}.{host}"

    def move(self, number, old, new):
        """Gives a namespace another address."""
        for command in [f"addr del 10.77.{number}.{old}/24 dev wire", f"addr add 10.77.{number}.{new}/24 dev wire",
                        f"route replace default via 10.77.{number}.1"]:
            subprocess.run([*self.inside(number), "ip", *command.split()], check=True)

    def cut(self, pairs):
        """From now on exactly these pairs (from, to) are cut: what one sends to the other vanishes."""
        pairs = set(pairs)
        rule = "rule {} from 10.77.{}.0/24 to 10.77.{}.0/24 blackhole"
        changes = [rule.format("add", *pair) for pair in sorted(pairs - self.cut_off)]
        changes += [rule.format("del", *pair) for pair in sorted(self.cut_off - pairs)]
        if changes:
            ip(*changes)
        self.cut_off = pairs
