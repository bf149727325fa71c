"""The conformance suite: one test per row of the RFCs' requirements (tests/conformance), against a real node.

    t_conformance.py --build DIR [--only rfc5508]

Prints the table: id, level, what, and what was observed; rows that are not reached yet are listed at the end as planned.
"""
import argparse
import os
import sys

from lab import TOP, Lab, Report

sys.path.insert(0, os.path.join(TOP, "tests/conformance"))

import nodes  # noqa: E402
import table  # noqa: E402
from bed import Bed  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build-tests"))
    parser.add_argument("--only", help="rows whose id contains this")
    parser.add_argument("--name", default="tconf", help="prefix of the namespaces")
    parser.add_argument("--verbose", action="store_true", help="show the node's messages")
    return parser.parse_args()


def run_nodes(args, report, bed, configs):
    for node, config in configs.items():
        rows = [r for r in table.ROWS if r.node == node and (not args.only or args.only in r.name)]
        if not rows:
            continue
        report.say(f"node: {node}")
        bed.up(**{k: v for k, v in config.items() if k != "queues"})
        table.run(bed, rows, report)
        report.check("shardnat check", *bed.lab.check_clean())


def main():
    args, report = arguments(), Report("conformance")
    for queues in (1, 2):
        with Lab(args.name, args.build, queues=queues, verbose=args.verbose) as lab:
            run_nodes(args, report, Bed(lab), {n: c for n, c in nodes.NODES.items() if c.get("queues", 1) == queues})
    table.print_planned()
    report.end()


main()
