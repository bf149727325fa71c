"""RFC 7857, updates to the requirements (BCP 127)."""
from scapy.all import fragment

from bed import ICMP, IP, TCP, UDP, expect, summary
from rfc4787 import join
from rfc5382 import Talk
from table import planned, row


@row("rfc7857-2", "SHOULD", "TCP states: initial, established, closing")
def states(bed):
    t = Talk(bed, "100.65.7.1", bed.port())

    def state():
        flows = bed.lab.cli("flows", "-s", "100.65.7.1").stdout
        words = [w for w in flows.split() if w.isupper() and len(w) > 3]
        return words[0] if words else flows.strip()
    saw = []
    t.out("S")
    saw.append(state())
    t.seq += 1
    t.into("SA")
    saw.append(state())
    t.ack += 1
    t.out("A")
    saw.append(state())
    t.out("FA")
    saw.append(state())
    t.seq += 1
    t.into("A")
    saw.append(state())
    t.into("FA")
    saw.append(state())
    t.ack += 1
    t.out("A")
    saw.append(state())
    expect(saw == ["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"], saw)
    return " ".join(saw)


@row("rfc7857-2.1", "SHOULD", "separate open and closing timers, 240 s each by default", node="limits")
def transitory(bed):
    t = Talk(bed, "100.65.7.2", bed.port())
    t.out("S")
    t.seq += 1
    bed.advance(101)
    expect(not t.into("SA"), "open: alive after 101 s")
    t = Talk(bed, "100.65.7.2", bed.port()).open()
    t.out("FA")
    t.seq += 1
    bed.advance(149)
    expect(t.into("A"), "closing: gone after 149 s")
    return "tcp-syn-sent: 100 and tcp-fin-wait: 150 hold, each on its own; defaults in rfc5382-req-5"


@row("rfc7857-2.2", "SHOULD", "a RST is translated and waited for; data after it lives on")
def reset(bed):
    t = Talk(bed, "100.65.7.3", bed.port()).open()
    t.alive()
    got = t.into("R", seq=t.ack + 1000)
    expect(t.alive(), "a blind RST killed the connection")
    expect(t.into("R", seq=t.ack), "an exact RST is not translated")
    alive = t.alive()
    expect(alive, "no life after a RST")
    return f"a blind RST {'passes' if got else 'is dropped'} and the connection lives; data re-establishes after an exact one"


planned("rfc7857-3", "MAY", "port overlapping for different destinations", "not offered: every mapping is endpoint-independent")


@row("rfc7857-4", "SHOULD", "paired address out of ports: new sessions are dropped", node="limits")
def unpaired(bed):
    bed.advance(500)
    sub = "100.65.7.4"
    seen, _ = bed.out(*[IP(src=sub, dst="198.18.0.1") / UDP(sport=p, dport=5) / b"x" for p in range(7000, 7150)])
    expect(len(seen) == 100 and len({p.src for p in seen}) == 1, f"{len(seen)} from {len({p.src for p in seen})}")
    return "100 of 150 from one address, the rest is refused; a second address is never taken"


@row("rfc7857-5", "SHOULD", "mappings depend on the protocol")
def per_protocol(bed):
    ends = {proto: bed.map(proto, "100.65.7.5", 5000) for proto in ("udp", "tcp")}
    expect(ends["udp"] != ends["tcp"], ends)
    return f"UDP {ends['udp'][1]}, TCP {ends['tcp'][1]}"


@row("rfc7857-6", "SHOULD", "filtering depends on the protocol")
def filter_per_protocol(bed):
    end = bed.map("udp", "100.65.7.6", 5000)
    expect(not bed.reaches("tcp", end), "TCP gets in by a UDP mapping")
    return "TCP to a UDP mapping is dropped"


