"""The table of requirements: what each row is called, how it is tested, and what came of it."""
import traceback

from bed import Failed

ROWS = []


class Row:
    def __init__(self, name, level, what, test=None, reason=None, node=None):
        self.name, self.level, self.what, self.test, self.reason, self.node = name, level, what, test, reason, node


def row(name, level, what, node="plain", gap=None):
    """
    Declares the test of one row of REQUIREMENTS.md: a function of the bed that returns what it saw, or raises Failed. gap: a
    known one; the row is then listed as planned, and its test waits for the feature.
    """
    def declare(test):
        ROWS.append(Row(name, level, what, test=test, reason=gap, node=None if gap else node))
        return test
    return declare


def planned(name, level, what, reason):
    """A row that is not reached yet: it is listed, and counts as nothing."""
    ROWS.append(Row(name, level, what, reason=reason))


def _delta(before, after):
    return {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}


def observe(bed, row):
    """(passed, what was observed)"""
    try:
        before = bed.verdicts()
        saw = row.test(bed)
        after = bed.verdicts()
        if before is None or after is None:
            return False, f"{saw}; but verdicts do not add up to packets"
        drops = {k: n for k, n in _delta(before, after).items() if k != "forward"}
        return True, f"{saw}" + (f"  [{', '.join(f'{k} {n}' for k, n in drops.items())}]" if drops else "")
    except Failed as e:
        return False, str(e)
    except Exception as e:  # a row that breaks is a row that fails, and the others go on
        return False, f"{type(e).__name__}: {e} at {traceback.extract_tb(e.__traceback__)[-1].lineno}"


def run(bed, rows, report):
    for r in rows:
        passed, saw = observe(bed, r)
        report.passed += passed
        report.failed += not passed
        print(f"{'pass' if passed else 'FAIL'}  {r.name:<16} {r.level:<9} {r.what}\n      {saw}", flush=True)


def print_planned():
    rows = [r for r in ROWS if r.reason]
    if rows:
        print(f"\nplanned: {len(rows)} rows that are not reached yet")
    for r in rows:
        print(f"plan  {r.name:<16} {r.level:<9} {r.what}\n      {r.reason}")
