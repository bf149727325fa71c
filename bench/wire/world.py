"""The worlds of the wire benchmark: subscribers - gateway - Internet, one for each kind of gateway, all up at the same time.

    wire-NAME-sub  gs -- gi  wire-NAME-cgn  go -- gc  wire-NAME-core        without a gateway: gs -- gc
"""
import json
import os
import signal
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "lab"))
from lab import Lab, wait_for  # noqa: E402
from measure import put_ahead  # noqa: E402

PREFIX = "wire"
SERVER = "192.0.2.10"


def sh(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


class Gateway(Lab):
    """A world of its own; subclasses say what forwards in its middle. Leaving it removes everything."""

    middle = True
    native = True  # no program of its own on gi, which takes live frames only while there is one

    def __init__(self, kind, build, traffic, queues):
        super().__init__(f"{PREFIX}-{kind}{'-' + str(queues) if queues > 1 else ''}", build, queues)
        self.kind, self.traffic = kind, traffic
        self.in_ns, self.in_port = f"{self.name}-sub", "gs"

    def wheres(self):
        return ("sub", "cgn", "core") if self.middle else ("sub", "core")

    def __enter__(self):
        self.remove_namespaces()
        self.sweep_up()
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        self.stop()
        self.remove_namespaces()
        subprocess.run(["rm", "-rf", self.work], check=False)

    def remove_namespaces(self):
        for where in ("sub", "cgn", "core"):
            name = f"{self.name}-{where}"
            if not os.path.exists(f"/run/netns/{name}"):
                continue
            for pid in subprocess.run(["ip", "netns", "pids", name], stdout=subprocess.PIPE, text=True).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False)

    def ip(self, where, *words):
        return sh("ip", "-n", f"{self.name}-{where}", *words)

    def link(self, where1, dev1, where2, dev2):
        q = str(self.queues)
        sh("ip", "-n", f"{self.name}-{where1}", "link", "add", dev1, "numtxqueues", q, "numrxqueues", q, "type", "veth", "peer",
           "name", dev2, "netns", f"{self.name}-{where2}", "numtxqueues", q, "numrxqueues", q)
        for where, dev in ((where1, dev1), (where2, dev2)):
            sh(*self.ns(where, "ethtool", "-K", dev, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"))
            self.ip(where, "link", "set", dev, "up")

    def mac(self, where, dev):
        return json.loads(self.ip(where, "-j", "link", "show", dev))[0]["address"]

    def make(self):
        for where in self.wheres():
            sh("ip", "netns", "add", f"{self.name}-{where}")
            self.ip(where, "link", "set", "lo", "up")
            sh(*self.ns(where, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"))
        (self.make_links if self.middle else self.make_direct_link)()
        self.ip("core", "addr", "add", f"{SERVER}/32", "dev", "lo")
        self.traffic.ask("prepare", self.in_ns, "lo")
        self.packets_mode()
        self.forward()

    def make_direct_link(self):
        self.link("sub", "gs", "core", "gc")
        self.ip("sub", "addr", "add", "198.51.100.1/24", "dev", "gs")
        self.ip("core", "addr", "add", "198.51.100.2/24", "dev", "gc")
        self.ip("sub", "route", "add", "default", "via", "198.51.100.2")
        self.in_mac = self.mac("core", "gc")

    def make_links(self):
        self.link("sub", "gs", "cgn", "gi")
        self.link("cgn", "go", "core", "gc")
        for where, dev, address in (("sub", "gs", "100.64.0.2/10"), ("cgn", "gi", "100.64.0.1/10"),
                                    ("cgn", "go", "198.51.100.1/24"), ("core", "gc", "198.51.100.2/24")):
            self.ip(where, "addr", "add", address, "dev", dev)
        self.ip("sub", "route", "add", "default", "via", "100.64.0.1")
        self.ip("cgn", "route", "add", "default", "via", "198.51.100.2")
        for net in ("203.0.113.0/24", "100.64.0.0/10"):
            self.ip("core", "route", "add", net, "via", "198.51.100.1")
        self.in_mac = self.mac("cgn", "gi")
        self.ip("cgn", "neigh", "replace", "198.51.100.2", "lladdr", self.mac("core", "gc"), "dev", "go", "nud", "permanent")
        self.ip("cgn", "neigh", "replace", "100.64.0.2", "lladdr", self.mac("sub", "gs"), "dev", "gi", "nud", "permanent")
        sh(*self.ns("cgn", "sysctl", "-qw", "net.ipv4.ip_forward=1"))

    def packets_mode(self):
        """For the generator: the sink's program outside, and one that passes where the kernel forwards."""
        self.traffic.ask("sink", f"{self.name}-core", "gc")
        if self.middle and self.native:
            self.traffic.ask("pass", f"{self.name}-cgn", "gi")

    def connections_mode(self):
        """For real programs: no program of the benchmark in the way."""
        self.ip("core", "link", "set", "dev", "gc", "xdp", "off")
        if self.middle and self.native:
            self.ip("cgn", "link", "set", "dev", "gi", "xdp", "off")

    def forward(self):
        """Starts what forwards."""

    def settle(self):
        """Before trials of first packets: the flows that are there now may stay."""

    def forget(self):
        """Before each of them: no flow is left of the last one."""

    def workers(self):
        """Processes to be put on the cores, in the order of their queues."""
        return []

    def runtime_ns(self):
        """What the workers have run, with the softirqs that ran on top of them."""
        total = 0
        for pid in self.workers():
            with open(f"/proc/{pid}/schedstat") as f:
                total += int(f.read().split()[0])
        return total

    def place(self):
        """One queue: the generator has core 0 and the worker core 1. Two: worker n has core n, with generator n."""
        for n, pid in enumerate(sorted(self.workers())):
            os.sched_setaffinity(pid, {1 if self.queues == 1 else n % os.cpu_count()})
            put_ahead(pid)


class NoGateway(Gateway):
    middle = False


class KernelForward(Gateway):
    pass


class KernelNat(Gateway):
    RULES = "table ip nat { chain post { type nat hook postrouting priority srcnat; oifname go masquerade; }; }"

    def forward(self):
        sh(*self.ns("cgn", "nft", self.RULES))
        sh(*self.ns("cgn", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600"))

    def forget(self):
        self.run("cgn", "conntrack", "-F")


class IoForward(Gateway):
    native = False

    def forward(self):
        self.start("cgn", os.path.join(self.build, "bench/wire/wire-io-forward"), "gi", "go", str(self.queues))
        wait_for(lambda: len(self.workers()) == self.queues, 5)
        time.sleep(0.3)
        if len(self.workers()) != self.queues:
            with open(os.path.join(self.work, "stderr")) as f:
                raise RuntimeError(f.read().strip())
        self.place()

    def workers(self):
        out = subprocess.run(["pgrep", "-P", str(self.children[0].pid)], stdout=subprocess.PIPE, text=True).stdout
        return [int(pid) for pid in out.split()]


class Node(Gateway):
    """The node itself, at the configuration's defaults but for sizes, limits and timeouts."""

    native = False
    lasting = 0
    extra = {}

    def forward(self):
        self.up(pools=[{"name": "public", "addresses": ["203.0.113.0/24"], "block_size": 512}],
                rules=[{"source": "100.64.0.0/10", "translate": "public"}], flows=1000000, hold_down=0,
                timeouts={"profile": "rfc", "udp": 600, "tcp-syn-sent": 1},
                limits={"flow-rate": "none", "flows": "none", "tcp-ports": "none", "udp-ports": "none", "blocks": 128}, **self.extra)
        self.place()

    def workers(self):
        return self.pids("worker")

    def settle(self):
        self.lasting = self.live()

    def forget(self):
        """Half-open connections end by themselves after a second."""
        wait_for(lambda: self.live() < self.lasting + 1000, 20, 0.1)

    def live(self):
        return sum(s.get("flows", 0) for s in self.status().get("shards", []))


class NodeUring(Node):
    native = True
    extra = {"io": "uring"}


KINDS = {"kernel-nat": KernelNat, "kernel-forward": KernelForward, "io-forward": IoForward, "xsk": Node, "uring": NodeUring,
         "no-gateway": NoGateway}
