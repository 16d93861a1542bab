/* syslog(2): the kernel's log, as dmesg reads it. It has a line about the system and nothing else: what the vkernel has
 * to say it says to the person at the container and to the audit log. Everybody may read it (kernel.dmesg_restrict is
 * 0). The other actions need CAP_SYSLOG, which no process of a container has. */
#include <errno.h>

#include "vkernel/abi/syscall.h"
#include "vkernel/task/system.h"
#include "vkernel/usercopy/usercopy.h"

enum { SYSLOG_ACTION_READ_ALL = 3, SYSLOG_ACTION_SIZE_BUFFER = 10 };

static const char log_text[] = "<5>[    0.000000] Linux version " SYSTEM_RELEASE " (ingot) " SYSTEM_VERSION "\n";

/* The end of the log, as much of it as there is room for. */
static int64_t
read_log(guest_addr out, int size)
{
    size_t length = sizeof log_text - 1;

    if (!out || size < 0)
        return -EINVAL;
    length = length < (size_t)size ? length : (size_t)size;
    if (copy_to_guest(out, log_text + sizeof log_text - 1 - length, length) < 0)
        return -EFAULT;
    return (int64_t)length;
}

int64_t
sys_syslog(const uint64_t a[6])
{
    switch ((int)a[0]) {
    case SYSLOG_ACTION_READ_ALL: return read_log(a[1], (int)a[2]);
    case SYSLOG_ACTION_SIZE_BUFFER: return sizeof log_text - 1;
    default: return -EPERM;
    }
}
