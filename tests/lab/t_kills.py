"""Any process can be killed at any instruction: while a download runs, worker, control, API and supervisor are killed
with SIGKILL ten times each. The download's checksum is right, the invariants hold, frames are conserved, nothing untranslated
is seen outside. The outage of each kill is printed: the longest silence of a UDP echo probe that sends every 5 ms.
"""
import hashlib
import os
import signal
import statistics
import time

from lab import Lab, Report, arguments, wait_for

ROUNDS = 10
SIZE = 100 << 20
FRAMES = 8192

PROBE_SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("192.0.2.11", 7))
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data, peer)
"""

# Writes the arrival time of every echo, one per line.
PROBE = """
import socket, sys, time, select
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("100.64.0.3", 4000)); s.setblocking(False)
out = open(sys.argv[1], "w", buffering=1)
while True:
    try: s.sendto(b"probe", ("192.0.2.11", 7))
    except OSError: pass
    end = time.monotonic() + 0.005
    while (left := end - time.monotonic()) > 0:
        if select.select([s], [], [], left)[0]:
            try: s.recv(2000)
            except OSError: continue
            out.write(f"{time.monotonic():.4f}\\n")
"""

SERVER = """
import socket, sys, time
data = open(sys.argv[1], "rb").read()
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("192.0.2.10", 8000)); l.listen(5)
while True:
    c, _ = l.accept()
    # Slow enough to last as long as the kills, fast enough that packets are always under way.
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


def silence(path, since):
    """The longest gap between echoes after a moment, in ms; None if there is none yet after it."""
    with open(path) as f:
        times = [float(t) for t in f.read().split()]
    times = [t for t in times if t > since - 0.1]
    gaps = [b - a for a, b in zip(times, times[1:])]
    return 1000 * max(gaps) if gaps else None


def frames_conserved(status):
    """At each take-over the kernel's rings owed what the states of the frames said, and those add up to all of them."""
    return all(sum(w["frames"].values()) == FRAMES and w["counters"]["astray"] == 0 for w in status["workers"])


def kill(lab, role, n):
    pids = sorted(lab.pids(role))
    pid = pids[n % len(pids)]
    os.kill(pid, signal.SIGKILL)
    if role == "shardnatd":
        lab.node.wait()
        lab.spawn(os.path.join(lab.work, "node.yaml"))
    return pid


def main():
    args, report = arguments(), Report("kills")
    with Lab("tkill", args.build, queues=2, verbose=args.verbose) as lab:
        path, echoes = os.path.join(lab.work, "file"), os.path.join(lab.work, "echoes")
        data = os.urandom(SIZE)
        with open(path, "wb") as f:
            f.write(data)
        lab.up(frames=FRAMES)
        outside = lab.capture_untranslated()
        lab.python("srv", PROBE_SERVER)
        lab.python("srv", SERVER, path, "0.15")
        time.sleep(0.5)
        lab.python("sub", PROBE, echoes)
        out = open(os.path.join(lab.work, "client.out"), "w")
        client = lab.python("sub", CLIENT, stdout=out, stderr=out)
        report.check("probe answers", wait_for(lambda: os.path.exists(echoes) and os.path.getsize(echoes) > 100, 10))
        for role in ("worker", "ctrl", "api", "shardnatd"):
            outages = []
            for n in range(ROUNDS):
                before = set(lab.pids(role))
                moment = time.monotonic()
                dead = kill(lab, role, n)
                wait_for(lambda: set(lab.pids(role)) - before and lab.cli("status").returncode == 0, 20)
                time.sleep(0.3)
                outages.append(silence(echoes, moment) or float("inf"))
                ok = set(lab.pids(role)) - before and dead not in lab.pids(role)
                if not ok:
                    report.check(f"{role} {n + 1}: restarted", False, lab.messages()[-2000:])
            report.check(f"{role}: the download was under way all the time", client.poll() is None)
            report.say(f"{role}: outage of each kill, ms: " + " ".join(f"{o:.0f}" for o in outages) +
                       f"  (median {statistics.median(outages):.0f})")
            report.check(f"{role}: the probe goes on after each of {ROUNDS} kills", all(o < 10000 for o in outages))
            ok, text = lab.check_clean()
            report.check(f"{role}: shardnat check", ok, text)
            status = lab.status()
            report.check(f"{role}: frames conserved", frames_conserved(status),
                         [(w["frames"], w["counters"]["recovered"], w["counters"]["astray"]) for w in status["workers"]])
        report.check("the download ends", wait_for(lambda: client.poll() is not None, 240) and client.returncode == 0)
        with open(os.path.join(lab.work, "client.out")) as f:
            got = f.read().split()
        report.check("its checksum is right", got[-1:] == [hashlib.sha256(data).hexdigest()], got)
        lines = outside()
        report.check("nothing untranslated outside", not lines, lines[:3])
        report.check("SIGTERM ends it", lab.stop() == 0)
        report.check("nothing left behind", not lab.leftovers(), lab.leftovers())
    report.end()


main()
