"""What the NAT promises, seen from the other side: no public (address, port, protocol) is ever given twice, mappings are
endpoint-independent, blocks follow need, capacity is the node's, hairpins meet, errors arrive, ports rest after use.
"""
import json
import math
import os
import random
import re
import subprocess
import time

from lab import Lab, Report, arguments, wait_for

SEED = int(os.environ.get("SN_SEED", "1"))

# Answers each datagram with the source it saw, and writes "address port payload" per datagram.
UDP_MIRROR = """
import socket, sys, selectors
out = open(sys.argv[1], "w", buffering=1 << 16)
sel = selectors.DefaultSelector()
for address in ("192.0.2.10", "192.0.2.11"):
    for port in (7000, 7001):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        s.bind((address, port)); sel.register(s, selectors.EVENT_READ)
while True:
    for key, _ in sel.select(0.2) or ():
        data, peer = key.fileobj.recvfrom(2000)
        out.write(f"{peer[0]} {peer[1]} {data.decode()}\\n")
        if not data.startswith(b"-"): key.fileobj.sendto(f"{peer[0]} {peer[1]}".encode(), peer)
    else: out.flush()
"""

# Opens UDP sockets "address:port" (port 0: any), asks the mirror at each server, prints one JSON list of what it saw.
ASK = """
import json, socket, sys
seen, keep = [], []
for where in sys.argv[2:]:
    address, port = where.split(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, int(port))); s.settimeout(0.5); keep.append(s)
    answers = []
    for server in json.loads(sys.argv[1]):
        for attempt in range(4):
            s.sendto(f"{address}:{s.getsockname()[1]}".encode(), tuple(server))
            try:
                answers.append(s.recv(2000).decode()); break
            except socket.timeout: pass
        else: answers.append(None)
    seen.append(answers)
print(json.dumps(seen))
"""

# Waits on a UDP socket for peers and answers each with its own view; prints the peers.
WAITER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], int(sys.argv[2])))
while True:
    data, peer = s.recvfrom(2000)
    if data != b"mirror": s.sendto(f"{peer[0]} {peer[1]}".encode(), peer); print(*peer, flush=True)
"""

# Sends one datagram per line "source port" of a file, with that source, to the mirror, at a steady rate.
SENDER = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
dst = socket.inet_aton("192.0.2.10")
for n, line in enumerate(open(sys.argv[1])):
    source, port = line.split()
    payload = f"-{source}:{port}".encode()
    udp = struct.pack("!HHHH", int(port), 7000, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xffff, 0, 64, 17, 0, socket.inet_aton(source), dst)
    s.sendto(ip + udp, ("192.0.2.10", 0))
    if n % 64 == 63: time.sleep(0.004)
"""

MIRRORS = [["192.0.2.10", 7000], ["192.0.2.10", 7001], ["192.0.2.11", 7000]]


class World:
    """A lab with a mirror in it, and what the mirror has seen."""

    def __init__(self, lab):
        self.lab, self.path, self.skip = lab, os.path.join(lab.work, "mirror"), 0
        lab.python("srv", UDP_MIRROR, self.path)
        wait_for(lambda: lab.run("srv", "ss", "-lun").stdout.count(":700") == 4, 10)

    def ask(self, *sockets, servers=MIRRORS[:1]):
        out = self.lab.run("sub", "/usr/bin/python3", "-c", ASK, json.dumps(servers), *sockets, timeout=120).stdout
        return json.loads(out.splitlines()[-1])

    def send(self, ends):
        path = os.path.join(self.lab.work, "ends")
        with open(path, "w") as f:
            f.writelines(f"{a} {p}\n" for a, p in ends)
        return self.lab.run("sub", "/usr/bin/python3", "-c", SENDER, path, timeout=300)

    def seen(self):
        with open(self.path) as f:
            return [line.split() for line in f if line.count(" ") == 2][self.skip:]

    def forget(self):
        """What was seen before a cold start without hold-down proves nothing about what comes after it."""
        time.sleep(0.5)
        self.skip += len(self.seen())

    def owners(self):
        """Public (address, port) -> the inside ends that were seen behind it."""
        owners = {}
        for address, port, who in self.seen():
            owners.setdefault((address, port), set()).add(who.lstrip("-"))
        return owners


def verdicts(lab):
    return {name: n for name, n in lab.status()["verdicts"].items() if n}


def verdicts_add_up(lab):
    """Each packet that was received or handed in has ended in one verdict."""
    def settled():
        status = lab.status()
        return sum(status["verdicts"].values()) == status["received"] + status["handed_in"]
    return wait_for(settled, 5, 0.2)


