/*
 * config_values.c: single values of the configuration: numbers, times, choices, names, interfaces.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "io/xsk.h"

#define NO_LIMIT 1 /* "none" is a value, 0 for the policy */
#define POWER_OF_TWO 2

/* One number: where it is written, what is allowed, where it goes. text NULL: the default stays. */
struct number {
	const char *path, *text;
	uint32_t least, most;
	int flags;
	uint32_t *target;
};

static int refuse_number(const struct sn_config *c, const struct number *n, struct sn_error *err)
{
	char what[96], use[96];

	snprintf(what, sizeof(what), "a %s from %u to %u",
		 n->flags & POWER_OF_TWO ? "power of two" : "whole number", n->least, n->most);
	if (n->flags & POWER_OF_TWO)
		snprintf(use, sizeof(use), "%u, %u, %u ... %u", n->least, n->least * 2, n->least * 4, n->most);
	else
		snprintf(use, sizeof(use), "%u ... %u%s", n->least, n->most, n->flags & NO_LIMIT ? " or none" : "");
	return sn_config_refuse(c, err, n->path, n->text, what, use);
}

/* Decimal digits alone: no sign, no space, no unit, no leading zero that somebody may read as octal. */
static bool parse_number(const char *text, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text || strlen(text) > 10 || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	*ret = v;
	return true;
}

static int read_number(const struct sn_config *c, const struct number *n, struct sn_error *err)
{
	uint64_t v;

	if (!n->text)
		return 0;
	if ((n->flags & NO_LIMIT) && !strcmp(n->text, "none")) {
		*n->target = 0;
		return 0;
	}
	if (!parse_number(n->text, &v) || v < n->least || v > n->most)
		return refuse_number(c, n, err);
	if ((n->flags & POWER_OF_TWO) && (v & (v - 1)))
		return refuse_number(c, n, err);
	*n->target = (uint32_t)v;
	return 0;
}

static int read_numbers(const struct sn_config *c, const struct number *list, size_t count, struct sn_error *err)
{
	int e = 0;

	for (size_t i = 0; i < count && !e; i++)
		e = read_number(c, &list[i], err);
	return e;
}

static int read_bool(const struct sn_config *c, const char *path, const char *text, uint32_t *target,
		     struct sn_error *err)
{
	if (!text)
		return 0;
	if (strcmp(text, "true") && strcmp(text, "false"))
		return sn_config_refuse(c, err, path, text, "yes or no", "true or false");
	*target = !strcmp(text, "true");
	return 0;
}

static int read_choice(const struct sn_config *c, const char *path, const char *text, bool may_require,
		       enum sn_choice *target, struct sn_error *err)
{
	if (!text || !strcmp(text, "auto"))
		*target = SN_AUTO;
	else if (!strcmp(text, "never"))
		*target = SN_NEVER;
	else if (may_require && !strcmp(text, "required"))
		*target = SN_REQUIRED;
	else
		return sn_config_refuse(c, err, path, text, "a choice here",
					may_require ? "auto, never or required" : "auto or never");
	return 0;
}

static int read_sizes(struct sn_config *c, struct sn_error *err)
{
	const struct sn_yaml *y = c->doc.yaml;
	const struct number list[] = {
		{ "workers", y->workers, 1, SN_WORKERS_MAX, 0, &c->workers },
		{ "shards", y->shards, 2, SN_SHARDS_MAX, POWER_OF_TWO, &c->shards },
		{ "flows", y->flows, 1024, 60000000, 0, &c->flows },
		{ "subscribers", y->subscribers, 64, 16000000, 0, &c->subscribers },
		{ "event_ring", y->event_ring, 256, 1u << 20, POWER_OF_TWO, &c->event_ring },
		{ "frames", y->frames, 1024, 1u << 18, POWER_OF_TWO, &c->frames },
		{ "held_ports", y->held_ports, 2, 1u << 20, POWER_OF_TWO, &c->held_ports },
		{ "icmp_rate", y->icmp_rate, 1, 1000000, 0, &c->timeouts.limits.icmp_rate },
	};

	c->shards = 16;
	c->flows = 1000000;
	c->subscribers = 65536;
	c->event_ring = 8192;
	c->frames = 8192;
	c->timeouts.limits.icmp_rate = 100;
	return read_numbers(c, list, SN_ARRAY_LEN(list), err);
}

