"""The node over packet sockets with io_uring: a download whose checksum is right while workers are killed, everything from
outside translated, nothing untranslated seen outside, also while no worker lives; the tc drop is there while the node runs and
gone with it; without clsact the node refuses to start; a sender that leaves its checksums and segmentation to hardware is not
forwarded wrong.
"""
import hashlib
import os
import signal
import subprocess
import time

from lab import Lab, Report, arguments, wait_for

SIZE = 40 << 20
KILLS = 6

SERVER = """
import socket, sys, time
data = open(sys.argv[1], "rb").read()
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("192.0.2.10", 8000)); l.listen(5)
while True:
    c, _ = l.accept()
    try:
        step = 1 << 18
        for i in range(0, len(data), step):
            c.sendall(data[i:i + step]); time.sleep(float(sys.argv[2]))
    except OSError: pass
    c.close()
"""

CLIENT = """
import socket, sys, hashlib
s = socket.create_connection(("192.0.2.10", 8000), source_address=("100.64.0.2", 0))
h, n = hashlib.sha256(), 0
while (b := s.recv(1 << 16)): h.update(b); n += len(b)
print(n, h.hexdigest(), flush=True)
"""

# Packets to outside, from many ports, for some seconds.
SPRAY = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("100.64.0.3", 0))
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    s.sendto(b"x" * 64, ("192.0.2.10", 9)); time.sleep(0.001)
"""


def tc(lab, device):
    out = lab.run("cgn", "tc", "filter", "show", "dev", device, "ingress").stdout
    return "hold" in out


def has_qdisc(lab, device):
    return "clsact" in lab.run("cgn", "tc", "qdisc", "show", "dev", device).stdout


def download(lab, sha):
    out = lab.run("sub", "/usr/bin/python3", "-c", CLIENT, timeout=120).stdout.split()
    return out[-1:] == [sha], out


def kills(report, lab, sha):
    path = os.path.join(lab.work, "client.out")
    out = open(path, "w")
    client = lab.python("sub", CLIENT, stdout=out, stderr=out)
    time.sleep(0.5)
    under_way = 0
    for n in range(KILLS):
        under_way += client.poll() is None
        pids = sorted(lab.pids("worker"))
        os.kill(pids[n % len(pids)], signal.SIGKILL)
        wait_for(lambda: len(set(lab.pids("worker")) - {pids[n % len(pids)]}) == len(pids), 10)
        time.sleep(0.3)
    report.check("kill: a download was under way at half of the kills or more", under_way >= KILLS // 2, under_way)
    report.check("kill: the download ends", wait_for(lambda: client.poll() is not None, 120))
    with open(path) as f:
        got = f.read().split()
    report.check("kill: its checksum is right", got[-1:] == [sha], got)
    ok, text = lab.check_clean()
    report.check("kill: shardnat check", ok, text)
    status = lab.status()
    report.check("kill: frames conserved", all(w["counters"]["astray"] == 0 for w in status["workers"]),
                 [w["frames"] for w in status["workers"]])


def without_workers(report, lab):
    """All workers stopped, then all dead with the supervisor: what they would take is dropped, not forwarded."""
    for pid in lab.pids("worker"):
        os.kill(pid, signal.SIGSTOP)
    lab.python("sub", SPRAY, "1").wait()
    for pid in lab.pids("worker"):
        os.kill(pid, signal.SIGCONT)
    lab.kill_all()
    lab.python("sub", SPRAY, "1").wait()
    report.check("dead node: the tc drop stays", tc(lab, "gi") and tc(lab, "go"))
    lab.spawn(os.path.join(lab.work, "node.yaml"))
    report.check("dead node: a new one takes up the region", wait_for(lab.ready, 30))
    report.check("dead node: and forwards", wait_for(
        lambda: lab.run("sub", "ping", "-c", "1", "-W", "1", "192.0.2.10").returncode == 0, 10))


def offloads(report, lab, sha, io):
    """The subscriber's side leaves checksums and segmentation to hardware that is not there."""
    lab.run("sub", "ethtool", "-K", "gs", "tx", "on", "tso", "off", "gso", "off")
    ok, out = download(lab, sha)
    report.check(f"{io}: a peer with partial checksums: checksum of the download is right", ok, out)
    report.check(f"{io}: they were completed", wait_for(
        lambda: sum(p["counters"]["completed"] for w in lab.status()["workers"] for p in w["sockets"]) > 0, 5))
    lab.run("sub", "ethtool", "-K", "gs", "tx", "off")


def features(lab):
    out = lab.run("cgn", "ethtool", "-k", "gi").stdout
    return {name: f"{name}: on" in out for name in ("tx-checksumming", "generic-receive-offload", "generic-segmentation-offload")}


def refusal(report, lab):
    """The drop cannot be had while a filter of another kind sits in its place."""
    lab.run("cgn", "tc", "qdisc", "add", "dev", "gi", "clsact")
    lab.run("cgn", "tc", "filter", "add", "dev", "gi", "ingress", "prio", "1", "protocol", "all", "u32", "match", "u32",
            "0", "0")
    node = subprocess.run(lab.ns("cgn", lab.shardnatd, "-c", lab.config(io="uring")), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    report.check("without clsact: refuses to start", node.returncode == 1, node.stdout.strip().splitlines()[-1:])
    report.check("without clsact: says why", "clsact" in node.stdout and "untranslated" in node.stdout)
    report.check("without clsact: nothing left behind", not lab.leftovers(), lab.leftovers())
    lab.run("cgn", "tc", "qdisc", "del", "dev", "gi", "clsact")


def main():
    args, report = arguments(), Report("uring")
    with Lab("turing", args.build, queues=2, verbose=args.verbose) as lab:
        path = os.path.join(lab.work, "file")
        data = os.urandom(SIZE)
        with open(path, "wb") as f:
            f.write(data)
        sha = hashlib.sha256(data).hexdigest()
        outside = lab.capture_untranslated()
        lab.python("srv", SERVER, path, "0.05")
        lab.run("cgn", "ethtool", "-K", "gi", "tx", "on", "gso", "on", "gro", "on")
        before = features(lab)
        lab.up(io="uring")
        report.check("offloads are switched off, and said", all(before.values()) and not any(features(lab).values()) and
                     "gi: tx checksums, GSO, GRO switched off" in lab.messages(), features(lab))
        report.check("the tc drop is there", tc(lab, "gi") and tc(lab, "go"))
        report.check("no XDP program is", "xdp" not in lab.run("cgn", "ip", "link", "show", "gi").stdout)
        ping = lab.run("sub", "ping", "-c", "3", "-i", "0.2", "-W", "2", "192.0.2.10")
        report.check("ping", ping.returncode == 0, ping.stdout.splitlines()[-1:])
        report.check("the node itself is reached", lab.run("sub", "ping", "-c", "1", "-W", "2", "100.64.0.1").returncode == 0)
        ok, out = download(lab, sha)
        report.check("download", ok, out)
        offloads(report, lab, sha, "uring")
        kills(report, lab, sha)
        without_workers(report, lab)
        lines = outside()
        report.check("nothing untranslated outside", not lines, lines[:3])
        report.check("SIGTERM ends it", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers() and not has_qdisc(lab, "gi") and not has_qdisc(lab, "go"),
                     lab.leftovers())
        report.check("offloads are on again", features(lab) == before, features(lab))
        refusal(report, lab)
        lab.up(io="xsk")
        offloads(report, lab, sha, "xsk")
        report.check("xsk: SIGTERM ends it", lab.stop() == 0)
    report.end()


main()
