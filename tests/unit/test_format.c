/*
 * test_format.c: conntrack's lines to the letter (NETFILTER.md section 3), JSON, and the filters that both ends
 * share.
 */
#include <criterion/criterion.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "flow_message.h"
#include "format.h"
#include "json.h"
#include "options.h"

#define TCP_ORIGINAL "src=100.64.0.2 dst=198.51.100.9 sport=40000 dport=443 "
#define TCP_REPLY "src=198.51.100.9 dst=203.0.113.7 sport=443 dport=23456"

static char *text;
static size_t text_len;

static FILE *sink(void)
{
	free(text);
	return open_memstream(&text, &text_len);
}

static void expect_event(const Shardnat__Event *e, unsigned int output, const char *line)
{
	FILE *out = sink();

	sn_format_event(out, e, output);
	fclose(out);
	cr_assert_str_eq(text, line);
}

static void expect_flow(const Shardnat__Flow *f, unsigned int output, const char *line)
{
	FILE *out = sink();

	sn_format_flow(out, f, output);
	fclose(out);
	cr_assert_str_eq(text, line);
}

Test(format, tcp_new)
{
	Shardnat__Flow f = flow_message(6);
	Shardnat__Event e = event_message(NEW, &f, 1);

	f.state = SHARDNAT__TCP_STATE__TCP_SYN_SENT;
	expect_event(&e, 0, "    [NEW] tcp      6 120 SYN_SENT " TCP_ORIGINAL "[UNREPLIED] " TCP_REPLY "\n");
}

Test(format, tcp_update_names_its_state_only_when_that_changed)
{
	Shardnat__Flow f = flow_message(6);
	Shardnat__Event e = event_message(UPDATE, &f, 1);

	f.state = SHARDNAT__TCP_STATE__TCP_ESTABLISHED;
	f.status = SEEN_REPLY | ASSURED;
	f.timeout_ds = 4320000;
	e.change = SHARDNAT__CHANGE__CHANGE_STATE | SHARDNAT__CHANGE__CHANGE_ASSURED;
	expect_event(&e, 0, " [UPDATE] tcp      6 432000 ESTABLISHED " TCP_ORIGINAL TCP_REPLY " [ASSURED]\n");
	e.change = SHARDNAT__CHANGE__CHANGE_REPLY;
	f.status = SEEN_REPLY;
	expect_event(&e, 0, " [UPDATE] tcp      6 432000 " TCP_ORIGINAL TCP_REPLY "\n");
}

Test(format, destroy_has_counters_and_no_timeout_of_0)
{
	Shardnat__Flow f = flow_message(6);
	Shardnat__Event e = event_message(DESTROY, &f, 1);

	f.state = SHARDNAT__TCP_STATE__TCP_TIME_WAIT;
	f.status = SEEN_REPLY | ASSURED;
	f.timeout_ds = 0;
	expect_event(&e, 0, "[DESTROY] tcp      6 TIME_WAIT " TCP_ORIGINAL "packets=3 bytes=180 " TCP_REPLY
			    " packets=2 bytes=120 [ASSURED]\n");
	f.state = SHARDNAT__TCP_STATE__TCP_CLOSE;
	f.status = 0;
	f.timeout_ds = 1200;
	expect_event(&e, 0, "[DESTROY] tcp      6 120 CLOSE " TCP_ORIGINAL "packets=3 bytes=180 [UNREPLIED] " TCP_REPLY
			    " packets=2 bytes=120\n");
}

Test(format, udp_and_its_options)
{
	Shardnat__Flow f = flow_message(17);
	Shardnat__Event e = event_message(NEW, &f, 1);

	f.timeout_ds = 309;
	expect_event(&e, 0, "    [NEW] udp      17 30 " TCP_ORIGINAL "[UNREPLIED] " TCP_REPLY "\n");
	expect_event(&e, SN_OUTPUT_TIMESTAMP,
		     "[1700000001.000002]\t    [NEW] udp      17 30 " TCP_ORIGINAL "[UNREPLIED] " TCP_REPLY "\n");
	expect_event(&e, SN_OUTPUT_EXTENDED | SN_OUTPUT_ID,
		     "    [NEW] ipv4     2 udp      17 30 " TCP_ORIGINAL "[UNREPLIED] " TCP_REPLY " id=30064771077\n");
}

