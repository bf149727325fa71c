/*
 * config_pools.c: pools and rules: addresses, ranges and prefixes, and what they must not overlap with.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static void entry_path(char *ret, uint16_t pool, uint16_t entry)
{
	snprintf(ret, SN_PATH_B, "pools[%u].addresses[%u]", pool, entry);
}

static const char *entry_text(const struct sn_config *c, const struct sn_config_range *r)
{
	return c->doc.yaml->pools[r->pool].addresses[r->entry];
}

static bool parse_address(const char *text, uint32_t *ret)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		return false;
	*ret = ntohl(a.s_addr);
	return true;
}

static uint32_t mask_of(unsigned len)
{
	return len ? UINT32_MAX << (32 - len) : 0;
}

/* "a.b.c.d/len"; *ret_first may have bits below the prefix, for the caller to judge. */
static bool parse_prefix(const char *text, uint32_t *ret_first, unsigned *ret_len)
{
	const char *slash = strchr(text, '/');
	char addr[16], *end;
	unsigned long len;

	if (!slash || slash - text > 15 || slash[1] < '0' || slash[1] > '9')
		return false;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	len = strtoul(slash + 1, &end, 10);
	if (*end || len > 32 || !parse_address(addr, ret_first))
		return false;
	*ret_len = (unsigned)len;
	return true;
}

static bool parse_span(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	const char *dash = strchr(text, '-');
	char addr[16];

	if (!dash || dash - text > 15)
		return false;
	memcpy(addr, text, (size_t)(dash - text));
	addr[dash - text] = '\0';
	return parse_address(addr, ret_first) && parse_address(dash + 1, ret_last) && *ret_first <= *ret_last;
}

static int refuse_host_bits(const struct sn_config *c, const char *path, const char *text, uint32_t first, unsigned len,
			    struct sn_error *err)
{
	struct in_addr net = { .s_addr = htonl(first & mask_of(len)) };
	char use[32];

	snprintf(use, sizeof(use), "%s/%u", inet_ntoa(net), len);
	return sn_config_refuse(c, err, path, text, "a prefix: it has bits set past its length", use);
}

static bool usable(uint32_t first, uint32_t last)
{
	return first >> 24 != 0 && last < 0xe0000000u && !(first >> 24 <= 127 && last >> 24 >= 127);
}

static int parse_entry(const struct sn_config *c, const char *path, const char *text, struct sn_config_range *ret,
		       struct sn_error *err)
{
	uint32_t first, last;
	unsigned len;

	if (parse_prefix(text, &first, &len)) {
		if (first & ~mask_of(len))
			return refuse_host_bits(c, path, text, first, len, err);
		last = first | ~mask_of(len);
	} else if (parse_address(text, &first)) {
		last = first;
	} else if (!parse_span(text, &first, &last)) {
		return sn_config_refuse(c, err, path, text, "an IPv4 address, prefix or range",
					"for example 203.0.113.1, 203.0.113.0/28 or 203.0.113.1-203.0.113.9");
	}
	if (!usable(first, last))
		return sn_config_refuse(c, err, path, text, "usable as public addresses",
					"unicast addresses, not 0.0.0.0/8, 127.0.0.0/8 or 224.0.0.0/3");
	ret->first = first;
	ret->last = last;
	return 0;
}

static int read_pool_addresses(struct sn_config *c, uint16_t pool, struct sn_error *err)
{
	const struct sn_yaml_pool *y = &c->doc.yaml->pools[pool];
	char path[SN_PATH_B];

	for (unsigned i = 0; i < y->addresses_count; i++) {
		struct sn_config_range r = { .pool = pool, .entry = (uint16_t)i };
		int e;

		entry_path(path, pool, (uint16_t)i);
		if (c->range_count == SN_RANGES_MAX)
			return sn_config_refuse(c, err, path, y->addresses[i], "possible: there are too many entries",
						"256 addresses, prefixes and ranges at most");
		e = parse_entry(c, path, y->addresses[i], &r, err);
		if (e)
			return e;
		if ((uint64_t)r.last - r.first >= SN_ADDRESSES_MAX)
			return sn_config_refuse(c, err, path, y->addresses[i], "possible: it is too large",
						"65536 addresses at most, in all pools together");
		c->ranges[c->range_count++] = r;
		if (sn_config_addresses(c) > SN_ADDRESSES_MAX)
			return sn_config_refuse(c, err, path, y->addresses[i], "possible: the pools are too large",
						"65536 addresses at most, in all pools together");
	}
	return 0;
}

