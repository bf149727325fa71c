"""The node against the kernel: scenarios (parity/scenarios, parity/README.md) and random ones through both, compared in
packets, events and entries.

    t_parity.py [--build DIR] [--random N [--world W]] [--seed S] [--name LAB] [--only WORD] [--keep FILE]

--random N plays N random scenarios and nothing else (without it: the files, and 3000 random ones); --only those whose
name has the word in it; --keep appends the random scenarios that differ to a file.
"""
import argparse
import glob
import os
import subprocess
import time

from lab import TOP, Report, wait_for
from parity import compare, generate, world

# Played at once.
BATCH = 2000


class Scenario:
    """Header lines (world, differs, needs), and what the player reads."""

    def __init__(self, name, text, index=0):
        self.name, self.index = name, index
        self.header = {"world": "long", "differs": None, "needs": None}
        self.lines = []
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word in self.header:
                self.header[word] = rest.strip()
            else:
                self.lines.append(line)

    def as_expected(self, difference):
        """Agreed, or differs first in what is listed: packets, events or entries."""
        listed = self.header["differs"]
        return not difference if not listed else bool(difference) and difference.startswith(listed.split(":")[0])

    def text(self):
        return "\n".join([f"scenario {self.name}", *self.lines])


def from_files(only):
    chosen = []
    for path in sorted(glob.glob(os.path.join(world.HERE, "scenarios/*.txt"))):
        name = os.path.basename(path)[:-4]
        if only in name:
            with open(path) as f:
                chosen.append(Scenario(name, f.read()))
    return chosen


class Run:
    """Some scenarios through both gateways, and what each of them said."""

    def __init__(self, lab, scenarios, expire=False):
        self.lab, self.scenarios = lab, scenarios
        listener = world.Listener(lab)
        self.played = self._play(expire)
        wait_for(lambda: self._as_expected(listener), 15, 0.25)
        self.complaints += listener.close()

    def _play(self, expire):
        """The kernel forgets an expired entry when somebody looks: a dump every now and then."""
        lab, path = self.lab, os.path.join(self.lab.work, "scenarios")
        shardnat = os.path.join(lab.build, "ctrl/cli/shardnat")
        with open(path, "w") as f:
            f.write("\n".join(s.text() for s in self.scenarios) + "\n")
        with open(path) as play, open(path + ".out", "w") as out, open(path + ".err", "w") as err:
            player = subprocess.Popen(
                lab.ns("ends", lab.player(), "--first", str(self.scenarios[0].index),
                       "--delete-kernel", " ".join(lab.ns("kernel", "conntrack", "-D")),
                       "--delete-node", f"{shardnat} --instance {lab.name} flows -D"),
                stdin=play, stdout=out, stderr=err)
            while player.poll() is None:
                if expire:
                    lab.conntrack("-L")
                time.sleep(0.1)
        with open(path + ".err") as f:
            self.complaints = f.read()
        if player.returncode != 0:
            raise RuntimeError(f"the player failed: {self.complaints}")
        if expire:
            wait_for(lambda: "dst=198." not in lab.conntrack("-L").stdout, 8, 0.25)
        with open(path + ".out") as f:
            return compare.Played(f.read(), {s.name: s.index for s in self.scenarios})

    def _as_expected(self, listener):
        """Events are on their way for a moment: whether nothing but the listed differences is left."""
        ports = self.played.ports
        events = [compare.by_tuple(listener.lines(i), ports[i]) for i in range(2)]
        began = time.monotonic()
        entries = [compare.by_tuple(self.lab.conntrack("-L").stdout.splitlines(), ports[0]),
                   compare.by_tuple(self.lab.cli("flows").stdout.splitlines(), ports[1])]
        between_s = time.monotonic() - began
        self.differences = {}
        for s in self.scenarios:
            difference = (self.played.difference(s.name) or
                          compare.lines_difference("events", events[0][s.index], events[1][s.index]) or
                          compare.lines_difference("entries", entries[0][s.index], entries[1][s.index], between_s))
            if difference:
                self.differences[s.name] = difference
        self.packets = sum(map(len, self.played.packets[0].values()))
        self.events = sum(len(lines) for tuples in events[0].values() for lines in tuples.values())
        return all(s.as_expected(self.differences.get(s.name)) for s in self.scenarios)


