/*
 * sandbox.c: what a running worker may ask of the kernel. Everything it needs is open and mapped before.
 */
#include "worker/worker.h"

#include <errno.h>
#include <seccomp.h>

int sn_sandbox_enter(void)
{
	static const int allowed[] = {
		SCMP_SYS(sendto),         /* wake an AF_XDP socket's transmit side */
		SCMP_SYS(recvfrom),       /* and its receive side */
		SCMP_SYS(getsockopt),     /* XDP_STATISTICS */
		SCMP_SYS(io_uring_enter), /* sleep */
		SCMP_SYS(write),          /* others' eventfds; a last word on standard error */
		SCMP_SYS(clock_gettime),  /* where the vDSO cannot serve */
		SCMP_SYS(rt_sigreturn),   /* SIGTERM's handler */
		SCMP_SYS(rt_sigprocmask), /* abort() */
		SCMP_SYS(getpid),         /* abort() */
		SCMP_SYS(gettid),         /* abort() */
		SCMP_SYS(tgkill),         /* abort() */
		SCMP_SYS(munmap),         /* leaving */
		SCMP_SYS(close),          /* leaving */
		SCMP_SYS(exit_group),     /* leaving */
		SCMP_SYS(restart_syscall),/* after SIGSTOP */
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < SN_ARRAY_LEN(allowed); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
