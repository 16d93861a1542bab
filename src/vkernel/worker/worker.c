/* The one worker. The scheduler sets it at every switch (worker.h); nothing else guards it, because only the host
 * thread that runs guests uses it. */
#include "vkernel/worker/worker.h"

struct worker this_worker;