/* The block size is one for the whole region, so pools may state it but not differ. */
static int read_block_size(struct sn_config *c, uint16_t pool, struct sn_error *err)
{
	const char *text = c->doc.yaml->pools[pool].block_size;
	char path[SN_PATH_B], *end;
	unsigned long v = text ? strtoul(text, &end, 10) : 512;

	snprintf(path, sizeof(path), "pools[%u].block_size", pool);
	if (text &&
	    (text[0] < '0' || text[0] > '9' || *end || v < SN_BLOCK_SIZE_MIN || v > SN_BLOCK_SIZE_MAX || (v & (v - 1))))
		return sn_config_refuse(c, err, path, text, "a power of two from 64 to 4096", "64, 128, 256 ... 4096");
	if (pool && v != c->block_size)
		return sn_config_refuse(c, err, path, text ? text : "512 (the default)", "that of the first pool",
					"the same block size for all pools");
	c->block_size = (uint32_t)v;
	return 0;
}

static int read_pool(struct sn_config *c, uint16_t pool, struct sn_error *err)
{
	const char *name = c->doc.yaml->pools[pool].name;
	char path[SN_PATH_B];
	int e;

	snprintf(path, sizeof(path), "pools[%u].name", pool);
	if (!sn_config_name_ok(name) || !strcmp(name, "none"))
		return sn_config_refuse(
			c, err, path, name, "a name",
			"letters, digits, '-' and '_', at most 31, the first a letter or digit, and not 'none'");
	for (uint16_t i = 0; i < pool; i++)
		if (!strcmp(c->pools[i], name))
			return sn_config_refuse(c, err, path, name, "free: another pool has it",
						"a name for each pool");
	snprintf(c->pools[pool], SN_NAME_B, "%s", name);
	e = read_block_size(c, pool, err);
	return e ? e : read_pool_addresses(c, pool, err);
}

int sn_config_read_pools(struct sn_config *c, struct sn_error *err)
{
	unsigned count = c->doc.yaml->pools_count;
	char value[16];
	int e = 0;

	snprintf(value, sizeof(value), "%u entries", count);
	if (count > SN_POOLS_MAX)
		return sn_config_refuse(c, err, "pools", value, "possible", "64 pools at most");
	c->pool_count = count;
	for (unsigned i = 0; i < count && !e; i++)
		e = read_pool(c, (uint16_t)i, err);
	return e;
}

static int rule_source(const struct sn_config *c, const char *path, const char *text, struct sn_rule *r,
		       struct sn_error *err)
{
	uint32_t first;
	unsigned len = 32;

	if (!parse_prefix(text, &first, &len) && !parse_address(text, &first))
		return sn_config_refuse(c, err, path, text, "an IPv4 address or prefix", "for example 100.64.0.0/10");
	if (first & ~mask_of(len))
		return refuse_host_bits(c, path, text, first, len, err);
	r->source_be32 = htonl(first);
	r->source_mask_be32 = htonl(mask_of(len));
	return 0;
}

static int rule_target(const struct sn_config *c, const char *path, const char *text, struct sn_rule *r,
		       struct sn_error *err)
{
	char use[512];
	size_t used = 0;

	r->action = !strcmp(text, "none") ? SN_PASS : SN_TRANSLATE;
	if (r->action == SN_PASS)
		return 0;
	for (uint32_t i = 0; i < c->pool_count; i++) {
		if (!strcmp(c->pools[i], text)) {
			r->pool = (uint16_t)i;
			return 0;
		}
		if (used < sizeof(use))
			used += (size_t)snprintf(use + used, sizeof(use) - used, "%s, ", c->pools[i]);
	}
	if (used < sizeof(use))
		snprintf(use + used, sizeof(use) - used, "or none (pass untranslated)");
	return sn_config_refuse(c, err, path, text, "the name of a pool", use);
}

