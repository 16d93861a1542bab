/* ingot-build: what `ingot build` becomes (main.c). */
#include "cli/cli.h"

int
main(int argc, char **argv)
{
    return cmd_build(argc, argv);
}
