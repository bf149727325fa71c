"""Measuring: the traffic program, processor time, and the search for the highest rate without loss."""
import contextlib
import os
import subprocess

LOSS = 0.001  # RFC 2544 asks for none; at most so much
TICK_NS = 1e9 / os.sysconf("SC_CLK_TCK")


class Trial:
    """What one run of the generator showed."""

    def __init__(self, words, cpu, workers_ns):
        self.sent, self.ns, self.seen = int(words["sent"]), int(words["ns"]), int(words["seen"])
        self.bytes, self.p50_ns, self.p99_ns = int(words["bytes"]), int(words["p50"]), int(words["p99"])
        self.cpu, self.workers_ns, self.ran_ns = cpu, workers_ns, int(words["ran"])
        self.offered = self.sent * 1e9 / self.ns
        self.received = self.seen * 1e9 / self.ns
        self.loss = 1 - self.seen / self.sent if self.sent else 1.0

    @property
    def clean(self):
        return self.loss <= LOSS


def processor_time(t, base, queues):
    """
    Of a trial, in ns per packet: (processes, softirqs) of the gateway. base is a trial at the same rate without one:
    what generator and sink take is in both. What a process ran has the softirqs in it that ran on top of it. With one queue
    the generator fills core 0, and the workers are alone on core 1; with two, the generators' time tells what ran on top.
    """
    softirqs, sink = (sum(softirq for _, softirq in each.cpu) * TICK_NS / each.seen for each in (t, base))
    if queues == 1:
        processes = (t.workers_ns - t.cpu[1][1] * TICK_NS) / t.seen
    else:
        processes = (t.workers_ns + t.ran_ns) / t.seen - base.ran_ns / base.seen - (softirqs - sink)
    return max(processes, 0.0), max(softirqs - sink, 0.0)


def cpu_ticks():
    """Per CPU: (processes, softirqs) since boot, in ticks. Time in interrupts is the processes'."""
    ticks = []
    with open("/proc/stat") as f:
        for line in f:
            if line.startswith("cpu") and line[3].isdigit():
                user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
                ticks.append((user + nice + system + irq, softirq))
    return ticks


def put_ahead(pid):
    """The scheduler shares the cores between sessions first (autogroup): the session of pid comes before others. What it had before."""
    path = f"/proc/{pid}/autogroup"
    if not os.path.exists(path):
        return None
    with open(path) as f:
        before = f.read().split()[-1]
    with open(path, "w") as f:
        f.write("-20")
    return before


@contextlib.contextmanager
def ahead_of_others():
    """Our own session, for as long as this lasts."""
    before = put_ahead("self")
    try:
        yield
    finally:
        if before is not None:
            with open("/proc/self/autogroup", "w") as f:
                f.write(before)


class Traffic:
    """The program bench/wire/traffic.c, one for the whole benchmark."""

    def __init__(self, program):
        self.child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def ask(self, *words):
        self.child.stdin.write(" ".join(map(str, words)) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise RuntimeError(f"wire-traffic: {' '.join(map(str, words))}: {' '.join(answer[1:]) or 'it ended'}")
        return dict(zip(answer[1::2], answer[2::2]))

    def send(self, gateway, load, rate, ms, stamp=False):
        """One trial. One generator keeps core 0; two share the cores with the gateway, and sleep between batches."""
        pace, batch = ("spin", 32) if gateway.queues == 1 else ("sleep", 64)
        if stamp:
            batch = 8
        generators = [word for cpu in range(gateway.queues) for word in (cpu, gateway.in_port, gateway.in_mac)]
        before, ran_ns = cpu_ticks(), gateway.runtime_ns()
        words = self.ask("send", gateway.in_ns, pace, load.kind, load.flows, batch, max(int(rate), 1000), ms,
                         15 if stamp else 0xffffffff, *generators)
        return Trial(words, [(a - c, b - d) for (a, b), (c, d) in zip(cpu_ticks(), before)],
                     gateway.runtime_ns() - ran_ns)


def trial(traffic, gateway, load, rate, ms):
    """A trial; one that lost a little is tried once more, because this machine may have been busy elsewhere."""
    t = traffic.send(gateway, load, rate, ms)
    if not t.clean and t.loss < 0.05:
        t = traffic.send(gateway, load, rate, ms)
    return t


def highest(send, guess, precision, trials_max=12):
    """
    The trial with the highest rate without loss. send(rate) -> Trial. A generator that cannot keep up (it shares its
    core with the gateway) shows the ceiling just as well: what it offered all came.
    """
    low, high, best, rate = 0.0, None, None, guess
    for _ in range(trials_max):
        t = send(rate)
        if t.clean:
            if best is None or t.received > best.received:
                best = t
            low = max(low, rate)
            if t.offered < 0.9 * rate:
                high = rate if high is None else min(high, rate)
        else:
            high = rate if high is None else min(high, rate)
        if high is None:
            rate = low * 1.4
        elif high - low <= precision * high:
            break
        elif best is None and t.received < 0.95 * high:
            rate = max(0.97 * t.received, 0.4 * high)
        else:
            rate = (low + high) / 2
    return best
