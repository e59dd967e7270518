#!/usr/bin/env python3
"""The StatefulSet of deploy/kubernetes, played in network namespaces under load.

    deploy/python tests/statefulset/run.py BINARY [--seed N] [--kustomization deploy/kubernetes/base] [--backlog 100000]

Configuration, environment, probes, hooks and deadlines are those of the rendered manifests. Each pod has a read-only
root, a user without rights, a volume that stays, and an address that changes with each restart; a name server tells of
addresses, late. What a kubelet does is done: probes over HTTP, preStop, SIGTERM, SIGKILL after the grace period; and
clients reach the pods that are ready. In turn:

- three pods start at once, and are one cluster;
- a rolling restart: 0 lost, 0 delivered twice, and what it adds to latency is told;
- all pods are killed one after the other, without a word: nothing lost;
- all restart at once, with new addresses: nothing lost; and all are killed at once, on `appendfsync always`;
- a pod with a backlog stops within its deadline, and its jobs are at the others;
- five pods become three again by CLUSTER LEAVING and safe-to-delete: nothing lost, of jobs with one copy neither.

Where the machine allows no namespaces, it says so and passes.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(f"{ROOT}/tests/partition")

import ledger as ledgers  # noqa: E402
import network as networks  # noqa: E402
from manifest import Manifest  # noqa: E402
from names import Names  # noqa: E402
from node import Refused  # noqa: E402
from pods import Kubelet, Pod  # noqa: E402
from workload import QUEUES, Workload  # noqa: E402

MOST_PODS = 5
# The name server of a cluster hears of a pod within about a second, and its caches keep what they know for seconds.
LAG = 2.0
SECRETS = {"requirepass": "behind the reef", "cluster-secret": "below the reef"}
PROMPT = 30
BATCH = 500


class Failed(Exception):
    """The test cannot go on."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kustomization", default=f"{ROOT}/deploy/kubernetes/base")
    parser.add_argument("--backlog", type=int, default=100_000)
    return parser.parse_args()


