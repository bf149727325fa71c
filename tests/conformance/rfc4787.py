"""RFC 4787, NAT behaviour for UDP (BCP 127)."""
import re
import socket

from scapy.all import fragment

from bed import ICMP, IP, TCP, UDP, checksums_right, expect, summary
from table import planned, row


def udp(src, sport, dst, dport, data=b"data", **ip):
    return IP(src=src, dst=dst, **ip) / UDP(sport=sport, dport=dport) / data


@row("rfc4787-req-1", "MUST", "endpoint-independent mapping")
def mapping(bed):
    ends = [("192.0.2.10", 3478), ("192.0.2.10", 3479), ("192.0.2.11", 3478), ("192.0.2.11", 3479)]
    servers = [bed.udp("srv", *end) for end in ends]
    client = bed.udp("sub", "100.64.0.2")
    seen = set()
    for end, server in zip(ends, servers):
        client.sendto(b"who am I", end)
        seen.add(server.recvfrom(100)[1])
    expect(len(seen) == 1, f"one socket, four servers: {seen}")
    return f"one socket is {seen.pop()} to four servers"


@row("rfc4787-req-2", "REC/MUST", "paired address pooling, across protocols")
def paired(bed):
    sub = "100.65.1.1"
    packets = [udp(sub, p, "198.18.0.1", 5000) for p in range(20000, 20100)]
    packets += [IP(src=sub, dst="198.18.0.2") / TCP(sport=p, dport=80, flags="S") for p in range(20000, 20100)]
    packets += [IP(src=sub, dst="198.18.0.3") / ICMP(id=p) for p in range(1, 101)]
    seen, _ = bed.out(*packets)
    addresses = {p.src for p in seen}
    expect(len(seen) == 300 and len(addresses) == 1, f"{len(seen)} of 300, addresses {addresses}")
    return f"100 UDP, 100 TCP and 100 ICMP mappings from {addresses.pop()}; the pool has 17 addresses"


@row("rfc4787-req-3", "MUST NOT", "no port overloading")
def overloading(bed):
    packets = [udp(f"100.65.22.{h}", 7000, f"198.18.1.{h}", 5000) for h in range(1, 131)]
    seen, back = bed.out(*packets)
    ends = [(p.src, p.sport) for p in seen]
    refused = [p for p in back if ICMP in p and (p[ICMP].type, p[ICMP].code) == (3, 1)]
    expect(len(ends) == len(set(ends)) == 126, f"{len(ends)} passed, {len(set(ends))} different ends")
    expect(len(refused) == 4, f"{len(refused)} of 4 told 3/1")
    return "130 subscribers, 126 blocks on one address, different peers: 126 different ports, 4 refused with 3/1"


planned("rfc4787-req-3a", "REC", "ports 0-1023 map into 0-1023",
        "blocks start at 1024 (as with every port-block allocation); no pool option for it yet")
planned("rfc4787-req-4", "REC", "port parity", "by decision off (RFC 7857 section 8); on request comes with PCP")


@row("rfc4787-req-5", "MUST", "UDP mapping lives 2 minutes and more: 300 s")
def timer(bed):
    port = bed.port()
    end = bed.map("udp", "100.65.1.2", port)
    bed.advance(119)
    expect(bed.reaches("udp", end), "silent after 119 s")
    end = bed.map("udp", "100.65.1.2", port)
    bed.advance(299)
    expect(bed.reaches("udp", end), "silent after 299 s")
    end = bed.map("udp", "100.65.1.2", port)
    bed.advance(301)
    expect(not bed.reaches("udp", end), "still open after 301 s")
    return "open after 119 s and 299 s, closed after 301 s"


planned("rfc4787-req-5a", "MAY", "shorter timers for destination ports 0-1023", "no table of timers per port yet")


@row("rfc4787-req-5bc", "MAY/REC", "the timer is configurable", node="limits")
def timer_set(bed):
    end = bed.map("udp", "100.65.1.2", 6000)
    bed.advance(129)
    expect(bed.reaches("udp", end), "closed after 129 s")
    end = bed.map("udp", "100.65.1.2", 6000)
    bed.advance(131)
    expect(not bed.reaches("udp", end), "open after 131 s")
    return "udp: 130 gives 130 s; the default is 300 s (req-5)"