def tell(report, scenario, difference):
    listed = scenario.header["differs"]
    detail = f"differs, as listed: {listed}" if listed and difference else "no longer differs" if listed else ""
    if not report.check(scenario.name, scenario.as_expected(difference), detail):
        report.say(scenario.text().replace("\n", "\n      "))
        report.say((difference or "").replace("\n", "\n      "))


def without_the_impossible(report, lab, scenarios):
    """Scenarios that need what the command line does not have are skipped, and said to be."""
    can = {"flows -D": "--delete" in lab.cli("flows", "--help").stdout}
    for s in scenarios:
        if not can.get(s.header["needs"], True):
            report.skipped += 1
            report.say(f"skipped: {s.name} needs {s.header['needs']}")
    return [s for s in scenarios if can.get(s.header["needs"], True)]


def play_files(report, lab, scenarios):
    for kind in world.KINDS:
        chosen = [s for s in scenarios if s.header["world"] == kind]
        if not chosen:
            continue
        lab.configure(kind)
        chosen = without_the_impossible(report, lab, chosen)
        for index, s in enumerate(chosen):
            s.index = index
        run = Run(lab, chosen, expire=kind == "short")
        report.check(f"{kind}: no event lost, no stray packet", not run.complaints, run.complaints)
        for s in chosen:
            tell(report, s, run.differences.get(s.name))
        report.check(f"{kind}: shardnat check", *lab.check_clean())


def random_batches(count, seed):
    """Datagrams apart, so that they take no two seconds: at that edge of UDP's rule the node's clock has tenths."""
    made = [Scenario(f"r{seed}.{i}", "\n".join(generate.scenario(seed, i))) for i in range(count)]
    made.sort(key=lambda s: s.lines[0].startswith("conn"))
    for index, s in enumerate(made):
        s.index = index
    edge = next((i for i, s in enumerate(made) if s.lines[0].startswith("conn")), count)
    starts = [*range(0, edge, BATCH), *range(edge, count, BATCH // 8), count]
    return [made[a:b] for a, b in zip(starts, starts[1:])]


def play_random(report, lab, kind, count, seed, keep):
    report.say(f"random: {kind}, seed {seed}, {count} scenarios")
    lab.configure(kind)
    different, packets, events = 0, 0, 0
    for batch in random_batches(count, seed):
        run = Run(lab, batch)
        report.check(f"random, {kind}, {batch[0].index}: no event lost, no stray packet", not run.complaints,
                     run.complaints[:500])
        packets, events = packets + run.packets, events + run.events
        for s in batch:
            if s.name not in run.differences:
                continue
            different += 1
            if different <= 5:
                tell(report, s, run.differences[s.name])
            if keep:
                with open(keep, "a") as f:
                    f.write(s.text() + "\n")
    report.check(f"random, {kind}: {count} scenarios agree", different == 0,
                 f"{different} differ; {packets} packets forwarded and {events} events compared")
    report.check(f"random, {kind}: shardnat check", *lab.check_clean())


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build-tests"))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--random", type=int)
    parser.add_argument("--world", default="apart", choices=world.KINDS)
    parser.add_argument("--seed", default=os.environ.get("SN_SEED", "1"))
    parser.add_argument("--name", default="parity")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    return parser.parse_args()


def main():
    args, report = arguments(), Report("parity")
    with world.World(args.name, args.build, verbose=args.verbose) as lab:
        if args.random:
            play_random(report, lab, args.world, args.random, args.seed, args.keep)
        else:
            play_files(report, lab, from_files(args.only))
        if not args.random and not args.only:
            for kind, count in (("apart", 2000), ("liberal", 500), ("strict", 500)):
                play_random(report, lab, kind, count, args.seed, args.keep)
        report.check("SIGTERM ends the node", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