static int check_shards(const struct sn_config *c, struct sn_error *err)
{
	char value[16], use[96];

	if (!c->workers || c->shards >= 2 * c->workers)
		return 0;
	snprintf(value, sizeof(value), "%u", c->shards);
	snprintf(use, sizeof(use), "a power of two that is at least %u", 2 * c->workers);
	return sn_config_refuse(c, err, "shards", value, "enough: each worker needs two", use);
}

static int read_limits(struct sn_config *c, struct sn_error *err)
{
	static const struct sn_yaml_limits none;
	const struct sn_yaml_limits *y = c->doc.yaml->limits ? c->doc.yaml->limits : &none;
	struct sn_limits *l = &c->timeouts.limits;
	const struct number list[] = {
		{ "limits.tcp-ports", y->tcp_ports, 1, 64512, NO_LIMIT, &l->ports[SN_L4_TCP] },
		{ "limits.udp-ports", y->udp_ports, 1, 64512, NO_LIMIT, &l->ports[SN_L4_UDP] },
		{ "limits.icmp-ids", y->icmp_ids, 1, 64512, NO_LIMIT, &l->ports[SN_L4_ICMP] },
		{ "limits.flows", y->flows, 1, 60000000, NO_LIMIT, &l->flows },
		{ "limits.flow-rate", y->flow_rate, 1, 65535, NO_LIMIT, &l->flow_rate },
		{ "limits.blocks", y->blocks, 1, 1024, 0, &l->blocks },
		{ "limits.outside-flows-per-binding", y->outside_flows, 1, 65535, 0, &l->outside_flows },
	};

	l->blocks = 8;
	l->outside_flows = 64;
	return read_numbers(c, list, SN_ARRAY_LEN(list), err);
}

static int read_hold_down(struct sn_config *c, struct sn_error *err)
{
	const struct sn_yaml *y = c->doc.yaml;
	uint32_t hold_s = 120, cold_s = 0;
	const struct number warm = { "hold_down", y->hold_down, 0, 86400, 0, &hold_s };
	const struct number cold = { "cold_hold_down", y->cold_hold_down, 0, 86400, 0, &cold_s };
	int e = read_number(c, &warm, err);

	cold_s = hold_s;
	if (!e)
		e = read_number(c, &cold, err);
	c->timeouts.limits.hold_down_ds = hold_s * 10;
	c->cold_hold_down_ds = cold_s * 10;
	return e;
}

static int read_timeout(struct sn_config *c, enum sn_timeout t, const char *text, struct sn_error *err)
{
	uint32_t seconds = 0;
	char path[SN_PATH_B];
	const struct number n = { path, text, 1, 31536000, 0, &seconds };
	int e;

	if (!text)
		return 0;
	snprintf(path, sizeof(path), "timeouts.%s", sn_timeout_name(t));
	e = read_number(c, &n, err);
	if (!e)
		c->timeouts.timeout_ds[t] = seconds * 10;
	return e;
}

static int read_timeouts(struct sn_config *c, struct sn_error *err)
{
	static const struct sn_yaml_timeouts none;
	const struct sn_yaml_timeouts *y = c->doc.yaml->timeouts ? c->doc.yaml->timeouts : &none;
	int e = 0;

	if (sn_policy_profile(&c->timeouts, y->profile ? y->profile : "rfc"))
		return sn_config_refuse(c, err, "timeouts.profile", y->profile, "a profile of timeouts",
					"rfc or netfilter");
	for (int t = 0; t < SN_T_COUNT && !e; t++)
		e = read_timeout(c, (enum sn_timeout)t, y->value[t], err);
	/* Streams are netfilter's idea: without it there is one time for UDP. */
	if (!y->value[SN_T_UDP_STREAM] && (!y->profile || !strcmp(y->profile, "rfc")))
		c->timeouts.timeout_ds[SN_T_UDP_STREAM] = c->timeouts.timeout_ds[SN_T_UDP];
	return e;
}

