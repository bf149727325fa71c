"""deploy/preflight: the Toeplitz hash against Microsoft's published verification suite, ethtool's RSS report, and the program
on veth pairs: what it finds, what it sets, what it says does not apply, and its exit statuses.
"""
import importlib.machinery
import importlib.util
import ipaddress
import json
import os
import subprocess

from lab import TOP, Lab, Report, arguments

PROGRAM = os.path.join(TOP, "deploy/preflight")
KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")

# source, its port, destination, its port, hash of the addresses, hash of addresses and ports
VECTORS = (
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e8fc2, 0x51ccc178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718262a, 0xc626b0ea),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0a5de, 0x5c2b394a),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xafc7327f),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d1809c5, 0x10e828a2),
)

RSS = """RX flow hash indirection table for eth0 with 4 RX ring(s):
    0:      0     1     2     3     0     1     2     3
    8:      3     2     1     0     3     2     1     0
RSS hash key:
""" + ":".join(f"{b:02x}" for b in KEY) + """
RSS hash function:
    toeplitz: on
    xor: off
"""


def load():
    loader = importlib.machinery.SourceFileLoader("preflight", PROGRAM)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("preflight", loader))
    loader.exec_module(module)
    return module


def hashes(report, preflight):
    for source, sport, to, dport, of_addresses, of_ports in VECTORS:
        data = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(to).packed
        ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
        report.check(f"toeplitz {source} -> {to}", preflight.toeplitz(KEY, data) == of_addresses and
                     preflight.toeplitz(KEY, data + ports) == of_ports)
    try:
        preflight.toeplitz(KEY[:8], bytes(8))
        report.check("a key that is too short is refused", False)
    except ValueError:
        report.check("a key that is too short is refused", True)


def tables(report, preflight):
    key, table, function = preflight.parse_rss(RSS)
    report.check("ethtool's RSS report is understood", key == KEY and function == "toeplitz" and
                 table == [0, 1, 2, 3] * 2 + [3, 2, 1, 0] * 2)
    report.check("a driver without RSS", preflight.parse_rss("Cannot get RX ring count") == (None, None, None))
    rows = preflight.steering(key, table, [ipaddress.IPv4Address("161.142.100.80")], "masked", 2)
    whole = preflight.toeplitz(KEY, bytes(4) + ipaddress.IPv4Address("161.142.100.80").packed)
    report.check("an address's queue and worker", rows == [{
        "address": "161.142.100.80", "hash": f"{whole:08x}", "queue": table[whole % 16], "worker": table[whole % 16] % 2}])
    # The hash is linear: the masked parts of a pair add up to the whole.
    source = preflight.hash_of_address(KEY, "66.9.149.187", False, "masked")
    report.check("masked halves make the published hash", source ^ whole == VECTORS[0][4])


def on_veth(report, lab):
    def call(*args):
        return subprocess.run(lab.ns("cgn", PROGRAM, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    both = ("--inside", "gi", "--outside", "go", "--workers", "2")
    lab.run("cgn", "ethtool", "-K", "gi", "tx", "on", "gro", "on")
    lab.run("cgn", "ethtool", "-L", "go", "rx", "1", "tx", "2")
    found = call(*both, "-o", "json")
    checks = {(c["where"], c["check"]): c for c in json.loads(found.stdout)["checks"]}
    report.check("veth: what is to be changed is found", found.returncode == 1 and all(
        checks[k]["state"] == "change" for k in (("gi", "tx-checksumming"), ("gi", "generic-receive-offload"), ("go", "queues"))))
    report.check("veth: what does not apply is said", checks["gi", "RSS fields"]["state"] == "n/a" and
                 checks["gi", "interrupts"]["state"] == "n/a")
    text = call(*both)
    report.check("veth: the commands are shown", "ethtool -K gi tx off" in text.stdout and "ethtool -L go rx 2" in text.stdout)
    done = call(*both, "--apply")
    report.check("veth: --apply sets them", done.returncode == 0, done.stdout if done.returncode else "")
    report.check("veth: nothing is left to do", call(*both).returncode == 0)
    report.check("more workers than queues is a problem", call("--inside", "gi", "--workers", "64").returncode == 1)
    report.check("an interface that is not there is a problem", call("--inside", "nope").returncode == 1)
    for name, args in (("no interface", ()), ("a pool that is none", (*both, "--pool", "300.1.2.3")),
                       ("too few CPUs", (*both, "--cpus", "0")), ("an unknown option", (*both, "--fast"))):
        wrong = call(*args)
        report.check(f"usage: {name}", wrong.returncode == 2 and wrong.stderr.count("\n") == 1, wrong.stderr.strip())
    report.check("--help", call("--help").returncode == 0)


def main():
    args, report = arguments(), Report("preflight")
    preflight = load()
    hashes(report, preflight)
    tables(report, preflight)
    with Lab("tpre", args.build, queues=2, verbose=args.verbose) as lab:
        on_veth(report, lab)
    report.end()


main()
