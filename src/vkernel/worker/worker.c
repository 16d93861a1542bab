#include "vkernel/worker/worker.h"

struct worker this_worker;
