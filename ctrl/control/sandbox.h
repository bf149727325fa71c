/*
 * sandbox.h: the system calls that control keeps once it is set up.
 */
#ifndef SN_SANDBOX_H
#define SN_SANDBOX_H

/* Installs the list; any other call ends the process. 0 or -errno. Called last before the loop: there is no undo. */
int sn_sandbox_enter(void);

#endif
