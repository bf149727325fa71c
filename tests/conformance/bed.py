"""The test bed of the conformance suite: the lab of lab.py, with hosts on both sides that are nothing but packets.

Beside the lab's own hosts (real sockets, real programs) there are as many crafted ones as a test wants:

    subscribers  100.65.0.0/16    behind the inside link; no kernel answers for them
    peers        198.18.0.0/15    behind the outside link; likewise

One packet socket on the far end of each link sends and sees all. `cross` sends packets and then a marker of a flow of its own;
when the marker arrives, everything before it has been judged, so that "dropped" is seen without waiting.
"""
import contextlib
import ctypes
import json
import os
import re
import select
import socket
import struct
import subprocess
import time

from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw  # noqa: F401 (the modules of the rows take them from here)

from lab import wait_for

CLONE_NEWNET = 0x40000000
MARKER_SUB, MARKER_PEER = "100.65.255.1", "198.19.255.1"
MARKER_PORT = 4040
OUTGOING = 4
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A row that did not see what it must see; the text is what it saw."""


def expect(ok, saw):
    if not ok:
        raise Failed(str(saw))


@contextlib.contextmanager
def inside_namespace(name):
    """Sockets made in the block belong to the namespace, for ever."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{name}") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), CLONE_NEWNET)


class Wire:
    """The far end of one of the node's links."""

    def __init__(self, namespace, device, node_mac):
        with inside_namespace(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            self.socket.bind((device, 0))
        self.head = node_mac + self.socket.getsockname()[4] + b"\x08\x00"
        self.sent = 0

    def send(self, packet):
        self.socket.send(self.head + bytes(packet))
        self.sent += 1

    def take(self, seconds):
        """The next IPv4 packet that arrives, as bytes; None when the time is over."""
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.socket], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            frame, where = self.socket.recvfrom(70000)
            if where[2] != OUTGOING and frame[12:14] == b"\x08\x00":
                return frame[14:14 + struct.unpack("!H", frame[16:18])[0]]

    def drain(self):
        while self.take(0) is not None:
            pass


