/*
 * threads.h: what the stress programs share: threads that start together, and complaints that name the place. A program
 * ends with 0 and one line of counts, or with 1 and what was wrong.
 */
#ifndef SN_STRESS_THREADS_H
#define SN_STRESS_THREADS_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define STRESS_THREADS_MAX 8

struct stress {
	pthread_barrier_t start;
	pthread_t thread[STRESS_THREADS_MAX];
	uint32_t threads;
};

/* Ends the program at the first thing that is wrong. */
#define STRESS_ASSERT(cond, ...)                                                   \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                              \
			fputc('\n', stderr);                                       \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

struct stress_job {
	struct stress *all;
	void (*run)(void *arg);
	void *arg;
};

static inline void *stress_thread(void *job)
{
	struct stress_job j = *(struct stress_job *)job;

	free(job);
	pthread_barrier_wait(&j.all->start);
	j.run(j.arg);
	return NULL;
}

/* Threads wait until all of them, `threads` in number, are there. */
static inline void stress_init(struct stress *all, uint32_t threads)
{
	STRESS_ASSERT(threads <= STRESS_THREADS_MAX && pthread_barrier_init(&all->start, NULL, threads) == 0,
		      "%u threads", threads);
	all->threads = 0;
}

static inline void stress_run(struct stress *all, void (*run)(void *arg), void *arg)
{
	struct stress_job *job = malloc(sizeof(*job));

	STRESS_ASSERT(job != NULL, "no memory");
	*job = (struct stress_job){ all, run, arg };
	STRESS_ASSERT(pthread_create(&all->thread[all->threads++], NULL, stress_thread, job) == 0, "no thread");
}

static inline void stress_join(struct stress *all)
{
	for (uint32_t i = 0; i < all->threads; i++)
		pthread_join(all->thread[i], NULL);
	pthread_barrier_destroy(&all->start);
}

#endif
