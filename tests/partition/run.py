#!/usr/bin/env python3
"""Partitions, kills and pauses under load, with real nodes in network namespaces.

    tests/partition/run.py BINARY [--seed N] [--seconds 60] [--nodes 5] [--jobs-per-second 300]

Nodes keep jobs and topics with `appendfsync always`. Producers, consumers, publishers, readers that carry their cursors from
node to node, and subscribers reach every node throughout; only the ways between nodes are cut. After --seconds seconds of
faults all ways are healed, and every node is drained. Then:

- lost: 0. Every at-least-once job whose ADDJOB was answered was delivered, or is the duplicate of one that has its key.
- the ledger by id: WAITJOB tells of each id that a producer got that it was acked, or is the duplicate of an older one with its key
  that was. On the way some fail, die by NACK or MAXDELIVER, and are sent back.
- at-most-once jobs (RETRY 0 REPLICATE 1 TTL 30) delivered twice: 0.
- all nodes are empty within 60 s of healing.
- every reader of topics has every entry whose TPUB was answered, and each once; ids rise but for late ones, nothing is told lost,
  and all readers have the same entries.

Refusals and broken connections are unknown, not failed. Duplicates are counted. The same seed gives the same faults at
the same times; what the processes make of them is theirs. Where the machine allows no namespaces, it says so and passes.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time

import ledger as ledgers
import network as networks
from load import Load
from nemesis import Nemesis
from node import PORT, Client, Node
from topics import Topics, prove

HEALED_WITHIN = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--nodes", type=int, default=5, choices=range(3, 8))
    parser.add_argument("--jobs-per-second", type=int, default=300)
    return parser.parse_args()


def wait(what, seconds, holds):
    """Looks until it holds. Returns how long that took; nothing when it did not come to hold in time."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            print(f"not within {seconds} s: {what}")
            return None
        time.sleep(0.05)
    return time.monotonic() - start


def all_met(nodes):
    return all(node.field(["CLUSTER", "INFO"], "cluster_reachable_nodes") == len(nodes) - 1 for node in nodes)


def fill_levels(nodes):
    """Jobs that each node has, but for those that are over and kept; nothing for one that does not answer."""
    def level(node):
        known, kept = (node.field(["INFO"], name) for name in ("registered_jobs", "kept_jobs"))
        return None if None in (known, kept) else known - kept

    return [level(node) for node in nodes]


def run(options, folder):
    """Returns what was found wrong."""
    start = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - start:6.1f} s  {text}", flush=True)

    network = networks.Network(options.nodes)
    numbers = range(1, options.nodes + 1)
    seeds = " ".join(f"{network.address(number)}:{PORT}" for number in numbers)
    nodes = [Node(network, number, f"{folder}/{number}", options.binary, seeds) for number in numbers]
    for node in nodes:
        node.start()
    try:
        if wait("the nodes meet", 30, lambda: all_met(nodes)) is None:
            return ["the nodes do not meet"]
        say(f"{len(nodes)} nodes have met")
        ledger = ledgers.Ledger()
        load = Load(nodes, ledger, options.seed, producers=6, consumers=8, jobs_per_second=options.jobs_per_second)
        topics = Topics(nodes, options.seed)
        nemesis = Nemesis(network, nodes, random.Random(f"{options.seed} nemesis"), say)
        nemesis.run(options.seconds)
        load.adding, load.draining, topics.publishing = False, True, False
        nemesis.heal()
        say("healed")

        def is_over():
            return fill_levels(nodes) == [0] * len(nodes) and all_met(nodes)

        emptied = wait("all is delivered, and all nodes are empty", HEALED_WITHIN, is_over)
        levels = fill_levels(nodes)
        caught_up = wait("every reader has every entry, and all the same", HEALED_WITHIN, topics.agree)
        load.join()
        topics.join()
        client = Client(nodes[0].address, 30)
        load.account(client)
        client.close()
        found = ledger.faults() + load.failures + topics.faults()
        if emptied is None:
            found.append(f"jobs left at the nodes: {levels}")
            found.append(f"all met: {all_met(nodes)}")
        found += [f"node {node.number} ended by itself" for node in nodes if node.ended_by_itself()]
        unsettled = ledger.unsettled()
        if unsettled:
            found.append(f"ids without the end that was due: {len(unsettled)}, such as {unsettled[:5]}")
        again = sum(ledger.sent[body] for body in ledger.answered)
        print(f"jobs answered: {again} at least once, {len(ledger.answered) - again} at most once; "
              f"not answered: {len(ledger.sent) - len(ledger.answered)}")
        print(f"lost: {len(ledger.missing())}   at most once and twice: {len(ledger.twice())}   "
              f"duplicates: {ledger.duplicates()}   emptied after: {emptied and f'{emptied:.1f} s'}")
        print(f"ledger of {len(ledger.promised())} ids: {ledger.balance()}   answered by a job with the same key: {len(ledger.found())}   "
              f"redriven: {load.redriven}")
        print(f"refusals: {load.refusals}   connections broken: {load.broken}")
        print(f"{topics.summary()}   readers exact after: {caught_up and f'{caught_up:.1f} s'}")
        if len(ledger.answered) < options.seconds:
            found.append("hardly a job was answered: this run says nothing")
        if len(topics.answered) < options.seconds:
            found.append("hardly an entry was answered: this run says nothing")
        return found
    finally:
        for node in nodes:
            node.resume()
            node.kill()


def main():
    options = arguments()
    if not networks.is_enclosed():
        obstacle = networks.why_not()
        if obstacle:
            print(f"SKIPPED: no partition test on this machine: {obstacle}")
            return 0
        return networks.enclose()
    options.binary = os.path.abspath(options.binary)
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    print(f"seed {options.seed}: tests/partition/run.py {sys.argv[1]} --seed {options.seed} "
          f"--seconds {options.seconds:g} --nodes {options.nodes}", flush=True)
    ledgers.prove()
    prove()
    folder = tempfile.mkdtemp(prefix="shoalmq-partition-")
    found = ["it did not end"]
    try:
        found = run(options, folder)
        for fault in found:
            print(f"FAILED: {fault}")
        if found:
            for number in range(1, options.nodes + 1):
                with open(f"{folder}/{number}/log", errors="replace") as log:
                    print(f"--- log of node {number}, the end:\n{''.join(log.readlines()[-30:])}", end="")
    finally:
        if found:
            print(f"data and logs: {folder}")
        else:
            shutil.rmtree(folder)
    print("passed" if not found else f"failed with seed {options.seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