@row("rfc7857-7", "SHOULD NOT", "filtered packets do not refresh; 7.1: nor do errors sent in reply")
def no_refresh(bed):
    end = bed.map("udp", "100.65.21.7", 5000)
    bed.advance(200)
    bed.reaches("udp", end, "198.18.8.8")
    bed.advance(101)
    expect(not bed.reaches("udp", end), "a filtered packet refreshed")
    end = bed.map("udp", "100.65.7.7", 5000)
    for _ in range(8):
        bed.advance(90)
        bed.swept()
        got = bed.reaches("udp", end, "198.18.8.8")
        if not got:
            break
        bed.out(IP(src="100.65.7.7", dst="198.18.8.8") / ICMP(type=3, code=3) / IP(bytes(got)))
    expect(not got, "a flood that is answered with 3/3 keeps the mapping open")
    return "filtered packets: closed at 301 s; a flood answered with 3/3 does not keep the mapping"


planned("rfc7857-8", "SHOULD", "parity on request", "planned by the issue: PCP PORT_SET")


@row("rfc7857-9", "SHOULD", "ports are randomised as RFC 6056 says")
def randomised(bed):
    ends = [bed.map("udp", f"100.65.8.{h}", 5000)[1] for h in range(1, 41)]
    expect(len(set(p % 512 for p in ends)) > 25, ends)
    return "a keyed hash per subscriber, protocol and port: 40 subscribers, " \
           f"{len(set(p % 512 for p in ends))} different places in their blocks"


@row("rfc7857-10", "SHOULD", "unique IP identification behind a shared address (RFC 6864)")
def identification(bed):
    ends, data = {}, {}
    subs = [f"100.65.22.{h}" for h in (1, 2, 3, 4)]
    sent = []
    for n, sub in enumerate(subs):
        data[n] = bytes([65 + n]) * 2500
        sent += fragment(IP(src=sub, dst="198.18.0.10", id=4711) / UDP(sport=5000, dport=5000) / data[n], 1000)
    seen, _ = bed.out(*sorted(sent, key=lambda p: p.frag))
    for p in seen:
        ends.setdefault((p.src, p.id), []).append(p)
    expect(len(ends) == len(subs) and len({a for a, _ in ends}) == 1, f"{len(ends)} datagrams from {len(seen)} fragments")
    joined = {bytes(join(parts)[UDP].payload) for parts in ends.values()}
    expect(joined == set(data.values()), "datagrams were mixed up")
    whole, _ = bed.out(*[IP(src=sub, dst="198.18.0.10", id=9) / UDP(sport=5000, dport=5000) / b"x" for sub in subs * 50])
    expect(len(whole) == 200 and len({p.id for p in whole}) == 200, f"{len({p.id for p in whole})} ids of 200")
    atomic = bed.out_one(IP(src=subs[0], dst="198.18.0.10", id=77, flags="DF") / UDP(sport=5000, dport=5000) / b"x")
    expect(atomic is not None and atomic.id == 77, "an atomic datagram's id was changed")
    return "four subscribers fragment with one id at once: four ids outside, all joined right; 200 whole packets, 200 ids"


@row("rfc7857-11", "MAY", "a query mapping goes with its last session")
def query_mapping(bed):
    bed.map("icmp", "100.65.7.11", 7)
    bed.advance(61)
    import json
    from lab import wait_for
    left = wait_for(lambda: not [f for f in bed.lab.flows("-p", "icmp") if "100.65.7.11" in json.dumps(f)], 5, 0.2)
    expect(left, "the session stays")
    return "60 s after the last query the session and its identifier are gone"


@row("rfc7857-12", "SHOULD", "hairpinned ICMP")
def hairpin(bed):
    own, target = bed.map("udp", "100.65.7.12", 5000), bed.map("udp", "100.65.7.13", 5000)
    _, seen = bed.out(IP(src="100.65.7.12", dst=target[0], ttl=1) / UDP(sport=5000, dport=target[1]) / b"x")
    expect(len(seen) == 1 and (seen[0][ICMP].type, seen[0][ICMP].code) == (11, 0), summary(seen))
    return "errors about hairpinned packets: rfc5508-req-7; time exceeded of the node itself comes back"
