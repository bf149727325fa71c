"""The demo, with one worker and with two, with hugepages and without, over AF_XDP and over io_uring: each must end with exit
status 0.
"""
import os
import subprocess

from lab import TOP, Report, arguments

RUNS = (
    ("1 worker, hugepages", ("--workers", "1")),
    ("1 worker, ordinary memory", ("--workers", "1", "--no-hugepages")),
    ("2 workers, hugepages", ("--workers", "2")),
    ("2 workers, ordinary memory", ("--workers", "2", "--no-hugepages")),
    ("2 workers, packet sockets with io_uring", ("--workers", "2", "--io", "uring")),
)


def main():
    args, report = arguments(), Report("demo")
    for name, options in RUNS:
        run = subprocess.run([os.path.join(TOP, "deploy/demo"), "--quick", *options, "--build", args.build,
                              "--instance", "tdemo"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)
        lines = run.stdout.splitlines()
        ok = report.check(name, run.returncode == 0, lines[-1] if lines else "")
        if not ok or args.verbose:
            print("\n".join("      " + line for line in lines))
    report.end()


main()
