/* Differences made small, and regression cases: one line each, replayed by the unit tests.
 *
 *   HEX [@ADDRESS] | BEFORE | AFTER [# comment]
 *
 * BEFORE: words NAME=VALUE for what is not as state_default() has it: rax .. r15, flags, mxcsr, fcw, fsw, ftw, st0 ..
 * st7 (SSSS:MANTISSA), xmm0 .. xmm15 (HIGH_LOW), [ADDRESS] for 8 bytes of memory. AFTER: the same for what the
 * processor changed, and rip if it is not the next instruction (at a trap: the first), trap with its vector; flags
 * carry the mask of the defined ones. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MXCSR_AT = 24, TAGS_AT = 4, ST_AT = 32, XMM_AT = 160 };

static void
state_default(const struct program *p, struct state *s, uint8_t *window)
{
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memset(s, 0, sizeof *s);
    memset(window, 0, WINDOW_SIZE);
    s->gpr[X86_RSP] = WINDOW_MIDDLE;
    s->rflags = 0x202;
    s->rip = p->address;
    memcpy(s->fx, &control, 2);
    memcpy(s->fx + MXCSR_AT, &mxcsr, 4);
}

/* --- shrinking --- */
struct shrink {
    const struct execution *execution;
    struct program p;
    struct state s;
    uint8_t memory[WINDOW_SIZE];
};

static bool
differs(const struct shrink *c, bool new_code)
{
    static struct expectation expected;
    struct outcome found;
    struct tolerance t = program_tolerance(&c->p, &c->s);
    char text[4096];

    if (!c->execution->exact && !program_defined(&c->p, &c->s))
        return false;
    if (new_code)
        execution_load(c->execution, &c->p, 1);
    expectation_of(&c->p, &c->s, c->memory, &expected);
    if (expected.result == HOST_SAYS_NOTHING)
        return false;
    memcpy(c->execution->window(), c->memory, WINDOW_SIZE);
    c->execution->run(&c->p, 0, &c->s, &found);
    return found.trap != TRAP_UNCOVERED && program_covered(&c->p, c->execution, &expected.promised) &&
           expectation_compare(&expected, c->execution, &found, &t, text, sizeof text);
}

/* Puts `size` bytes back to what they are by default, if it still differs then. */
static void
try_default(struct shrink *c, void *at, const void *plain, size_t size)
{
    uint8_t old[16];

    if (!memcmp(at, plain, size))
        return;
    memcpy(old, at, size);
    memcpy(at, plain, size);
    if (!differs(c, false))
        memcpy(at, old, size);
}

/* Memory by halves. */
static void
shrink_memory(struct shrink *c, size_t from, size_t size)
{
    static const uint8_t zero[WINDOW_SIZE];
    uint8_t *old;
    bool still;

    if (!memcmp(c->memory + from, zero, size))
        return;
    old = mem_alloc(size);
    memcpy(old, c->memory + from, size);
    memset(c->memory + from, 0, size);
    still = differs(c, false);
    if (!still)
        memcpy(c->memory + from, old, size);
    mem_free(old);
    if (!still && size > 8) {
        shrink_memory(c, from, size / 2);
        shrink_memory(c, from + size / 2, size / 2);
    }
}

static void
shrink_state(struct shrink *c)
{
    static uint8_t plain_memory[WINDOW_SIZE];
    struct state plain;

    state_default(&c->p, &plain, plain_memory);
    for (unsigned i = 0; i < 16; i++) {
        if (!(c->p.anchored >> i & 1))
            try_default(c, &c->s.gpr[i], &plain.gpr[i], 8);
        try_default(c, c->s.fx + XMM_AT + 16 * i, plain.fx + XMM_AT + 16 * i, 16);
        try_default(c, c->s.high + 16 * i, plain.high + 16 * i, 16);
    }
    for (unsigned i = 0; i < 8; i++)
        try_default(c, c->s.fx + ST_AT + 16 * i, plain.fx + ST_AT + 16 * i, 16);
    try_default(c, &c->s.rflags, &plain.rflags, 8);
    try_default(c, c->s.fx, plain.fx, 2);
    try_default(c, c->s.fx + 2, plain.fx + 2, 2);
    try_default(c, c->s.fx + TAGS_AT, plain.fx + TAGS_AT, 1);
    try_default(c, c->s.fx + MXCSR_AT, plain.fx + MXCSR_AT, 4);
    shrink_memory(c, 0, WINDOW_SIZE);
}

