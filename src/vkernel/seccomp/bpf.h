/* Classic BPF, as far as seccomp has it (Linux's Documentation/networking/filter.rst, kernel/seccomp.c): programs of at
 * most BPF_MAXINSNS instructions that look at a struct seccomp_data, jump forwards only and give a number of 32 bits.
 * Nothing here allocates, sleeps or knows the vkernel: the fuzzer compares it with the host's kernel by itself. */
#ifndef VKERNEL_SECCOMP_BPF_H
#define VKERNEL_SECCOMP_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

/* May the program run? It must have 1 to BPF_MAXINSNS instructions. Only one for which that is so may be given to the
 * other functions. */
bool bpf_valid(const struct sock_filter *program, unsigned count);

/* What the program returns: SECCOMP_RET_*. */
uint32_t bpf_run(const struct sock_filter *program, unsigned count, const struct seccomp_data *data);

/* Is the result SECCOMP_RET_ALLOW for this number and architecture, whatever the arguments and the address of the
 * instruction are? False also where that is so but not plain, for example where X is used. */
bool bpf_always_allows(const struct sock_filter *program, unsigned count, uint32_t nr, uint32_t arch);

/* How long Linux counts the program: it translates programs to its own instructions first. */
unsigned bpf_counted_length(const struct sock_filter *program, unsigned count);

#endif
