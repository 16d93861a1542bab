/* Finds the places in the middle of functions where execution begins anew, without the host frames that compiled code
 * had there. One kind is behind a call that returns twice, such as setjmp. The other is met by a child process: behind
 * the system call that made it, and behind each of the calls that led to that. Calls are known by the names of imports,
 * system calls by their numbers. Each such place becomes an entry, so that a child of fork is back in compiled code at
 * once; without it the evaluator would run the child up to the next function or loop. */
#include <stdlib.h>
#include <string.h>

#include "discover/discover_internal.h"

enum {
    SYS_CLONE = 56,
    SYS_FORK = 57,
    SYS_VFORK = 58,
    SYS_CLONE3 = 435, /* The numbers are those of Linux, arch/x86/entry/syscalls/syscall_64.tbl. */
    /* Entries are made behind calls of functions that fork (1), and behind calls of their callers (2). */
    MAX_CALLERS = 2
};

struct call {
    uint64_t caller, callee, after; /* two functions, and the address behind the call, 0 for a jump to the callee */
};

struct forks {
    struct finder *f;
    VEC(struct call) calls; /* sorted by callee once all are collected */
    VEC(uint64_t) makers;   /* the functions in which a child begins, in the order in which they were found */
};

static bool
is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static bool
forks(const char *name)
{
    static const char *const names[] = {"fork",        "_Fork",   "vfork",  "__fork", "__vfork",
                                        "__libc_fork", "forkpty", "daemon", NULL};

    return is_one_of(name, names);
}

static bool
returns_twice(const char *name)
{
    static const char *const names[] = {"setjmp",     "_setjmp",     "sigsetjmp", "__sigsetjmp",
                                        "getcontext", "swapcontext", NULL};

    return is_one_of(name, names);
}

/* Does the system call that ends the block make a process or a thread? It is known when the block itself puts the
 * number into rax. */
static bool
makes_a_child(struct finder *f, const struct disc_block *b)
{
    const struct text_range *r = finder_range(f, b->start);
    struct x86_insn insn;
    int64_t eax = -1;

    for (uint64_t at = b->start; at < b->end; at += insn.length) {
        const struct x86_operand *to = &insn.operand[0];

        if (x86_decode(r->bytes + (at - r->start), r->end - at, at, &insn) <= 0)
            return false;
        if (insn.operand_count && to->kind == X86_OPD_REG && to->reg_class == X86_RC_GPR && to->reg == X86_RAX &&
            (to->access & 2))
            eax = insn.op == X86_OP_MOV && insn.operand[1].kind == X86_OPD_IMM ? insn.operand[1].imm : -1;
    }
    return eax == SYS_CLONE || eax == SYS_FORK || eax == SYS_VFORK || eax == SYS_CLONE3;
}

static void
add_entry(struct func *fn, uint64_t address)
{
    if (fn->entries.count < MAX_ENTRIES)
        vec_push(&fn->entries, address);
}

static void
add_maker(struct forks *k, struct func *fn)
{
    if (!fn->forks)
        vec_push(&k->makers, fn->address);
    fn->forks = true;
}

static void
look_at_block(struct forks *k, struct func *fn, const struct disc_block *b)
{
    struct x86_insn insn = {0};
    enum x86_flow flow = finder_last_insn(k->f, b, &insn);
    bool calls = flow == X86_FLOW_CALL || flow == X86_FLOW_CALL_INDIRECT;
    const char *name;

    if (flow == X86_FLOW_SYSCALL && makes_a_child(k->f, b)) {
        add_entry(fn, b->end);
        add_maker(k, fn);
    }
    if (!calls && flow != X86_FLOW_JUMP)
        return;
    name = disc_called_import(k->f->image, &insn);
    if (name && (forks(name) || returns_twice(name))) {
        if (calls)
            add_entry(fn, b->end);
        if (forks(name))
            add_maker(k, fn);
    } else if (!name && insn.operand[0].kind == X86_OPD_REL) {
        vec_push(&k->calls, ((struct call){fn->address, (uint64_t)insn.operand[0].imm, calls ? b->end : 0}));
    }
}

static int
compare_calls(const void *a, const void *b)
{
    const struct call *x = a, *y = b;

    if (x->callee != y->callee)
        return x->callee < y->callee ? -1 : 1;
    return finder_compare_addresses(&x->after, &y->after);
}

static size_t
first_call_to(const struct forks *k, uint64_t callee)
{
    size_t low = 0, high = k->calls.count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (k->calls.items[mid].callee < callee)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Makes entries behind the calls of those makers that have index `first` or a higher one. The callers become makers,
 * too; they are added at the end, for the next call of this function. */
static void
enter_callers(struct forks *k, size_t first)
{
    size_t end = k->makers.count;

    for (; first < end; first++) {
        uint64_t callee = k->makers.items[first];

        for (size_t i = first_call_to(k, callee); i < k->calls.count && k->calls.items[i].callee == callee; i++) {
            const struct call *c = &k->calls.items[i];
            struct func *fn = finder_function(k->f, c->caller);

            if (c->after)
                add_entry(fn, c->after);
            add_maker(k, fn);
        }
    }
}

void
finder_find_forks(struct finder *f)
{
    struct forks k = {.f = f};
    size_t first = 0;

    for (size_t i = 0; i < f->funcs.count; i++) {
        for (size_t j = 0; j < f->funcs.items[i].blocks.count; j++)
            look_at_block(&k, &f->funcs.items[i], &f->funcs.items[i].blocks.items[j]);
    }
    if (k.calls.count)
        qsort(k.calls.items, k.calls.count, sizeof *k.calls.items, compare_calls);
    for (unsigned depth = 0; depth < MAX_CALLERS; depth++) {
        size_t end = k.makers.count;

        enter_callers(&k, first);
        first = end;
    }
    vec_fini(&k.calls);
    vec_fini(&k.makers);
}