/* Without the nops that stand for dropped instructions, at the first address. */
static void
compact(struct shrink *c)
{
    struct program *whole;
    uint8_t code[MAX_CODE];
    size_t n = 0;

    if (c->p.kept) /* what leads somewhere would lead elsewhere */
        return;
    whole = mem_alloc(sizeof *whole);
    *whole = c->p;
    for (unsigned i = 0; i < c->p.count; i++) {
        const struct made *m = &c->p.part[i];

        if (m->bytes[0] == 0x90)
            continue;
        memcpy(code + n, m->bytes, m->length);
        n += m->length;
    }
    if (!program_of_bytes(&c->p, CODE_AT, code, n) || !(c->p.anchored = whole->anchored, differs(c, true)))
        c->p = *whole;
    mem_free(whole);
}

void
difference_shrink(const struct execution *x, struct program *p, struct state *s, uint8_t *memory)
{
    struct shrink *c = mem_zalloc(1, sizeof *c);

    c->execution = x;
    c->p = *p;
    c->s = *s;
    memcpy(c->memory, memory, WINDOW_SIZE);
    for (unsigned i = 0; i < p->count && p->count > 1; i++) {
        struct program smaller, whole = c->p;

        if (!program_drop(&c->p, i, &smaller))
            continue;
        c->p = smaller;
        if (!differs(c, true))
            c->p = whole;
    }
    compact(c);
    if (differs(c, true)) {
        shrink_state(c);
        *p = c->p;
        *s = c->s;
        memcpy(memory, c->memory, WINDOW_SIZE);
    }
    mem_free(c);
}

