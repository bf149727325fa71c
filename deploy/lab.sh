# A small world in network namespaces, for the demo and the tests: sourced, never run.
#
#   LAB-sub  100.64.0.2..      subscribers, several addresses on one link
#     |  gs -- gi
#   LAB-cgn  100.64.0.1 | 198.51.100.1      the node
#     |  go -- gc
#   LAB-core 198.51.100.2 | 192.0.2.1       an Internet router; routes the pool (203.0.113.0/24) to the node
#     |  cs -- sc
#   LAB-srv  192.0.2.10, 192.0.2.11         servers
#
# The prefix is $LAB (default sn). The kernel of the node's namespace forwards on purpose: whatever the node's own program
# did not hold back would be seen outside with its private source.

LAB=${LAB:-sn}

in_ns() { # in_ns NAME command...: in a namespace of the lab, with the mounts of this shell
	local ns=$1
	shift
	nsenter --net="/run/netns/$LAB-$ns" "$@"
}

lab_link() { # lab_link ns1 dev1 ns2 dev2 queues
	ip -n "$LAB-$1" link add "$2" numtxqueues "$5" numrxqueues "$5" type veth \
		peer name "$4" netns "$LAB-$3" numtxqueues "$5" numrxqueues "$5"
	for end in "$1 $2" "$3 $4"; do
		set -- $end
		# A frame of a local socket has a partial checksum, and may be a 64 KB super-packet, unless told otherwise.
		in_ns "$1" ethtool -K "$2" tx off rx off tso off gso off gro off > /dev/null
		ip -n "$LAB-$1" link set "$2" up
	done
}

lab_inside() { # lab_inside queues: the subscribers' link and their addresses
	local i
	lab_link sub gs cgn gi "$1"
	for i in 2 3 4 5; do ip -n "$LAB-sub" addr add "100.64.0.$i/16" dev gs; done
	ip -n "$LAB-sub" route add default via 100.64.0.1 src 100.64.0.2
	ip -n "$LAB-cgn" addr add 100.64.0.1/16 dev gi
}

lab_up() { # lab_up [queues]
	local queues=${1:-1} ns
	lab_down
	for ns in sub cgn core srv; do
		ip netns add "$LAB-$ns"
		ip -n "$LAB-$ns" link set lo up
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	done
	lab_inside "$queues"
	lab_link cgn go core gc "$queues"
	lab_link core cs srv sc 1
	ip -n "$LAB-cgn" addr add 198.51.100.1/24 dev go
	ip -n "$LAB-cgn" route add default via 198.51.100.2
	ip -n "$LAB-core" addr add 198.51.100.2/24 dev gc
	ip -n "$LAB-core" addr add 192.0.2.1/24 dev cs
	ip -n "$LAB-core" route add 203.0.113.0/24 via 198.51.100.1
	ip -n "$LAB-srv" addr add 192.0.2.10/24 dev sc
	ip -n "$LAB-srv" addr add 192.0.2.11/24 dev sc
	ip -n "$LAB-srv" route add default via 192.0.2.1
	in_ns cgn sysctl -qw net.ipv4.ip_forward=1
	in_ns core sysctl -qw net.ipv4.ip_forward=1
	# A traceroute asks for more ICMP errors at once than the kernel gives by default.
	for ns in core srv; do in_ns $ns sysctl -qw net.ipv4.icmp_ratelimit=0; done
}

lab_down() {
	local ns
	for ns in sub cgn core srv; do
		[ -e "/run/netns/$LAB-$ns" ] || continue
		ip netns pids "$LAB-$ns" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
		ip netns del "$LAB-$ns"
	done
}