@row("rfc4787-req-6", "MUST", "outbound packets refresh; inbound ones of a stranger do not")
def refresh(bed):
    port = bed.port()
    first = bed.map("udp", "100.65.1.3", port)
    for _ in range(6):
        bed.advance(100)
        expect(bed.map("udp", "100.65.1.3", port) == first, "the mapping changed")
    expect(bed.reaches("udp", first, "198.18.9.9"), "a stranger does not get in")
    for _ in range(3):
        bed.advance(99)
        expect(bed.reaches("udp", first, "198.18.9.9"), "the mapping closed too early")
    bed.advance(5)
    bed.swept()
    expect(not bed.reaches("udp", first, "198.18.9.9"), "a stranger kept the mapping open")
    return "kept over 600 s by a packet each 100 s; a stranger's packets each 99 s did not keep it"


@row("rfc4787-req-6b", "MUST", "outbound packets to strangers keep a mapping, and it stays open to others")
def refresh_by_replies(bed):
    sub, port = "100.65.1.33", bed.port()
    end = bed.map("udp", sub, port)
    expect(bed.reaches("udp", end, "198.18.9.9"), "a stranger does not get in")
    for _ in range(4):
        bed.advance(100)
        expect(bed.out_one(udp(sub, port, "198.18.9.9", 5000)), "no answer to the stranger")
    bed.swept()
    expect(bed.reaches("udp", end, "198.18.9.10"), "closed to others though it is in use")
    return "400 s of answers to one stranger: another one gets in"


@row("rfc4787-req-7", "MUST", "works with overlapping inside and outside addresses")
def overlap(bed):
    bed.lab.run("cgn", "ip", "addr", "add", "100.64.99.1/32", "dev", "go")
    peer = "100.127.3.4"
    seen = bed.out_one(udp("100.65.1.4", 7000, peer, 5000))
    expect(seen is not None and seen.src.startswith("203.0.113."), seen and seen.summary())
    back = bed.into_one(udp(peer, 5000, seen.src, seen.sport))
    expect(back is not None and back.dst == "100.65.1.4" and back.src == peer, back and back.summary())
    bed.lab.run("cgn", "ip", "addr", "del", "100.64.99.1/32", "dev", "go")
    return f"outside address 100.64.99.1 and peer {peer}: translated both ways"


@row("rfc4787-req-8", "REC", "filtering: endpoint-independent by default, the others by rule",
     gap="address-dependent filtering acts as address-and-port-dependent")
def filtering(bed):
    saw = []
    for subscriber, name, wanted in (("100.65.1.5", "EIF", (True, True, True)),
                                     ("100.65.20.1", "ADF", (True, True, False)),
                                     ("100.65.21.1", "APDF", (True, False, False))):
        end = bed.map("udp", subscriber, 7100)
        got = tuple(bool(bed.reaches("udp", end, peer, port)) for peer, port in
                    (("198.18.0.1", 5000), ("198.18.0.1", 5001), ("198.18.0.2", 5000)))
        expect(got == wanted, f"{name}: same end, same address, stranger: {got}")
        saw.append(f"{name} {'/'.join('in' if g else 'out' for g in got)}")
    return "same end/same address/stranger: " + ", ".join(saw)


@row("rfc4787-req-9", "MUST", "hairpinning, with the external source; also to oneself")
def hairpin(bed):
    target = bed.map("udp", "100.65.1.6", 7200)
    own = bed.map("udp", "100.65.1.7", 7201)
    _, inside = bed.out(udp("100.65.1.7", 7201, target[0], target[1]))
    expect(len(inside) == 1 and (inside[0].src, inside[0].sport) == own and inside[0].dst == "100.65.1.6" and
           inside[0].dport == 7200, summary(inside))
    expect(checksums_right(inside[0]) and inside[0].ttl == 63, f"ttl {inside[0].ttl} or checksum")
    _, inside = bed.out(udp("100.65.1.6", 7200, own[0], own[1]))
    expect(len(inside) == 1 and (inside[0].src, inside[0].sport) == target and inside[0].dst == "100.65.1.7",
           summary(inside))
    _, inside = bed.out(udp("100.65.1.6", 7200, target[0], target[1]))
    expect(len(inside) == 1 and inside[0].dst == "100.65.1.6" and (inside[0].src, inside[0].sport) == target,
           "to oneself: " + summary(inside))
    return f"source is {own} and {target}, TTL lowered once; to oneself too"


