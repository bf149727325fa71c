"""Two gateways built alike, the kernel's and the node's, and one namespace that holds both ends of both.

    NAME-ends  ka ---- gi  NAME-kernel  go ---- kb  NAME-ends
               na ---- gi  NAME-cgn     go ---- nb
"""
import ctypes
import os
import signal
import socket
import subprocess
import time

from lab import Lab, wait_for

HERE = os.path.dirname(os.path.realpath(__file__))
POOL = "203.0.113.1"

# What netfilter calls a timeout, and the node.
TIMEOUTS = {
    "udp_timeout": "udp", "udp_timeout_stream": "udp-stream", "icmp_timeout": "icmp",
    **{f"tcp_timeout_{n}": f"tcp-{n}".replace("_", "-") for n in (
        "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close",
        "max_retrans", "unacknowledged")},
}
LONG = {"udp_timeout": 30, "udp_timeout_stream": 120, "icmp_timeout": 30, "tcp_timeout_syn_sent": 120,
        "tcp_timeout_syn_recv": 60, "tcp_timeout_established": 432000, "tcp_timeout_fin_wait": 120,
        "tcp_timeout_close_wait": 60, "tcp_timeout_last_ack": 30, "tcp_timeout_time_wait": 120,
        "tcp_timeout_close": 10, "tcp_timeout_max_retrans": 300, "tcp_timeout_unacknowledged": 300}
SHORT = {**{name: 2 for name in LONG}, "udp_timeout_stream": 3, "tcp_timeout_established": 3, "tcp_timeout_close": 1}
# All different, so that a wrong one is seen, and none of them ends within a run.
APART = {"udp_timeout": 40, "udp_timeout_stream": 125, "icmp_timeout": 50, "tcp_timeout_syn_sent": 130,
         "tcp_timeout_syn_recv": 170, "tcp_timeout_established": 432000, "tcp_timeout_fin_wait": 140,
         "tcp_timeout_close_wait": 180, "tcp_timeout_last_ack": 190, "tcp_timeout_time_wait": 150,
         "tcp_timeout_close": 100, "tcp_timeout_max_retrans": 330, "tcp_timeout_unacknowledged": 310}
# Timeouts, and the two switches of TCP.
KINDS = {"long": (LONG, {}), "short": (SHORT, {}), "apart": (APART, {}),
         "liberal": (APART, {"liberal": True}), "strict": (APART, {"loose": False})}

NFT = f"""
table ip nat {{
    chain post {{ type nat hook postrouting priority srcnat; ip saddr 100.64.0.0/10 oifname go snat to {POOL}; }}
}}
table ip filter {{
    chain forward {{
        type filter hook forward priority filter;
        ct state invalid drop
        iifname go ct state new drop
    }}
}}
"""


