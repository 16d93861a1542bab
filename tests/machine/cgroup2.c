/* What the container of the test does: waits for a line, uses a processor for some seconds, or takes so many MiB, in
 * this order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int
main(int count, char **arguments)
{
    char line[8];

    for (int k = 1; k < count; k++) {
        double value = atof(arguments[k] + 1);

        if (arguments[k][0] == 'w')
            read(0, line, sizeof line);
        else if (arguments[k][0] == 'b')
            for (double end = now() + value; now() < end;)
                ;
        else
            memset(malloc((size_t)value << 20), 1, (size_t)value << 20);
    }
    return 7;
}