def wait(what, seconds, holds):
    """Looks until it holds, and returns how long that took."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - start


class Play:
    def __init__(self, options, folder):
        self.options, self.began = options, time.monotonic()
        self.manifest = Manifest(options.kustomization, SECRETS)
        network = networks.Network(MOST_PODS)
        self.names = Names(self.manifest.service, self.manifest.namespace, LAG)
        # Memory is that of this machine: there is no cgroup around a pod here.
        extra = {"SHOALMQ_MAXMEMORY": "1gb"}
        self.all = [Pod(network, number, self.manifest, self.names, folder, options.binary, extra)
                    for number in range(1, MOST_PODS + 1)]
        self.pods = self.all[:self.manifest.replicas]
        self.kubelet = Kubelet(self.all)
        self.found = []

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def is_whole(self):
        """Whether all pods serve, and all see all."""
        return all(self.kubelet.is_ready(pod) for pod in self.pods) and all(
            pod.field(["CLUSTER", "INFO"], "cluster_reachable_nodes") == len(self.pods) - 1 for pod in self.pods)

    def restart(self, pod, gently):
        """One pod goes, and comes back elsewhere."""
        if gently:
            took, found = pod.delete()
            self.found += found
            if took > self.manifest.deadline:
                self.found.append(f"{pod.name} took {took:.1f} s to stop: the deadline is {self.manifest.deadline} s")
        else:
            took = 0.0
            pod.kill()
        pod.move()
        pod.start()
        return took

    def loaded(self, name, act, retry, twice_is_wrong):
        """Runs `act` under load, lets everything be delivered, and looks at what came of it. Returns the longest that an
        ADDJOB took before it and meanwhile."""
        ledger = ledgers.Ledger()
        load = Workload(self.kubelet, ledger, f"{self.options.seed} {name}", retry=retry)
        start = time.monotonic()
        wait("jobs flow", PROMPT, lambda: load.answers() > 600)
        before = time.monotonic()
        act()
        during = time.monotonic()
        count = load.answers()
        wait("jobs flow again", PROMPT, lambda: load.answers() > count + 200)
        load.adding = False
        levels = lambda: [pod.field(["INFO"], "registered_jobs") for pod in self.pods]  # noqa: E731
        try:
            wait(f"{name}: all is delivered", retry + PROMPT, lambda: not ledger.missing())
            wait(f"{name}: all is gone", PROMPT, lambda: levels() == [0] * len(self.pods))
        except Failed as failed:
            self.found.append(f"{failed}: {levels()} left")
        load.join()
        self.found += [f"{name}: {fault}" for fault in ledger.faults() + load.failures]
        twice = ledger.duplicates()
        if twice and twice_is_wrong:
            self.found.append(f"{name}: delivered twice: {twice}")
        self.say(f"{name}: lost: {len(ledger.missing())}, delivered twice: {twice}, of {len(ledger.answered)} jobs; "
                 f"refused: {load.refusals or 'none'}, connections broken: {load.broken}")
        self.say(f"  before: {load.latencies(start, before)}")
        self.say(f"  during: {load.latencies(before, during)}")
        return load.slowest(start, before), load.slowest(before, during)

    def start(self):
        for pod in self.pods:
            pod.start()
        self.say(f"{len(self.pods)} pods are one cluster after {wait('the pods meet', 60, self.is_whole):.1f} s")

    def rolling_restart(self):
        def act():
            for pod in reversed(self.pods):
                took = self.restart(pod, gently=True)
                back = wait(f"{pod.name} is back", 60, self.is_whole)
                self.say(f"{pod.name} stopped in {took:.1f} s, and was back {back:.1f} s later")

        before, during = self.loaded("rolling restart", act, retry=60, twice_is_wrong=True)
        self.say(f"added latency of a rolling restart: the slowest ADDJOB took {during * 1000:.0f} ms, and before it "
                 f"{before * 1000:.0f} ms")

    def killed_one_by_one(self):
        def act():
            for pod in reversed(self.pods):
                self.restart(pod, gently=False)
                wait(f"{pod.name} is back", 60, self.is_whole)

        self.loaded("killed one by one", act, retry=2, twice_is_wrong=False)

    def all_at_once(self, gently):
        def act():
            if gently:
                threads = [threading.Thread(target=self.stop, args=(pod,)) for pod in self.pods]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            for pod in self.pods:
                pod.kill()
            for pod in self.pods:
                pod.move()
                pod.start()
            self.say(f"all have other addresses; one cluster after {wait('the cluster re-forms', 60, self.is_whole):.1f} s")

        if not gently:
            for pod in self.pods:
                pod.ask("CONFIG", "SET", "appendfsync", "always")
        self.loaded("all restart at once" if gently else "all killed at once", act, retry=2, twice_is_wrong=False)

    def stop(self, pod):
        took, found = pod.delete()
        self.found += found
        if took > self.manifest.deadline:
            self.found.append(f"{pod.name} took {took:.1f} s to stop: the deadline is {self.manifest.deadline} s")
        return took

    def fill(self, pod, queue, count, *options):
        """Adds jobs at a pod, and returns how many the cluster has."""
        client = pod.client(patience=30)
        for at in range(0, count, BATCH):
            self.pipeline(client, [["ADDJOB", queue, f"{queue}-{n}", 5000, "RETRY", 600, *options]
                                   for n in range(at, min(count, at + BATCH))])
        client.close()
        return count

    @staticmethod
    def pipeline(client, commands):
        """Many commands at once. Every refusal is one too many."""
        text = "".join(f"*{len(words)}\r\n" + "".join(f"${len(str(word))}\r\n{word}\r\n" for word in words)
                       for words in commands)
        client.socket.sendall(text.encode())
        replies = [client.receive() for _ in commands]
        for reply in replies:
            if isinstance(reply, Refused):
                raise Failed(f"refused: {reply}")
        return replies

    def take_all(self, queue, count):
        """Takes jobs from all pods until there are as many as there should be. What is wrong with them."""
        seen, twice, start = set(), 0, time.monotonic()
        clients = [pod.client(patience=10) for pod in self.pods]
        while len(seen) < count and time.monotonic() - start < 120:
            for client in clients:
                jobs = client.call("GETJOB", "NOHANG", "COUNT", BATCH, "FROM", queue)
                if jobs:
                    twice += sum(body in seen for _, _, body in jobs)
                    seen |= {body for _, _, body in jobs}
                    client.call("FASTACK", *[id for _, id, _ in jobs])
        for client in clients:
            client.close()
        self.say(f"{queue}: {len(seen)} of {count} delivered, {twice} twice")
        wrong = []
        if len(seen) < count:
            wrong.append(f"{queue}: lost {count - len(seen)} of {count}")
        if twice:
            wrong.append(f"{queue}: delivered twice: {twice}")
        return wrong

    def backlog(self):
        pod, others = self.pods[0], self.pods[1:]
        count = self.fill(pod, "backlog", self.options.backlog)
        took = self.stop(pod)
        there = [each.ask("QLEN", "backlog") for each in others]
        self.say(f"SIGTERM with {count} jobs queued: {took:.1f} s to the exit, the deadline is {self.manifest.deadline} s; "
                 f"queued at the others: {there}")
        if sum(filter(None, there)) != count:
            self.found.append(f"of {count} jobs {there} are queued at the others")
        pod.move()
        pod.start()
        wait(f"{pod.name} is back", 60, self.is_whole)
        self.found += self.take_all("backlog", count)

    def scale_down(self):
        for pod in self.all[len(self.pods):]:
            pod.start()
        self.pods = self.all
        self.say(f"scaled to {len(self.pods)}: one cluster after {wait('five pods meet', 60, self.is_whole):.1f} s")
        counts = {}
        for pod in self.pods:
            for copies in (1, 2):
                counts[f"scale-{pod.number}-{copies}"] = self.fill(pod, f"scale-{pod.number}-{copies}", 1000, "REPLICATE", copies)
        for pod in reversed(self.all[self.manifest.replicas:]):
            self.take_out(pod)
        for queue, count in counts.items():
            self.found += self.take_all(queue, count)

    def take_out(self, pod):
        """Out of the cluster, as docs/operations/kubernetes.md says: leave, wait until that is safe, stop, forget."""
        id = pod.ask("CLUSTER", "MYID")
        status, said = pod.get("/api/v1/safe-to-delete") or (None, "")
        if status != 409 or json.loads(said)["safe"]:
            self.found.append(f"{pod.name} has the only copies of jobs, and says of its end: {status} {said}")
        pod.ask("CLUSTER", "LEAVING", "yes")
        took = wait(f"{pod.name} may go", 60, lambda: (pod.get("/api/v1/safe-to-delete") or [0])[0] == 200)
        self.stop(pod)
        self.pods = [each for each in self.pods if each is not pod]
        self.pods[0].ask("CLUSTER", "FORGET", id)
        wait(f"{pod.name} is forgotten", PROMPT, lambda: all(
            each.field(["CLUSTER", "INFO"], "cluster_known_nodes") == len(self.pods) for each in self.pods))
        self.say(f"{pod.name} was safe to delete after {took:.1f} s, and is forgotten")

    def run(self):
        self.start()
        self.rolling_restart()
        self.killed_one_by_one()
        self.all_at_once(gently=True)
        self.backlog()
        self.scale_down()
        self.all_at_once(gently=False)

    def end(self):
        self.kubelet.close()
        for pod in self.all:
            pod.kill()
        return self.found + self.kubelet.complaints


def main():
    options = arguments()
    if not networks.is_enclosed():
        obstacle = networks.why_not()
        if obstacle:
            print(f"SKIPPED: no test of the StatefulSet on this machine: {obstacle}")
            return 0
        return networks.enclose()
    options.binary = os.path.abspath(options.binary)
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    print(f"seed {options.seed}", flush=True)
    ledgers.prove()
    folder = tempfile.mkdtemp(prefix="shoalmq-statefulset-")
    play, found = None, []
    try:
        play = Play(options, folder)
        play.run()
    except Failed as failed:
        found.append(str(failed))
    finally:
        if play:
            found += play.end()
    for fault in found:
        print(f"FAILED: {fault}")
    if found:
        for pod in play.all if play else []:
            if os.path.exists(pod.log):
                with open(pod.log, errors="replace") as log:
                    print(f"--- log of {pod.name}, the end:\n{''.join(log.readlines()[-20:])}", end="")
        print(f"data and logs: {folder}")
    else:
        shutil.rmtree(folder)
    print("passed" if not found else f"failed with seed {options.seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
