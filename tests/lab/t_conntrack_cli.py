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
    (re.compile(r"<min>\d\d</min><sec>\d\d</sec>"), "<min/><sec/>"),
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

    def same(self, line, only_status=False):
        """One command line through both programs."""
        runs = [subprocess.run(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
                for c in self.commands(line.split())]
        said = [(r.returncode, loose(r.stdout), loose(r.stderr)) for r in runs]
        if only_status:
            return self.report.check(line, runs[0].returncode == runs[1].returncode and runs[1].stderr and not runs[1].stdout,
                                     f"exit {runs[0].returncode}, {runs[1].returncode}: {runs[1].stderr.splitlines()[:1]}")
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


def proc(report, lab):
    kernel = loose(lab.run("kernel", "cat", "/proc/net/nf_conntrack").stdout)
    node = loose(lab.cli("flows", "-o", "proc").stdout)
    report.check("-o proc is /proc/net/nf_conntrack", kernel == node, f"{len(node)} lines")
    if kernel != node:
        report.say("\n      ".join(kernel + ["--"] + node))


def stats(report, lab):
    kernel = lab.conntrack("-S").stdout.splitlines()[0]
    node = lab.cli("flows", "-S").stdout.splitlines()
    shape = re.compile(r"\d+")
    report.check("-S has conntrack's shape", node and shape.sub("N", node[0]) == shape.sub("N", kernel), node)


def slow_control(report, lab):
    """A control that is stopped: a clear error, no flow reported to be gone, and none ended afterwards."""
    before = lab.cli("flows", "-C").stdout
    pid = lab.pids("ctrl")[0]
    os.kill(pid, signal.SIGSTOP)
    run = lab.cli("flows", "-D", "-p", "tcp")
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    report.check("a control that hangs: exit 1, nothing listed, nothing ended",
                 run.returncode == 1 and not run.stdout and "did not answer" in run.stderr and
                 lab.cli("flows", "-C").stdout == before, run.stderr.strip())


# conntrack 1.4.7's -D -u UNREPLIED deletes what was replied to as well: ours does not, and is not compared.
LISTS = ["-L", "-L -o id", "-L -o extended", "-L -o extended,id", "-L -o xml", "-L -o xml,id,extended", "-L -o save", "-L -o labels",
         "-L -o userspace", "-L -o timestamp", "-p tcp -L", "-L conntrack", "--dump", "-C", "-C conntrack", "-L expect",
         "-L dying", "-L unconfirmed", "-L -m 0", "-L -m 5", "-L -c 0", "-L -w 0", "-L -w 3", "-L --orig-zone 1",
         "-L -f ipv4", "-L -n", "-L -n 203.0.113.1", "-L --src-nat 203.0.113.9", "-L --src-nat=203.0.113.1", "-L -j",
         "-L -j 203.0.113.1", "-L -p tcp -g", "-L -q 203.0.113.1", "-L -p 6", "-L -p 47",
         "-L -p gre", "-L -p tcp --state SYN_SENT", "-L -p tcp --state TIME_WAIT", "-L -u ASSURED", "-L -u SEEN_REPLY,ASSURED",
         "-L -u UNREPLIED", "-L -u EXPECTED", "-L -s 100.64.0.0/10 -p udp", "-L --src 100.64.0.4 --mask-src 255.0.0.0",
         "-L --orig-src 100.64.0.4 --orig-dst 198.18.0.12", "-L -r 198.18.0.8", "-L --reply-src 198.18.0.8 --reply-dst 203.0.113.1",
         "-L -p udp --orig-port-src 40064 --orig-port-dst 443", "-L -p tcp --reply-port-src 443", "-L -p icmp --icmp-type 8",
         "-L -p icmp --icmp-type 8 --icmp-code 1", "-G -p udp -s 100.64.0.4 -d 198.18.0.8 --sport 40064 --dport 443",
         "-G -p tcp -s 100.64.0.4 -d 198.18.0.12 --sport 40128 --dport 443 -o save",
         "-G -p tcp -s 100.64.0.4 -d 198.18.0.12 --sport 40128 --dport 443 -o xml",
         "-G -p tcp -s 100.64.0.4 -d 198.18.0.12 --sport 1 --dport 2"]

# Only the exit status is compared: our messages say more.
WRONG = ["-L --dport 80", "-L -p foo", "-L -p tcp --state FOO", "-L --state ESTABLISHED", "-L -u FOO", "-L -u UNSET", "-L -s 300.1.1.1",
         "-L -s 1.2.3.4/33", "-L -s", "-L --nonsense", "-L extra", "-L -D", "-L -L", "-E -u ASSURED", "-G",
         "-G -p tcp", "-G -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 3", "-F -p tcp", "-F -o xml", "-S -p tcp", "-L -e NEW",
         "-E -e FOO", "-L -b 3", "-L -f foo", "-L -t 5", "-L -o foo", "-L -o save,id", "-L -o xml,save", "-L -l foo",
         "-L -n 1.2.3.4/8", "-L --mask-src 255.0.0.0", "-L -p icmp --dport 3", "-L --icmp-type 8", "-F extra", "-D -z"]

STREAMS = ["-E", "-E -o xml", "-E -o save", "-E -o extended,id", "-E -o timestamp", "-E -o xml,timestamp", "-E -e NEW,DESTROY -p tcp",
           "-E -e UPDATES -p udp", "-E -p tcp --dport 443 -s 100.64.0.4", "-E -n 203.0.113.1 -p icmp", "-E -e NEW -o labels,userspace"]

DELETES = ["-D -p udp --dport 4444", "-D -p tcp --state SYN_SENT", "-D -p icmp -o extended", "-D -p udp --sport 40064", "-D", "-D",
           "-F"]


def main():
    args, report = arguments(), Report("conntrack_cli")
    with world.World("cliU", args.build, verbose=args.verbose) as lab:
        lab.configure("apart")
        both = Both(report, lab)
        streams = Streams(both, STREAMS)
        play(lab)
        for line in LISTS:
            both.same(line)
        for line in WRONG:
            both.same(line, only_status=True)
        proc(report, lab)
        stats(report, lab)
        slow_control(report, lab)
        for line in DELETES:
            both.same(line)
        streams.end()
        report.check("shardnat check", *lab.check_clean())
        report.check("SIGTERM ends the node", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
