/* How much of x86-64 programs have: the levels of the x86-64 psABI, as far as artifacts are built for them. What each
 * has, cpuid.def says. */
#ifndef X86_LEVEL_H
#define X86_LEVEL_H

enum x86_level { X86_LEVEL_V2 = 2, X86_LEVEL_V3, X86_LEVEL_END };

/* That of all that this process decodes and runs, and so of CPUID's answers: one build, one artifact. Set before
 * anything is decoded; v2 where nobody does. */
void x86_set_level(enum x86_level level);
enum x86_level x86_level(void);

const char *x86_level_name(enum x86_level level); /* "x86-64-v2" */

#endif
