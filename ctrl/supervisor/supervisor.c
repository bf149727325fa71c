/*
 * supervisor.c: the loop of a running supervisor: deaths, signals, changes of interfaces, requests. See supervisor.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "supervisor.h"

/* In the array for poll(). */
enum place {
	SIGNALS, CHANGES, LISTENING, PEERS,
	CHILDREN = PEERS + SN_PEERS_MAX,
	PLACES = CHILDREN + SN_PROCESSES_MAX
};

void sn_say(const char *format, ...)
{
	struct timespec now;
	char text[1200], when[32];
	struct tm tm;
	va_list args;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "%s.%03ld shardnatd: %s\n", when, now.tv_nsec / 1000000, text);
}

uint64_t sn_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* True if it is a signal to stop. */
static bool on_signal(struct sn_supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGHUP)
		return true;
	sn_say("SIGHUP: a new configuration cannot be taken up while the node runs; stop and start it");
	return false;
}

static void say_gone(const struct sn_supervisor *s)
{
	for (uint32_t i = 0; i < s->config.interface_count; i++)
		if (!sn_links_find(&s->links, s->config.interfaces[i].name))
			sn_say("interface %s is gone: its packets are not taken any more, even when it is back, until the node is "
			       "stopped and started again", s->config.interfaces[i].name);
}

static void on_change(struct sn_supervisor *s)
{
	sn_links_drain(s->changes);
	if (sn_links_read(&s->links) != 0 || !sn_publish_policy(s))
		return;
	sn_say("interfaces or addresses changed: workers have the new ones");
	say_gone(s);
}

static void gather(const struct sn_supervisor *s, struct pollfd *p)
{
	p[SIGNALS].fd = s->signals;
	p[CHANGES].fd = s->changes;
	p[LISTENING].fd = s->listening;
	for (uint32_t i = 0; i < SN_PEERS_MAX; i++)
		p[PEERS + i].fd = s->peers[i];
	for (uint32_t i = 0; i < SN_PROCESSES_MAX; i++)
		p[CHILDREN + i].fd = i > 0 && i < s->child_count ? s->children[i].pidfd : -1;
	for (uint32_t i = 0; i < PLACES; i++)
		p[i].events = POLLIN;
}

/* Deaths first: a worker's packets wait. */
static void serve(struct sn_supervisor *s, const struct pollfd *p)
{
	for (uint32_t slot = 1; slot < s->child_count; slot++)
		if (p[CHILDREN + slot].revents)
			sn_children_died(s, slot);
	if (p[CHANGES].revents)
		on_change(s);
	if (p[LISTENING].revents)
		sn_requests_accept(s);
	for (uint32_t i = 0; i < SN_PEERS_MAX; i++)
		if (p[PEERS + i].revents)
			sn_requests_serve(s, i);
}

void sn_supervise(struct sn_supervisor *s)
{
	struct pollfd p[PLACES];

	for (;;) {
		int timeout_ms = sn_children_restart(s);

		gather(s, p);
		if (poll(p, PLACES, timeout_ms) < 0)
			continue;
		if (p[SIGNALS].revents && on_signal(s))
			return;
		serve(s, p);
	}
}