Test(format, icmp_shows_the_identifier_of_each_side)
{
	Shardnat__Flow f = flow_message(1);
	Shardnat__Event e = event_message(NEW, &f, 1);

	f.timeout_ds = 300;
	expect_event(&e, 0, "    [NEW] icmp     1 30 src=100.64.0.2 dst=198.51.100.9 type=8 code=0 id=40000 [UNREPLIED] "
			    "src=198.51.100.9 dst=203.0.113.7 type=0 code=0 id=23456\n");
}

Test(format, opened_from_outside)
{
	Shardnat__Flow f = flow_message(17);

	f.from_outside = true;
	f.status = SEEN_REPLY;
	f.timeout_ds = 300;
	expect_flow(&f, 0, "udp      17 30 src=198.51.100.9 dst=203.0.113.7 sport=443 dport=23456 packets=3 bytes=180 "
			   "src=100.64.0.2 dst=198.51.100.9 sport=40000 dport=443 packets=2 bytes=120 mark=0 use=1\n");
}

Test(format, listing)
{
	Shardnat__Flow f = flow_message(6);

	f.state = SHARDNAT__TCP_STATE__TCP_ESTABLISHED;
	f.status = SEEN_REPLY | ASSURED;
	expect_flow(&f, 0, "tcp      6 120 ESTABLISHED " TCP_ORIGINAL "packets=3 bytes=180 " TCP_REPLY
			   " packets=2 bytes=120 [ASSURED] mark=0 use=1\n");
	f.timeout_ds = 4;
	f.proto = 99;
	f.status = 0;
	expect_flow(&f, SN_OUTPUT_ID, "unknown  99 0 " TCP_ORIGINAL "packets=3 bytes=180 [UNREPLIED] " TCP_REPLY
				      " packets=2 bytes=120 mark=0 use=1 id=30064771077\n");
}

Test(format, event_as_json)
{
	Shardnat__EventBatch b = SHARDNAT__EVENT_BATCH__INIT;
	Shardnat__Flow f = flow_message(6);
	Shardnat__Event e = event_message(UPDATE, &f, 77);
	FILE *out = sink();

	b.instance = (char *)"de\"mo";
	b.epoch = 4;
	e.change = SHARDNAT__CHANGE__CHANGE_STATE | SHARDNAT__CHANGE__CHANGE_REPLY;
	f.state = SHARDNAT__TCP_STATE__TCP_SYN_RECV;
	f.status = SEEN_REPLY;
	f.block_ports = 0;
	sn_format_event_json(out, &b, &e);
	fclose(out);
	cr_assert_str_eq(text,
			 "{\"type\":\"UPDATE\",\"time\":1700000001.000002003,\"instance\":\"de\\\"mo\",\"epoch\":4,\"seq\":77,"
			 "\"change\":[\"STATE\",\"REPLY\"],\"id\":30064771077,\"shard\":3,\"proto\":\"tcp\",\"protonum\":6,"
			 "\"state\":\"SYN_RECV\",\"timeout\":120,"
			 "\"original\":{\"src\":\"100.64.0.2\",\"dst\":\"198.51.100.9\",\"sport\":40000,\"dport\":443,"
			 "\"packets\":3,\"bytes\":180},"
			 "\"reply\":{\"src\":\"198.51.100.9\",\"dst\":\"203.0.113.7\",\"sport\":443,\"dport\":23456,"
			 "\"packets\":2,\"bytes\":120},\"status\":[\"SEEN_REPLY\"],\"subscriber\":\"100.64.0.2\","
			 "\"realm\":\"default\",\"from_outside\":false,\"hairpin\":false,\"pass\":false,\"rule\":0,"
			 "\"start\":1700000000.000000000}\n");
}

