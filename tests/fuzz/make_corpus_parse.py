#!/usr/bin/python3
"""Writes the seed frames of fuzz_parse into corpus/parse (needs scapy). Run by hand when a kind of frame is added."""
import pathlib

from scapy.all import ARP, IP, TCP, UDP, ICMP, Dot1AD, Dot1Q, Ether, IPOption_Timestamp, IPv6, Raw, fragment

OUT = pathlib.Path(__file__).parent / "corpus" / "parse"
ETH = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
INSIDE, REMOTE = "100.64.1.2", "198.51.100.7"
OUTWARDS = IP(src=INSIDE, dst=REMOTE, id=1)
INWARDS = IP(src=REMOTE, dst=INSIDE, id=2)
STAMP = IPOption_Timestamp()


def quoted(packet, l4_b):
    raw = bytes(packet)
    return Raw(raw[:(raw[0] & 15) * 4 + l4_b])


def with_extension(packet):
    """RFC 4884: the quote padded to 128 bytes, then an MPLS label stack object (RFC 4950)."""
    raw = bytes(packet)[:128].ljust(128, b"\0")
    return Raw(raw + bytes.fromhex("2000a7b500080101064091ff"))


UDP_QUOTE = INWARDS / UDP(sport=53, dport=40001) / Raw(b"answer")
TCP_QUOTE = OUTWARDS / TCP(sport=40001, dport=443, flags="A") / Raw(b"x" * 150)

FRAMES = {
    "udp": ETH / OUTWARDS / UDP(sport=40001, dport=53) / Raw(b"question"),
    "udp-no-checksum": ETH / OUTWARDS / UDP(sport=40001, dport=53, chksum=0) / Raw(b"question"),
    "udp-ip-options": ETH / IP(src=INSIDE, dst=REMOTE, options=[STAMP]) / UDP(sport=1, dport=2) / Raw(b"abc"),
    "udp-padded": ETH / OUTWARDS / UDP(sport=1, dport=2),
    "tcp-syn": ETH / OUTWARDS / TCP(sport=40001, dport=443, flags="S", options=[
        ("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]),
    "tcp-sack": ETH / INWARDS / TCP(sport=443, dport=40001, flags="A", ack=1000, options=[
        ("NOP", None), ("NOP", None), ("SAck", (2000, 3000, 4000, 5000))]),
    "tcp-data": ETH / OUTWARDS / TCP(sport=40001, dport=80, flags="PA", seq=4294967290) / Raw(b"GET / HTTP/1.0\r\n"),
    "icmp-echo": ETH / OUTWARDS / ICMP(type=8, id=4242, seq=1) / Raw(b"ping"),
    "icmp-timestamp-reply": ETH / INWARDS / ICMP(type=14, id=4242, seq=1),
    "icmp-unreachable": ETH / OUTWARDS / ICMP(type=3, code=3) / quoted(UDP_QUOTE, 8),
    "icmp-too-big": ETH / INWARDS / ICMP(type=3, code=4, nexthopmtu=1400) / quoted(TCP_QUOTE, 8),
    "icmp-exceeded-mpls": ETH / INWARDS / ICMP(type=11, length=32) / with_extension(TCP_QUOTE),
    "icmp-exceeded-echo": ETH / INWARDS / ICMP(type=11) / quoted(OUTWARDS / ICMP(id=7, seq=1), 8),
    "icmp-options-twice": ETH / IP(src=REMOTE, dst=INSIDE, options=[STAMP]) / ICMP(type=11) / quoted(
        IP(src=INSIDE, dst=REMOTE, options=[STAMP]) / UDP(sport=3, dport=4), 8),
    "vlan-udp": ETH / Dot1Q(vlan=7) / OUTWARDS / UDP(sport=1, dport=2) / Raw(b"tagged"),
    "qinq-tcp": ETH / Dot1AD(vlan=100) / Dot1Q(vlan=200) / OUTWARDS / TCP(sport=5, dport=6, flags="A"),
    "fragment": ETH / fragment(OUTWARDS / UDP(sport=1, dport=2) / Raw(b"f" * 64), 40)[1],
    "gre": ETH / IP(src=INSIDE, dst=REMOTE, proto=47) / Raw(b"\0" * 8),
    "arp": ETH / ARP(psrc=INSIDE, pdst=REMOTE),
    "ipv6": ETH / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2),
}

for name, frame in FRAMES.items():
    raw = bytes(frame)
    (OUT / name).write_bytes(raw.ljust(60, b"\0") if name == "udp-padded" else raw)
