/* Random locks of one file in memory, of all three kinds (locks_random.h). */
#include "locks_random.h"

static void
one(void)
{
    char path[] = "/tmp/locks_random.XXXXXX", map[LOCKS_SPAN + 1];

    close(mkstemp(path));
    locks_begin(path);
    for (int k = 0; k < 400; k++)
        locks_step();
    locks_map(path, map);
    note("%s", map);
    locks_end();
    locks_map(path, map);
    note("%s", map);
    unlink(path);
}

int
main(int argc, char **argv)
{
    return random_main(argc, argv, 6, one);
}
