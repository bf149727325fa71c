/*
 * rows_profile.c: see rows.h. Few flows, so that setting up takes little; the count of instructions does not depend
 * on it.
 */
#include "rows.h"

#include <errno.h>
#include <string.h>

#define PACKETS (64 * WORLD_BATCH)
#define FLOWS (4 * WORLD_BATCH)

static void nothing(const char *what, uint32_t done, uint32_t of)
{
	(void)what, (void)done, (void)of;
}

int rows_profile(const char *what)
{
	static const struct visit both = { .out = true, .in = true };
	static const struct size size = { "1k", 1024, 1024 };
	static struct arena arena;
	static struct world w;
	struct plan p = bench_plan(&size);
	bool visits = !strcmp(what, "udp") || !strcmp(what, "tcp");
	uint64_t open_ns, close_ns;
	int err;

	if (!visits && strcmp(what, "new") && strcmp(what, "close"))
		return -EINVAL;
	p.tcp = strcmp(what, "tcp") ? 0 : UINT32_MAX;
	p.spare = FLOWS;
	err = arena_open(&arena, world_pages(&p), 1);
	if (!err)
		err = world_make(&w, &arena, &p);
	if (err)
		goto out_arena;
	traffic_fill(&w, nothing);
	if (visits)
		traffic_visit(&w, &both, PACKETS);
	else
		traffic_churn(&w, FLOWS, &open_ns, &close_ns);
	printf("%u\n", visits ? PACKETS : FLOWS);
	err = w.lost ? -EPROTO : 0;
	world_free(&w);
out_arena:
	arena_close(&arena);
	return err;
}
