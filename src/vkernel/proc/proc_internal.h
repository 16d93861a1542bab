/* Between the files of proc/. */
#ifndef VKERNEL_PROC_PROC_INTERNAL_H
#define VKERNEL_PROC_PROC_INTERNAL_H

#include "base/refcount.h"
#include "platform/heap.h"
#include "vkernel/proc/proc.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/vfs/users.h"
#include "x86/address_space.h"

#endif
