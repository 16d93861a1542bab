/* What a vkernel tells of each system call of its guests, so that runs of the same program can be compared (`ingot run
 * --lockstep=OTHER`): written to a pipe, from which cli/compare.c reads. Both are of the same build. */
#ifndef ARTIFACT_CALL_RECORD_H
#define ARTIFACT_CALL_RECORD_H

#include <stdint.h>

struct call_record {
    int32_t tid, number;
    uint64_t rip;     /* behind it */
    uint64_t gpr[16]; /* by x86 number; rcx and r11, which a system call destroys, are 0 */
    uint64_t fs_base;
    uint64_t vectors; /* a hash of the xmm registers */
    uint64_t given;   /* one of all bytes that the kernel has read from guests since the record before */
    char comm[16];    /* of its process */
    char call[160];   /* as --strace shows it */
    char place[128];  /* the file and the address in it */
};
/* So a write to a pipe is one as a whole. */
_Static_assert(sizeof(struct call_record) == 472, "call_record layout");

#endif
