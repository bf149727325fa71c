"""RFC 5508, NAT behaviour for ICMP (BCP 148)."""
import re

from bed import ICMP, IP, UDP, TCP, Raw, checksums_right, expect, summary
from table import planned, row


def echo(src, dst, ident, kind=8, data=b"ping", **ip):
    return IP(src=src, dst=dst, **ip) / ICMP(type=kind, id=ident, seq=1) / data


def error_about(end, peer="198.18.0.1", router="198.18.200.1", kind=(3, 3), **ip):
    """An ICMP error from outside about a UDP packet that left from a public end."""
    quote = IP(src=end[0], dst=peer, ttl=60, **ip) / UDP(sport=end[1], dport=5000) / b"map"
    return IP(src=router, dst=end[0]) / ICMP(type=kind[0], code=kind[1]) / quote


@row("rfc5508-req-1", "MUST", "queries pass; 1a: the identifier's mapping does not depend on the host")
def queries(bed):
    first, second = (bed.out_one(echo("100.65.3.1", peer, 4242)) for peer in ("198.18.0.1", "198.18.0.2"))
    expect(first is not None and second is not None, "an echo request is dropped")
    expect((first.src, first[ICMP].id) == (second.src, second[ICMP].id), f"{first[ICMP].id} and {second[ICMP].id}")
    back = bed.into_one(echo("198.18.0.1", first.src, first[ICMP].id, kind=0))
    expect(back is not None and back.dst == "100.65.3.1" and back[ICMP].id == 4242 and checksums_right(back), "no reply")
    out = bed.lab.run("sub", "ping", "-c", "2", "-i", "0.2", "-W", "2", "192.0.2.10").stdout
    expect(" 0% packet loss" in out, out)
    return f"identifier 4242 is {first[ICMP].id} to two hosts; replies arrive; ping too"


@row("rfc5508-req-2", "MUST NOT", "a query session lives 60 s and more")
def timer(bed):
    end = bed.map("icmp", "100.65.3.2", 77)
    bed.advance(59)
    expect(bed.reaches("icmp", end), "gone after 59 s")
    end = bed.map("icmp", "100.65.3.2", 77)
    bed.advance(61)
    expect(not bed.reaches("icmp", end), "alive after 61 s")
    return "a reply passes after 59 s, not after 61 s"


@row("rfc5508-req-2a", "REC", "the timer is configurable", node="limits")
def timer_set(bed):
    end = bed.map("icmp", "100.65.3.2", 77)
    bed.advance(69)
    expect(bed.reaches("icmp", end), "gone after 69 s")
    end = bed.map("icmp", "100.65.3.2", 77)
    bed.advance(71)
    expect(not bed.reaches("icmp", end), "alive after 71 s")
    return "icmp: 70 gives 70 s"


@row("rfc5508-req-3", "SHOULD/MUST", "bad checksums drop; options are skipped; embedded L4 unchecked; extensions")
def embedded(bed):
    end = bed.map("udp", "100.65.3.3", 7000)
    good = error_about(end)
    bad = IP(bytes(good))
    bad[ICMP].chksum = good[ICMP].chksum or 1
    expect(not bed.into_one(bad), "a bad ICMP checksum passes")
    inner = IP(src=end[0], dst="198.18.0.1", ttl=60, chksum=1) / UDP(sport=end[1], dport=5000) / b"map"
    expect(not bed.into_one(IP(src="198.18.200.1", dst=end[0]) / ICMP(type=3, code=3) / inner),
           "a bad embedded IP checksum passes")
    from scapy.all import IPOption_RR
    got = bed.into_one(error_about(end, options=[IPOption_RR(length=11, routers=["1.2.3.4", "5.6.7.8"])]))
    expect(got is not None and IP(bytes(got[ICMP].payload)).src == "100.65.3.3", "embedded options")
    inner = IP(src=end[0], dst="198.18.0.1", ttl=60) / UDP(sport=end[1], dport=5000, chksum=0x1234) / b"map"
    expect(bed.into_one(IP(src="198.18.200.1", dst=end[0]) / ICMP(type=3, code=3) / inner),
           "a bad embedded UDP checksum is dropped")
    extended = mpls(end)
    got = bed.into_one(extended)
    expect(got is not None and bytes(got)[-16:] == bytes(extended)[-16:] and checksums_right(got), "MPLS extension")
    return "bad ICMP and embedded IP checksums drop; embedded options and a bad UDP sum pass; an MPLS extension is untouched"


