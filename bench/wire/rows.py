"""The rows of a benchmark: medians over rounds, each against a peer of the same run; a table and a JSON array."""
import json
import statistics


class Rows:
    """Values by row name over the rounds; peers by name."""

    def __init__(self):
        self.values, self.units, self.better, self.peers = {}, {}, {}, {}

    def add(self, name, value, unit, better, peer=None):
        self.values.setdefault(name, []).append(value)
        self.units[name], self.better[name], self.peers[name] = unit, better, peer

    def median(self, name):
        return statistics.median(self.values[name])

    def row(self, name):
        peer = self.peers[name] if self.peers[name] in self.values else None
        value, other = self.median(name), self.median(peer) if peer else None
        return {"name": name, "value": round(value, 3), "unit": self.units[name], "better": self.better[name], "peer": peer,
                "peer_value": None if other is None else round(other, 3), "ratio": round(value / other, 3) if other else None}

    def write(self, path):
        with open(path, "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(self.row(name)) for name in self.values) + "\n]\n")

    def show(self):
        print(f"{'row':34}{'median':>14}{'least':>12}{'most':>12}  {'unit':10}{'ratio':>7}  peer")
        for name, values in self.values.items():
            r = self.row(name)
            ratio = f"{r['ratio']:7.2f}  {r['peer']}" if r["ratio"] else ""
            print(f"{name:34}{number(r['value']):>14}{number(min(values)):>12}{number(max(values)):>12}  {r['unit']:10}{ratio}")


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
