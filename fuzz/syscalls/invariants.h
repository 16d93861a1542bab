/* Checks of the current process's address space; a broken rule ends the program with a line (run.c knows it). */
#ifndef FUZZ_SYSCALLS_INVARIANTS_H
#define FUZZ_SYSCALLS_INVARIANTS_H

void check_mappings(void);   /* what the vkernel keeps */
void check_host_pages(void); /* what the host has, against it: slow */

#endif