def mpls(end):
    """A time exceeded as a label switching router sends it: a quote of 128 bytes, then an RFC 4884 extension."""
    quote = bytes(IP(src=end[0], dst="198.18.0.1", ttl=1, len=600) / UDP(sport=end[1], dport=5000, len=580))
    quote = quote.ljust(128, b"\0")
    from scapy.all import checksum
    objects = b"\x00\x08\x01\x01" + bytes.fromhex("0066a1ff")
    head = b"\x20\x00\x00\x00"
    head = head[:2] + checksum(head + objects).to_bytes(2, "big")
    message = b"\x0b\x00\x00\x00\x00\x20\x00\x00" + quote + head + objects
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return IP(src="198.18.200.7", dst=end[0], proto=1) / Raw(message)


@row("rfc5508-req-4", "SHOULD/MUST", "errors from outside: without mapping dropped, with mapping translated")
def from_outside(bed):
    end = bed.map("udp", "100.65.3.4", 7000)
    expect(not bed.into(error_about((end[0], 1030)))[1], "an error without mapping is answered")
    for kind in ((3, 1), (3, 3), (3, 13), (11, 0), (11, 1), (12, 0)):
        got = bed.into_one(error_about(end, kind=kind))
        expect(got is not None and (got[ICMP].type, got[ICMP].code) == kind and got.dst == "100.65.3.4" and
               got.src == "198.18.200.1" and checksums_right(got), f"{kind}")
        inner = IP(bytes(got[ICMP].payload))
        expect((inner.src, inner.sport) == ("100.65.3.4", 7000) and checksums_right(inner), f"{kind}: embedded")
    saw = []
    for flags in ([], ["-I"]):
        out = bed.lab.run("sub", "traceroute", "-n", "-q", "1", "-w", "1", "-m", "5", *flags, "192.0.2.10").stdout
        hops = re.findall(r"^ *\d+ +([\d.*]+)", out, re.M)
        expect(hops == ["100.64.0.1", "198.51.100.2", "192.0.2.10"], f"traceroute {flags}: {hops}")
        saw.append(" ".join(hops))
    return f"six types arrive with their codes; traceroute over UDP and ICMP sees {saw[0]}"


@row("rfc5508-req-5", "SHOULD/MUST", "errors from inside: the source is the public address")
def from_inside(bed):
    end = bed.map("udp", "100.65.3.5", 7000)
    quote = IP(src="198.18.0.1", dst="100.65.3.5", ttl=60) / UDP(sport=5000, dport=7000) / b"in"
    got = bed.out_one(IP(src="100.65.3.5", dst="198.18.0.1") / ICMP(type=3, code=3) / quote)
    expect(got is not None and got.src == end[0], got and got.summary())
    inner = IP(bytes(got[ICMP].payload))
    expect((inner.dst, inner.dport) == end and checksums_right(inner) and checksums_right(got), inner.summary())
    got = bed.out_one(IP(src="100.64.7.7", dst="198.18.0.1") / ICMP(type=11, code=0) / quote)
    expect(got is not None and got.src == end[0], "an error from an access router")
    return f"the host's and an access router's errors leave from {end[0]}, about {inner.dst}:{inner.dport}"


@row("rfc5508-req-6", "MUST NOT", "an error neither refreshes nor ends a query session")
def no_refresh(bed):
    end = bed.map("icmp", "100.65.3.6", 99)
    quote = IP(src=end[0], dst="198.18.0.1", ttl=60) / ICMP(id=end[1], seq=1) / b"map"
    bed.advance(40)
    got = bed.into_one(IP(src="198.18.200.1", dst=end[0]) / ICMP(type=11, code=0) / quote)
    expect(got is not None and IP(bytes(got[ICMP].payload))[ICMP].id == 99, "an error about a query is lost")
    bed.advance(19)
    expect(bed.reaches("icmp", end), "the error ended the session")
    end = bed.map("icmp", "100.65.3.6", 99)
    bed.advance(40)
    bed.into(IP(src="198.18.200.1", dst=end[0]) / ICMP(type=11, code=0) / quote)
    bed.advance(21)
    expect(not bed.reaches("icmp", end), "the error refreshed the session")
    return "an error after 40 s: the session lives at 59 s, and is over at 61 s"


