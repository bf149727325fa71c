/*
 * check_records.c: chunks, subscribers, bindings and flows of one shard against each other and against the indexes.
 */
#include "check_inner.h"
#include "shard_inner.h"

/* Calls visit for each live record in the shard's chunks. */
static void each(struct sn_checker *c, const struct sn_slab *slab, const uint8_t *gens, size_t size_b,
		 void (*visit)(struct sn_checker *c, uint32_t number))
{
	uint32_t per = slab->chunk_records;

	for (uint32_t k = 0; k < slab->chunk_count; k++) {
		if (sn_slab_owner(&slab->chunks[k]) != c->shard.number)
			continue;
		for (uint32_t n = k * per; n < (k + 1) * per; n++)
			if (sn_alive((const _Atomic uint32_t *)(const void *)(gens + n * size_b)))
				visit(c, n);
	}
}

/* --- chunks --- */

static void check_bits(struct sn_checker *c, const struct sn_slab *slab, uint32_t k, const char *what,
		       const uint8_t *gens, size_t size_b)
{
	const struct sn_chunk *chunk = &slab->chunks[k];
	uint32_t per = slab->chunk_records, words = per / 64, live = 0;
	uint64_t summary = words == 64 ? 0 : ~0ull << words;

	for (uint32_t i = 0; i < per; i++) {
		bool used = chunk->used[i / 64] >> (i % 64) & 1;

		if (used != sn_alive((const _Atomic uint32_t *)(const void *)(gens + ((size_t)k * per + i) * size_b)))
			sn_check_violation(c, "%s %u: %s but %s", what, k * per + i,
					   used ? "taken from its chunk" : "not taken", used ? "not alive" : "alive");
	}
	for (uint32_t i = 0; i < words; i++) {
		live += (uint32_t)__builtin_popcountll(chunk->used[i]);
		summary |= (uint64_t)(chunk->used[i] == ~0ull) << i;
	}
	if (chunk->live != live)
		sn_check_violation(c, "%s chunk %u: counts %u records in use, has %u", what, k, chunk->live, live);
	if (chunk->summary != summary)
		sn_check_violation(c, "%s chunk %u: its summary word is wrong", what, k);
}

/* Walks the list of chunks with room: how many it has. */
static uint32_t walk_list(struct sn_checker *c, const struct sn_slab *slab, const char *what)
{
	uint32_t n = 0, k = slab->lease->first;

	while (k != SN_NONE && n <= slab->chunk_count) {
		if (k >= slab->chunk_count || sn_slab_owner(&slab->chunks[k]) != c->shard.number ||
		    slab->chunks[k].listed != 1 || slab->chunks[k].summary == ~0ull) {
			sn_check_violation(c, "%s chunk %u: on the list of chunks with room, and does not belong there",
					   what, k);
			return n;
		}
		n++;
		k = slab->chunks[k].next;
	}
	return n;
}

static void check_slab(struct sn_checker *c, const struct sn_slab *slab, const char *what, const uint8_t *gens,
		       size_t size_b)
{
	uint32_t chunks = 0, live = 0, with_room = 0, listed;

	for (uint32_t k = 0; k < slab->chunk_count; k++) {
		if (sn_slab_owner(&slab->chunks[k]) != c->shard.number)
			continue;
		check_bits(c, slab, k, what, gens, size_b);
		chunks++;
		live += slab->chunks[k].live;
		with_room += slab->chunks[k].summary != ~0ull;
	}
	listed = walk_list(c, slab, what);
	if (slab->lease->chunks != chunks)
		sn_check_violation(c, "%s: the shard counts %u chunks, has %u", what, slab->lease->chunks, chunks);
	if (slab->lease->live != live)
		sn_check_violation(c, "%s: the shard counts %u records in use, has %u", what, slab->lease->live, live);
	if (listed != with_room)
		sn_check_violation(c, "%s: %u chunks have room, %u are listed", what, with_room, listed);
}

static const uint8_t *flow_gens(const struct sn_checker *c)
{
	return (const uint8_t *)c->region.flows + offsetof(struct sn_flow, gen);
}

void sn_check_slabs(struct sn_checker *c)
{
	check_slab(c, &c->shard.flows, "flow", flow_gens(c), sizeof(struct sn_flow));
	check_slab(c, &c->shard.bindings, "binding", (const uint8_t *)c->region.bindings, sizeof(struct sn_binding));
	check_slab(c, &c->shard.subscribers, "subscriber", (const uint8_t *)c->region.subscribers,
		   sizeof(struct sn_subscriber));
}

