"""The lab: the namespaces of deploy/lab.sh, a node in the middle, and a count of what passed.

Every program of the lab (t_*.py) opens one Lab in a with-statement; whatever happens, leaving it removes namespaces,
processes, mounts and files. The last line a program prints is `N passed, N failed, N skipped`.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Report:
    """Counts checks; the only place that prints results."""

    def __init__(self, suite):
        self.suite, self.passed, self.failed, self.skipped = suite, 0, 0, 0

    def check(self, name, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'pass' if ok else 'FAIL'}  {self.suite}/{name}{'  ' + str(detail) if detail else ''}", flush=True)
        return bool(ok)

    def say(self, text):
        print(f"      {text}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        sys.exit(0 if self.failed == 0 and self.passed > 0 else 1)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build-tests"))
    parser.add_argument("--verbose", action="store_true", help="show the node's messages")
    return parser.parse_args()


def wait_for(condition, seconds=20.0, step=0.05):
    """The condition's value as soon as it is true; its last value after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


class Lab:
    def __init__(self, name, build, queues=1, verbose=False):
        self.name, self.build, self.queues, self.verbose = name, os.path.realpath(build), queues, verbose
        self.node = None
        self.children = []
        self.work = tempfile.mkdtemp(prefix=f"shardnat-{name}.")
        os.chmod(self.work, 0o755)
        self.log = os.path.join(self.work, "node.log")
        self.shardnatd = os.path.join(self.build, "ctrl/supervisor/shardnatd")

    # --- the world ---

    def _shell(self, command):
        return subprocess.run(["bash", "-c", f". {TOP}/deploy/lab.sh; {command}"], env={**os.environ, "LAB": self.name},
                              check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, lambda *_: sys.exit(1))
        self._shell(f"lab_up {self.queues}")
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        self.stop()
        self._shell("lab_down")
        shutil.rmtree(self.work, ignore_errors=True)

    def ns(self, where, *command):
        return ["nsenter", f"--net=/run/netns/{self.name}-{where}", *command]

    def remake_inside(self):
        """The subscribers' link goes, and comes back with another ifindex."""
        self.run("cgn", "ip", "link", "del", "gi")
        self._shell(f"lab_inside {self.queues}")

    def run(self, where, *command, timeout=60, **kw):
        kw = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **kw}
        try:
            return subprocess.run(self.ns(where, *command), timeout=timeout, **kw)
        except subprocess.TimeoutExpired as e:
            out = e.stdout.decode() if isinstance(e.stdout, bytes) else e.stdout
            return subprocess.CompletedProcess(command, 124, out or "", "")

    def start(self, where, *command, **kw):
        """A process that is ended with the lab."""
        kw = {"stdout": subprocess.DEVNULL, "stderr": open(os.path.join(self.work, "stderr"), "ab"), **kw}
        child = subprocess.Popen(self.ns(where, *command), **kw)
        self.children.append(child)
        return child

    def python(self, where, code, *args, **kw):
        return self.start(where, "/usr/bin/python3", "-c", code, *args, **kw)

    # --- the node ---

    def config(self, **changes):
        """Writes the configuration: the demo's, with keys changed (None removes one). The file's path."""
        c = {
            "instance": self.name,
            "inside": [{"interface": "gi"}],
            "outside": [{"interface": "go"}],
            "pools": [{"name": "public", "addresses": ["203.0.113.0/28", "203.0.113.40"], "block_size": 512}],
            "rules": [{"source": "100.64.0.0/10", "translate": "public"}],
            "timeouts": {"profile": "netfilter"},
            "workers": self.queues,
            "shards": 16,
            "flows": 100000,
            "cold_hold_down": 0,
        }
        c.update(changes)
        path = os.path.join(self.work, "node.yaml")
        with open(path, "w") as f:
            for key, value in c.items():
                if value is not None:
                    f.write(f"{key}: {json.dumps(value)}\n")
        return path

    def spawn(self, path):
        log = None if self.verbose else open(self.log, "ab")
        self.node = subprocess.Popen(self.ns("cgn", self.shardnatd, "-c", path), stdout=log, stderr=log)
        return self.node

    def up(self, **changes):
        """Starts the node and waits until it forwards."""
        self.spawn(self.config(**changes))
        if not wait_for(self.ready, 40):
            raise RuntimeError(f"the node did not start:\n{self.messages()}")

    def ready(self):
        if self.node.poll() is not None:
            raise RuntimeError(f"shardnatd ended with {self.node.returncode}:\n{self.messages()}")
        return self.cli("status").returncode == 0

    def messages(self):
        try:
            with open(self.log) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        """SIGTERM, and the exit status; SIGKILL for everything if that does not end it."""
        status = None
        if self.node and self.node.poll() is None:
            self.node.terminate()
            try:
                status = self.node.wait(20)
            except subprocess.TimeoutExpired:
                pass
        elif self.node:
            status = self.node.returncode
        if status is None and self.node:
            self.kill_all()
        self.sweep_up()
        self.node = None
        return status

    def pids(self, role):
        """Process ids by role: shardnatd, worker, ctrl, api."""
        if role == "shardnatd":
            pattern = f"{self.shardnatd} -c {self.work}/"
        else:
            pattern = f"shardnat-{role} --instance {self.name} "
        out = subprocess.run(["pgrep", "-f", pattern], stdout=subprocess.PIPE, text=True).stdout
        return [int(p) for p in out.split() if not self._is_nsenter(int(p))]

    @staticmethod
    def _is_nsenter(pid):
        try:
            with open(f"/proc/{pid}/comm") as f:
                return not f.read().startswith("shardnat")
        except OSError:
            return True

    def kill_all(self):
        for role in ("shardnatd", "worker", "ctrl", "api"):
            for pid in self.pids(role):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.node:
            self.node.wait()

    def leftovers(self):
        """Whatever a node of this instance would leave behind."""
        found = [p for p in (f"/run/shardnat/{self.name}{s}" for s in ("", ".lock", ".sup", ".ctl", ".mem", ".bpf"))
                 if os.path.exists(p)]
        for role in ("shardnatd", "worker", "ctrl", "api"):
            found += [f"{role} {p}" for p in self.pids(role)]
        with open("/proc/mounts") as f:
            found += [line.split()[1] for line in f if f"/run/shardnat/{self.name}." in line]
        return found

    def sweep_up(self):
        """Removes what a killed node left (and is expected to leave)."""
        self.kill_all_quietly()
        for suffix in ("mem", "bpf"):
            path = f"/run/shardnat/{self.name}.{suffix}"
            while os.path.ismount(path):
                if subprocess.run(["umount", path], stderr=subprocess.DEVNULL).returncode != 0:
                    break
            shutil.rmtree(path, ignore_errors=True)
        for suffix in (".lock", ".sup", ".ctl"):
            if os.path.exists(f"/run/shardnat/{self.name}{suffix}"):
                os.unlink(f"/run/shardnat/{self.name}{suffix}")
        shutil.rmtree(f"/run/shardnat/{self.name}", ignore_errors=True)

    def kill_all_quietly(self):
        node, self.node = self.node, None
        self.kill_all()
        self.node = node

    # --- the operator ---

    def cli(self, *args, timeout=30):
        return subprocess.run([os.path.join(self.build, "ctrl/cli/shardnat"), "--instance", self.name, *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)

    def status(self):
        return json.loads(self.cli("status", "-o", "json").stdout)

    def flows(self, *filters):
        out = self.cli("flows", "-o", "json", *filters).stdout
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def check_clean(self):
        """shardnat check, tried for a while because a busy shard may not settle. (ok, text)"""
        done = wait_for(lambda: (lambda r: r if r.returncode == 0 else None)(self.cli("check")), 10, 0.3)
        if done:
            return True, done.stdout.strip().splitlines()[-1]
        last = self.cli("check")
        return False, (last.stdout + last.stderr).strip()

    def capture_untranslated(self):
        """Starts a capture of private addresses on the outside link; call the result to get the lines seen."""
        path = os.path.join(self.work, "outside.txt")
        out = open(path, "w")
        child = self.start("core", "tcpdump", "-l", "-n", "-i", "gc", "ip and net 100.64.0.0/10", stdout=out)
        time.sleep(1)

        def lines():
            time.sleep(0.5)
            child.terminate()
            child.wait()
            with open(path) as f:
                return [line for line in f.read().splitlines() if line.strip()]
        return lines
