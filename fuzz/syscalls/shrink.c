/* Makes a finding small: takes away groups, then operations, then what arguments say, as long as it is found again. */
#include <string.h>

#include "fuzz/syscalls/generate.h"
#include "fuzz/syscalls/run.h"

enum { MAX_RUNS = 1500, MAX_HANGS = 40 };

static unsigned runs, tries, limit;

static bool
still(struct runner *r, const struct program *p, const char *signature, bool leaks)
{
    for (unsigned i = 0; i < tries; i++) {
        struct outcome o = runner_run(r, p, leaks);

        runs++;
        if (o.finding && strcmp(o.signature, signature) == 0)
            return true;
    }
    return false;
}

/* Cuts stretches of operations: half of all, a quarter, ... one. */
static bool
cut(struct runner *r, struct program *p, const char *signature, bool leaks)
{
    static struct program smaller;
    bool changed = false;

    for (unsigned size = p->count / 2 ? p->count / 2 : 1; size; size /= 2)
        for (unsigned at = 0; at + size <= p->count && runs < limit;) {
            smaller = *p;
            remove_range(&smaller, at, size);
            if (still(r, &smaller, signature, leaks)) {
                *p = smaller;
                changed = true;
            } else {
                at += size;
            }
        }
    return changed;
}

static bool
simplify(struct runner *r, struct program *p, const char *signature, bool leaks)
{
    static struct program simpler;
    bool changed = false;

    for (unsigned i = 0; i < p->count; i++) {
        if (p->ops[i].kind == OP_LOOP && p->ops[i].number > 2 && runs < limit) {
            simpler = *p;
            simpler.ops[i].number /= 2;
            if (still(r, &simpler, signature, leaks)) {
                *p = simpler;
                changed = true;
            }
        }
        for (unsigned k = 0; k < 6 && runs < limit; k++) {
            if (p->ops[i].kind == OP_BYTES || (!p->ops[i].args[k].value && p->ops[i].args[k].kind == ARG_CONST))
                continue;
            simpler = *p;
            simpler.ops[i].args[k] = (struct program_arg){0};
            if (still(r, &simpler, signature, leaks)) {
                *p = simpler;
                changed = true;
            }
        }
    }
    return changed;
}

unsigned
shrink(struct runner *r, struct program *p, const char *signature)
{
    bool leaks = strncmp(signature, "leak", 4) == 0;

    bool hangs = strncmp(signature, "hang", 4) == 0; /* each takes the whole patience */

    runs = 0;
    tries = hangs ? 1 : 2;
    limit = hangs ? MAX_HANGS : MAX_RUNS;
    if (p->fail_after) {
        struct program whole = *p;

        whole.fail_after = whole.fail_every = 0;
        if (still(r, &whole, signature, leaks))
            *p = whole;
    }
    for (unsigned round = 0; round < 4 && runs < limit; round++) {
        bool shorter = cut(r, p, signature, leaks), simpler = simplify(r, p, signature, leaks);

        if (!shorter && !simpler)
            break;
    }
    return runs;
}