def unique(report, world, name):
    twice = {k: v for k, v in world.owners().items() if len(v) > 1}
    report.check(f"{name}: no public address and port given twice", not twice, dict(list(twice.items())[:3]) or
                 f"{len(world.owners())} seen by the server")


def advance(lab, seconds):
    subprocess.run([os.path.join(lab.build, "tests/lab/advance"), lab.name, str(seconds)], check=True)


def mapping(report, lab, world):
    a, b = world.ask("100.64.0.2:5000", "100.64.0.3:5000", servers=MIRRORS)
    report.check("two subscribers, one inside port", None not in a + b and a[0] != b[0], (a[0], b[0]))
    report.check("endpoint-independent mapping", len(set(a)) == 1 and len(set(b)) == 1, (a, b))
    ends = world.ask(*[f"100.64.0.2:{p}" for p in range(6000, 6040)])
    report.check("paired address", len({e[0].split()[0] for e in ends if e[0]}) == 1)
    same = world.ask("100.64.0.2:5000")
    report.check("the mapping is kept", same[0][0] == a[0], (same, a[0]))
    pings = [lab.start("sub", "ping", "-I", f"100.64.0.{h}", "-e", "4242", "-c", "3", "-i", "0.2", "-W", "2",
                       "192.0.2.10") for h in (2, 3)]
    report.check("two pings with one identifier", all(p.wait(20) == 0 for p in pings))


def subscriber_shards(lab):
    out = lab.cli("subscribers", "-o", "json").stdout
    return {s["address"]: s["shard"] for s in map(json.loads, out.splitlines())}


def hairpin(report, lab, world):
    world.ask(*[f"100.64.0.{h}:5555" for h in (2, 3, 4, 5)])
    shards = subscriber_shards(lab)
    first = "100.64.0.2"
    other = next((f"100.64.0.{h}" for h in (3, 4, 5) if shards.get(f"100.64.0.{h}") != shards.get(first)), None)
    if not report.check("subscribers of different shards", other, shards):
        return
    public = world.ask(f"{first}:5600")[0][0]
    waiter_out = os.path.join(lab.work, "waiter")
    with open(waiter_out, "w") as out:
        waiter = lab.python("sub", WAITER, first, "5600", stdout=out)
        address, port = public.split()
        answer = world.ask(f"{other}:5601", servers=[[address, int(port)]])[0][0]
        mine = world.ask(f"{other}:5601")[0][0]
        waiter.kill()
    with open(waiter_out) as f:
        peers = set(f.read().splitlines())
    report.check("hairpin: the answer comes back", answer == mine, (answer, mine))
    report.check("hairpin: the receiver sees the sender's public end", peers == {mine}, peers)
    theirs = [f for f in lab.flows("-p", "udp") if address in json.dumps(f) and "5600" in json.dumps(f)]
    report.check("hairpin: two flows", len(theirs) >= 2, len(theirs))


def errors(report, lab):
    refused = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 0)); s.connect((sys.argv[2], int(sys.argv[3]))); s.settimeout(1)
for i in range(4):
    try: s.send(b"x"); s.recv(10)
    except ConnectionRefusedError: print("refused"); break
    except socket.timeout: pass
