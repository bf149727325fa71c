/*
 * fragments.c: a set-associative table of datagrams and a ring of held fragments.
 */
#include "packet/fragments.h"

#include "clock.h"

static struct sn_datagram *bucket_of(const struct sn_fragments *t, uint64_t name)
{
	return (struct sn_datagram *)t->datagrams[(name >> 20) & (SN_FRAGMENT_BUCKETS - 1)];
}

static struct sn_datagram *find(const struct sn_fragments *t, uint64_t name, uint32_t now_ds)
{
	struct sn_datagram *d = bucket_of(t, name);

	for (uint32_t i = 0; i < SN_FRAGMENT_WAYS; i++)
		if (d[i].name == name && !sn_clock_due(d[i].until_ds, now_ds))
			return &d[i];
	return NULL;
}

/* The way that is empty, or whose datagram is over soonest. */
static struct sn_datagram *make_room(const struct sn_fragments *t, uint64_t name)
{
	struct sn_datagram *d = bucket_of(t, name), *oldest = d;

	for (uint32_t i = 0; i < SN_FRAGMENT_WAYS; i++) {
		if (d[i].name == 0 || d[i].name == name)
			return &d[i];
		if (sn_clock_due(d[i].until_ds, oldest->until_ds))
			continue;
		oldest = &d[i];
	}
	return oldest;
}

const struct sn_told *sn_fragments_told(const struct sn_fragments *t, uint64_t name, uint32_t now_ds)
{
	const struct sn_datagram *d = find(t, name, now_ds);

	return d ? &d->told : NULL;
}

static void release_held(struct sn_fragments *t, uint64_t name)
{
	for (uint32_t i = 0; t->held_count > t->released_count && i < SN_FRAGMENTS_HELD; i++) {
		if (t->held[i].name != name || t->held[i].released)
			continue;
		t->held[i].released = true;
		t->released_count++;
	}
}

const struct sn_told *sn_fragments_tell(struct sn_fragments *t, uint64_t name, const struct sn_told *told, uint32_t now_ds)
{
	struct sn_datagram *d = find(t, name, now_ds);
	bool again = d && d->told.src_port_be16 == told->src_port_be16 && d->told.dst_port_be16 == told->dst_port_be16;
	uint16_t id_be16 = again ? d->told.id_be16 : told->id_be16;

	if (!d)
		d = make_room(t, name);
	*d = (struct sn_datagram){ .name = name, .until_ds = now_ds + SN_FRAGMENT_LIFE_DS, .told = *told };
	d->told.id_be16 = id_be16;
	release_held(t, name);
	return &d->told;
}

static void empty(struct sn_fragments *t, struct sn_held *h)
{
	t->held_count--;
	t->released_count -= h->released;
	*h = (struct sn_held){ 0 };
}

uint32_t sn_fragments_hold(struct sn_fragments *t, uint64_t name, uint32_t now_ds, bool *ret_pushed)
{
	uint32_t place = t->next_held++ & (SN_FRAGMENTS_HELD - 1);
	struct sn_held *h = &t->held[place];

	*ret_pushed = h->name != 0;
	if (*ret_pushed)
		empty(t, h);
	*h = (struct sn_held){ .name = name, .until_ds = now_ds + SN_FRAGMENT_HELD_DS };
	t->held_count++;
	return place;
}

uint32_t sn_fragments_release(struct sn_fragments *t)
{
	for (uint32_t i = 0; t->released_count && i < SN_FRAGMENTS_HELD; i++) {
		if (!t->held[i].released)
			continue;
		empty(t, &t->held[i]);
		return i;
	}
	return SN_NONE;
}

uint32_t sn_fragments_expire(struct sn_fragments *t, uint32_t now_ds)
{
	for (uint32_t i = 0; t->held_count && i < SN_FRAGMENTS_HELD; i++) {
		if (t->held[i].name == 0 || !sn_clock_due(t->held[i].until_ds, now_ds))
			continue;
		empty(t, &t->held[i]);
		return i;
	}
	return SN_NONE;
}
