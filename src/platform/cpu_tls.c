/* The CPU state of the running guest thread, alone in its file: it must be the last object of the TLS block, so that
 * compiled code reaches it at fixed offsets below the host's FS base (x86/cpu.h). Link this file last. */
#include "x86/helpers.h"

__thread struct x86_cpu x86_cpu_tls = {0};
