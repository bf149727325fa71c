"""Bad input: each case gives a clear message and a non-zero exit status, and leaves nothing behind."""
import os
import re
import subprocess
import time

from lab import Lab, Report, arguments, wait_for


# Event rings of 34 GB: more than the machine has.
TOO_LARGE = {"shards": 256, "event_ring": 1048576}


def refused(report, lab, name, expect, path, prefix=(), nothing_left=True, options=()):
    """shardnatd must end by itself, with a status that is not 0 and a message that matches."""
    run = lab.run("cgn", *prefix, lab.shardnatd, "-c", path, *options, timeout=30)
    first = (run.stdout or "").strip().splitlines()
    ok = run.returncode not in (0, 124) and re.search(expect, run.stdout or "", re.I)
    left = lab.leftovers() if nothing_left else []
    report.check(name, ok and not left, (run.returncode, first[:2], left))


def written(lab, text):
    path = os.path.join(lab.work, "bad.yaml")
    with open(path, "w") as f:
        f.write(text)
    return path


def configuration(report, lab):
    cases = [
        ("unknown key", {"workerz": 2}, r"workerz"),
        ("wrong type", {"flows": "many"}, r"flows.*many"),
        ("interface missing", {"inside": [{"interface": "nosuch"}]}, r"nosuch.*(gi|go)"),
        ("pool overlaps itself", {"pools": [{"name": "p", "addresses": ["203.0.113.0/28", "203.0.113.8"]}],
                                  "rules": [{"source": "100.64.0.0/10", "translate": "p"}]}, r"203\.0\.113\.8"),
        ("pool overlaps the node's address", {"pools": [{"name": "p", "addresses": ["198.51.100.0/28"]}],
                                              "rules": [{"source": "100.64.0.0/10", "translate": "p"}]},
         r"198\.51\.100\.1"),
        ("rule names an unknown pool", {"rules": [{"source": "100.64.0.0/10", "translate": "nopool"}]}, r"nopool"),
        ("shards not a power of two", {"shards": 12}, r"shards.*12.*power of two"),
        ("less memory than asked for", {**TOO_LARGE, "hugepages": "required"}, r"hugepages|memory"),
        ("less memory than asked for, ordinary pages", {**TOO_LARGE, "hugepages": "never"}, r"memory"),
    ]
    for name, change, expect in cases:
        refused(report, lab, name, expect, lab.config(**change))
    refused(report, lab, "not YAML", r"bad\.yaml", written(lab, "inside: [ {\n"))
    refused(report, lab, "no such file", r"nosuch\.yaml", os.path.join(lab.work, "nosuch.yaml"))
    run = lab.run("cgn", lab.shardnatd, "--check", "-c", lab.config())
    report.check("--check of a good file", run.returncode == 0 and not lab.leftovers(), run.stdout.strip()[:200])
    run = lab.run("cgn", lab.shardnatd, "--check", "-c", lab.config(shards=12))
    report.check("--check of a bad file", run.returncode != 0 and "shards" in run.stdout, run.stdout.strip()[:200])


def privileges(report, lab):
    path = lab.config()
    os.chmod(path, 0o644)
    refused(report, lab, "not root", r"root|privilege|capabilit", path,
            prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"))
    refused(report, lab, "no BPF permission", r"bpf|CAP_", path,
            prefix=("setpriv", "--bounding-set=-sys_admin,-bpf", "--inh-caps=-sys_admin,-bpf"))


def socket_directory(report, lab):
    """/run/shardnat on a read-only mount, in a mount namespace of its own."""
    script = f"mkdir -p /run/shardnat && mount -t tmpfs -o ro none /run/shardnat && exec {lab.shardnatd} -c {lab.config()}"
    run = lab.run("cgn", "unshare", "--mount", "sh", "-c", script, timeout=30)
    report.check("socket directory not writable", run.returncode not in (0, 124) and "/run/shardnat" in run.stdout,
                 (run.returncode, run.stdout.strip().splitlines()[:2]))


def regions(report, lab):
    lab.up()
    second = lab.run("cgn", lab.shardnatd, "-c", lab.config(), timeout=30)
    report.check("region held by a running instance", second.returncode not in (0, 124) and
                 re.search(r"running|held", second.stdout), second.stdout.strip()[:300])
    report.check("and the running one goes on", lab.cli("status").returncode == 0)
    lab.kill_all()
    abi = os.path.join(lab.build, "tests/lab/damage")
    subprocess.run([abi, lab.name, "abi"], check=True)
    refused(report, lab, "region of another ABI version", r"ABI.*--recreate|--recreate.*ABI", lab.config(),
            nothing_left=False)
    subprocess.run([abi, lab.name, "garbage"], check=True)
    refused(report, lab, "region file of garbage", r"--recreate", lab.config(), nothing_left=False)
    path = lab.config()
    lab.node = subprocess.Popen(lab.ns("cgn", lab.shardnatd, "--recreate", "-c", path), stderr=subprocess.DEVNULL)
    report.check("the command that the message names works", wait_for(lambda: lab.cli("status").returncode == 0, 20))
    report.check("SIGTERM ends it", lab.stop() == 0)
    report.check("nothing left behind", not lab.leftovers(), lab.leftovers())


def rejoin(report, lab):
    """A second start after SIGKILL of everything joins the region with its flows."""
    lab.up(timeouts={"profile": "rfc"})
    lab.run("sub", "ping", "-c", "1", "-W", "2", "192.0.2.10")
    before = [f for f in lab.flows()]
    lab.kill_all()
    time.sleep(0.2)
    lab.spawn(os.path.join(lab.work, "node.yaml"))
    up = wait_for(lambda: lab.cli("status").returncode == 0, 20)
    after = [f for f in lab.flows()]
    report.check("start after SIGKILL of everything keeps the flows", up and len(before) == len(after) == 1,
                 (len(before), len(after)))
    report.check("shardnat check", *lab.check_clean())
    ping = lab.run("sub", "ping", "-c", "2", "-W", "2", "192.0.2.10")
    report.check("and it forwards", ping.returncode == 0, ping.stdout.strip().splitlines()[-2:-1])
    report.check("SIGTERM ends it", lab.stop() == 0)
    report.check("nothing left behind", not lab.leftovers(), lab.leftovers())


def client(report, lab):
    run = lab.cli("status")
    report.check("CLI without a node", run.returncode != 0 and re.search(r"running|shardnatd", run.stderr),
                 run.stderr.strip()[:200])
    run = lab.cli("nosuch")
    report.check("CLI, unknown command", run.returncode == 2 and "nosuch" in run.stderr, run.stderr.strip()[:200])


def main():
    args, report = arguments(), Report("bad-input")
    with Lab("tbad", args.build, verbose=args.verbose) as lab:
        configuration(report, lab)
        privileges(report, lab)
        socket_directory(report, lab)
        client(report, lab)
        regions(report, lab)
        rejoin(report, lab)
    report.end()


main()
