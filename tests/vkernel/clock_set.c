/* A vkernel whose host's clock is set to order: getcpu(1, SECONDS) moves it, as somebody on the host would. Linked with
 * --wrap of what it has in the place of the platform's functions (clock_set.py). */
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

uint64_t __real_platform_realtime_ns(void);
uint64_t __wrap_platform_realtime_ns(void);
void __wrap_platform_open_clock(void);
int __wrap_platform_clock_watch(void);
bool __wrap_platform_clock_was_set(void);
int64_t __wrap_sys_getcpu(const uint64_t a[6]);

static int was_set = -1;
static uint64_t shift;

uint64_t
__wrap_platform_realtime_ns(void)
{
    return __real_platform_realtime_ns() + shift;
}

void
__wrap_platform_open_clock(void)
{
    was_set = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int
__wrap_platform_clock_watch(void)
{
    return was_set;
}

bool
__wrap_platform_clock_was_set(void)
{
    uint64_t times;

    return read(was_set, &times, sizeof times) > 0;
}

int64_t
__wrap_sys_getcpu(const uint64_t a[6])
{
    uint64_t one = 1;

    if (a[0] == 1) {
        shift += a[1] * 1000000000;
        return write(was_set, &one, sizeof one) > 0 ? 0 : -1;
    }
    return 0;
}