@row("rfc4787-req-10", "SHOULD", "no ALG touches a payload: SIP")
def sip(bed):
    invite = (b"INVITE sip:bob@198.18.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 100.65.1.8:5060\r\nContact: <sip:a@100.65.1.8:5060>\r\n"
              b"Content-Type: application/sdp\r\n\r\nc=IN IP4 100.65.1.8\r\nm=audio 49170 RTP/AVP 0\r\n")
    seen = bed.out_one(udp("100.65.1.8", 5060, "198.18.0.1", 5060, invite))
    expect(seen is not None and bytes(seen[UDP].payload) == invite, "the INVITE was changed")
    return "a SIP INVITE arrives byte for byte"


@row("rfc4787-req-11", "MUST", "the behaviour does not change: mapping and filtering over a worker's restart")
def deterministic(bed):
    before = bed.map("udp", "100.65.1.9", 7300)
    import os
    import signal
    for pid in bed.lab.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    from lab import wait_for
    expect(wait_for(lambda: bed.marker_out() and bed.marker_in(), 10, 0.1), "the worker did not come back")
    after = bed.map("udp", "100.65.1.9", 7300, "198.18.0.7", 7)
    expect(after == before, f"{before} became {after}")
    expect(bed.reaches("udp", before, "198.18.3.3"), "filtering changed")
    return f"{before} to a new peer, and open to strangers, after the worker was killed"


@row("rfc4787-req-12", "MUST NOT", "ICMP ends no mapping; 12a: from any router; 12b: unreachable")
def icmp_harmless(bed):
    end = bed.map("udp", "100.65.1.10", 7400)
    quote = IP(src=end[0], dst="198.18.0.1", ttl=60) / UDP(sport=end[1], dport=5000) / b"map"
    for router, kind in (("198.18.200.1", (3, 1)), ("198.18.200.2", (3, 3)), ("198.18.200.3", (11, 0))):
        got = bed.into_one(IP(src=router, dst=end[0]) / ICMP(type=kind[0], code=kind[1]) / quote)
        expect(got is not None and got.src == router and got.dst == "100.65.1.10", f"{kind} from {router} is lost")
        expect(bed.reaches("udp", end), f"{kind} closed the mapping")
    return "3/1, 3/3 and 11/0 from three routers arrive under their own addresses; the mapping lives"


@row("rfc4787-req-13", "MUST", "too big with DF: 3/4 with the MTU; 13a without DF: fragments, in order")
def too_big(bed):
    big = b"x" * 1472
    seen, back = bed.out(IP(src="100.65.1.11", dst="198.18.0.1", flags="DF") / UDP(sport=7500, dport=5000) / big)
    expect(not seen and len(back) == 1 and (back[0][ICMP].type, back[0][ICMP].code) == (3, 4) and
           back[0][ICMP].nexthopmtu == 1400, summary(seen + back))
    seen, back = bed.out(IP(src="100.65.1.11", dst="198.18.0.1") / UDP(sport=7500, dport=5000) / big)
    expect(len(seen) == 2 and not back, f"without DF: {summary(seen + back)}")
    whole = join(seen)
    expect(bytes(whole[UDP].payload) == big and checksums_right(whole), "the datagram did not survive")
    expect([p.frag for p in seen] == sorted(p.frag for p in seen) and all(p.len <= 1400 for p in seen), "order or size")
    server, client = bed.udp("srv", "192.0.2.10"), bed.udp("sub", "100.64.0.2")
    client.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: never set DF
    client.sendto(big, server.getsockname())
    expect(server.recv(3000) == big, "a real socket's datagram was lost")
    return f"3/4 says {1400}; without DF {[p.len for p in seen]} bytes, in order; a real socket joins them"


def both_ways(bed, subscriber, port, orders):
    """4 KB datagrams in fragments, each order both ways; what was wrong."""
    peer, data = "198.18.0.9", bytes(range(256)) * 16
    for number, order in enumerate(orders):
        parts = fragment(udp(subscriber, port + number, peer, 5000, data, id=500 + number), 1000)
        seen, _ = bed.out(*[parts[i] for i in order])
        expect(len(seen) == len(parts), f"out, order {order}: {len(seen)} of {len(parts)}")
        whole = join(seen)
        expect(bytes(whole[UDP].payload) == data and checksums_right(whole), f"out, order {order}: damaged")
        expect(len({p.id for p in seen}) == 1 and {p.ttl for p in seen} == {63}, "identification or TTL")
        back = fragment(udp(peer, 5000, whole.src, whole.sport, data, id=900 + number), 1000)
        seen, _ = bed.into(*[back[i] for i in order])
        expect(len(seen) == len(back), f"in, order {order}: {len(seen)} of {len(back)}")
        whole = join(seen)
        expect(bytes(whole[UDP].payload) == data and checksums_right(whole) and
               (whole.dst, whole.dport) == (subscriber, port + number), f"in, order {order}: damaged")


