"""What an idle node costs, two workers, no traffic, is printed (the aim: 0.5 % of a core for all its processes together). How
long the first packet after idle takes through the node is printed: from the subscriber's link to the outside link, by the
kernel's time stamps, so that the two links' own time is in it; beside it the same for packets that follow at once.
"""
import os
import statistics
import time

from lab import Lab, Report, arguments, wait_for

SECONDS = 10
FIRST = 12

SENDER = """
import socket, time, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("100.64.0.2", 5000))
for n in range(int(sys.argv[1])):
    time.sleep(1.2)
    for burst in range(3):
        s.sendto(f"{n}.{burst} ".encode() + b"x" * 20, ("192.0.2.10", 9999)); time.sleep(0.00005)
"""


def cpu_ns(pids):
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


def idle(report, lab, io):
    time.sleep(2)
    pids = {role: lab.pids(role) for role in ("worker", "ctrl", "api", "shardnatd")}
    before = {role: cpu_ns(p) for role, p in pids.items()}
    time.sleep(SECONDS)
    share = {role: 100 * (cpu_ns(p) - before[role]) / (SECONDS * 1e9) for role, p in pids.items()}
    report.say(f"{io}: an idle node's share of a core: {sum(share.values()):.2f} % (" +
               " ".join(f"{role} {value:.3f}" for role, value in share.items()) + ")")


def capture(lab, where, device):
    path = os.path.join(lab.work, device)
    return lab.start(where, "tcpdump", "-l", "-n", "-tt", "--nano", "-i", device, "udp and dst port 9999",
                     stdout=open(path, "w")), path


def stamps(path):
    with open(path) as f:
        return [float(line.split()[0]) for line in f if " IP " in line]


def first_packets(report, lab, io):
    dumps = [capture(lab, "sub", "gs"), capture(lab, "core", "gc")]
    time.sleep(1)
    lab.python("sub", SENDER, str(FIRST)).wait()
    wait_for(lambda: len(stamps(dumps[1][1])) >= 3 * FIRST, 5)
    sent, seen = stamps(dumps[0][1]), stamps(dumps[1][1])
    for child, _ in dumps:
        child.terminate()
        child.wait()
    ok = report.check(f"{io}: all packets go through", len(sent) == len(seen) == 3 * FIRST, (len(sent), len(seen)))
    if not ok:
        return
    us = [1e6 * (b - a) for a, b in zip(sent, seen)]
    first, later = us[3::3], us[5::3]  # the very first one waits for the neighbour
    report.say(f"{io}: first packet after 1.2 s of idle, us: median {statistics.median(first):.0f}, "
               f"worst {max(first):.0f}; the third of each burst: median {statistics.median(later):.0f}, worst {max(later):.0f}")


def main():
    args, report = arguments(), Report("idle")
    with Lab("tidle", args.build, queues=2, verbose=args.verbose) as lab:
        for io in ("xsk", "uring"):
            lab.up(io=io)
            idle(report, lab, io)
            first_packets(report, lab, io)
            report.check(f"{io}: SIGTERM ends it", lab.stop() == 0)
    report.end()


main()