static int rule_filtering(const struct sn_config *c, const char *path, const char *text, struct sn_rule *r,
			  struct sn_error *err)
{
	static const char *const names[] = {
		[SN_ENDPOINT_INDEPENDENT] = "endpoint-independent",
		[SN_ADDRESS_DEPENDENT] = "address-dependent",
		[SN_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
	};

	for (size_t i = 0; i < SN_ARRAY_LEN(names); i++) {
		if (!text || !strcmp(text, names[i])) {
			r->filtering = (uint8_t)i;
			return 0;
		}
	}
	return sn_config_refuse(c, err, path, text, "a kind of filtering",
				"endpoint-independent, address-dependent or address-and-port-dependent");
}

static int read_rule(const struct sn_config *c, unsigned n, struct sn_rule *r, struct sn_error *err)
{
	const struct sn_yaml_rule *y = &c->doc.yaml->rules[n];
	char path[SN_PATH_B];
	int e;

	snprintf(path, sizeof(path), "rules[%u].source", n);
	e = rule_source(c, path, y->source, r, err);
	snprintf(path, sizeof(path), "rules[%u].translate", n);
	e = e ? e : rule_target(c, path, y->translate, r, err);
	snprintf(path, sizeof(path), "rules[%u].filtering", n);
	return e ? e : rule_filtering(c, path, y->filtering, r, err);
}

int sn_config_read_rules(struct sn_config *c, struct sn_error *err)
{
	unsigned count = c->doc.yaml->rules_count;
	char value[16];
	int e = 0;

	snprintf(value, sizeof(value), "%u entries", count);
	if (count > SN_RULES_MAX)
		return sn_config_refuse(c, err, "rules", value, "possible", "128 rules at most");
	c->rule_count = count;
	for (unsigned i = 0; i < count && !e; i++)
		e = read_rule(c, i, &c->rules[i], err);
	return e;
}

static int refuse_range(const struct sn_config *c, const struct sn_config_range *r, const char *what, const char *use,
			struct sn_error *err)
{
	char path[SN_PATH_B];

	entry_path(path, r->pool, r->entry);
	return sn_config_refuse(c, err, path, entry_text(c, r), what, use);
}

static int check_ranges(const struct sn_config *c, uint32_t n, struct sn_error *err)
{
	const struct sn_config_range *r = &c->ranges[n];
	char what[160];

	for (uint32_t i = 0; i < n; i++) {
		const struct sn_config_range *o = &c->ranges[i];

		if (r->last < o->first || o->last < r->first)
			continue;
		snprintf(what, sizeof(what), "free: it overlaps '%.60s' of pool '%s'", entry_text(c, o),
			 c->pools[o->pool]);
		return refuse_range(c, r, what, "each public address once", err);
	}
	return 0;
}

static int check_sources(const struct sn_config *c, const struct sn_config_range *r, struct sn_error *err)
{
	char what[160];

	for (uint32_t i = 0; i < c->rule_count; i++) {
		uint32_t first = ntohl(c->rules[i].source_be32), last = first | ~ntohl(c->rules[i].source_mask_be32);

		if (r->last < first || last < r->first)
			continue;
		snprintf(what, sizeof(what), "public: it overlaps the subscribers' '%.40s' of rules[%u]",
			 c->doc.yaml->rules[i].source, i);
		return refuse_range(c, r, what, "addresses that no subscriber has", err);
	}
	return 0;
}

static int check_own(const struct sn_config *c, const struct sn_config_range *r, const struct sn_links *links,
		     struct sn_error *err)
{
	char what[160];

	for (uint32_t i = 0; links && i < links->addr_count; i++) {
		struct in_addr a = { .s_addr = links->addrs[i].addr_be32 };

		if (ntohl(a.s_addr) < r->first || ntohl(a.s_addr) > r->last)
			continue;
		snprintf(what, sizeof(what), "free: it contains the node's own address %s", inet_ntoa(a));
		return refuse_range(c, r, what, "addresses that are routed to the node and not set on an interface",
				    err);
	}
	return 0;
}

int sn_config_check_pools(const struct sn_config *c, const struct sn_links *links, struct sn_error *err)
{
	int e = 0;

	for (uint32_t i = 0; i < c->range_count && !e; i++) {
		e = check_ranges(c, i, err);
		e = e ? e : check_sources(c, &c->ranges[i], err);
		e = e ? e : check_own(c, &c->ranges[i], links, err);
	}
	return e;
}
