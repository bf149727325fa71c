"""A TUN device as outside interface, AF_XDP or a packet socket inside: the node hands translated packets to the kernel through
the device, which forwards them, and gets what is for the pool through it. Ping, a download whose checksum is right, kills of
workers, nothing untranslated outside.

    sub -- gi [node] gt (TUN) -- kernel of the node -- go -- core -- srv
"""
import hashlib
import os
import signal
import time

from lab import Lab, Report, arguments, wait_for

SIZE = 20 << 20

SERVER = """
import socket, sys, time
data = open(sys.argv[1], "rb").read()
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("192.0.2.10", 8000)); l.listen(5)
while True:
    c, _ = l.accept()
    try:
        for i in range(0, len(data), 1 << 18):
            c.sendall(data[i:i + (1 << 18)]); time.sleep(0.03)
    except OSError: pass
    c.close()
"""

CLIENT = """
import socket, hashlib
s = socket.create_connection(("192.0.2.10", 8000), source_address=("100.64.0.2", 0))
h, n = hashlib.sha256(), 0
while (b := s.recv(1 << 16)): h.update(b); n += len(b)
print(n, h.hexdigest(), flush=True)
"""

# The node's default route leads into the device, what comes out of it goes on by a table of its own.
WORLD = (
    "tuntap add dev gt mode tun multi_queue", "link set gt up", "addr add 198.18.0.1 peer 198.18.0.2 dev gt",
    "route replace default via 198.18.0.2 dev gt", "route add 203.0.113.0/24 via 198.18.0.2 dev gt",
    "route add default via 198.51.100.2 dev go table 200", "rule add iif gt lookup 200",
    "route add 203.0.113.0/24 via 198.18.0.2 dev gt table 200",
)


def run(report, lab, io, sha):
    lab.up(io=io, outside=[{"interface": "gt"}])
    ping = lab.run("sub", "ping", "-c", "3", "-i", "0.2", "-W", "2", "192.0.2.10")
    report.check(f"{io}: ping", ping.returncode == 0, ping.stdout.splitlines()[-1:])
    out = open(os.path.join(lab.work, "client.out"), "w")
    client = lab.python("sub", CLIENT, stdout=out, stderr=out)
    time.sleep(0.5)
    for n in range(4):
        pids = sorted(lab.pids("worker"))
        os.kill(pids[n % len(pids)], signal.SIGKILL)
        wait_for(lambda: len(set(lab.pids("worker")) - {pids[n % len(pids)]}) == len(pids), 10)
        time.sleep(0.2)
    report.check(f"{io}: a download ends, over four kills", wait_for(lambda: client.poll() is not None, 60))
    with open(out.name) as f:
        got = f.read().split()
    report.check(f"{io}: its checksum is right", got[-1:] == [sha], got)
    sockets = [(p["interface"], p["kind"]) for w in lab.status()["workers"] for p in w["sockets"]]
    report.check(f"{io}: each worker has a queue of the device", sockets.count(("gt", "tun")) == 2, sockets)
    ok, text = lab.check_clean()
    report.check(f"{io}: shardnat check", ok, text)
    report.check(f"{io}: SIGTERM ends it", lab.stop() == 0)


def main():
    args, report = arguments(), Report("tun")
    with Lab("ttun", args.build, queues=2, verbose=args.verbose) as lab:
        path = os.path.join(lab.work, "file")
        data = os.urandom(SIZE)
        with open(path, "wb") as f:
            f.write(data)
        sha = hashlib.sha256(data).hexdigest()
        for command in WORLD:
            lab.run("cgn", "ip", *command.split())
        lab.run("cgn", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.gt.rp_filter=0",
                "net.ipv4.conf.go.rp_filter=0")
        outside = lab.capture_untranslated()
        lab.python("srv", SERVER, path)
        for io in ("uring", "xsk"):
            run(report, lab, io, sha)
        lines = outside()
        report.check("nothing untranslated outside", not lines, lines[:3])
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
