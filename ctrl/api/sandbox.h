/* sandbox.h: what the API process may still ask of the kernel once its sockets are open. */
#ifndef SN_API_SANDBOX_H
#define SN_API_SANDBOX_H

/* Installs the list for all threads; any other system call kills the process. 0 or -errno. */
int sn_sandbox_enter(void);

#endif