static int read_tcp(struct sn_config *c, struct sn_error *err)
{
	static const struct sn_yaml_tcp none;
	const struct sn_yaml_tcp *y = c->doc.yaml->tcp ? c->doc.yaml->tcp : &none;
	const struct number mss = { "tcp.mss", y->mss, 88, 65495, NO_LIMIT, &c->timeouts.tcp_mss };
	int e;

	c->timeouts.tcp_loose = 1;
	c->timeouts.tcp_max_retrans = 3;
	e = read_bool(c, "tcp.loose", y->loose, &c->timeouts.tcp_loose, err);
	e = e ? e : read_bool(c, "tcp.liberal", y->liberal, &c->timeouts.tcp_liberal, err);
	return e ? e : read_number(c, &mss, err);
}

static int read_io(struct sn_config *c, struct sn_error *err)
{
	static const char *const names[] = { [SN_IO_AUTO] = "auto", [SN_IO_XSK] = "xsk", [SN_IO_URING] = "uring" };
	const char *text = c->doc.yaml->io;

	for (uint32_t i = 0; text && i < SN_ARRAY_LEN(names); i++)
		if (!strcmp(text, names[i])) {
			c->io = (enum sn_io)i;
			return 0;
		}
	return text ? sn_config_refuse(c, err, "io", text, "a kind of packet input and output", "auto, xsk or uring") : 0;
}

static int read_xsk(struct sn_config *c, struct sn_error *err)
{
	static const struct sn_yaml_xsk none;
	const struct sn_yaml_xsk *y = c->doc.yaml->xsk ? c->doc.yaml->xsk : &none;
	const struct number list[] = {
		{ "xsk.ring", y->ring, SN_XSK_RING_MIN, SN_XSK_RING_MAX, POWER_OF_TWO, &c->xsk.ring },
		{ "xsk.tx_ring", y->tx_ring, SN_XSK_RING_MIN, SN_XSK_RING_MAX, POWER_OF_TWO, &c->xsk.tx_ring },
	};
	int e = read_numbers(c, list, SN_ARRAY_LEN(list), err);

	return e ? e : read_bool(c, "xsk.busy_poll", y->busy_poll, &c->xsk.busy_poll, err);
}

/* "0,2-5": one more CPU, or a range of them. False if it is none. */
static bool read_cpus_part(struct sn_config *c, const char **text)
{
	char *end;
	unsigned long first = strtoul(*text, &end, 10), last = first;

	if (end == *text || !isdigit((unsigned char)**text))
		return false;
	if (*end == '-' && isdigit((unsigned char)end[1]))
		last = strtoul(end + 1, &end, 10);
	if (first > last || last >= SN_CPU_MAX || last - first >= SN_WORKERS_MAX - c->cpu_count || (*end && *end != ','))
		return false;
	while (first <= last)
		c->cpus[c->cpu_count++] = (uint16_t)first++;
	*text = *end ? end + 1 : end;
	return *end != ',' || **text;
}

static int read_cpus(struct sn_config *c, struct sn_error *err)
{
	const char *text = c->doc.yaml->cpus;

	while (text && (*text || !c->cpu_count))
		if (!read_cpus_part(c, &text))
			return sn_config_refuse(c, err, "cpus", c->doc.yaml->cpus, "a list of CPUs", "numbers and ranges, as \"0,2-5\"");
	return 0;
}

