/* sandbox.c: control's seccomp list. Caller: main.c. */
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base.h"
#include "sandbox.h"

static const int allowed[] = {
	SCMP_SYS(poll),           /* the loop's one place to wait */
	SCMP_SYS(ppoll),          /* the same, where libc has no poll */
	SCMP_SYS(read),           /* own eventfd */
	SCMP_SYS(write),          /* workers' eventfds; stderr */
	SCMP_SYS(writev),         /* stderr, as stdio may write it */
	SCMP_SYS(pwrite64),       /* audit records */
	SCMP_SYS(sendto),         /* dumps from the kernel; the supervisor; the API */
	SCMP_SYS(recvmsg),        /* netlink */
	SCMP_SYS(recvfrom),       /* netlink; the API */
	SCMP_SYS(accept4),        /* the API, with an order */
	SCMP_SYS(getsockopt),     /* who it is */
	SCMP_SYS(connect),        /* to the next supervisor */
	SCMP_SYS(close),          /* the connection to the last one */
	SCMP_SYS(clock_gettime),  /* where the vDSO has no clock */
	SCMP_SYS(munmap),         /* jemalloc */
	SCMP_SYS(mremap),         /* jemalloc */
	SCMP_SYS(madvise),        /* jemalloc */
	SCMP_SYS(brk),            /* jemalloc */
	SCMP_SYS(futex),          /* jemalloc */
	SCMP_SYS(sysinfo),        /* qsort of many routes asks how much memory there is */
	SCMP_SYS(restart_syscall),/* poll after a stop and a continue */
	SCMP_SYS(rt_sigreturn),   /* likewise */
	SCMP_SYS(rt_sigprocmask), /* abort(), when an assertion fails */
	SCMP_SYS(rt_sigaction),   /* abort() */
	SCMP_SYS(getpid),         /* abort() */
	SCMP_SYS(gettid),         /* abort() */
	SCMP_SYS(tgkill),         /* abort() */
	SCMP_SYS(exit_group),     /* the end */
};

static int allow_all(scmp_filter_ctx ctx)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < SN_ARRAY_LEN(allowed); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	/* WHY socket: only to reach the supervisor. */
	if (err == 0)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	/* WHY mmap, mprotect: the heap, which is never executable. */
	if (err == 0)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (err == 0)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err;
}

int sn_sandbox_enter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (ctx == NULL)
		return -ENOMEM;
	err = allow_all(ctx);
	if (err == 0)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
