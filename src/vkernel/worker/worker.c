/* For whom the running code acts. The scheduler sets it when a task's fiber goes on (worker.h). */
#include "vkernel/worker/worker.h"

#include "platform/sanitizer.h"

__thread struct worker this_worker;
FIBER_VARIABLE(this_worker);