/* --- indexes --- */

/* How often an index leads from a hash to a record. */
static uint32_t times_found(const struct sn_index *ix, uint64_t hash, uint32_t number)
{
	struct sn_index_walk walk;
	uint32_t n, times = 0;

	sn_index_walk(ix, hash, &walk);
	while ((n = sn_index_next(ix, &walk)) != SN_NONE)
		times += n == number;
	return times;
}

static void check_entry(struct sn_checker *c, const struct sn_index *ix, uint64_t hash, uint32_t number,
			const char *what, const char *from)
{
	uint32_t times = times_found(ix, hash, number);

	if (times != 1)
		sn_check_violation(c, "%s %u: found %u times from its %s, not once", what, number, times, from);
}

/* With each record found as often as it should be, a right total leaves no entry that leads astray. */
static void check_entries(struct sn_checker *c, const struct sn_index *ix, uint64_t wanted, const char *what)
{
	uint64_t entries = 0;

	for (uint32_t b = 0; b < ix->bucket_count; b++)
		for (uint32_t i = 0; i < SN_INDEX_ENTRIES; i++)
			entries += ix->buckets[b].entry[i] != 0;
	if (entries != wanted)
		sn_check_violation(c, "%s index: %llu entries, not %llu", what, (unsigned long long)entries,
				   (unsigned long long)wanted);
}

static bool is_home(const struct sn_checker *c, uint8_t realm, uint32_t inside_be32)
{
	return sn_hash_shard(&c->region.hdr->key, realm, inside_be32, c->region.geo.shards) == c->shard.number;
}

/* --- subscribers --- */

static void visit_subscriber(struct sn_checker *c, uint32_t n)
{
	const struct sn_subscriber *u = &c->region.subscribers[n];

	c->found.subscribers++;
	c->subscribers[n] = (struct sn_check_subscriber){ 0 };
	if (u->shard != c->shard.number || !is_home(c, u->realm, u->inside_be32))
		sn_check_violation(c, "subscriber %u: in a shard that is not its own", n);
	check_entry(c, &c->shard.subscriber_index, sn_hash_subscriber(&c->region.hdr->key, u->realm, u->inside_be32), n,
		    "subscriber", "address");
}

void sn_check_subscribers(struct sn_checker *c)
{
	each(c, &c->shard.subscribers, (const uint8_t *)c->region.subscribers, sizeof(struct sn_subscriber),
	     visit_subscriber);
	check_entries(c, &c->shard.subscriber_index, c->found.subscribers, "subscriber");
}

/* --- bindings --- */

static void check_port(struct sn_checker *c, const struct sn_binding *b, uint32_t n)
{
	const struct sn_ports *p = &c->shard.ports;
	uint32_t owner = sn_ports_binding(p, b->block, sn_l4_of(b->proto), sn_binding_place(&c->shard, b));

	if (ntohs(b->public_port_be16) / p->block_size != b->block % p->blocks_per_address)
		sn_check_violation(c, "binding %u: public port %u is not in its block %u", n,
				   ntohs(b->public_port_be16), b->block);
	else if (owner != n)
		sn_check_violation(c, "binding %u: public port %u of block %u is binding %d's", n,
				   ntohs(b->public_port_be16), b->block, (int)owner);
}

static void visit_binding(struct sn_checker *c, uint32_t n)
{
	const struct sn_binding *b = sn_binding_at(&c->shard, n);
	const struct sn_subscriber *u;

	c->found.bindings++;
	c->bindings[n] = (struct sn_check_binding){ 0 };
	if (b == NULL) {
		sn_check_violation(c, "binding %u: its protocol, subscriber or block cannot be", n);
		return;
	}
	u = &c->region.subscribers[b->subscriber];
	c->subscribers[b->subscriber].ports[sn_l4_of(b->proto)]++;
	check_entry(c, &c->shard.binding_index, sn_binding_hash_of(&c->shard, u, b), n, "binding", "inside end");
	check_port(c, b, n);
}

void sn_check_bindings(struct sn_checker *c)
{
	each(c, &c->shard.bindings, (const uint8_t *)c->region.bindings, sizeof(struct sn_binding), visit_binding);
	check_entries(c, &c->shard.binding_index, c->found.bindings, "binding");
}

/* --- flows --- */

