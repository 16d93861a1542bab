#include "x86/level.h"

static enum x86_level level = X86_LEVEL_V2;

void
x86_set_level(enum x86_level to)
{
    level = to;
}

enum x86_level
x86_level(void)
{
    return level;
}

const char *
x86_level_name(enum x86_level of)
{
    return of == X86_LEVEL_V3 ? "x86-64-v3" : "x86-64-v2";
}
