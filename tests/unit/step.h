/*
 * step.h: runs a change of shared memory one instruction at a time, so that a test can look at what a kill at any
 * instruction would leave behind. The memory must be mapped MAP_SHARED.
 */
#ifndef SN_TEST_STEP_H
#define SN_TEST_STEP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void *step_memory(size_t size_b)
{
	void *mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* SN_STRIDE=n looks after every n-th instruction alone: for the sanitizers, whose code has many more of them. */
static inline unsigned long step_stride(void)
{
	const char *from = getenv("SN_STRIDE");
	unsigned long stride = from ? strtoul(from, NULL, 0) : 1;

	return stride ? stride : 1;
}

/*
 * Calls change(arg) in a child. look(ctx) is called in this process each time an instruction has changed the memory. Returns how
 * often that was, or -1 if the child did not end well (or may not be traced).
 */
static inline int step_through(const void *mem, size_t size_b, void (*change)(void *), void *arg, void (*look)(void *),
			       void *ctx)
{
	unsigned long stride = step_stride(), steps = 0;
	uint8_t *last = malloc(size_b);
	int status, changes = 0;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(2);
		raise(SIGSTOP);
		change(arg);
		_exit(0);
	}
	memcpy(last, mem, size_b);
	while (child > 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);

		if (++steps % stride == 0 && memcmp(last, mem, size_b) != 0) {
			memcpy(last, mem, size_b);
			changes++;
			look(ctx);
		}
		ptrace(PTRACE_SINGLESTEP, child, NULL, (void *)(intptr_t)sig);
	}
	free(last);
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? changes : -1;
}

#endif
