"""The nodes that rows run on: by name, what differs from the lab's configuration. Importing this declares all rows."""
import rfc4787  # noqa: F401
import rfc5382  # noqa: F401
import rfc5508  # noqa: F401
import rfc6888  # noqa: F401
import rfc7857  # noqa: F401

POOLS = [{"name": "public", "addresses": ["203.0.113.0/28", "203.0.113.40"], "block_size": 512},
         {"name": "tiny", "addresses": ["203.0.113.50"], "block_size": 512}]

NODES = {
    # Every default, beside rules that some rows need.
    "plain": {"pools": POOLS, "icmp_rate": 100000, "rules": [
        {"source": "100.65.20.0/24", "translate": "public", "filtering": "address-dependent"},
        {"source": "100.65.21.0/24", "translate": "public", "filtering": "address-and-port-dependent"},
        {"source": "100.65.22.0/24", "translate": "tiny"},
        {"source": "100.65.23.0/24", "translate": "none"},
        {"source": "100.64.0.0/10", "translate": "public"}]},
    # Every limit and every time that can be set, set.
    "limits": {"pools": POOLS[:1], "icmp_rate": 5,
               "limits": {"udp-ports": 100, "tcp-ports": 50, "icmp-ids": 20, "flow-rate": 400, "flows": 200, "blocks": 1,
                          "outside-flows-per-binding": 10},
               "timeouts": {"profile": "rfc", "udp": 130, "icmp": 70, "tcp-syn-sent": 100, "tcp-established": 8000,
                            "tcp-fin-wait": 150}},

    "held": {"pools": POOLS[:1], "hold_down": 20, "held_ports": 64, "shards": 2, "tcp": {"mss": 1200}},
    # Two workers, so that fragments, flows and hairpins change hands.
    "two": {"pools": POOLS[:1], "queues": 2},
    "rate": {"pools": POOLS[:1], "icmp_rate": 1000, "limits": {"flow-rate": 100}},
}