"""
    out = lab.run("sub", "/usr/bin/python3", "-c", refused, "100.64.0.2", "192.0.2.10", "9999").stdout
    report.check("ICMP error from outside", "refused" in out, out.strip())
    public = lab.world.ask("100.64.0.4:5900")[0][0].split()
    out = lab.run("srv", "/usr/bin/python3", "-c", refused, "192.0.2.11", public[0], public[1]).stdout
    report.check("ICMP error from inside", "refused" in out, out.strip())
    out = lab.run("sub", "ping", "-M", "do", "-s", "1472", "-c", "1", "-W", "1", "192.0.2.10").stdout
    report.check("too big with DF: fragmentation needed", re.search(r"mtu ?= ?1400", out), out.strip().splitlines()[1:2])
    out = lab.run("sub", "ping", "-t", "1", "-c", "1", "-W", "1", "192.0.2.10").stdout
    report.check("time exceeded from the node", "From 100.64.0.1" in out and "exceeded" in out.lower(),
                 out.strip().splitlines()[1:2])


def expiry(report, lab):
    before = len(lab.flows())
    advance(lab, 601)
    live = lambda: sum(shard["flows"] for shard in lab.status()["shards"])
    gone = wait_for(lambda: not lab.flows() and live() == 0, 15, 0.3)
    report.check("flows expire", before > 0 and gone, f"{before} flows, then {live()}")
    held = [s for s in map(json.loads, lab.cli("subscribers", "-o", "json").stdout.splitlines())]
    report.check("blocks stay while ports are held", held, len(held))
    advance(lab, 121)
    empty = wait_for(lambda: not lab.cli("subscribers", "-o", "json").stdout.strip(), 15, 0.3)
    report.check("after hold-down blocks and subscribers go", empty)


def second_block(report, lab, world):
    answers = world.ask(*[f"100.64.0.5:{p}" for p in range(10000, 10100)])
    good = [a[0] for a in answers if a[0]]
    report.check("100 sockets through blocks of 64", len(set(good)) == 100, len(set(good)))
    report.check("from one address", len({g.split()[0] for g in good}) == 1)
    subs = [s for s in map(json.loads, lab.cli("subscribers", "-o", "json").stdout.splitlines())
            if s["address"] == "100.64.0.5"]
    report.check("two blocks", subs and len(subs[0]["blocks"]) == 2, subs)


def unequal(report, lab, world):
    """200 lognormal subscribers fill the table to 95 % before anybody is refused."""
    rng = random.Random(SEED)
    report.say(f"seed {SEED}")
    capacity = next(t["records"] for t in lab.status()["tables"] if t["name"] == "flows")
    configured = 20000
    weights = [math.exp(rng.gauss(0, 1.2)) for _ in range(200)]
    ends = []
    for i, w in enumerate(weights):
        n = max(1, round(w / sum(weights) * configured * 1.15))
        ends += [(f"100.65.{i // 100}.{i % 100 + 1}", 1024 + p) for p in range(n)]
    rng.shuffle(ends)
    target = configured * 95 // 100
    world.send(ends[:target])
    done = wait_for(lambda: int(lab.cli("flows", "-C").stdout or 0) >= target, 10, 0.3)
    v = verdicts(lab)
    refused = {k: n for k, n in v.items() if n and k in ("table-full", "no-port", "quota-ports", "quota-flows", "audit-full")}
    report.check(f"{target} of {configured} flows of 200 unequal subscribers, none refused", done and not refused,
                 (lab.cli("flows", "-C").stdout.strip(), refused, f"largest {max(weights) / sum(weights):.0%}"))
    world.send(ends[target:])
    full = wait_for(lambda: verdicts(lab).get("table-full", 0) > 0, 10, 0.3)
    report.check("then the table is full, and says so", full, f"capacity {capacity}")
    clean = lab.check_clean()
    report.check("shardnat check on the full table", *clean)


def guarded(report, lab):
    """What comes in where no XDP program is: the kernel of the node's namespace forwards, the outside interface does not send."""
    outside = lab.capture_untranslated()
    lab.remake_inside()
    lab.run("sub", "ping", "-c", "5", "-i", "0.2", "-W", "1", "192.0.2.10")
    report.check("nothing untranslated by an inside interface made anew", not (seen := outside()), seen[:3])
    report.check("shardnatd tells of it", "interface gi is gone" in lab.messages() or lab.verbose)
    lab.run("sub", "ip", "addr", "add", "203.0.113.9/32", "dev", "gs")
    capture = lab.start("core", "tcpdump", "-c", "1", "-n", "-i", "gc", "src", "203.0.113.9")
    wait_for(lambda: False, 1)
    lab.run("sub", "ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", "203.0.113.9", "192.0.2.10")
    report.check("nothing with a pool's source that a subscriber made up", capture.poll() is None)


def main():
    args, report = arguments(), Report("nat")
    with Lab("tnat", args.build, queues=2, verbose=args.verbose) as lab:
        for end in ("cgn", "go"), ("core", "gc"):
            lab.run(end[0], "ip", "link", "set", end[1], "mtu", "1400")
        lab.up()
        lab.world = world = World(lab)
        outside = lab.capture_untranslated()
        mapping(report, lab, world)
        hairpin(report, lab, world)
        errors(report, lab)
        unique(report, world, "mapping")
        report.check("shardnat check", *lab.check_clean())
        report.check("verdicts add up", verdicts_add_up(lab), verdicts(lab))
        expiry(report, lab)
        report.check("shardnat check when empty", *lab.check_clean())
        report.check("nothing untranslated outside", not (seen := outside()), seen[:3])
        report.check("SIGTERM ends it", lab.stop() == 0)
        world.forget()

        lab.up(flows=20000, limits={"blocks": 256}, pools=[
            {"name": "public", "addresses": ["203.0.113.0/28"], "block_size": 64}])
        second_block(report, lab, world)
        unequal(report, lab, world)
        unique(report, world, "all")
        guarded(report, lab)
        report.check("SIGTERM ends it again", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
