"""Normalises what both gateways said about scenarios, and finds the first difference."""
import re
from collections import defaultdict

LINE = re.compile(r"^(?:\s*\[(\w+)\] )?(\w+) +(\d+) (?:(\d+) )?(.*)$")
# In the reply tuple: what the server answers to.
PUBLIC = re.compile(r"(dst=203\.0\.113\.1 (?:sport=\d+ dport=|type=\d+ code=\d+ id=))(\d+)")
SERVER = re.compile(r"src=(100\.\S+) dst=(198\.1[89]\.\S+)")
# Of no meaning to a flow, or of the process that deleted it.
USE = re.compile(r" ?(?:use=\d+|mark=0|portid=\d+|progname=\S+)")
TOLERANCE_S = 3


def index_of(address):
    _, b, c, d = map(int, address.split("."))
    return ((b - 18 << 16 | c << 8 | d) >> 2) - 1


class Line:
    """One event or entry: its words without the public port, and its timeout apart."""

    def __init__(self, kind, timeout, words, text):
        self.kind, self.timeout, self.words, self.text = kind, timeout, words, text

    def same(self, other, tolerance_s):
        if (self.kind, self.words) != (other.kind, other.words):
            return False
        if self.timeout is None or other.timeout is None:
            return self.timeout is other.timeout
        return abs(self.timeout - other.timeout) <= tolerance_s


def parse(text, ports):
    """(index, tuple, Line), or None for what is of no scenario. ports: {(index, public port)} that were seen."""
    m = LINE.match(text)
    where = SERVER.search(text)
    if not m or not where:
        return None
    kind, proto, number, timeout, rest = m.groups()
    index = index_of(where.group(2))

    def name_port(found):
        return found.group(1) + ("P" if (index, found.group(2)) in ports else found.group(2))

    words = f"{proto} {number} " + USE.sub("", PUBLIC.sub(name_port, rest)).strip()
    original = re.split(r" (?:packets=|\[UNREPLIED\]|src=)", rest[rest.index("src="):])[0]
    return index, f"{proto} {original}", Line(kind, int(timeout) if timeout else None, words, text.strip())


def by_tuple(lines, ports):
    """{index: {original tuple: [Line]}}"""
    found = defaultdict(lambda: defaultdict(list))
    for text in lines:
        parsed = parse(text, ports)
        if parsed:
            found[parsed[0]][parsed[1]].append(parsed[2])
    return found


def side_by_side(title, kernel, node):
    """Two lists of text, a line each, with a mark at the first that differ."""
    out, marked = [title], False
    for i in range(max(len(kernel), len(node))):
        k = kernel[i] if i < len(kernel) else "-"
        n = node[i] if i < len(node) else "-"
        if k == n:
            out.append(f"    both    {k}")
            continue
        mark, marked = " " if marked else "!", True
        out += [f"  {mark} kernel  {k}", f"  {mark} node    {n}"]
    return "\n".join(out)


def lines_difference(title, kernel, node, between_s=0):
    """None if two {tuple: [Line]} tell the same story; they were taken so many seconds apart at most."""
    for original in sorted(set(kernel) | set(node)):
        k, n = kernel.get(original, []), node.get(original, [])
        same = [a.same(b, TOLERANCE_S + between_s) for a, b in zip(k, n)]
        if len(k) == len(n) and all(same):
            continue
        texts = [[a.text for a in k], [b.text for b in n]]
        for i, equal in enumerate(same):
            if equal:
                texts[1][i] = texts[0][i]
        return side_by_side(f"{title} of {original}", *texts)
    return None


class Played:
    """What the player printed: packets by scenario, and the public ports."""

    def __init__(self, output, indexes):
        self.packets = [defaultdict(list), defaultdict(list)]
        self.ports = [set(), set()]
        for line in output.splitlines():
            name, who, rest = line.split(" ", 2)
            if rest.startswith("map "):
                self.ports["kn".index(who)].add((indexes[name], rest[4:]))
            else:
                self.packets["kn".index(who)][name].append(rest)

    def difference(self, name):
        # Of one step, what goes to the client and what to the server have no order.
        k, n = (sorted(self.packets[i][name], key=lambda text: (int(text.split(" ", 1)[0]), text)) for i in range(2))
        title = "packets (step's line, > to the server, < to the client)"
        return None if k == n else side_by_side(title, k, n)
