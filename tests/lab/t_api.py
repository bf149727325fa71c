"""The API and the CLI against a region that is made by hand (feed): no network, no privileges."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from lab import Report, arguments, wait_for


class Fed:
    """A fed region, its API, and the CLI, in a directory of their own."""

    def __init__(self, build, shards=4, events=1024):
        self.build = os.path.abspath(build)
        self.dir = tempfile.mkdtemp(prefix="shardnat-api.")
        self.env = dict(os.environ, SHARDNAT_RUN_DIR=self.dir)
        os.mkdir(os.path.join(self.dir, "fed"))
        self.region = os.path.join(self.dir, "region")
        self.feed = subprocess.Popen([f"{self.build}/tests/lab/feed", self.region, str(shards), str(events)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.feed.stdout.readline()
        self.api = None
        self.start_api()

    def start_api(self):
        fd = os.open(self.region, os.O_RDONLY)
        self.api = subprocess.Popen([f"{self.build}/ctrl/api/shardnat-api", "--instance", "fed", "--region", str(fd),
                                     "--dir", f"{self.dir}/fed"], pass_fds=[fd])
        os.close(fd)
        return wait_for(lambda: self.cli("rules").returncode == 0, 10)

    def ask(self, line):
        self.feed.stdin.write(line + "\n")
        self.feed.stdin.flush()
        return self.feed.stdout.readline().strip()

    def cli(self, *args):
        return subprocess.run([f"{self.build}/ctrl/cli/shardnat", *args], env=self.env, text=True,
                              capture_output=True, timeout=30)

    def events(self, *args):
        """events in the background, once it is known to receive: a flow of subscriber 60 is its first line."""
        out, err = (open(os.path.join(self.dir, n), "w+") for n in ("out", "err"))
        run = subprocess.Popen([f"{self.build}/ctrl/cli/shardnat", "events", *args], env=self.env, stdout=out, stderr=err)

        def hears():
            self.ask("flood 60 1")
            time.sleep(0.1)
            return os.path.getsize(out.name) > 0
        wait_for(hears, 10)
        time.sleep(0.2)
        return run, out, err

    def end(self):
        for process in (self.api, self.feed):
            process.terminate()
            process.wait()
        shutil.rmtree(self.dir)


def text(file):
    file.seek(0)
    return file.read()


def stop(run):
    run.send_signal(signal.SIGINT)
    return run.wait(10)


def lines_of(out, subscriber):
    return [line for line in text(out).splitlines() if f"src={subscriber} " in line]


def life_of_a_connection(report, fed):
    run, out, err = fed.events()
    handle = fed.ask("open 6 1 40000")
    fed.ask(f"update {handle} 2 2 3")
    fed.ask(f"update {handle} 3 4 5")
    fed.ask(f"update {handle} 7 0 1")
    fed.ask(f"close {handle} 1")
    lines = wait_for(lambda: (lambda l: l if len(l) == 5 else None)(lines_of(out, "100.64.0.1")), 5) or []
    starts = ["    [NEW] tcp      6 120 SYN_SENT src=100.64.0.1 dst=198.51.100.1 sport=40000 dport=443 [UNREPLIED] "
              "src=198.51.100.1 dst=203.0.113.", " [UPDATE] tcp      6 120 SYN_RECV ",
              " [UPDATE] tcp      6 120 ESTABLISHED ", " [UPDATE] tcp      6 120 TIME_WAIT ", "[DESTROY] tcp      6 "]
    report.check("the life of a connection, in order",
                 len(lines) == 5 and all(l.startswith(s) for l, s in zip(lines, starts)), lines if len(lines) != 5 else "")
    code = stop(run)
    report.check("interrupted: exit 0, a summary, nothing missed",
                 code == 0 and "flow events have been shown.\n" in text(err) and "missed" not in text(err), text(err).strip())


def classes_and_filters(report, fed):
    run, out, err = fed.events("-e", "NEW,DESTROY", "-p", "udp", "-o", "json")
    fed.ask("open 6 2 40000")
    handle = fed.ask("open 17 2 5353")
    fed.ask(f"update {handle} 0 2 2")
    fed.ask(f"close {handle} 4")

    def mine():
        found = [json.loads(line) for line in text(out).splitlines()]
        found = [e for e in found if e["subscriber"] == "100.64.0.2"]
        return found if len(found) >= 2 else None
    found = wait_for(mine, 5) or []
    report.check("-e and -p, as JSON", [(e["type"], e["proto"]) for e in found] == [("NEW", "udp"), ("DESTROY", "udp")]
                 and found[1]["reason"] == "command" and found[0]["id"] == found[1]["id"], found[:1] and "")
    stop(run)
    run, out, err = fed.events("--count", "3")
    fed.ask("flood 3 10")
    report.check("--count ends it", run.wait(10) == 0 and len(text(out).splitlines()) == 3, text(err).strip())


def listing(report, fed):
    fed.ask("outside " + fed.ask("open 17 4 6000"))
    fed.ask("open 1 5 77")
    flows = [json.loads(line) for line in fed.cli("flows", "-o", "json", "--subscriber", "100.64.0.4").stdout.splitlines()]
    inward = [f for f in flows if f["from_outside"]]
    outward = [f for f in flows if not f["from_outside"]]
    report.check("both ways of a binding", len(inward) == len(outward) == 1
                 and inward[0]["original"]["dport"] == outward[0]["reply"]["dport"]
                 and inward[0]["reply"]["src"] == "100.64.0.4", len(flows))
    ping = fed.cli("flows", "-p", "icmp").stdout
    report.check("a ping", ping.startswith("icmp     1 ") and "type=8 code=0 id=77 " in ping and "type=0 code=0 id=" in ping
                 and ping.endswith("mark=0 use=1\n"), ping.strip())
    shown = fed.cli("flows", "-p", "udp")
    counted = fed.cli("flows", "-C", "-p", "udp").stdout.strip()
    report.check("-C counts what -L shows", int(counted) == len(shown.stdout.splitlines())
                 and f"{counted} flow entries have been shown." in shown.stderr, counted)
    port = outward[0]["reply"]["dport"] if outward else 0
    who = fed.cli("flows", "-p", "udp", "-q", outward[0]["reply"]["dst"], "--reply-port-dst", str(port), "-o", "json")
    report.check("who has this public port", json.loads(who.stdout or "{}").get("subscriber") == "100.64.0.4")
    for command in ("subscribers", "pools", "rules", "status"):
        run = fed.cli(command, "-o", "json")
        good = run.returncode == 0 and all(json.loads(line) for line in run.stdout.splitlines())
        report.check(f"{command}, text and JSON", good and fed.cli(command).stdout and "\033" not in fed.cli(command).stdout)


def large_listing(report, fed):
    before = int(fed.cli("flows", "-C").stdout)
    opened = sum(fed.ask(f"open 17 {n} {port}").isdigit() for n in range(10, 20) for port in range(3000, 3100))
    rows = [json.loads(line) for line in fed.cli("flows", "-o", "json").stdout.splitlines()]
    report.check("many flows, each once", len(rows) == before + opened and len({r["id"] for r in rows}) == len(rows),
                 f"{len(rows)} flows")


def lapped(report, fed):
    """The API stopped while rings of 1024 go round: what is lost is counted, to the event."""
    run, out, err = fed.events()
    shown_before = len(text(out).splitlines())
    fed.api.send_signal(signal.SIGSTOP)
    fed.ask("flood 7 5000")
    fed.api.send_signal(signal.SIGCONT)
    wait_for(lambda: len(text(out).splitlines()) >= shown_before + 1024 and "missed" in text(err), 10)
    time.sleep(0.3)
    stop(run)
    shown = len(text(out).splitlines()) - shown_before
    missed = int(text(err).split("shardnat: ")[1].split()[0]) if "missed" in text(err) else 0
    report.check("a lapped ring: shown + missed = all", shown + missed == 10000, f"{shown} + {missed}")


def slow_reader(report, fed):
    """A subscriber that stops reading while more messages come than are kept for it: it knows how many events it lost."""
    floods = 4500
    run, out, err = fed.events()
    shown_before = len(text(out).splitlines())
    run.send_signal(signal.SIGSTOP)
    for _ in range(floods):
        fed.ask("flood 7 1")
        time.sleep(0.0012)
    run.send_signal(signal.SIGCONT)
    wait_for(lambda: len(text(out).splitlines()) > shown_before, 5)
    time.sleep(1)
    fed.ask("flood 7 1")
    time.sleep(0.5)
    stop(run)
    shown = len(text(out).splitlines()) - shown_before
    missed = sum(int(l.split()[1]) for l in text(err).splitlines() if "events were missed" in l)
    report.check("a slow reader: shown + missed = all", missed > 0 and shown + missed == 2 * floods + 2,
                 f"{shown} + {missed}")


def restart(report, fed):
    """The API is killed: its successor takes the sockets over, subscribers come back and know what they missed."""
    run, out, err = fed.events()
    fed.ask("open 17 30 1000")
    wait_for(lambda: lines_of(out, "100.64.0.30"), 5)
    fed.api.kill()
    fed.api.wait()
    down = fed.cli("status")
    report.check("no API: exit 1 and what to do", down.returncode == 1 and "shardnatd" in down.stderr, down.stderr.strip())
    report.check("events says that it is gone", wait_for(lambda: "API is gone" in text(err), 5))
    fed.ask("flood 30 50")
    report.check("a successor takes over the sockets", fed.start_api())

    def back():
        fed.ask("flood 30 1")
        time.sleep(0.1)
        return len(lines_of(out, "100.64.0.30")) > 1
    report.check("the subscriber comes back", wait_for(back, 10))
    stop(run)
    missed = sum(int(l.split()[1]) for l in text(err).splitlines() if "events were missed" in l)
    report.check("says so", "API is back" in text(err))
    report.check("and knows what it missed", missed >= 100, f"{missed} missed")
    report.check("the flow table is as it was", "src=100.64.0.30 " in fed.cli("flows", "-p", "udp", "-s", "100.64.0.30").stdout)


def epochs(report, fed):
    run, out, err = fed.events("-o", "json")
    fed.ask("open 17 31 1000")
    fed.ask("epoch")
    fed.ask("open 17 31 1001")

    def mine():
        found = [e for e in map(json.loads, text(out).splitlines()) if e["subscriber"] == "100.64.0.31"]
        return found if len(found) >= 2 else None
    found = wait_for(mine, 5) or []
    stop(run)
    report.check("a new owner: next epoch, next sequence number", len(found) == 2 and found[1]["epoch"] == found[0]["epoch"] + 1
                 and found[1]["seq"] == found[0]["seq"] + 1 and "missed" not in text(err))


def wrong_use(report, fed):
    other = os.path.join(fed.dir, "second")
    cases = [("no command", (), 2, "Usage"), ("unknown command", ("top",), 2, "no such command"),
             ("unknown option", ("flows", "--nonsense"), 2, "nonsense"), ("ports without -p", ("flows", "--dport", "80"), 2, "-p"),
             ("no such instance", ("--instance", "nix", "flows"), 1, "running: fed"),
             ("a name that is none", ("--instance", "../x", "flows"), 1, "possible")]
    for name, args, code, say in cases:
        run = fed.cli(*args)
        report.check(name, run.returncode == code and say in run.stderr, run.stderr.strip().splitlines()[:1])
    os.mkdir(other)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(other, "api"))
    run = fed.cli("flows")
    report.check("several instances", run.returncode == 1 and "fed, second" in run.stderr, run.stderr.strip())
    listener.close()
    shutil.rmtree(other)
    empty = subprocess.run([f"{fed.build}/ctrl/cli/shardnat", "flows"], text=True, capture_output=True,
                           env=dict(os.environ, SHARDNAT_RUN_DIR="/nonexistent"))
    report.check("no instance", empty.returncode == 1 and "shardnatd -c" in empty.stderr, empty.stderr.strip())
    for command in ("events", "flows", "subscribers", "pools", "rules", "status", "check"):
        run = fed.cli(command, "--help")
        report.check(f"{command} --help", run.returncode == 0 and run.stdout.startswith("Usage: shardnat"))


def idle(report, fed):
    def ticks():
        with open(f"/proc/{fed.api.pid}/stat") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    before = ticks()
    time.sleep(3)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK") / 3
    report.check("idle costs next to nothing", used < 0.02, f"{used * 100:.2f} % of a core")


def ending(report, fed):
    fed.api.terminate()
    report.check("SIGTERM: exit 0, no sockets left", fed.api.wait(10) == 0 and not os.listdir(f"{fed.dir}/fed"))


def main():
    args = arguments()
    report = Report("api")
    fed = Fed(args.build)
    try:
        for step in (life_of_a_connection, classes_and_filters, listing, large_listing, lapped, slow_reader, restart, epochs,
                     wrong_use, idle, ending):
            step(report, fed)
    finally:
        fed.end()
    report.end()


main()