/* Number of a realm, which is added if it is new; SN_REALMS_MAX if there is no room. */
static uint32_t realm_of(struct sn_config *c, const char *name)
{
	for (uint32_t i = 0; i < c->realm_count; i++)
		if (!strcmp(c->realms[i], name))
			return i;
	if (c->realm_count == SN_REALMS_MAX)
		return SN_REALMS_MAX;
	snprintf(c->realms[c->realm_count], SN_NAME_B, "%s", name);
	return c->realm_count++;
}

static int check_interface_name(const struct sn_config *c, const char *name, const char *path, struct sn_error *err)
{
	if (!*name || strlen(name) > 15 || strpbrk(name, "/ \t"))
		return sn_config_refuse(c, err, path, name, "the name of an interface", "a name of 1 to 15 characters");
	for (uint32_t i = 0; i < c->interface_count; i++)
		if (!strcmp(c->interfaces[i].name, name))
			return sn_config_refuse(c, err, path, name, "free: the interface is in use already",
						"each interface once, on one side");
	if (c->interface_count == SN_INTERFACES_MAX)
		return sn_config_refuse(c, err, path, name, "possible: there are too many interfaces",
					"16 at most, both sides together");
	return 0;
}

static int read_interface(struct sn_config *c, uint8_t side, unsigned entry, const struct sn_yaml_interface *y,
			  struct sn_error *err)
{
	struct sn_config_interface i = { .side = side, .entry = (uint16_t)entry };
	const char *realm = y->realm ? y->realm : side == SN_INSIDE ? "inside" : "outside";
	const char *list = side == SN_INSIDE ? "inside" : "outside";
	char path[SN_PATH_B];
	uint32_t number;
	int e;

	snprintf(path, sizeof(path), "%s[%u].interface", list, entry);
	e = check_interface_name(c, y->interface, path, err);
	if (e)
		return e;
	snprintf(path, sizeof(path), "%s[%u].realm", list, entry);
	if (!sn_config_name_ok(realm))
		return sn_config_refuse(c, err, path, realm, "a name", "letters, digits, '-' and '_', at most 31");
	number = realm_of(c, realm);
	if (number == SN_REALMS_MAX)
		return sn_config_refuse(c, err, path, realm, "possible: there are too many realms", "16 at most");
	snprintf(i.name, sizeof(i.name), "%s", y->interface);
	i.realm = (uint8_t)number;
	c->interfaces[c->interface_count++] = i;
	return 0;
}

static int read_interfaces(struct sn_config *c, struct sn_error *err)
{
	const struct sn_yaml *y = c->doc.yaml;
	int e = 0;

	for (unsigned i = 0; i < y->inside_count && !e; i++)
		e = read_interface(c, SN_INSIDE, i, &y->inside[i], err);
	for (unsigned i = 0; i < y->outside_count && !e; i++)
		e = read_interface(c, SN_OUTSIDE, i, &y->outside[i], err);
	return e;
}

static int read_instance(struct sn_config *c, struct sn_error *err)
{
	const char *name = c->doc.yaml->instance;

	if (!sn_config_name_ok(name))
		return sn_config_refuse(c, err, "instance", name, "a name",
					"letters, digits, '-' and '_', at most 31, the first a letter or digit");
	snprintf(c->instance, sizeof(c->instance), "%s", name);
	return 0;
}

int sn_config_read_values(struct sn_config *c, struct sn_error *err)
{
	const struct sn_yaml *y = c->doc.yaml;
	int e = read_instance(c, err);

	e = e ? e : read_interfaces(c, err);
	e = e ? e : read_sizes(c, err);
	e = e ? e : check_shards(c, err);
	e = e ? e : read_timeouts(c, err);
	e = e ? e : read_limits(c, err);
	e = e ? e : read_hold_down(c, err);
	e = e ? e : read_tcp(c, err);
	e = e ? e : read_io(c, err);
	e = e ? e : read_xsk(c, err);
	e = e ? e : read_cpus(c, err);
	e = e ? e : read_choice(c, "hugepages", y->hugepages, true, &c->hugepages, err);
	return e ? e : read_choice(c, "zero_copy", y->zero_copy, false, &c->zero_copy, err);
}