def grow_buffers(pid):
    """A large receive buffer for the netlink sockets of a conntrack: its own option for that has no effect."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    grown = 0
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
        copy = libc.syscall(438, pidfd, fd, 0)
        if copy < 0:
            continue
        try:
            with socket.socket(fileno=copy) as s:
                if s.family == socket.AF_NETLINK:
                    s.setsockopt(socket.SOL_SOCKET, 33, 128 << 20)
                    grown += 1
        except OSError:
            os.close(copy) if os.path.exists(f"/proc/self/fd/{copy}") else None
    os.close(pidfd)
    return grown


class World(Lab):
    def _shell(self, command):
        if command.startswith("lab_up"):
            self._down()
            self._build()
        else:
            self._down()

    def _sh(self, script):
        subprocess.run(["bash", "-e", "-c", script], check=True, stdout=subprocess.DEVNULL)

    def _down(self):
        self._sh(f"""
            for ns in ends kernel cgn; do
                [ -e /run/netns/{self.name}-$ns ] || continue
                ip netns pids {self.name}-$ns 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
                ip netns del {self.name}-$ns
            done""")

    def _build(self):
        self._sh(f"""
            at() {{ nsenter --net=/run/netns/{self.name}-$1 "${{@:2}}"; }}
            link() {{ # gateway device address next-hop end number
                ip -n {self.name}-$1 link add $2 address 02:00:00:00:00:0$6 type veth \
                    peer name $5 netns {self.name}-ends address 02:00:00:00:00:0$7
                at $1 ethtool -K $2 tx off rx off tso off gso off gro off
                at ends ethtool -K $5 tx off rx off tso off gso off gro off
                ip -n {self.name}-$1 link set $2 up
                ip -n {self.name}-ends link set $5 up
                ip -n {self.name}-$1 addr add $3 dev $2
                ip -n {self.name}-$1 neigh add $4 lladdr 02:00:00:00:00:0$7 dev $2 nud permanent
            }}
            for ns in ends kernel cgn; do
                ip netns add {self.name}-$ns
                ip -n {self.name}-$ns link set lo up
                at $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
            done
            at ends sysctl -qw net.ipv4.conf.all.arp_ignore=8
            for gw in kernel cgn; do
                end=${{gw:0:1}}; [ $gw = cgn ] && end=n
                link $gw gi 10.9.0.1/24 10.9.0.2 ${{end}}a 1 b
                link $gw go 198.51.100.1/24 198.51.100.2 ${{end}}b 2 c
                ip -n {self.name}-$gw link set go mtu 1400
                ip -n {self.name}-$gw route add 100.64.0.0/10 via 10.9.0.2
                ip -n {self.name}-$gw route add default via 198.51.100.2
                at $gw sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.gi.rp_filter=0 \
                    net.ipv4.conf.go.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.icmp_ratelimit=0
            done
            at kernel nft -f - <<'EOF'
{NFT}
EOF
            at kernel sysctl -qw net.netfilter.nf_conntrack_acct=1
            """)

    def ns(self, where, *command):
        return ["nsenter", f"--net=/run/netns/{self.name}-{where}", *command]

    def configure(self, kind):
        """Both gateways with the settings of a kind; a node that ran is ended, the kernel's table emptied."""
        timeouts, tcp = KINDS[kind]
        self.stop()
        self.conntrack("-F")
        values = {**timeouts, "tcp_be_liberal": int(tcp.get("liberal", False)),
                  "tcp_loose": int(tcp.get("loose", True))}
        self.run("kernel", "sysctl", "-qw", *[f"net.netfilter.nf_conntrack_{k}={v}" for k, v in values.items()])
        self.up(pools=[{"name": "public", "addresses": [POOL], "block_size": 64}],
                rules=[{"source": "100.64.0.0/10", "translate": "public",
                        "filtering": "address-and-port-dependent"}],
                timeouts={"profile": "netfilter", **{TIMEOUTS[k]: v for k, v in timeouts.items()}},
                tcp=tcp or None,
                limits={"blocks": 64}, hold_down=0, icmp_rate=100000, flows=65536, event_ring=65536, shards=4)

    def conntrack(self, *args):
        return self.run("kernel", "conntrack", *args, stderr=subprocess.PIPE)

    def player(self):
        return os.path.join(self.build, "tests/lab/parity_player")


class Listener:
    """Both streams of events, from its making on."""

    def __init__(self, world):
        self.world = world
        self.paths = [os.path.join(world.work, f"events.{time.monotonic_ns()}.{who}") for who in ("kernel", "node")]
        self.errors = [path + ".err" for path in self.paths]
        commands = [world.ns("kernel", "conntrack", "-E"),
                    [os.path.join(world.build, "ctrl/cli/shardnat"), "--instance", world.name, "events"]]
        self.children = []
        for command, path, err in zip(commands, self.paths, self.errors):
            with open(path, "wb") as out, open(err, "wb") as err_out:
                self.children.append(subprocess.Popen(command, stdout=out, stderr=err_out))
        world.children += self.children
        if not wait_for(lambda: self._listening() and grow_buffers(self.children[0].pid), 10):
            raise RuntimeError("conntrack -E does not listen")
        time.sleep(0.3)

    def _listening(self):
        with open(f"/proc/{self.children[0].pid}/comm") as f:
            return f.read().strip() == "conntrack"

    def lines(self, which):
        with open(self.paths[which]) as f:
            return [line for line in f.read().split("\n") if line]

    def close(self):
        """What was said about lost events; empty if none were."""
        said = ""
        for child in self.children:
            child.send_signal(signal.SIGINT)
        for child, path in zip(self.children, self.errors):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
            with open(path) as f:
                said += "".join(line for line in f if "ENOBUFS" in line or "missed" in line)
        return said
