"""Random scenarios: TCP segments from both sides, sensible and senseless, and datagrams; the same for the same seed."""
import random

BEGINNINGS = (
    ["> S{a}", "< SA{b}", "> A"],
    ["> S{a}", "< SA{b}", "> A", "> PA len=100", "< A", "< PA len=1000", "> A"],
    ["> S{a}", "< SA{b}", "> A", "> FA", "< A"],
    ["> S{a}", "< SA{b}", "> A", "> FA", "< FA", "> A"],
    ["> S{a}", "< SA{b}", "> A", "< RA"],
    ["> S{a}", "< SA{b}"],
    ["> S{a}", "< S{b}"],
    ["> S{a}"],
    ["> A len=10"],
    [],
)
OPTIONS = ("", " wscale=7", " sack", " wscale=2 sack", " mss=1460 wscale=14 sack", " mss=1460")
# Without options a SYN begins at most: a second one is the known difference (tcp_syn_again_without_options).
FLAGS = ("S", "S", "SA", "SA", "A", "A", "A", "A", "PA", "A", "A", "FA", "FA", "R", "RA", "SAE", "AU", "FAU")
IMPOSSIBLE = ("none", "SF", "SR", "F", "FSRPAU", "P", "RS", "FR", "U")
WINDOWS = (0, 1, 1000, 64000, 64000, 64000, 65535)
OFFSETS = (-66001, -66000, -64001, -1000, -1, 1, 100, 1000, 63999, 64000, 64001, 128000, 500000, 1 << 31, 1 - (1 << 31))


def edge(rng):
    """An offset that is just inside or just outside what some window, scaled or not, allows."""
    n = rng.choice(WINDOWS) << rng.choice((0, 0, 0, 2, 7, 14))
    return rng.choice((n, -n)) + rng.choice((-2, -1, 0, 1, 2)) - rng.choice((0, 0, rng.randrange(1400)))


def sequence(rng, key, wild):
    if rng.random() > wild:
        return ""
    if rng.random() < 0.15:
        return f" {key}={rng.choice((0, 1, 1, 2, (1 << 32) - 1))}"
    n = rng.choice(OFFSETS) if rng.random() < 0.6 else edge(rng)
    return f" {key}={'-' if n < 0 else '+'}{abs(n)}"


def block(rng):
    first = rng.randrange(1, 3000) * rng.choice((1, 1, 40))
    return rng.choice((f" blk=+{first},+{first + rng.randrange(1, 3000)}", f" blk=-{first},-{first // 2}"))


def segment(rng, wild):
    flags = rng.choice(IMPOSSIBLE) if rng.random() < 0.02 else rng.choice(FLAGS)
    text = f"{rng.choice('><')} {flags}"
    if "A" in flags and "S" not in flags and "R" not in flags and rng.random() < 0.5:
        text += f" len={rng.randrange(1, 1300)}"
    if "S" in flags:
        text += rng.choice(OPTIONS[1:])
        if rng.random() < 0.5:
            text += f" isn={rng.randrange(1 << 32)}"
    text += sequence(rng, "seq", wild) + sequence(rng, "ack", wild)
    if rng.random() < 0.2:
        text += f" win={rng.choice(WINDOWS)}"
    return text + block(rng) if flags in ("A", "PA") and rng.random() < 0.08 else text


def tcp(rng):
    steps = [line.format(a=rng.choice(OPTIONS), b=rng.choice(OPTIONS)) for line in rng.choice(BEGINNINGS)]
    if steps and "S" in steps[0] and rng.random() < 0.3:
        steps[0] += f" isn={rng.choice((0, 1, (1 << 32) - 1, (1 << 32) - 50, rng.randrange(1 << 32)))}"
    wild = rng.choice((0.05, 0.3, 0.6))
    for _ in range(rng.randrange(1, 26)):
        again = len(steps) > 1 and rng.random() < 0.15
        steps.append(steps[-1] if again else segment(rng, wild))
    return steps


def datagrams(rng):
    steps = [f"conn B c={rng.randrange(4)} cp={rng.randrange(1, 9)} sp=53", "conn C s=1"]
    kinds = ("udp len={n}", "udp len={n} sum=zero", "udp len={n}")
    queries = {">": ("echo", "timestamp", "mask", "info", "echo-reply", "echo"),
               "<": ("echo-reply", "timestamp-reply", "mask-reply", "info-reply", "echo", "timestamp")}
    for _ in range(rng.randrange(1, 16)):
        side = rng.choice("><")
        what = rng.choice(kinds).format(n=rng.randrange(0, 1000)) if rng.random() < 0.6 else rng.choice(queries[side])
        if side == ">" and rng.random() < 0.05:
            what += f" ttl={rng.choice((2, 255))}"
        steps.append(f"{rng.choice(('', 'B ', 'C '))}{side} {what}")
    return steps


def scenario(seed, index):
    rng = random.Random(f"{seed}.{index}")
    return tcp(rng) if rng.random() < 0.93 else datagrams(rng)