@row("rfc5508-req-7", "MUST", "hairpinned errors and queries")
def hairpin(bed):
    target, own = bed.map("udp", "100.65.3.7", 7000), bed.map("udp", "100.65.3.8", 7001)
    _, seen = bed.out(IP(src="100.65.3.8", dst=target[0]) / UDP(sport=7001, dport=target[1]) / b"hi")
    expect(len(seen) == 1, summary(seen))
    _, back = bed.out(IP(src="100.65.3.7", dst=own[0]) / ICMP(type=3, code=3) / IP(bytes(seen[0])))
    expect(len(back) == 1 and back[0].dst == "100.65.3.8" and back[0].src == target[0], summary(back))
    inner = IP(bytes(back[0][ICMP].payload))
    expect((inner.src, inner.sport) == ("100.65.3.8", 7001) and (inner.dst, inner.dport) == target, inner.summary())
    return f"3/3 of a hairpinned packet comes back from {target[0]}, about the sender's own packet"


@row("rfc5508-req-8", "SHOULD", "no session: ICMP to the sender, 3/1 as RFC 6888 has it", node="limits")
def refused(bed):
    packets = [echo("100.65.3.9", "198.18.0.1", i) for i in range(1, 22)]
    seen, back = bed.out(*packets)
    expect(len(seen) == 20, f"{len(seen)} of 20")
    expect(len(back) == 1 and (back[0][ICMP].type, back[0][ICMP].code) == (3, 1), summary(back))
    return "identifier 21 of 20 is refused with 3/1"


@row("rfc5508-req-9", "MAY", "a rate limit on the node's own errors", node="limits")
def rate(bed):
    bed.advance(2)
    packets = [IP(src="100.65.3.10", dst="198.18.0.1", ttl=1) / UDP(sport=7000, dport=p) / b"x" for p in range(1, 41)]
    _, back = bed.out(*packets)
    expect(0 < len(back) <= 10, f"{len(back)} answers to 40 packets, icmp_rate: 5")
    return f"{len(back)} time exceeded for 40 packets with icmp_rate: 5"


@row("rfc5508-req-10", "MUST", "unreachable, time exceeded and echo pass; redirect does not")
def kinds(bed):
    end = bed.map("udp", "100.65.3.11", 7000)
    expect(bed.into_one(error_about(end, kind=(3, 0))) and bed.into_one(error_about(end, kind=(11, 0))), "3/0 or 11/0")
    expect(not bed.into_one(error_about(end, kind=(5, 1))), "a redirect passes")
    stamp = bed.out_one(IP(src="100.65.3.11", dst="198.18.0.1") / ICMP(type=13, id=5, seq=1))
    expect(stamp is not None, "a timestamp request is dropped")
    back = bed.into_one(IP(src="198.18.0.1", dst=stamp.src) / ICMP(type=14, id=stamp[ICMP].id, seq=1))
    expect(back is not None and back[ICMP].id == 5, "a timestamp reply is dropped")
    return "3 and 11 pass, timestamp both ways, redirect is dropped"


@row("rfc5508-req-11", "MAY", "other ICMP is dropped, and counted")
def others(bed):
    before = bed.verdicts()["icmp-type"]
    expect(not bed.out_one(IP(src="100.65.3.12", dst="198.18.0.1") / ICMP(type=9)), "a router advertisement passes")
    expect(not bed.out_one(IP(src="100.65.3.12", dst="198.18.0.1") / ICMP(type=40)), "photuris passes")
    expect(bed.verdicts()["icmp-type"] == before + 2, "not counted")
    return "types 9 and 40 dropped as icmp-type"
