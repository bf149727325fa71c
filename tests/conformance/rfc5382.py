"""RFC 5382, NAT behaviour for TCP (BCP 142)."""
import socket
import threading

from scapy.all import fragment

from bed import ICMP, IP, TCP, checksums_right, expect, summary
from table import planned, row


class Talk:
    """A crafted TCP connection: both ends are packets, the node is between them."""

    def __init__(self, bed, subscriber, port, peer="198.18.0.1", peer_port=80):
        self.bed, self.sub, self.port, self.peer, self.peer_port = bed, subscriber, port, peer, peer_port
        self.seq, self.ack = 1000, 9000
        self.public = None

    def out(self, flags, seq=None, ack=None, data=b"", options=()):
        """A segment from inside; whether it came through."""
        packet = IP(src=self.sub, dst=self.peer) / TCP(sport=self.port, dport=self.peer_port, flags=flags, window=65000,
                                                       seq=self.seq if seq is None else seq,
                                                       ack=(self.ack if ack is None else ack) if "A" in flags else 0,
                                                       options=list(options))
        seen = self.bed.out_one(packet / data if data else packet)
        if seen is not None and TCP in seen:
            expect(checksums_right(seen), "checksum")
            self.public = seen.src, seen.sport
        return seen is not None

    def into(self, flags, seq=None, ack=None, data=b"", peer=None):
        packet = IP(src=peer or self.peer, dst=self.public[0]) / TCP(
            sport=self.peer_port, dport=self.public[1], flags=flags, window=65000, seq=self.ack if seq is None else seq,
            ack=(self.seq if ack is None else ack) if "A" in flags else 0)
        return self.bed.into_one(packet / data if data else packet) is not None

    def open(self):
        ok = self.out("S")
        self.seq += 1
        ok = ok and self.into("SA")
        self.ack += 1
        ok = ok and self.out("A")
        expect(ok, "the handshake does not come through")
        return self

    def alive(self):
        """A byte each way."""
        ok = self.out("PA", data=b"x")
        self.seq += ok
        ok = ok and self.into("PA", data=b"y")
        self.ack += ok
        return ok


@row("rfc5382-req-1", "MUST", "endpoint-independent mapping for TCP")
def mapping(bed):
    seen = set()
    for address in ("192.0.2.10", "192.0.2.11"):
        listener = bed.listener(address, 8080)
        client = bed.socket("sub", socket.SOCK_STREAM, "100.64.0.2", 5800)
        client.connect((address, 8080))
        seen.add(listener.accept()[1])
        client.close()
    expect(len(seen) == 1, seen)
    return f"one port to two servers is {seen.pop()}"


@row("rfc5382-req-2", "MUST", "every valid sequence of segments, both directions")
def sequences(bed):
    done = []
    t = Talk(bed, "100.65.2.1", bed.port())
    # Simultaneous open.
    expect(t.out("S") and t.into("S", seq=9000), "crossing SYNs")
    t.seq, t.ack = 1001, 9001
    expect(t.out("SA", seq=1000) and t.into("SA", seq=9000), "crossing SYN-ACKs")
    expect(t.alive(), "data after simultaneous open")
    done.append("simultaneous open")
    # Half-close from inside: data still comes in.
    t = Talk(bed, "100.65.2.1", bed.port()).open()
    expect(t.out("FA"), "FIN")
    t.seq += 1
    expect(t.into("A") and t.into("PA", data=b"late"), "data after half-close")
    t.ack += 4
    expect(t.out("A") and t.into("FA"), "second FIN")
    t.ack += 1
    expect(t.out("A"), "last ACK")
    done.append("half-close")
    # Reopening in TIME_WAIT.
    t.seq, t.ack = 500000, 900000
    expect(t.open().alive(), "reopening in TIME_WAIT")
    done.append("reopen in TIME_WAIT")
    # Half-close from outside.
    t = Talk(bed, "100.65.2.1", bed.port()).open()
    expect(t.into("FA"), "FIN from outside")
    t.ack += 1
    expect(t.out("PA", data=b"late"), "data out after FIN from outside")
    done.append("half-close from outside")
    # SYN retransmitted, SYN-ACK retransmitted, data in the SYN, RST of a half-open connection.
    t = Talk(bed, "100.65.2.1", bed.port())
    expect(t.out("S") and t.out("S"), "SYN again")
    t.seq += 1
    expect(t.into("SA") and t.into("SA"), "SYN-ACK again")
    t.ack += 1
    expect(t.out("A") and t.alive(), "data after retransmissions")
    done.append("SYN and SYN-ACK again")
    t = Talk(bed, "100.65.2.1", bed.port())
    expect(t.out("S", data=b"early"), "SYN with data")
    t.seq += 6
    expect(t.into("SA"), "SYN-ACK of data")
    t.ack += 1
    expect(t.out("A") and t.alive(), "data after SYN with data")
    done.append("SYN with data")
    t = Talk(bed, "100.65.2.1", bed.port())
    expect(t.out("S"), "SYN")
    t.seq += 1
    expect(t.into("RA", seq=0), "RST to SYN")
    t.seq = 5000
    expect(t.open().alive(), "again after RST")
    done.append("RST to SYN, and again")
    return ", ".join(done)


