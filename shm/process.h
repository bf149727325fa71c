/*
 * process.h: who is alive, who owns which shard, and what each worker counts.
 */
#ifndef SN_PROCESS_H
#define SN_PROCESS_H

#include "base.h"
#include "policy.h"
#include "verdict.h"

#define SN_WORKERS_MAX 64
#define SN_SHARDS_MAX 256

/* Who they run as. */
#define SN_UID_WORKER 64501
#define SN_UID_CONTROL 64502
#define SN_UID_API 64503

enum sn_role { SN_ROLE_SUPERVISOR, SN_ROLE_CONTROL, SN_ROLE_API, SN_ROLE_WORKER };

/* W: supervisor. R: all. Slot 0 supervisor, 1 control, 2 API, 3.. workers. */
struct sn_process {
	_Atomic uint32_t pid;      /* 0: not running */
	_Atomic uint32_t restarts; /* since the region was made */
	uint64_t started_ns;       /* sn_clock_ns() */
	uint32_t role;
	uint32_t pad[11];
} SN_ALIGNED(SN_CACHE_LINE);

#define SN_PROCESS_WORKER0 3
#define SN_PROCESSES_MAX (SN_PROCESS_WORKER0 + SN_WORKERS_MAX)

/*
 * Owner of a shard. W: supervisor alone, and only after the old owner has been reaped: epoch goes up by one with every new
 * process that takes the shard. The word is worker << 32 | epoch, so both change at once.
 */
struct sn_shard_owner {
	uint32_t worker; /* number, SN_NONE */
	uint32_t epoch;
};

static inline uint64_t sn_shard_owner_pack(struct sn_shard_owner o)
{
	return (uint64_t)o.worker << 32 | o.epoch;
}

static inline struct sn_shard_owner sn_shard_owner_unpack(uint64_t word)
{
	return (struct sn_shard_owner){ .worker = (uint32_t)(word >> 32), .epoch = (uint32_t)word };
}

#define SN_PORTS_MAX 32 /* per worker */

enum sn_port_kind { SN_PORT_NONE, SN_PORT_XSK_COPY, SN_PORT_XSK_ZERO_COPY, SN_PORT_PACKET, SN_PORT_TUN };

/* What one socket (or queue of a TUN device) of a worker counts, brought up to date about once a second. */
struct sn_port_stats {
	uint16_t interface;    /* index in the policy */
	uint16_t queue;
	uint32_t kind;         /* enum sn_port_kind */
	uint64_t received;     /* packets taken */
	uint64_t sent;         /* packets given to the kernel */
	uint64_t dropped;      /* by the kernel, for want of a frame or of room in a ring or buffer */
	uint64_t fill_empty;   /* XDP: times that the kernel found no frame to receive into */
	uint64_t invalid;      /* descriptors that the kernel, or we, found wrong */
	uint64_t too_big;      /* dropped: longer than a frame (super-packets) */
	uint64_t tx_failed;    /* not sent: the device's queue or the socket's buffer was full */
	uint64_t completed;    /* partial checksums that were completed */
};

/* What one worker counts; survives its restarts. W: the worker. R: API, check; relaxed. */
struct sn_worker_stats {
	uint64_t received;            /* frames taken from receive rings */
	uint64_t handed_in;           /* frames taken from hand-off rings */
	uint64_t hairpins;            /* packets that went on to a second flow after translation */
	uint64_t originated;          /* ICMP errors of our own sent */
	uint64_t pieces;              /* packets more than came in, by cutting what was too big */
	uint64_t verdict[SN_V_COUNT]; /* received + handed_in + pieces = their sum + what is held back at the moment */
	uint64_t rounds;              /* turns of the main loop */
	uint64_t sleeps;              /* of them, that slept */
	uint64_t wakeups;             /* system calls that kicked a ring */
	uint64_t recovered;           /* intents rolled forward or back at take-over */
	uint64_t rebuilt;             /* shards whose indexes were rebuilt */
	uint64_t astray;              /* frames by which the kernel's rings and our books differed at a take-over */
	uint64_t corrupt;             /* words of the region found out of range and contained */
	uint64_t frames[5];           /* at last count: fill, rx, tx, free, other (held, hand-off) */
	uint64_t policy_generation;   /* acknowledged */
	_Atomic uint32_t sleeping;    /* 1 while it may sleep: others then write its eventfd */
	uint32_t ready;               /* 1 once it forwards */
	struct sn_port_stats ports[SN_PORTS_MAX];
} SN_ALIGNED(SN_CACHE_LINE);

/* Commands from control to a worker (one ring per worker), and requests back. */
enum sn_command_op { SN_CMD_EXPIRE = 1, SN_CMD_RETURN_BLOCK, SN_CMD_LEAVE, SN_CMD_DELETE };

struct sn_command {
	uint32_t op;
	uint32_t shard;
	uint32_t record; /* flow, block or subscriber */
	uint32_t gen;    /* of the record when it was looked at; of a block: its owner word's generation */
};

/* A worker asks control to have a neighbour resolved. */
struct sn_request {
	uint32_t interface; /* index in the policy */
	uint32_t addr_be32;
};

#endif
