/* cmd_tables.c: shardnat subscribers, pools, rules. JSON is one object per line. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "format.h"
#include "json.h"

static void block_json(struct sn_json *j, const Shardnat__Block *b)
{
	sn_json_open(j, NULL, '{');
	sn_json_address(j, "address", b->address);
	sn_json_number(j, "first_port", b->first_port);
	sn_json_number(j, "ports", b->ports);
	sn_json_number(j, "bound_tcp", b->bound_tcp);
	sn_json_number(j, "bound_udp", b->bound_udp);
	sn_json_number(j, "bound_icmp", b->bound_icmp);
	sn_json_number(j, "held", b->held);
	sn_json_close(j, '}');
}

static void subscriber_json(const Shardnat__Subscriber *s)
{
	struct sn_json j = { .out = stdout };

	sn_json_open(&j, NULL, '{');
	sn_json_address(&j, "address", s->address);
	sn_json_text(&j, "realm", s->realm);
	sn_json_number(&j, "shard", s->shard);
	sn_json_number(&j, "flows", s->flows);
	sn_json_number(&j, "ports_tcp", s->ports_tcp);
	sn_json_number(&j, "ports_udp", s->ports_udp);
	sn_json_number(&j, "ports_icmp", s->ports_icmp);
	sn_json_number(&j, "refused", s->refused);
	sn_json_address(&j, "public_address", s->public_address);
	sn_json_text(&j, "pool", s->pool);
	sn_json_open(&j, "blocks", '[');
	for (size_t i = 0; i < s->n_blocks; i++)
		block_json(&j, s->blocks[i]);
	sn_json_close(&j, ']');
	sn_json_close(&j, '}');
	putchar('\n');
}

static void subscriber_text(const Shardnat__Subscriber *s)
{
	char inside[16], outside[16];

	printf("%-15s %-15s %5u %8u %6u %6u %6u %8u ", sn_format_address(inside, s->address),
	       s->public_address ? sn_format_address(outside, s->public_address) : "-", s->shard, s->flows,
	       s->ports_tcp, s->ports_udp, s->ports_icmp, s->refused);
	for (size_t i = 0; i < s->n_blocks; i++)
		printf(" %u-%u", s->blocks[i]->first_port, s->blocks[i]->first_port + s->blocks[i]->ports - 1);
	putchar('\n');
}

static int subscribers(struct shardnat *node, bool json)
{
	uint64_t cursor = 0;
	bool done = false;

	if (!json)
		puts("SUBSCRIBER      PUBLIC          SHARD    FLOWS    TCP    UDP   ICMP  REFUSED  BLOCKS");
	while (!done) {
		Shardnat__Reply *reply;
		int err = shardnat_subscribers(node, 0, cursor, &reply);

		if (err)
			return err;
		for (size_t i = 0; i < reply->subscribers->n_subscribers; i++)
			(json ? subscriber_json : subscriber_text)(reply->subscribers->subscribers[i]);
		done = reply->subscribers->done || reply->subscribers->next_cursor <= cursor;
		cursor = reply->subscribers->next_cursor;
		shardnat_reply_free(reply);
	}
	return SHARDNAT_OK;
}

static void pool_json(const Shardnat__Pool *p)
{
	struct sn_json j = { .out = stdout };

	sn_json_open(&j, NULL, '{');
	sn_json_text(&j, "name", p->name);
	sn_json_number(&j, "block_size", p->block_size);
	sn_json_open(&j, "addresses", '[');
	for (size_t i = 0; i < p->n_addresses; i++) {
		sn_json_open(&j, NULL, '{');
		sn_json_address(&j, "address", p->addresses[i]->address);
		sn_json_text(&j, "state", p->addresses[i]->state);
		sn_json_number(&j, "blocks_claimed", p->addresses[i]->blocks_claimed);
		sn_json_number(&j, "blocks", p->addresses[i]->blocks);
		sn_json_close(&j, '}');
	}
	sn_json_close(&j, ']');
	sn_json_close(&j, '}');
	putchar('\n');
}

static void pool_text(const Shardnat__Pool *p)
{
	char address[16];

	for (size_t i = 0; i < p->n_addresses; i++)
		printf("%-16s %-15s %-9s %6u of %4u blocks of %u ports\n", p->name,
		       sn_format_address(address, p->addresses[i]->address), p->addresses[i]->state,
		       p->addresses[i]->blocks_claimed, p->addresses[i]->blocks, p->block_size);
}

static int pools(struct shardnat *node, bool json)
{
	Shardnat__Reply *reply;
	int err = shardnat_pools(node, &reply);

	if (err)
		return err;
	if (!json)
		puts("POOL             ADDRESS         STATE     CLAIMED");
	for (size_t i = 0; i < reply->pools->n_pools; i++)
		(json ? pool_json : pool_text)(reply->pools->pools[i]);
	shardnat_reply_free(reply);
	return SHARDNAT_OK;
}

static unsigned int prefix_length(uint32_t mask)
{
	return (unsigned int)__builtin_popcount(mask);
}

static void rule_json(const Shardnat__Rule *r)
{
	struct sn_json j = { .out = stdout };

	sn_json_open(&j, NULL, '{');
	sn_json_number(&j, "number", r->number);
	sn_json_address(&j, "source", r->source);
	sn_json_number(&j, "prefix_length", prefix_length(r->source_mask));
	sn_json_text(&j, "action", r->action);
	sn_json_text(&j, "pool", r->pool);
	sn_json_text(&j, "filtering", r->filtering);
	sn_json_number(&j, "hits", r->hits);
	sn_json_close(&j, '}');
	putchar('\n');
}

static void rule_text(const Shardnat__Rule *r)
{
	char address[16], source[24];

	snprintf(source, sizeof(source), "%s/%u", sn_format_address(address, r->source), prefix_length(r->source_mask));
	printf("%4u %-18s %-9s %-16s %-26s %10" PRIu64 "\n", r->number, source, r->action, *r->pool ? r->pool : "-",
	       *r->filtering ? r->filtering : "-", r->hits);
}

static int rules(struct shardnat *node, bool json)
{
	Shardnat__Reply *reply;
	int err = shardnat_rules(node, &reply);

	if (err)
		return err;
	if (!json)
		puts("RULE SOURCE             ACTION    POOL             FILTERING                        HITS");
	for (size_t i = 0; i < reply->rules->n_rules; i++)
		(json ? rule_json : rule_text)(reply->rules->rules[i]);
	shardnat_reply_free(reply);
	return SHARDNAT_OK;
}

static int table(const char *instance, int argc, char **argv, const char *help, int (*print)(struct shardnat *, bool))
{
	struct shardnat *node;
	bool json = false;
	int err;

	if (!sn_cli_simple_options(argc, argv, help, &json, &err))
		return err;
	if (!sn_cli_open(&node, instance))
		return SN_EXIT_FAILED;
	err = print(node, json);
	fflush(stdout);
	err = err ? sn_cli_fail(node, err) : SN_EXIT_OK;
	shardnat_close(node);
	return err;
}

int sn_cmd_subscribers(const char *instance, int argc, char **argv)
{
	return table(instance, argc, argv,
		     "Usage: shardnat [--instance NAME] subscribers [-o json]\n"
		     "Lists the subscribers: public address, flows, ports per protocol, packets refused, port blocks.\n",
		     subscribers);
}

int sn_cmd_pools(const char *instance, int argc, char **argv)
{
	return table(instance, argc, argv,
		     "Usage: shardnat [--instance NAME] pools [-o json]\n"
		     "Lists the pools' addresses: state, port blocks claimed.\n",
		     pools);
}

int sn_cmd_rules(const char *instance, int argc, char **argv)
{
	return table(instance, argc, argv,
		     "Usage: shardnat [--instance NAME] rules [-o json]\n"
		     "Lists the rules in their order, with the number of flows each has decided.\n",
		     rules);
}
