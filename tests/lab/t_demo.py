"""The demo, with one worker and with two, with hugepages and without: each must end with exit status 0."""
import os
import subprocess

from lab import TOP, Report, arguments


def main():
    args, report = arguments(), Report("demo")
    for workers in ("1", "2"):
        for memory in ((), ("--no-hugepages",)):
            run = subprocess.run([os.path.join(TOP, "deploy/demo"), "--quick", "--workers", workers, *memory,
                                  "--build", args.build, "--instance", "tdemo"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)
            lines = run.stdout.splitlines()
            ok = report.check(f"{workers} worker(s), {'ordinary memory' if memory else 'hugepages'}",
                              run.returncode == 0, lines[-1] if lines else "")
            if not ok or args.verbose:
                print("\n".join("      " + line for line in lines))
    report.end()


main()
