/* What faults.c asks others for, in tests in which no guest runs. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "platform/direct.h"
#include "platform/platform.h"

void platform_faults_init(void);

static struct platform_thread no_guest_thread;
__thread struct platform_thread *platform_thread_tls = &no_guest_thread;
unsigned platform_threads = 1;
uint64_t platform_mapping_changes;
/* clang-format off */
void platform_die(const char *format, ...) { exit(1); }
void platform_come_in_slow(void) { }
void platform_go_out_slow(void) { }
void platform_sigreturn(void *saved) { }
uint64_t platform_fiber_floor(const struct platform_fiber *f) { return 0; }
uint64_t platform_fiber_top(const struct platform_fiber *f) { return 0; }
bool platform_in_direct_text(uint64_t host) { return false; }
bool platform_direct_stack_full(uint64_t address, void *ucontext) { return false; }
void platform_direct_interrupt(void *ucontext) { }
void platform_direct_step(void *ucontext) { }
/* clang-format on */
