"""The faults: what is cut, killed, paused and moved, one after the other, as the seed has it."""

import itertools
import time


class Nemesis:
    def __init__(self, network, nodes, dice, say):
        self.network, self.nodes, self.dice, self.say = network, nodes, dice, say
        self.faults = [self.halves, self.isolated, self.one_way, self.flapping, self.killed, self.killed_apart,
                       self.all_killed, self.paused, self.moved]

    def run(self, seconds):
        """Every fault once, in random order; then as many more as there is time for."""
        end = time.monotonic() + seconds
        first = self.dice.sample(self.faults, len(self.faults))
        for fault in itertools.chain(first, iter(lambda: self.dice.choice(self.faults), None)):
            if time.monotonic() >= end:
                return
            fault()
            self.heal()
            time.sleep(self.dice.uniform(0.5, 2))

    def heal(self):
        self.network.cut([])
        for node in self.nodes:
            node.resume()
            if not node.process:
                node.start()

    def stay(self, least=2.5, most=6):
        time.sleep(self.dice.uniform(least, most))

    def some(self, count):
        return self.dice.sample(self.nodes, count)

    def between(self, one, other):
        return [(a.number, b.number) for a in one for b in other]

    def apart(self, some):
        rest = [node for node in self.nodes if node not in some]
        return self.between(some, rest) + self.between(rest, some)

    def names(self, nodes):
        return " ".join(str(node.number) for node in nodes)

    def halves(self):
        some = self.some(len(self.nodes) // 2)
        self.say(f"halves: {self.names(some)} apart from the rest")
        self.network.cut(self.apart(some))
        self.stay(4, 8)

    def isolated(self):
        some = self.some(1)
        self.say(f"isolated: {self.names(some)}")
        self.network.cut(self.apart(some))
        self.stay(4, 8)

    def one_way(self):
        one, other = self.some(2)
        rest = [node for node in self.nodes if node is not one]
        name, pairs = self.dice.choice([
            (f"{one.number} is not heard", self.between([one], rest)),
            (f"{one.number} hears nobody", self.between(rest, [one])),
            (f"{one.number} is not heard by {other.number}", self.between([one], [other])),
        ])
        self.say(f"one-way: {name}")
        self.network.cut(pairs)
        self.stay(4, 8)

    def flapping(self):
        some = self.some(self.dice.randint(1, 2))
        self.say(f"flapping: {self.names(some)}")
        for _ in range(self.dice.randint(4, 8)):
            self.network.cut(self.apart(some))
            self.stay(0.1, 0.8)
            self.network.cut([])
            self.stay(0.1, 0.8)

    def killed(self):
        some = self.some(self.dice.randint(1, len(self.nodes) - 1))
        self.say(f"killed: {self.names(some)}")
        for node in some:
            node.kill()
        self.stay(0.5, 4)

    def killed_apart(self):
        some = self.some(len(self.nodes) // 2)
        rest = [node for node in self.nodes if node not in some]
        killed = [self.dice.choice(some), self.dice.choice(rest)]
        self.say(f"killed and apart: {self.names(some)} apart from the rest, {self.names(killed)} killed and back")
        self.network.cut(self.apart(some))
        for node in killed:
            self.stay(0.5, 2)
            node.kill()
            self.stay(0.2, 1)
            node.start()
        self.stay(1, 3)

    def all_killed(self):
        self.say("all killed")
        for node in self.nodes:
            node.kill()
        self.stay(0.2, 1)

    def paused(self):
        some = self.some(self.dice.randint(1, len(self.nodes) // 2))
        self.say(f"paused: {self.names(some)}")
        for node in some:
            node.pause()
        self.stay(1, 6)

    def moved(self):
        (node,) = self.some(1)
        node.kill()
        node.move()
        self.say(f"moved: {node.number} is killed, and back as {node.address}")
        self.stay(0.2, 2)
        node.start()
        self.stay(1, 3)