/* --- as a line --- */
static void
print_changes(const struct state *from, const struct state *to, const uint8_t *window_from, const uint8_t *window_to)
{
    uint32_t mxcsr[2];
    uint64_t v[2];
    uint16_t w[2];

    for (unsigned i = 0; i < 16; i++) {
        if (from->gpr[i] != to->gpr[i])
            printf(" %s=%lx", x86_gpr_name(i), to->gpr[i]);
    }
    memcpy(&mxcsr[0], from->fx + MXCSR_AT, 4);
    memcpy(&mxcsr[1], to->fx + MXCSR_AT, 4);
    if (mxcsr[0] != mxcsr[1])
        printf(" mxcsr=%x", mxcsr[1]);
    for (unsigned i = 0; i < 2; i++) {
        memcpy(&w[0], from->fx + 2 * i, 2);
        memcpy(&w[1], to->fx + 2 * i, 2);
        if (w[0] != w[1])
            printf(" %s=%x", i ? "fsw" : "fcw", w[1]);
    }
    if (from->fx[TAGS_AT] != to->fx[TAGS_AT])
        printf(" ftw=%x", to->fx[TAGS_AT]);
    for (unsigned i = 0; i < 8; i++) {
        if (memcmp(from->fx + ST_AT + 16 * i, to->fx + ST_AT + 16 * i, 10)) {
            memcpy(v, to->fx + ST_AT + 16 * i, 16);
            printf(" st%u=%lx:%lx", i, v[1] & 0xffff, v[0]);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (memcmp(from->fx + XMM_AT + 16 * i, to->fx + XMM_AT + 16 * i, 16)) {
            memcpy(v, to->fx + XMM_AT + 16 * i, 16);
            printf(" xmm%u=%lx_%lx", i, v[1], v[0]);
        }
        if (memcmp(from->high + 16 * i, to->high + 16 * i, 16)) {
            memcpy(v, to->high + 16 * i, 16);
            printf(" ymmh%u=%lx_%lx", i, v[1], v[0]);
        }
    }
    for (unsigned i = 0; i < WINDOW_SIZE; i += 8) {
        if (memcmp(window_from + i, window_to + i, 8)) {
            memcpy(v, window_to + i, 8);
            printf(" [%x]=%lx", WINDOW + i, v[0]);
        }
    }
}

void
regression_print(const struct program *p, const struct state *before, const uint8_t *window)
{
    static uint8_t plain_window[WINDOW_SIZE];
    struct state plain;
    struct outcome after;
    struct tolerance t = program_tolerance(p, before);

    for (size_t i = 0; i < p->size; i++)
        printf("%02x", p->code[i]);
    if (p->address != CODE_AT)
        printf(" @%lx", p->address);
    printf(" |");
    state_default(p, &plain, plain_window);
    if ((before->rflags ^ plain.rflags) & FLAGS_MASK)
        printf(" flags=%lx", before->rflags & FLAGS_MASK);
    print_changes(&plain, before, plain_window, window);
    memcpy(native_window(), window, WINDOW_SIZE);
    execution_processor.run(p, 0, before, &after);
    host_result(p, before, window, &after);
    printf(" |");
    if (after.trap != NO_TRAP) {
        printf(" trap=%d", after.trap);
        if (after.trap_rip != p->address && after.trap != 1 && after.trap != 3)
            printf(" rip=%lx", after.trap_rip);
        printf("\n");
        return;
    }
    if (after.state.rip != stub_next(p))
        printf(" rip=%lx", after.state.rip);
    printf(" flags=%lx/%x", after.state.rflags & FLAGS_MASK & ~t.undefined, FLAGS_MASK & ~t.undefined);
    print_changes(before, &after.state, window, native_window());
    printf("\n");
}

/* --- replaying --- */
struct replay {
    uint32_t defined; /* flags */
    int trap;
    struct program p;
    struct state before, after;
    uint8_t window_before[WINDOW_SIZE], window_after[WINDOW_SIZE];
};

static bool
set_word(struct replay *r, struct state *s, uint8_t *window, const char *name, const char *value)
{
    char *end;
    uint64_t v = strtoull(value, &end, 16), more = *end ? strtoull(end + 1, NULL, 16) : 0;
    unsigned n = (unsigned)strtoul(name + strcspn(name, "0123456789"), NULL, 10);

    for (unsigned i = 0; i < 16; i++) {
        if (!strcmp(name, x86_gpr_name(i))) {
            s->gpr[i] = v;
            return true;
        }
    }
    if (!strcmp(name, "flags")) {
        s->rflags = v | 0x202;
        r->defined = *end == '/' ? (uint32_t)more : FLAGS_MASK;
    } else if (!strcmp(name, "rip")) {
        s->rip = v;
    } else if (!strcmp(name, "trap")) {
        r->trap = (int)strtol(value, NULL, 10);
    } else if (!strcmp(name, "mxcsr")) {
        memcpy(s->fx + MXCSR_AT, &v, 4);
    } else if (!strcmp(name, "fcw")) {
        memcpy(s->fx, &v, 2);
    } else if (!strcmp(name, "fsw")) {
        memcpy(s->fx + 2, &v, 2);
    } else if (!strcmp(name, "ftw")) {
        s->fx[TAGS_AT] = (uint8_t)v;
    } else if (!strncmp(name, "xmm", 3) && n < 16) {
        memcpy(s->fx + XMM_AT + 16 * n, &more, 8);
        memcpy(s->fx + XMM_AT + 16 * n + 8, &v, 8);
    } else if (!strncmp(name, "ymmh", 4) && n < 16) {
        memcpy(s->high + 16 * n, &more, 8);
        memcpy(s->high + 16 * n + 8, &v, 8);
    } else if (!strncmp(name, "st", 2) && n < 8) {
        memcpy(s->fx + ST_AT + 16 * n, &more, 8);
        memcpy(s->fx + ST_AT + 16 * n + 8, &v, 2);
    } else if (name[0] == '[') {
        uint64_t at = strtoull(name + 1, NULL, 16);

        if (at < WINDOW || at > WINDOW + WINDOW_SIZE - 8)
            return false;
        memcpy(window + (at - WINDOW), &v, 8);
    } else {
        return false;
    }
    return true;
}

static bool
set_words(struct replay *r, struct state *s, uint8_t *window, char *text)
{
    char *save = NULL;

    for (char *w = strtok_r(text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
        char *equal = strchr(w, '=');

        if (!equal)
            return false;
        *equal = '\0';
        if (!set_word(r, s, window, w, equal + 1))
            return false;
    }
    return true;
}

static bool
parse_code(struct replay *r, const char *text)
{
    uint8_t code[MAX_CODE];
    size_t n = 0;
    unsigned v;
    int used;
    uint64_t address = CODE_AT;

    while (n < sizeof code && sscanf(text, "%2x%n", &v, &used) == 1 && used == 2) {
        code[n++] = (uint8_t)v;
        text += used;
    }
    sscanf(text, " @%lx", &address);
    return address >= CODE_AT && address < CODE_PAGE + CODE_SIZE - CODE_STRIDE &&
           program_of_bytes(&r->p, address, code, n);
}

static bool
parse_line(struct replay *r, char *line)
{
    char *before = strchr(line, '|'), *after = before ? strchr(before + 1, '|') : NULL, *comment = strchr(line, '#');

    if (comment)
        *comment = '\0';
    if (!after)
        return false;
    *before = *after = '\0';
    memset(r, 0, sizeof *r);
    r->trap = NO_TRAP;
    if (!parse_code(r, line))
        return false;
    state_default(&r->p, &r->before, r->window_before);
    if (!set_words(r, &r->before, r->window_before, before + 1))
        return false;
    r->after = r->before;
    r->after.rip = stub_next(&r->p);
    memcpy(r->window_after, r->window_before, WINDOW_SIZE);
    r->defined = FLAGS_MASK;
    return set_words(r, &r->after, r->window_after, after + 1);
}

/* The line stands for every host; this one's own instructions do what it does. */
static unsigned
replay_exact(const struct replay *r, const struct execution *x, const struct outcome *found)
{
    static struct expectation expected;
    struct tolerance t = program_tolerance(&r->p, &r->before);
    char text[4096];

    expectation_of(&r->p, &r->before, r->window_before, &expected);
    if (expected.result == HOST_SAYS_NOTHING || !expectation_compare(&expected, x, found, &t, text, sizeof text))
        return 0;
    program_print(&r->p);
    printf("%s", text);
    return 1;
}

static unsigned
replay(const struct replay *r, const struct execution *x)
{
    uint64_t trap_rip = r->after.rip == stub_next(&r->p) ? r->p.address : r->after.rip;
    struct outcome expected = {.state = r->after, .trap = r->trap, .trap_rip = trap_rip}, found;
    struct tolerance t = program_tolerance(&r->p, &r->before);
    char text[4096];

    execution_load(x, &r->p, 1);
    memcpy(x->window(), r->window_before, WINDOW_SIZE);
    x->run(&r->p, 0, &r->before, &found);
    if (x->exact && !found.evaluated)
        return replay_exact(r, x, &found);
    t.undefined = FLAGS_MASK & ~r->defined;
    t = tolerance_in(t, x, &found);
    if (x != &execution_processor)
        t.last_bits = t.approximate = false; /* what stands in the line is what the guest gets */
    if (x == &execution_processor && host_result(&r->p, &r->before, r->window_before, &found) == HOST_SAYS_NOTHING)
        return 0;
    if (found.trap == TRAP_UNCOVERED || !program_covered(&r->p, x, &expected) ||
        !state_compare((struct seen){&expected, r->window_after, "recorded"},
                       (struct seen){&found, x->window(), x->name}, &t, text, sizeof text))
        return 0;
    program_print(&r->p);
    printf("%s", text);
    return 1;
}

unsigned
regressions_run(const char *path, const struct execution *const *executions)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    unsigned failed = 0, count = 0, number = 0;
    struct replay *r = mem_zalloc(1, sizeof *r);

    if (!f) {
        perror(path);
        exit(2);
    }
    while (getline(&line, &room, f) > 0) {
        unsigned wrong = 0;

        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (!parse_line(r, line)) {
            printf("%s:%u: not a case\n", path, number);
            failed++;
            continue;
        }
        count++;
        wrong = replay(r, &execution_processor);
        for (unsigned i = 0; executions[i]; i++)
            wrong += replay(r, executions[i]);
        if (wrong)
            printf("%s:%u: differs\n", path, number);
        failed += wrong != 0;
    }
    printf("regressions: %u cases, %u differ\n", count, failed);
    fclose(f);
    free(line);
    mem_free(r);
    return failed;
}

int
regression_record(const char *text)
{
    struct replay *r = mem_zalloc(1, sizeof *r);
    char *line = mem_strdup(text);
    bool ok = parse_line(r, line);

    if (ok)
        regression_print(&r->p, &r->before, r->window_before);
    else
        printf("oracle: not a case\n");
    mem_free(line);
    mem_free(r);
    return !ok;
}