@row("rfc5382-req-3", "REC", "filtering of SYNs from outside, tracked like any other")
def filtering(bed):
    end = bed.map("tcp", "100.65.2.2", 7000)
    expect(bed.reaches("tcp", end, "198.18.5.5", 999), "EIF: a stranger's SYN is dropped")
    back = bed.out_one(IP(src="100.65.2.2", dst="198.18.5.5") / TCP(sport=7000, dport=999, flags="SA", seq=5, ack=78))
    expect(back is not None and (back.src, back.sport) == end, "the answer has another end")
    end = bed.map("tcp", "100.65.21.2", 7000)
    expect(not bed.reaches("tcp", end, "198.18.5.5", 999), "APDF: a stranger's SYN passes")
    return "EIF by default, the answer leaves from the same end; APDF by rule"


@row("rfc5382-req-4", "MUST NOT", "an unsolicited SYN is not answered; an outbound SYN in the meantime opens")
def unsolicited(bed):
    end = bed.map("tcp", "100.65.21.9", 7000)
    for after in (0, 3, 4):
        bed.advance(after)
        inside, outside = bed.into(IP(src="198.18.6.6", dst=end[0]) / TCP(sport=80, dport=end[1], flags="S", seq=50))
        expect(not inside and not outside, f"answered: {summary(inside + outside)}")
    t = Talk(bed, "100.65.21.9", 7000, "198.18.6.6")
    expect(t.open().alive(), "the subscriber's own SYN does not open")
    return "SYNs at 0, 3 and 7 s: silence, no RST (4a: never 3/3 either); then the subscriber's SYN opens the connection"


@row("rfc5382-mss", "-", "the MSS of SYNs is clamped both ways", node="held")
def clamped(bed):
    seen = bed.out_one(IP(src="100.65.2.9", dst="198.18.0.1") / TCP(sport=7000, dport=80, flags="S", options=[("MSS", 1460)]))
    expect(seen is not None and dict(seen[TCP].options).get("MSS") == 1200 and checksums_right(seen), seen and seen.show(dump=True))
    back = bed.into_one(IP(src="198.18.0.1", dst=seen.src) / TCP(sport=80, dport=seen.sport, flags="SA", ack=1,
                                                                options=[("NOP", None), ("MSS", 1460)]))
    expect(back is not None and dict(back[TCP].options)["MSS"] == 1200 and checksums_right(back), "the SYN-ACK")
    small = bed.out_one(IP(src="100.65.2.9", dst="198.18.0.2") / TCP(sport=7000, dport=80, flags="S", options=[("MSS", 536)]))
    expect(dict(small[TCP].options)["MSS"] == 536, "raised")
    return "tcp: { mss: 1200 }: 1460 becomes 1200 both ways, 536 stays"


@row("rfc5382-fragments", "-", "a segment in fragments counts whole: what acknowledges it passes")
def fragmented(bed):
    t = Talk(bed, "100.65.2.10", bed.port()).open()
    segment = IP(src=t.sub, dst=t.peer, id=3) / TCP(sport=t.port, dport=80, flags="PA", seq=t.seq, ack=t.ack, window=65000)
    seen, _ = bed.out(*reversed(fragment(segment / (b"x" * 3000), 1000)))
    expect(len(seen) == 4, f"{len(seen)} of 4")
    t.seq += 3000
    expect(t.into("A"), "the acknowledgement is out of window")
    expect(t.alive(), "the connection is stuck")
    return "3000 bytes in four fragments, last one first; the acknowledgement and what follows pass"