class Bed:
    def __init__(self, lab):
        self.lab = lab
        for end in ("cgn", "go"), ("core", "gc"):
            lab.run(end[0], "ip", "link", "set", end[1], "mtu", "1400")
        lab.run("sub", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        lab.run("cgn", "ip", "route", "add", "100.65.0.0/16", "via", "100.64.0.2")
        lab.run("core", "ip", "route", "add", "blackhole", "198.18.0.0/15")
        lab.run("core", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.gc.rp_filter=0")
        self.inside = Wire(f"{lab.name}-sub", "gs", self.mac("gi"))
        self.outside = Wire(f"{lab.name}-core", "gc", self.mac("go"))
        self.ports = iter(range(20000, 60000))

    def mac(self, device):
        link = json.loads(self.lab.run("cgn", "ip", "-j", "link", "show", device).stdout)[0]
        return bytes.fromhex(link["address"].replace(":", ""))

    # --- the node ---

    def up(self, **changes):
        """A fresh node; each of the two next hops is resolved before the first row."""
        self.lab.stop()
        self.lab.up(**{"timeouts": {"profile": "rfc"}, **changes})
        expect(wait_for(lambda: self.marker_out() and self.marker_in(), 15, 0.2), "no marker comes through")

    def advance(self, seconds):
        subprocess.run([os.path.join(self.lab.build, "tests/lab/advance"), self.lab.name, str(seconds)], check=True)

    def verdicts(self):
        """Verdict counters once they add up to what was received; None if they do not."""
        def settled():
            status = self.lab.status()
            pieces = sum(w["counters"]["pieces"] for w in status["workers"])
            taken = status["received"] + status["handed_in"] + pieces
            return status["verdicts"] if sum(status["verdicts"].values()) == taken else None
        return wait_for(settled, 15, 0.1)

    def swept(self):
        """Waits until the flows that are over have been removed from the table."""
        def counts():
            shards = self.lab.status()["shards"]
            return sum(s["flows"] for s in shards)
        def listed():
            return int(self.lab.cli("flows", "-C").stdout or 0)
        return wait_for(lambda: counts() == listed(), 15, 0.1)

    # --- packets ---

    def port(self):
        """An inside port that no row had before."""
        return next(self.ports)

    def marker_out(self):
        """Sends the marker outwards; the packets seen outside before it, None if it does not come."""
        self.inside.send(IP(src=MARKER_SUB, dst=MARKER_PEER) / UDP(sport=MARKER_PORT, dport=MARKER_PORT))
        seen = []
        while True:
            packet = self.outside.take(1.0)
            if packet is None:
                return None
            if packet[16:20] == socket.inet_aton(MARKER_PEER):
                self.marker_end = socket.inet_ntoa(packet[12:16]), struct.unpack("!H", packet[20:22])[0]
                return seen or [None]
            seen.append(packet)

    def marker_in(self):
        address, port = self.marker_end
        self.outside.send(IP(src=MARKER_PEER, dst=address) / UDP(sport=MARKER_PORT, dport=port))
        seen = []
        while True:
            packet = self.inside.take(1.0)
            if packet is None:
                return None
            if packet[16:20] == socket.inet_aton(MARKER_SUB):
                return seen or [None]
            seen.append(packet)

    def _cross(self, wire, packets):
        self.inside.drain()
        self.outside.drain()
        for packet in packets:
            wire.send(packet)
        if self.lab.queues > 1:
            time.sleep(0.05)  # a marker may overtake what changes hands between workers
        out, into = [], []
        for _ in range(2):  # fragments that one burst sets free leave after it, and the first marker may be in it
            out.append(self.marker_out())
            into.append(self.marker_in())
        if None in out + into:
            raise Failed("the marker was lost")
        return [IP(p) for seen in out for p in seen if p], [IP(p) for seen in into for p in seen if p]

    def out(self, *packets):
        """Sends packets from inside: (those seen outside, those seen inside)."""
        return self._cross(self.inside, packets)

    def into(self, *packets):
        """Sends packets from outside: (those seen inside, those seen outside)."""
        out, into = self._cross(self.outside, packets)
        return into, out

    def out_one(self, packet):
        """The one packet that comes out for one that is sent from inside, None if none does."""
        seen, _ = self.out(packet)
        expect(len(seen) <= 1, [p.summary() for p in seen])
        return seen[0] if seen else None

    def into_one(self, packet):
        seen, _ = self.into(packet)
        expect(len(seen) <= 1, [p.summary() for p in seen])
        return seen[0] if seen else None

    def map(self, proto, subscriber, port, peer="198.18.0.1", peer_port=5000):
        """Opens a mapping with a first packet; the public (address, port)."""
        first = {"udp": lambda: UDP(sport=port, dport=peer_port) / b"map",
                 "tcp": lambda: TCP(sport=port, dport=peer_port, flags="S", seq=1000),
                 "icmp": lambda: ICMP(id=port, seq=1) / b"map"}[proto]()
        seen = self.out_one(IP(src=subscriber, dst=peer) / first)
        expect(seen is not None, f"no {proto} mapping for {subscriber}:{port}")
        return seen.src, seen[ICMP].id if proto == "icmp" else seen.sport

    def reaches(self, proto, public, peer="198.18.0.1", peer_port=5000):
        """Whether a packet from a peer to a public end arrives inside; the packet."""
        last = {"udp": lambda: UDP(sport=peer_port, dport=public[1]) / b"in",
                "tcp": lambda: TCP(sport=peer_port, dport=public[1], flags="S", seq=77),
                "icmp": lambda: ICMP(type=0, id=public[1], seq=1) / b"map"}[proto]()
        return self.into_one(IP(src=peer, dst=public[0]) / last)

    # --- real sockets ---

    def socket(self, where, kind, address, port=0, **options):
        with inside_namespace(f"{self.lab.name}-{where}"):
            s = socket.socket(socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.settimeout(options.get("timeout", 2))
        return s

    def udp(self, where, address, port=0):
        return self.socket(where, socket.SOCK_DGRAM, address, port)

    def listener(self, address, port):
        s = self.socket("srv", socket.SOCK_STREAM, address, port)
        s.listen(64)
        return s


def checksums_right(packet):
    """Whether IP and L4 checksums are what the packet's bytes say."""
    twin = IP(bytes(packet))
    for layer in (IP, TCP, UDP, ICMP):
        if layer in twin and not (layer is UDP and twin[UDP].chksum == 0):
            del twin[layer].chksum
    return bytes(IP(bytes(twin)))[:60] == bytes(packet)[:60]


def summary(packets):
    return "; ".join(p.summary() for p in packets)[:200]
