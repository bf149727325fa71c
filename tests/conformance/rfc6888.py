"""RFC 6888, common requirements for carrier-grade NATs (BCP 127)."""
import json

from bed import ICMP, IP, TCP, UDP, expect, summary
from lab import wait_for
from table import planned, row


def udp(src, sport, dst="198.18.0.1", dport=5000):
    return IP(src=src, dst=dst) / UDP(sport=sport, dport=dport) / b"data"


def refusals(packets):
    return [p for p in packets if ICMP in p and (p[ICMP].type, p[ICMP].code) == (3, 1)]


@row("rfc6888-req-1", "MUST", "RFC 4787, 5382 and 5508 for what is forwarded; other protocols are dropped by name")
def protocols(bed):
    before = bed.verdicts()["bad-protocol"]
    for proto in (47, 50, 132):
        expect(not bed.out_one(IP(src="100.65.4.1", dst="198.18.0.1", proto=proto) / (b"\0" * 24)), f"{proto} passes")
    expect(bed.verdicts()["bad-protocol"] == before + 3, "not counted")
    _, back = bed.out(IP(src="100.65.4.1", dst="198.18.0.1", proto=47) / (b"\0" * 24))
    expect(len(back) == 1 and (back[0][ICMP].type, back[0][ICMP].code) == (3, 2), summary(back))
    return "UDP, TCP and ICMP: the rows above; GRE, ESP and SCTP end as bad-protocol, with 3/2 to the sender"


@row("rfc6888-req-2", "MUST", "paired pooling by default, across protocols")
def paired(bed):
    ends = [bed.map(proto, "100.65.4.2", 7000)[0] for proto in ("udp", "tcp", "icmp")]
    expect(len(set(ends)) == 1, ends)
    return f"UDP, TCP and ICMP from {ends[0]}; 300 of them in rfc4787-req-2"


@row("rfc6888-req-3", "MUST", "a pool of any size, contiguous or not")
def pools(bed):
    seen, _ = bed.out(*[udp(f"100.65.5.{h}", 7000) for h in range(1, 255)])
    used = sorted({p.src for p in seen})
    expect(len(seen) == 254 and "203.0.113.40" in used and len(used) == 17, f"{len(seen)} from {len(used)}: {used}")
    return "254 subscribers are spread over 203.0.113.0/28 and 203.0.113.40, all 17 addresses"