ORDERS = ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 1, 4, 3], [1, 2, 3, 4, 0])


@row("rfc4787-req-14", "MUST", "fragments in and out of order, both directions")
def fragments(bed):
    both_ways(bed, "100.65.1.12", 7600, ORDERS)
    target, own = bed.map("udp", "100.65.1.13", 7700), bed.map("udp", "100.65.1.14", 7701)
    parts = fragment(udp("100.65.1.14", 7701, *target, b"h" * 3000, id=7), 1000)
    _, seen = bed.out(*reversed(parts))
    expect(len(seen) == len(parts) and bytes(join(seen)[UDP].payload) == b"h" * 3000 and join(seen).sport == own[1],
           f"hairpin: {len(seen)} of {len(parts)}")
    parts = fragment(IP(src="100.65.1.12", dst="198.18.0.9", id=8) / ICMP(id=8, seq=1) / (b"e" * 3000), 1000)
    seen, _ = bed.out(*reversed(parts))
    expect(len(seen) == len(parts) and checksums_right(join(seen)), "an echo request of 3000 bytes")
    out = bed.lab.run("sub", "ping", "-M", "dont", "-s", "6000", "-c", "2", "-i", "0.2", "-W", "2", "192.0.2.10").stdout
    expect(" 0% packet loss" in out, out)
    return f"4 KB of UDP in {len(ORDERS)} orders both ways, hairpinned, 3 KB of ICMP; ping -s 6000 of the real host"


@row("rfc4787-req-14b", "MUST", "fragments at a node of two workers", node="two")
def fragments_two(bed):
    both_ways(bed, "100.65.1.12", 7600, ORDERS)
    both_ways(bed, "100.65.1.13", 7600, ORDERS)
    both_ways(bed, "100.65.1.14", 7600, ORDERS)
    status = bed.lab.status()
    expect(status["handed_in"] > 0, "nothing was handed over")
    return f"the same for three subscribers, {status['handed_in']} packets handed from worker to worker"


def numbered(packet, number):
    """The bytes of a packet with another identification (and its checksum)."""
    head = bytearray(packet)
    old, csum = (int.from_bytes(head[i:i + 2], "big") for i in (4, 10))
    total = (~csum & 0xffff) + (~old & 0xffff) + number
    total = (total >> 16) + (total & 0xffff)
    head[4:6] = number.to_bytes(2, "big")
    head[10:12] = (~((total >> 16) + total) & 0xffff).to_bytes(2, "big")
    return bytes(head)


@row("rfc4787-req-14a", "MUST", "a flood of orphan fragments harms nothing else; memory and time are bounded")
def orphans(bed):
    bed.map("udp", "100.65.1.15", 7800)
    good = bytes(udp("100.65.1.15", 7800, "198.18.0.1", 5000, b"good"))
    orphan = bytes(IP(src="100.65.1.16", dst="198.18.0.1", id=1, frag=9, proto=17) / (b"o" * 64))
    before, passed, sent = bed.verdicts(), 0, 0
    for burst in range(40):
        for n in range(500):
            number = burst * 500 + n
            bed.inside.send(numbered(orphan, number))
            if n % 50 == 0:
                bed.inside.send(good)
                sent += 1
        passed += sum(1 for p in bed.marker_out() if p and p.endswith(b"good"))
    bed.advance(3)
    from lab import wait_for
    after = wait_for(lambda: (lambda v: v if v["fragment"] - before["fragment"] >= 19000 else None)(bed.verdicts() or before), 5)
    expect(after, "the orphans did not end as fragment")
    expect(passed >= sent * 0.99, f"{passed} of {sent} good packets passed")
    both_ways(bed, "100.65.1.15", 7810, ORDERS[:2])
    return f"{after['fragment'] - before['fragment']} orphans dropped, {passed} of {sent} good packets among them passed"


def join(fragments):
    """The datagram of some fragments."""
    parts = sorted(fragments, key=lambda p: p.frag)
    data = b"".join(bytes(p.payload) for p in parts)
    head = parts[0].copy()
    head.remove_payload()
    head.flags, head.len, head.chksum = 0, None, None
    return IP(bytes(head / data))