@row("rfc5382-req-5", "MUST NOT", "established is kept 7440 s, transitory 240 s")
def timers(bed):
    t = Talk(bed, "100.65.2.3", bed.port()).open()
    t.alive()
    bed.advance(7439)
    expect(t.into("PA", data=b"x"), "gone after 7439 s")
    t.ack += 1
    t.out("A")
    bed.advance(7441)
    expect(not t.into("PA", data=b"x"), "alive after 7441 s")
    t = Talk(bed, "100.65.2.3", bed.port())
    t.out("S")
    t.seq += 1
    bed.advance(239)
    expect(t.into("SA"), "half-open gone after 239 s")
    t = Talk(bed, "100.65.2.3", bed.port())
    t.out("S")
    t.seq += 1
    bed.advance(241)
    expect(not t.into("SA"), "half-open alive after 241 s")
    return "established: 7439 s alive, 7441 s gone; half-open: 239 s alive, 241 s gone"


@row("rfc5382-req-6", "REC", "no ALG is needed for passive FTP; none touches a payload")
def ftp(bed):
    t = Talk(bed, "100.65.2.4", bed.port(), peer_port=21).open()
    line = b"227 Entering Passive Mode (198,18,0,1,195,80)\r\n"
    expect(t.into("PA", data=line), "the answer to PASV is lost")
    t.ack += len(line)
    expect(Talk(bed, "100.65.2.4", bed.port(), peer_port=195 * 256 + 80).open().alive(), "the data connection")
    t.out("PA", data=b"PORT 100,65,2,4,20,20\r\n")
    return "control and passive data connection pass; active FTP has no ALG (none is on by default)"


@row("rfc5382-req-7", "MUST NOT", "no port overloading")
def overloading(bed):
    packets = [IP(src=f"100.65.2.{h}", dst=f"198.18.1.{h}") / TCP(sport=7000, dport=80, flags="S") for h in range(50, 150)]
    seen, _ = bed.out(*packets)
    ends = {(p.src, p.sport) for p in seen}
    expect(len(seen) == len(ends) == 100, f"{len(seen)} passed, {len(ends)} different")
    return "100 subscribers with one inside port to different peers: 100 different ends"


@row("rfc5382-req-8", "MUST", "hairpinning for TCP")
def hairpin(bed):
    listener = bed.socket("sub", socket.SOCK_STREAM, "100.64.0.3", 5900)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.listen(1)
    public = bed.map("tcp", "100.64.0.3", 5900)
    client = bed.socket("sub", socket.SOCK_STREAM, "100.64.0.2", 5901)
    client.connect(public)
    server, peer = listener.accept()
    server.settimeout(2)
    client.send(b"hello")
    expect(server.recv(10) == b"hello" and peer[0].startswith("203.0.113."), peer)
    server.send(b"you too")
    expect(client.recv(10) == b"you too", "no answer")
    return f"two real sockets behind the node meet; the listener sees {peer}"


@row("rfc5382-req-9", "SHOULD", "ICMP unreachable is translated, with the embedded segment")
def unreachable(bed):
    t = Talk(bed, "100.65.2.5", bed.port())
    t.out("S")
    quote = IP(src=t.public[0], dst=t.peer, ttl=60) / TCP(sport=t.public[1], dport=80, flags="S", seq=1000)
    got = bed.into_one(IP(src="198.18.200.9", dst=t.public[0]) / ICMP(type=3, code=3) / quote)
    expect(got is not None and got.dst == "100.65.2.5", "lost")
    inner = IP(bytes(got[ICMP].payload))
    expect((inner.src, inner.sport, inner.dst) == ("100.65.2.5", t.port, t.peer), inner.summary())
    expect(checksums_right(inner) and checksums_right(got), "checksums")
    return f"3/3 quotes {inner.src}:{inner.sport}, inner and outer checksums right"


@row("rfc5382-req-10", "MUST NOT", "ICMP ends no connection")
def icmp_harmless(bed):
    t = Talk(bed, "100.65.2.6", bed.port()).open()
    quote = IP(src=t.public[0], dst=t.peer) / TCP(sport=t.public[1], dport=80, flags="A", seq=t.seq)
    for kind in ((3, 1), (3, 3), (11, 0)):
        bed.into(IP(src="198.18.200.9", dst=t.public[0]) / ICMP(type=kind[0], code=kind[1]) / quote)
        expect(t.alive(), f"{kind} ended the connection")
    return "3/1, 3/3 and 11/0 arrive, the connection goes on"
