/* The one list of passes. */
#include "ir/ir.h"

#include <string.h>

#include "ir/pass.h"

static const struct {
    const char *name;
    void (*run)(struct ir_func *f, const struct ir_pipeline *p);
} passes[] = {
    {"stack", ir_pass_stack},
    {"dead", ir_pass_dead},
};

static void
dump(const struct ir_func *f, const struct ir_pipeline *p, const char *name)
{
    if (p->dump_pass != NULL && p->dump_out != NULL && strcmp(p->dump_pass, name) == 0)
        ir_print(f, p->dump_out);
}

int
ir_optimize(struct ir_func *f, const struct ir_pipeline *p, struct err *e)
{
    dump(f, p, "lift");
    if (p->verify && ir_verify(f, e) < 0)
        return err_prefix(e, "after lifting");
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        passes[i].run(f, p);
        dump(f, p, passes[i].name);
        if (p->verify && ir_verify(f, e) < 0)
            return err_prefix(e, "after pass %s", passes[i].name);
    }
    return 0;
}