Test(format, json_escapes)
{
	struct sn_json j = { .out = sink() };

	sn_json_open(&j, NULL, '[');
	sn_json_text(&j, NULL, "a\"b\\c\n\xff");
	sn_json_bool(&j, NULL, true);
	sn_json_close(&j, ']');
	fclose(j.out);
	cr_assert_str_eq(text, "[\"a\\\"b\\\\c\\u000a\\u00ff\",true]");
}

/* --- options and filters --- */

static bool parse(struct sn_query *q, bool events, char *line)
{
	char *argv[16] = { (char *)"flows" }, *save = NULL;
	int argc = 1;

	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	optind = 0;
	opterr = 0;
	return sn_query_parse(argc, argv, events, q);
}

static bool good(bool events, const char *words)
{
	char line[128];
	struct sn_query q;

	snprintf(line, sizeof(line), "%s", words);
	return parse(&q, events, line);
}

static bool matches(const char *words, const Shardnat__Flow *f)
{
	char line[128];
	struct sn_query q;

	snprintf(line, sizeof(line), "%s", words);
	cr_assert(parse(&q, false, line), "%s", words);
	return shardnat_filter_match(&q.filter, f);
}

Test(format, options_that_are_wrong)
{
	static const char *const wrong[] = {
		"--dport 80", "-p icmp --dport 80", "-p nonsense", "-p 256", "-s 1.2.3", "-s 1.2.3.4/33", "-p tcp --dport 65536",
		"-p tcp --dport -1", "-p udp --state CLOSE", "-p tcp --state OPEN", "-u NONSENSE", "-o yaml", "-m x", "-L -D", "-G -p tcp", "-F -p tcp",
		"--count 3", "extra", "-p tcp --sport x", "--icmp-id 3", "--subscriber 10.0.0.0/8", "-e NEW",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_not(good(false, wrong[i]), "%s", wrong[i]);
	cr_assert_not(good(true, "-e SOME"));
	cr_assert_not(good(true, "-u ASSURED"));
	cr_assert_not(good(true, "--count 0"));
	cr_assert(good(true, "-e NEW,DESTROY -o timestamp,id --count 3 -p tcp --dport 443"));
}

Test(format, filters)
{
	Shardnat__Flow f = flow_message(6);

	f.state = SHARDNAT__TCP_STATE__TCP_ESTABLISHED;
	f.status = SEEN_REPLY | ASSURED;
	cr_assert(matches("", &f));
	cr_assert(matches("-p tcp -s 100.64.0.0/10 -d 198.51.100.9 -q 203.0.113.7 -r 198.51.100.0/24", &f));
	cr_assert(matches("-p tcp --sport 40000 --dport 443 --reply-port-src 443 --reply-port-dst 23456", &f));
	cr_assert(matches("-p tcp --state established -u ASSURED,SEEN_REPLY --subscriber 100.64.0.2", &f));
	cr_assert(matches("-n -m 0 -w 0 -f ipv4", &f));
	cr_assert(matches("-n 203.0.113.7:23456 --any-nat=203.0.113.7 -s 100.64.9.9 --mask-src 255.255.0.0", &f));
	cr_assert_not(matches("-g", &f));
	cr_assert_not(matches("-n 203.0.113.7:23457", &f));
	cr_assert_not(matches("-m 1", &f));
	cr_assert_not(matches("-L dying", &f));
	cr_assert_not(matches("-p udp", &f));
	cr_assert_not(matches("-s 100.64.0.3", &f));
	cr_assert_not(matches("-q 203.0.113.6", &f));
	cr_assert_not(matches("-p tcp --dport 444", &f));
	cr_assert_not(matches("-p tcp --reply-port-dst 23457", &f));
	cr_assert_not(matches("-u UNREPLIED", &f));
	cr_assert_not(matches("-p tcp --state CLOSE", &f));
	cr_assert_not(matches("--subscriber 198.51.100.9", &f));
	f = flow_message(1);
	cr_assert(matches("-p icmp --icmp-type 8 --icmp-code 0 --icmp-id 40000 -u UNREPLIED", &f));
	cr_assert_not(matches("-p icmp --icmp-id 23456", &f));
}
