/*
 * view.h: records of the region as messages. What is read from the region is foreign: numbers are range-checked, names
 * copied and terminated, records copied and looked at again. Callers: publish and the answers; each thread has a view
 * of its own.
 */
#ifndef SN_API_VIEW_H
#define SN_API_VIEW_H

#include "region.h"
#include "shardnat.pb-c.h"

struct sn_view {
	const struct sn_region *region;
	struct sn_ports ports;
	uint64_t now_ns;        /* the region's clock at the last refresh */
	uint64_t wall_ns;       /* the time of day at the same moment */
	char realms[SN_REALMS_MAX][SN_NAME_B];
	char pools[SN_POOLS_MAX][SN_NAME_B];
};

void sn_view_init(struct sn_view *v, const struct sn_region *r);

/* Takes the time and the names anew; before each request or round of events. */
void sn_view_refresh(struct sn_view *v);

/* Names by number; "?" for a number that is none. Live until the next refresh. */
char *sn_view_realm(struct sn_view *v, uint32_t realm);
char *sn_view_pool(struct sn_view *v, uint32_t pool);

/* Blocks of an address that can be given out. */
uint32_t sn_view_blocks_per_address(const struct sn_view *v);

/* Fills an initialised message from an event. Strings in it live until the next refresh. */
void sn_view_event_flow(struct sn_view *v, const struct sn_event *e, Shardnat__Flow *ret);

/* Fills an initialised message from record `number`; false if it is not alive, or past its timeout. */
bool sn_view_flow(struct sn_view *v, uint32_t number, Shardnat__Flow *ret);

/* The time of day of a moment in the region's clock. */
uint64_t sn_view_wall_of_ns(const struct sn_view *v, uint64_t time_ns);

#endif
