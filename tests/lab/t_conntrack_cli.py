"""shardnat in conntrack's place: the same flows through the kernel's NAT and the node, then the same command lines for both
programs. Standard output, standard error and exit status must be the same, but for what no two tables share: the public
ports, ids, what a timeout has counted down to, and the order of entries.

    t_conntrack_cli.py [--build DIR] [--verbose]
"""
import os
import re
import signal
import subprocess
import time

from lab import Report, arguments, wait_for
from parity import world

SCENARIOS = """scenario one-way
> udp len=10
scenario answered
> udp len=10
< udp len=20
scenario established
> S mss=1460
< SA mss=1460
> A
> PA len=10
< A
scenario opening
> S mss=1460
scenario closing
> S mss=1460
< SA mss=1460
> A
> FA
< A
scenario ping
> echo len=8
< echo-reply len=8
"""

# What the two tables need not share.
LOOSE = [
    (re.compile(r"(dst=203\.0\.113\.1 sport=\d+ dport=)\d+"), r"\1P"),
    (re.compile(r"(dst=203\.0\.113\.1 type=\d+ code=\d+ id=)\d+"), r"\1P"),
    (re.compile(r"(<dst>203\.0\.113\.1</dst></layer3><layer4 [^>]*><sport>\d+</sport><dport>)\d+"), r"\1P"),
    (re.compile(r"(--reply-port-dst )\d+"), r"\1P"),
    (re.compile(r"((?:^|\] )(?:ipv4 +2 )?(?:\w+ +\d+ ))\d+ "), r"\1T "),
    (re.compile(r"(<timeout>)\d+"), r"\1T"),
    (re.compile(r"(-[AUD] -t )\d+"), r"\1T"),
    (re.compile(r"(<id>|\bid=)\d{6,}"), r"\1I"),
    (re.compile(r"portid=\d+( progname=\S+)?"), "portid=N"),
    (re.compile(r"^\[\d{10}\.\d{6}\]\t"), "[TIME]\t"),
    (re.compile(r"^(conntrack|shardnat) v[\d.]+( \(conntrack-tools\))?:"), "PROGRAM:"),
    (re.compile(r"`(conntrack|shardnat) -h' or '(conntrack|shardnat) --help'"), "PROGRAM --help"),
    # the player's own
    (re.compile(r"^.*198\.19\.255\.253.*$"), None),
    # a library's complaint that this machine has no file of label names
    (re.compile(r"^nfct_labelmap_new: .*$"), None),
]


def loose(text):
    lines = []
    for line in text.splitlines():
        for pattern, to in LOOSE:
            line = pattern.sub(to, line) if to is not None else ("" if pattern.match(line) else line)
        if line:
            lines.append(line)
    return sorted(lines)


class Both:
    def __init__(self, report, lab):
        self.report, self.lab = report, lab
        self.shardnat = [os.path.join(lab.build, "ctrl/cli/shardnat"), "--instance", lab.name]

    def commands(self, args):
        return self.lab.ns("kernel", "conntrack", *args), [*self.shardnat, *args]

    def same(self, line):
        """One command line through both programs."""
        runs = [subprocess.run(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
                for c in self.commands(line.split())]
        said = [(r.returncode, loose(r.stdout), loose(r.stderr)) for r in runs]
        if not self.report.check(line, said[0] == said[1], f"exit {said[0][0]}, {len(said[0][1])} lines"):
            for who, (code, out, err) in zip(("conntrack", "shardnat "), said):
                self.report.say("\n      ".join([f"{who} exit {code}"] + [f"  > {t}" for t in out] + [f"  ! {t}" for t in err]))


class Streams:
    """Events through both programs, with several sets of options at once."""

    def __init__(self, both, lines):
        self.both, self.runs = both, []
        for line in lines:
            pair = []
            for who, command in zip("kn", both.commands(line.split())):
                path = os.path.join(both.lab.work, f"stream.{len(self.runs)}.{who}")
                with open(path, "w") as out, open(path + ".err", "w") as err:
                    pair.append((subprocess.Popen(command, stdout=out, stderr=err), path))
            both.lab.children += [child for child, _ in pair]
            self.runs.append((line, pair))
        time.sleep(1.5)

    def end(self):
        time.sleep(1)
        for line, pair in self.runs:
            said = []
            for child, path in pair:
                child.send_signal(signal.SIGINT)
                code = child.wait(10)
                with open(path) as out, open(path + ".err") as err:
                    said.append((code, loose(out.read()), loose(err.read())))
            if not self.both.report.check(line, said[0] == said[1], f"{len(said[0][1])} lines"):
                for who, (code, out, err) in zip(("conntrack", "shardnat "), said):
                    other = said[1 if who == "conntrack" else 0]
                    self.both.report.say("\n      ".join(
                        [f"{who} exit {code}"] + [f"  > {t}" for t in out if t not in other[1]] +
                        [f"  ! {t}" for t in err if t not in other[2]]))


def play(lab):
    lab.run("ends", lab.player(), "--first", "0", input=SCENARIOS)
    ready = wait_for(lambda: len(lab.cli("flows").stdout.splitlines()) == 7, 10)
    if not ready:
        raise RuntimeError("the flows are not there:\n" + lab.cli("flows").stdout)


# conntrack 1.4.7's -D -u UNREPLIED deletes what was replied to as well: ours does not, and is not compared.
DELETES = ["-D -p udp --dport 4444", "-D -p tcp --state SYN_SENT", "-D -p icmp -o extended", "-D -p udp --sport 40064", "-D", "-D",
           "-F"]


def main():
    args, report = arguments(), Report("conntrack_cli")
    with world.World("cliU", args.build, verbose=args.verbose) as lab:
        lab.configure("apart")
        both = Both(report, lab)
        streams = Streams(both, ["-E"])
        play(lab)
        for line in DELETES:
            both.same(line)
        streams.end()
        report.check("shardnat check", *lab.check_clean())
        report.check("SIGTERM ends the node", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