@row("rfc6888-req-4", "MUST", "a limit of ports per subscriber, per protocol; a rate of new mappings", node="limits")
def port_limits(bed):
    bed.advance(2)
    sub = "100.65.4.4"
    seen, back = bed.out(*[udp(sub, p) for p in range(7000, 7101)])
    expect(len(seen) == 100 and len(refusals(back)) == 1, f"UDP: {len(seen)} of 100, {len(refusals(back))} refused")
    seen, _ = bed.out(*[IP(src=sub, dst="198.18.0.1") / TCP(sport=p, dport=80, flags="S") for p in range(7000, 7060)])
    expect(len(seen) == 50, f"TCP: {len(seen)} of 50")
    expect(bed.out_one(udp("100.65.4.5", 7000)), "another subscriber suffers")
    bed.advance(400)
    packets = [udp("100.65.4.6", 7000, f"198.18.2.{i % 250}", 5000 + i // 250) for i in range(700)]
    v = bed.verdicts()
    seen, _ = bed.out(*packets)
    after = bed.verdicts()
    rate = after["quota-rate"] - v["quota-rate"]
    quota = after["quota-flows"] - v["quota-flows"]
    expect(len(seen) == 200 and quota + rate == 500, f"flows: {len(seen)} of 200, quota-flows {quota}, quota-rate {rate}")
    return "101st UDP port of 100 refused with 3/1, TCP has its own 50; 200 flows of 700; others unaffected"


@row("rfc6888-req-4c", "REC", "a rate of new flows per subscriber", node="rate")
def rate(bed):
    v = bed.verdicts()["quota-rate"]
    seen, _ = bed.out(*[udp("100.65.4.7", 7000, f"198.18.3.{i % 250}", 5000 + i // 250) for i in range(600)])
    refused = bed.verdicts()["quota-rate"] - v
    expect(refused > 0 and len(seen) + refused == 600, f"{len(seen)} passed, {refused} refused")
    expect(bed.out_one(udp("100.65.4.8", 7000)), "another subscriber suffers")
    return f"600 new flows at once with flow-rate: 100: {len(seen)} passed, {refused} quota-rate; others unaffected"


@row("rfc6888-req-5", "SHOULD", "memory per mapping is limited", node="limits")
def per_binding(bed):
    end = bed.map("udp", "100.65.4.9", 7000)
    v = bed.verdicts()["binding-flows"]
    seen, _ = bed.into(*[IP(src=f"198.18.4.{i}", dst=end[0]) / UDP(sport=9, dport=end[1]) / b"x" for i in range(1, 31)])
    refused = bed.verdicts()["binding-flows"] - v
    expect(len(seen) == 10 and refused == 20, f"{len(seen)} of 10, binding-flows {refused}")
    return "30 strangers at one mapping with a limit of 10: 10 in, 20 binding-flows"


planned("rfc6888-req-6", "MUST", "no translation for given destinations and ports",
        "rules go by the subscriber alone (rfc6888-req-6s); a list of destinations is not there yet")


@row("rfc6888-req-6s", "-", "no translation for given subscribers: pass-through")
def pass_through(bed):
    seen = bed.out_one(udp("100.65.23.1", 7000))
    expect(seen is not None and seen.src == "100.65.23.1" and seen.ttl == 63, seen and seen.summary())
    back = bed.into_one(IP(src="198.18.0.1", dst="100.65.23.1") / UDP(sport=5000, dport=7000) / b"in")
    expect(back is not None, "not back")
    return "a rule with translate: none passes both ways untranslated and tracked"


@row("rfc6888-req-7", "REC", "endpoint-independent filtering")
def filtering(bed):
    end = bed.map("udp", "100.65.4.10", 7000)
    expect(bed.reaches("udp", end, "198.18.66.66", 6), "a stranger is dropped")
    return "a stranger reaches a mapping (all three kinds in rfc4787-req-8)"


@row("rfc6888-req-8", "SHOULD NOT", "a freed port is not given again for 120 s")
def hold_down(bed):
    sub = "100.65.4.11"
    old = {(p.src, p.sport) for p in bed.out(*[udp(sub, p) for p in range(7000, 7400)])[0]}
    bed.advance(301)
    bed.swept()
    new = {(p.src, p.sport) for p in bed.out(*[udp(sub, p) for p in range(17000, 17400)])[0]}
    expect(len(old) == len(new) == 400 and not old & new, f"{len(old)}, {len(new)}, again {len(old & new)}")
    return "400 ports freed, 400 new mappings at once: none of them again"


@row("rfc6888-req-8b", "MUST", "duration and number of held ports can be set; the oldest goes first", node="held")
def hold_down_most(bed):
    sub = "100.65.4.21"
    old = [(p.src, p.sport) for p in bed.out(*[udp(sub, p) for p in range(7000, 7400)])[0]]
    bed.advance(301)
    bed.swept()
    held = sum(s["held_ports"] for s in bed.lab.status()["shards"])
    expect(0 < held <= 2 * 63, f"{held} ports held")
    bed.advance(21)
    held_now = lambda: sum(s["held_ports"] for s in bed.lab.status()["shards"])
    expect(wait_for(lambda: held_now() == 0, 15, 0.2), f"{held_now()} ports still held after 20 s")
    return f"{len(old)} ports freed with held_ports: 64 (a shard) and hold_down: 20: {held} held, none after 21 s"


planned("rfc6888-req-9", "MUST", "PCP", "planned by the issue: comes with the protocol for subscribers")
planned("rfc6888-req-10", "SHOULD", "a MIB", "planned by the issue")


@row("rfc6888-req-11", "MUST", "no resource: drop, 3/1, an event, and no mapping is evicted")
def exhausted(bed):
    alive = [f"100.65.22.{h}" for h in range(1, 250)]
    first, back = bed.out(*[udp(sub, 7000) for sub in alive])
    again, _ = bed.out(*[udp(sub, 7000, "198.18.7.7") for sub in alive])
    ends = {(p.src, p.sport) for p in first}
    expect(len(first) == 126 == len(again) and {(p.src, p.sport) for p in again} == ends,
           f"{len(first)} then {len(again)} passed")
    expect(len(refusals(back)) == 123, f"{len(refusals(back))} of 123 told")
    return "249 subscribers on 126 blocks: 123 refused with 3/1, the 126 keep their mappings"


@row("rfc6888-req-12", "SHOULD NOT", "destinations are not logged unless asked for")
def no_destinations(bed):
    bed.map("udp", "100.65.4.12", 7000, "198.18.77.77")
    out = bed.lab.cli("subscribers", "-o", "json").stdout
    expect("100.65.4.12" in out and "198.18.77.77" not in out, "a destination is in the subscribers' records")
    return "the records of subscribers and blocks name no destination; flow events, which do, are a class of their own"


@row("rfc6888-req-13", "SHOULD", "ports are used well", node="limits")
def utilisation(bed):
    bed.advance(500)
    seen, _ = bed.out(*[udp("100.65.4.13", p) for p in range(7000, 7100)])
    seen += bed.out(*[IP(src="100.65.4.13", dst="198.18.0.1") / TCP(sport=p, dport=80, flags="S") for p in range(7000, 7050)])[0]
    subs = [json.loads(line) for line in bed.lab.cli("subscribers", "-o", "json").stdout.splitlines()]
    mine = [s for s in subs if s["address"] == "100.65.4.13"]
    expect(len(seen) == 150 and len(mine) == 1 and len(mine[0]["blocks"]) == 1, (len(seen), mine))
    return "150 mappings of two protocols fill one block; a port serves each protocol on its own"


@row("rfc6888-req-14", "SHOULD", "few records: one per block, not per session")
def volume(bed):
    sub = "100.65.4.14"
    bed.out(*[udp(sub, p) for p in range(7000, 7500)])
    subs = [json.loads(line) for line in bed.lab.cli("subscribers", "-o", "json").stdout.splitlines()]
    blocks = [len(s["blocks"]) for s in subs if s["address"] == sub]
    expect(blocks == [1], blocks)
    return "500 mappings: one block, so one record that it is given (and one that it is returned)"


@row("rfc6888-req-15", "SHOULD", "ports are hard to guess")
def guessing(bed):
    ports = []
    for h in range(1, 41):
        ports += [[p.sport for p in bed.out(*[udp(f"100.65.6.{h}", p) for p in range(7000, 7010)])[0]]]
    steps = [b - a for run in ports for a, b in zip(run, run[1:])]
    best = max(steps.count(s) for s in set(steps)) / len(steps)
    places = [p % 512 for run in ports for p in run]
    cells = [sum(1 for p in places if p // 32 == c) for c in range(16)]
    mean = len(places) / 16
    chi = sum((c - mean) ** 2 / mean for c in cells)
    expect(chi < 45 and best < 0.03, f"chi-square {chi:.1f} of 15 degrees, best step is right {best:.1%}")
    return f"400 ports: chi-square {chi:.1f} (15 degrees; 45 would be 1 in 10000), the best next-port guess {best:.1%}"


@row("rfc6888-section-4", "info", "who had address and port at a time: one record")
def who(bed):
    end = bed.map("udp", "100.65.4.15", 7000)
    subs = [json.loads(line) for line in bed.lab.cli("subscribers", "-o", "json").stdout.splitlines()]
    mine = [s for s in subs if s["address"] == "100.65.4.15"]
    expect(len(mine) == 1 and end[0] in json.dumps(mine[0]), mine)
    return f"{end} is found in the block record of 100.65.4.15"
