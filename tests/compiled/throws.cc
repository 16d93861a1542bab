// A handler that throws, with -fnon-call-exceptions, as GNAT and gcj do: the frame that faulted is unwound with its registers.
#include <csignal>
#include <cstdio>
#include <stdexcept>

static void
handler(int)
{
    throw std::runtime_error("fault");
}

__attribute__((noinline)) static int
read(volatile int *p)
{
    return *p;
}

__attribute__((noinline)) static int
add(volatile int *p, int k)
{
    try {
        return read(p) + k;
    } catch (std::runtime_error &) {
        return -k;
    }
}

int
main()
{
    struct sigaction sa {};
    int value = 3;

    sa.sa_handler = handler;
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &sa, nullptr);
    std::printf("%d %d %d\n", add(&value, 1), add(reinterpret_cast<int *>(8), 1), add(reinterpret_cast<int *>(8), 2));
    return 0;
}