static void check_translated(struct sn_checker *c, const struct sn_flow *f, uint32_t n)
{
	const struct sn_ports *p = &c->shard.ports;
	const struct sn_binding *b = sn_binding_at(&c->shard, f->binding);
	const struct sn_subscriber *u;

	if (b == NULL) {
		sn_check_violation(c, "flow %u: its binding %u is none", n, f->binding);
		return;
	}
	u = &c->region.subscribers[b->subscriber];
	c->bindings[f->binding].flows++;
	c->bindings[f->binding].outside_flows += (f->flags & SN_FLOW_FROM_OUTSIDE) != 0;
	if (u->inside_be32 != f->inside_be32 || u->realm != f->realm || b->inside_port_be16 != f->inside_port_be16 ||
	    b->proto != f->proto)
		sn_check_violation(c, "flow %u: its inside end is not that of its binding %u", n, f->binding);
	if (b->public_port_be16 != f->public_port_be16 ||
	    f->public_be32 != p->addresses[sn_ports_block_address(p, b->block)].addr_be32)
		sn_check_violation(c, "flow %u: its public end is not that of its binding %u", n, f->binding);
}

static void check_passed(struct sn_checker *c, const struct sn_flow *f, uint32_t n)
{
	if (f->binding != SN_NONE)
		sn_check_violation(c, "flow %u: passed without translation, but has a binding", n);
	if (f->public_be32 != f->inside_be32 || f->public_port_be16 != f->inside_port_be16)
		sn_check_violation(c, "flow %u: passed without translation, but its ends differ", n);
}

static void visit_flow(struct sn_checker *c, uint32_t n)
{
	const struct sn_flow *f = &c->region.flows[n];
	uint32_t subscriber = sn_shard_subscriber_of(&c->shard, f);

	c->found.flows++;
	if (f->shard != c->shard.number || !is_home(c, f->realm, f->inside_be32))
		sn_check_violation(c, "flow %u: in a shard that is not its own", n);
	if (f->flags & SN_FLOW_PASS)
		check_passed(c, f, n);
	else
		check_translated(c, f, n);
	check_entry(c, &c->shard.flow_index, sn_flow_hash_in(&c->shard, f), n, "flow", "inside tuple");
	check_entry(c, &c->shard.flow_index, sn_flow_hash_out(&c->shard, f), n, "flow", "outside tuple");
	if (f->flags & SN_FLOW_FROM_OUTSIDE)
		return;
	if (subscriber != SN_NONE)
		c->subscribers[subscriber].flows++;
	else
		sn_check_violation(c, "flow %u: has no subscriber", n);
}

void sn_check_flows(struct sn_checker *c)
{
	each(c, &c->shard.flows, flow_gens(c), sizeof(struct sn_flow), visit_flow);
	check_entries(c, &c->shard.flow_index, c->found.flows * 2, "flow");
}

/* --- counts --- */

static void compare(struct sn_checker *c, const char *record, uint32_t n, const char *what, uint32_t says, uint32_t has)
{
	if (says != has)
		sn_check_violation(c, "%s %u: counts %u %s, has %u", record, n, says, what, has);
}

static void compare_binding(struct sn_checker *c, uint32_t n)
{
	const struct sn_binding *b = &c->region.bindings[n];

	compare(c, "binding", n, "flows", b->flows, c->bindings[n].flows);
	compare(c, "binding", n, "flows from outside", b->outside_flows, c->bindings[n].outside_flows);
	if (c->bindings[n].flows == 0)
		sn_check_violation(c, "binding %u: no flow holds it", n);
}

static void compare_subscriber(struct sn_checker *c, uint32_t n)
{
	static const char *const ports[SN_L4_COUNT] = { "tcp ports", "udp ports", "icmp identifiers" };
	const struct sn_subscriber *u = &c->region.subscribers[n];

	compare(c, "subscriber", n, "flows", u->flows, c->subscribers[n].flows);
	compare(c, "subscriber", n, "blocks", u->blocks, c->subscribers[n].blocks);
	for (int l4 = 0; l4 < SN_L4_COUNT; l4++)
		compare(c, "subscriber", n, ports[l4], u->ports[l4], c->subscribers[n].ports[l4]);
}

void sn_check_counts(struct sn_checker *c)
{
	each(c, &c->shard.bindings, (const uint8_t *)c->region.bindings, sizeof(struct sn_binding), compare_binding);
	each(c, &c->shard.subscribers, (const uint8_t *)c->region.subscribers, sizeof(struct sn_subscriber),
	     compare_subscriber);
}
