/* Makes system calls with arguments from the tables: numbers, descriptors and other results of earlier calls, and
 * structures in the program's data, whose fields are operations of their own, so that shrinking finds them. */
#include "fuzz/syscalls/generate_internal.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "fuzz/syscalls/table.h"

enum { MAX_NEED = 3, FOCUS = 8 };

static uint64_t state = 1;

void
random_seed(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15ull | 1;
}

uint64_t
random_u64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

unsigned
random_below(unsigned n)
{
    return n ? (unsigned)((random_u64() >> 32) * n >> 32) : 0;
}

bool
one_in(unsigned n)
{
    return random_below(n) == 0;
}

/* --- the operations of one call, before they are put in --- */

struct program_op *
append(struct chain *c, enum op_kind kind)
{
    static struct program_op none;
    struct program_op *op;

    if (c->count == MAX_CHAIN)
        return &none;
    op = &c->ops[c->count++];
    *op =
        (struct program_op){.kind = (uint8_t)kind, .lane = (uint8_t)c->lane, .slot = PROGRAM_SLOTS, .group = c->group};
    return op;
}

/* Where in the data size bytes are. Mostly for itself; at times over something else, unaligned, or at the end. */
uint32_t
allocate(struct chain *c, uint64_t size)
{
    struct program *p = c->program;
    uint32_t at;

    if (size > DATA_SIZE)
        size = DATA_SIZE;
    if (!c->careful && one_in(12))
        return DATA_START + DATA_SIZE - (uint32_t)size;
    if (!c->careful && one_in(16))
        return DATA_START + random_below(DATA_SIZE - (uint32_t)size + 1);
    if (!c->careful && one_in(24))
        return ARENA_START + random_below(ARENA_PAGES) * 4096 + random_below(2) * (4096 - (uint32_t)(size & 4095));
    at = (p->data_used + 7) & ~7u;
    if (at + size > DATA_SIZE)
        at = size > DATA_SIZE / 2 ? 0 : random_below(DATA_SIZE / 2);
    p->data_used = at + (uint32_t)size;
    return DATA_START + at;
}

static uint64_t
random_number(void)
{
    /* clang-format off */
    static const uint64_t edges[] = {0, 1, 2, 7, 8, 127, 128, 255, 256, 4095, 4096, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                     0x100000000, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX, UINT64_MAX - 1, (uint64_t)-4096};
    /* clang-format on */

    switch (random_below(4)) {
    case 0: return random_u64() >> random_below(64);
    case 1: return random_below(64);
    default: return edges[random_below(sizeof edges / sizeof *edges)];
    }
}

/* The usual values come first in the tables. Of the others a careful call gets one now and then, too: in scenes all
 * else is right. */
static unsigned
usual(const struct chain *c, unsigned count)
{
    return c->careful && !one_in(4) ? (count + 1) / 2 : count;
}

static uint64_t
number_of(const struct chain *c, const struct type *t)
{
    uint64_t v = 0;

    if (!t || (!c->careful && one_in(20)))
        return c->careful ? random_below(4) : random_number();
    if (t->kind == TYPE_VALUES)
        return t->values[random_below(usual(c, t->count))];
    for (unsigned n = random_below(c->careful ? 2 : 4); n; n--)
        v |= t->values[random_below(t->count)];
    return v;
}

/* --- results of earlier calls --- */

static bool generate_into(struct chain *c, const struct row *r);
static void play(struct chain *c, const char *steps);

/* The slot of an operation that made one; PROGRAM_SLOTS: none. */
static unsigned
find_result(struct chain *c, char letter, unsigned resource)
{
    unsigned found = PROGRAM_SLOTS, seen = 0;
    bool any = !resource || (!c->careful && one_in(4));

    for (unsigned pass = 0; pass < 2; pass++) {
        const struct program_op *ops = pass ? c->ops : c->program->ops;
        unsigned count = pass ? c->count : c->program->count;

        for (unsigned i = 0; i < count; i++)
            if (ops[i].slot < PROGRAM_SLOTS && ops[i].letter == letter && (any || ops[i].resource == resource) &&
                one_in(++seen))
                found = ops[i].slot;
    }
    return found;
}

static bool
makes(const struct row *r, char letter, unsigned resource)
{
    if (r->result.letter == letter && (!resource || r->result.resource == resource))
        return true;
    for (unsigned i = 0; i < r->arity; i++) {
        const struct type *t = r->args[i].type;

        if (r->args[i].letter != 'r' || !t || t->kind != TYPE_STRUCT || t->count > 2)
            continue;
        if (t->fields[0].letter == letter && (!resource || letter != 'f'))
            return true;
        /* pairs: sockets of socketpair, pipes else */
        if (t->fields[0].letter == letter &&
            resource == (r->number == SYS_socketpair ? table_kind("socket") : table_kind("pipe")))
            return true;
    }
    return false;
}

static bool
make_result(struct chain *c, char letter, unsigned resource)
{
    unsigned seen = 0;
    const struct row *chosen = NULL;

    if (c->depth >= MAX_NEED)
        return false;
    for (unsigned i = 0; i < row_count; i++) {
        unsigned nr = rows[i].number;

        if (nr == SYS_clone || nr == SYS_clone3 || nr == SYS_vfork || nr == SYS_accept || nr == SYS_accept4 ||
            nr == SYS_dup2)
            continue;
        if (makes(&rows[i], letter, resource) && one_in(++seen))
            chosen = &rows[i];
    }
    return chosen && generate_into(c, chosen);
}

/* In a way that succeeds, mostly. */
static bool
make_descriptor(struct chain *c, unsigned resource)
{
    static const struct {
        const char *kind, *steps;
    } ways[] = {
#define SCENE(steps)
#define DESCRIPTOR(kind, steps) {kind, steps},
#include "fuzz/syscalls/scenes.def"
#undef SCENE
#undef DESCRIPTOR
    };
    unsigned chosen = 0, seen = 0;

    if (c->depth >= MAX_NEED)
        return false;
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        if ((!resource || table_kind(ways[i].kind) == resource) && one_in(++seen))
            chosen = i;
    if (!seen || one_in(8))
        return make_result(c, 'f', resource);
    play(c, ways[chosen].steps);
    return true;
}

static void
result_argument(struct chain *c, struct program_arg *a, char letter, unsigned resource)
{
    unsigned slot = find_result(c, letter, resource);

    if ((slot == PROGRAM_SLOTS || one_in(12)) && (c->careful || !one_in(5)) &&
        (letter == 'f' ? make_descriptor(c, resource) : make_result(c, letter, resource)))
        slot = find_result(c, letter, resource);
    if (slot < PROGRAM_SLOTS && (c->careful || !one_in(40))) {
        *a = (struct program_arg){.kind = ARG_SLOT, .slot = (uint8_t)slot};
        return;
    }
    a->value = one_in(8) ? random_number() : random_below(letter == 'f' ? 8 : 5);
    if (letter == 'i' && one_in(3))
        a->value = (uint64_t)-(int64_t)random_below(4);
}

/* --- memory --- */

static uint64_t
buffer_length(void)
{
    static const uint64_t lengths[] = {0, 1, 4, 8, 13, 64, 100, 256, 4095, 4096, 4097, 8192, 20000, 65536};

    return lengths[random_below(sizeof lengths / sizeof *lengths)];
}

uint64_t
bad_pointer(void)
{
    /* clang-format off */
    static const uint64_t pointers[] = {0, 1, 0x1000, 0x400000, DATA_START + DATA_SIZE, DATA_START + DATA_SIZE - 1, 0x40000000, 0xfffff000,
                                        0xffffffff, 0x100000000, 0x7fffffffffff, UINT64_MAX, (uint64_t)-4096};
    /* clang-format on */

    return pointers[random_below(sizeof pointers / sizeof *pointers)];
}

static uint64_t
make_buffer(struct chain *c, bool content)
{
    struct program_op *op;
    uint32_t at;

    c->length = buffer_length();
    at = allocate(c, c->length);
    if (content && c->length) {
        op = append(c, OP_FILL);
        op->number = at;
        op->size = (uint8_t)random_u64();
        op->args[0].value = c->length;
    }
    return at;
}

static uint64_t
make_string(struct chain *c, const struct type *t)
{
    const char *s = t->strings[random_below(usual(c, t->count))];
    size_t n = strlen(s) + 1;
    struct program_op *op = append(c, OP_BYTES);
    char *bytes = (char *)op->args;

    op->number = allocate(c, n);
    op->size = (uint8_t)(n < sizeof op->args ? n : sizeof op->args);
    memcpy(bytes, s, op->size);
    if (!c->careful && one_in(60)) {
        op->kind = OP_FILL; /* a long one, without an end */
        op->size = 'a';
        memset(op->args, 0, sizeof op->args);
        op->args[0].value = 5000;
    }
    return op->number;
}

static unsigned
signal_number(void)
{
    static const uint8_t usual[] = {SIGUSR1, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGSEGV, SIGTERM, SIGCONT,
                                    SIGSTOP, SIGTSTP, SIGPIPE, SIGURG,  SIGKILL, SIGINT,  SIGHUP,  SIGWINCH,
                                    32,      34,      35,      64,      0,       65};

    return usual[random_below(sizeof usual)];
}

/* The value of an argument or field; false: bytes were written instead. */
void
make_value(struct chain *c, const struct word *w, struct program_arg *a)
{
    *a = (struct program_arg){0};
    switch (w->letter) {
    case 'f':
    case 'i':
    case 't':
    case 'T':
    case 'W': result_argument(c, a, w->letter == 't' ? 'i' : w->letter, w->resource); break;
    case 'D':
        a->value = (uint64_t)AT_FDCWD;
        if (one_in(c->careful ? 8 : 4))
            result_argument(c, a, 'f', one_in(2) ? table_kind("dir") : 0);
        break;
    case 's': a->value = make_string(c, w->type); break;
    case 'S': a->value = signal_number(); break;
    case 'h':
        a->kind = ARG_HANDLER;
        if (one_in(3))
            *a = (struct program_arg){.value = one_in(8) ? bad_pointer() : random_below(2)};
        break;
    case 'H': a->kind = ARG_RESTORER; break;
    case 'a':
        if (one_in(3))
            result_argument(c, a, 'a', 0);
        if (a->kind != ARG_SLOT)
            a->value = !c->careful && one_in(10) ? random_number()
                       : one_in(12)              ? DATA_START + 4096 * random_below(16)
                                                 : ARENA_START + 4096ull * random_below(one_in(3) ? ARENA_PAGES : 6);
        break;
    case 'm':
        a->value = !c->careful && one_in(10) ? random_number() : 4096ull * (1 + random_below(one_in(3) ? 32 : 4));
        break;
    case 'b':
    case 'B': a->value = !c->careful && one_in(24) ? bad_pointer() : make_buffer(c, w->letter == 'b'); break;
    case 'n': a->value = !c->careful && one_in(16) ? random_number() : c->length; break;
    case 'k': a->value = !c->careful && one_in(16) ? random_number() : c->elements; break;
    case 'e': a->value = DATA_START + DATA_SIZE - 512 - 16 * random_below(64); break;
    case 'p':
    case 'r':
    case 'w':
        a->value = !c->careful && one_in(20)     ? bad_pointer()
                   : one_in(c->careful ? 16 : 8) ? 0
                                                 : make_structure(c, w, w->letter != 'r');
        break;
    case 'N':
    case 'z': break;
    case '?': a->value = one_in(2) ? random_number() : random_u64(); break;
    default: a->value = number_of(c, w->type); break;
    }
}

static void
make_bytes(struct chain *c, uint32_t at, const struct word *f)
{
    struct program_op *op = append(c, OP_BYTES);
    uint8_t *bytes = (uint8_t *)op->args;

    op->number = at;
    op->size = (uint8_t)(f->size < sizeof op->args ? f->size : sizeof op->args);
    if (f->literal) {
        memcpy(bytes, f->literal, strlen(f->literal));
    } else if (f->letter == 'q') {
        static const char *const names[] = {"/tmp/sock", "/tmp/d/s", "/tmp/a", "", "relative"};

        strcpy((char *)bytes, names[random_below(5)]);
    } else {
        for (unsigned i = 0; i < op->size; i++)
            bytes[i] = one_in(2) ? (uint8_t)random_u64() : one_in(2) ? 0xff : 0;
    }
}

void
make_fields(struct chain *c, const struct type *t, uint32_t at)
{
    uint64_t length = 0, elements = 0;

    for (unsigned i = 0; i < t->count; i++) {
        const struct word *f = &t->fields[i];
        struct program_arg value;
        struct program_op *op;

        if (f->letter == 'z') { /* fresh memory is zero */
            at += f->size;
            continue;
        }
        if (f->literal || f->letter == 'q' || f->size > 8) {
            make_bytes(c, at, f);
        } else {
            c->length = length;
            c->elements = elements;
            make_value(c, f, &value);
            if (f->letter == 'N')
                value.value = t->size;
            length = c->length;
            elements = c->elements;
            op = append(c, OP_POKE);
            op->number = at;
            op->size = (uint8_t)f->size;
            op->args[0] = value;
        }
        at += f->size;
    }
}

static const struct type *
alternative(const struct type *t)
{
    while (t && t->kind == TYPE_UNION)
        t = t->alternatives[random_below(t->count)];
    return t;
}

/* Returns its address; c->length and c->elements are its size and number. */
uint64_t
make_structure(struct chain *c, const struct word *w, bool content)
{
    static const uint8_t counts[] = {1, 1, 1, 2, 2, 3, 0, 8};
    unsigned count = w->array ? counts[random_below(sizeof counts)] : 1;
    const struct type *t = alternative(w->type);
    uint32_t at;

    if (!w->type) {
        c->length = 64;
        return allocate(c, 64);
    }
    if (!t)
        return number_of(c, NULL);
    if (c->depth > 6)
        return 0;
    at = allocate(c, (uint64_t)t->size * count);
    c->depth++;
    for (unsigned i = 0; content && i < count; i++)
        make_fields(c, t, at + i * t->size);
    c->depth--;
    c->length = t->size;
    c->elements = count;
    /* What the kernel writes there can be used later. */
    if (!content && t->count <= 2)
        for (unsigned i = 0, offset = 0; i < t->count; offset += t->fields[i].size, i++)
            if (strchr("fTi", t->fields[i].letter) && c->pick_count < 4) {
                c->picks[c->pick_count].offset = at + offset;
                c->picks[c->pick_count++].word = t->fields[i];
            }
    return at;
}

/* --- calls --- */

unsigned
new_slot(struct chain *c)
{
    return c->program->groups * 7 % (PROGRAM_SLOTS - 1) + random_below(2);
}

static bool
is_child_maker(unsigned nr)
{
    return nr == SYS_clone || nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone3;
}

static bool
generate_into(struct chain *c, const struct row *r)
{
    struct program_op call = {.kind = OP_CALL, .lane = (uint8_t)c->lane, .slot = PROGRAM_SLOTS, .number = r->number};
    uint32_t outer = c->group;
    unsigned picks = c->pick_count;
    bool careful = c->careful;

    if (c->depth)
        c->careful = true; /* somebody wants the result */
    c->depth++;
    c->group = ++c->program->groups;
    c->pick_count = 0;
    c->length = 0;
    c->elements = 0;
    for (unsigned i = 0; i < r->arity; i++)
        make_value(c, &r->args[i], &call.args[i]);
    if (r->result.letter) {
        call.slot = (uint8_t)new_slot(c);
        call.letter = (uint8_t)(r->result.letter == 't' ? 'i' : r->result.letter);
        call.resource = r->result.resource;
    }
    if (is_child_maker(r->number))
        call.target = (uint8_t)(c->lane + 1);
    call.group = c->group;
    *append(c, OP_CALL) = call;
    for (unsigned i = 0; i < c->pick_count; i++) {
        struct program_op *op = append(c, OP_PICK);

        op->number = (uint32_t)c->picks[i].offset;
        op->size = (uint8_t)c->picks[i].word.size;
        op->slot = (uint8_t)new_slot(c);
        op->letter = (uint8_t)c->picks[i].word.letter;
        op->resource = (uint8_t)(op->letter != 'f'             ? 0
                                 : r->number == SYS_socketpair ? table_kind("socket")
                                                               : table_kind("pipe"));
    }
    c->pick_count = picks;
    c->group = outer;
    c->depth--;
    c->careful = careful;
    return c->count < MAX_CHAIN;
}

/* --- scenes: sequences of calls that belong together (scenes.def) --- */

enum { NAMES = 26 };
struct names {
    uint8_t slot[NAMES], pair_kind; /* by letter */
    uint32_t memory[NAMES];
};

static bool
is_name(char ch)
{
    return ch >= 'a' && ch <= 'z';
}

static void
scene_argument(struct chain *c, struct names *n, const char *p, struct program_arg *a)
{
    int length = (int)strcspn(p, " ;");
    struct word w = {0};
    char name[40];

    *a = (struct program_arg){0};
    if (*p == '$') {
        *a = (struct program_arg){.kind = ARG_SLOT, .slot = n->slot[p[1] - 'a']};
    } else if (*p == '\'') {
        struct program_op *op = append(c, OP_BYTES);

        op->size = (uint8_t)(length - 1);
        op->number = allocate(c, op->size);
        memcpy(op->args, p + 1, (size_t)length - 2);
        a->value = op->number;
        c->length = (uint64_t)length - 2;
    } else if (*p == '&' && p[2] == ':') {
        snprintf(name, sizeof name, "%.*s", length - 3, p + 3);
        w = (struct word){.letter = 'p', .type = table_type(name)};
        a->value = make_structure(c, &w, true);
        n->memory[p[1] - 'a'] = (uint32_t)a->value;
    } else if (*p == '&') {
        a->value = n->memory[p[1] - 'a'];
    } else if (*p == '*') {
        table_word(p + 1, &w);
        make_value(c, &w, a);
    } else if (*p == '-' && length == 1) {
        a->value = c->length;
    } else {
        a->value = (uint64_t)strtoll(p, NULL, 0);
    }
}

/* `a,b<m` */
static void
pick_pair(struct chain *c, struct names *n, const char *p)
{
    uint32_t at = n->memory[strchr(p, '<')[1] - 'a'];

    for (; is_name(*p); p += 2, at += 4) {
        struct program_op *op = append(c, OP_PICK);

        c->program->groups++;
        op->slot = n->slot[*p - 'a'] = (uint8_t)new_slot(c);
        op->letter = 'f';
        op->resource = n->pair_kind;
        op->size = 4;
        op->number = at;
        if (p[1] == '<')
            break;
    }
}

static void
play_step(struct chain *c, struct names *n, const char *p)
{
    struct program_op call = {.kind = OP_CALL, .lane = (uint8_t)c->lane, .slot = PROGRAM_SLOTS};
    const struct row *r;
    char name[40], wanted = '\0';
    size_t length;

    c->group = ++c->program->groups;
    if (is_name(p[0]) && (p[1] == ',' || p[1] == '<')) {
        pick_pair(c, n, p);
        return;
    }
    if (is_name(p[0]) && p[1] == '=') {
        wanted = *p;
        p += 2;
    }
    length = strcspn(p, " ;");
    snprintf(name, sizeof name, "%.*s", (int)length, p);
    r = table_named(name);
    p += length;
    for (unsigned i = 0; i < r->arity && *p == ' '; i++, p += strcspn(p, " ;"))
        scene_argument(c, n, ++p, &call.args[i]);
    call.number = r->number;
    call.group = c->group;
    call.target = (uint8_t)(c->lane + 1);
    if (r->result.letter || wanted) {
        call.slot = (uint8_t)new_slot(c);
        call.letter = (uint8_t)r->result.letter;
        call.resource = r->result.resource;
    }
    if (wanted)
        n->slot[wanted - 'a'] = call.slot;
    n->pair_kind = (uint8_t)table_kind(r->number == SYS_socketpair ? "socket" : "pipe");
    *append(c, OP_CALL) = call;
}

static void
play(struct chain *c, const char *steps)
{
    struct names n;
    uint32_t outer = c->group;
    uint64_t length = c->length, elements = c->elements;
    bool careful = c->careful;

    memset(&n, 0, sizeof n);
    memset(n.slot, PROGRAM_SLOTS - 1, sizeof n.slot);
    c->depth++;
    c->careful = true;
    for (const char *p = steps; *p; p += *p == ';') {
        p += strspn(p, " ");
        play_step(c, &n, p);
        p += strcspn(p, ";");
    }
    c->depth--;
    c->careful = careful;
    c->group = outer;
    c->length = length;
    c->elements = elements;
}

bool
put_in(struct program *p, unsigned at, const struct chain *c)
{
    if (c->count == 0 || c->count == MAX_CHAIN || p->count + c->count > PROGRAM_OPS)
        return false;
    memmove(&p->ops[at + c->count], &p->ops[at], (p->count - at) * sizeof *p->ops);
    memcpy(&p->ops[at], c->ops, c->count * sizeof *p->ops);
    p->count += c->count;
    return true;
}

static bool
generate_row(struct program *p, unsigned at, unsigned lane, const struct row *r)
{
    static struct chain c;

    c = (struct chain){.program = p, .lane = lane, .careful = !one_in(3)};
    generate_into(&c, r);
    return put_in(p, at, &c);
}

static void
generate_scene(struct program *p, unsigned lane)
{
    static const char *const scenes[] = {
#define SCENE(steps) steps,
#define DESCRIPTOR(kind, steps)
#include "fuzz/syscalls/scenes.def"
#undef SCENE
#undef DESCRIPTOR
    };
    static struct chain c;

    c = (struct chain){.program = p, .lane = lane};
    play(&c, scenes[random_below(sizeof scenes / sizeof *scenes)]);
    put_in(p, p->count, &c);
}

static unsigned focus[FOCUS];

static const struct row *
choose_row(void)
{
    for (;;) {
        const struct row *r = &rows[one_in(3) ? random_below(row_count) : focus[random_below(FOCUS)]];
        unsigned nr = r->number;

        /* What ends the caller or all others would keep programs short. */
        if ((nr == SYS_exit || nr == SYS_exit_group || nr == SYS_execve || nr == SYS_pause || nr == SYS_rt_sigreturn ||
             nr == SYS_rt_sigsuspend) &&
            !one_in(20))
            continue;
        return r;
    }
}

/* A thread or process that runs the next lane. */
static bool
generate_child(struct program *p, unsigned lane)
{
    /* clang-format off */
    static const uint64_t flags[] = {
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, SIGCHLD, SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD,
        CLONE_VM | SIGCHLD, CLONE_FILES | SIGCHLD, CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD,
    };
    /* clang-format on */
    unsigned at = p->count;

    if (!generate_row(p, at, lane, table_row(SYS_clone)))
        return false;
    for (unsigned i = at; i < p->count; i++)
        if (p->ops[i].kind == OP_CALL && p->ops[i].number == SYS_clone && !one_in(6))
            p->ops[i].args[0] = (struct program_arg){.value = flags[random_below(sizeof flags / sizeof *flags)]};
    return true;
}

static void
generate_touch(struct program *p, unsigned lane)
{
    struct chain c = {.program = p, .lane = lane};
    struct word w = {.letter = 'a'};
    struct program_op *op;
    struct program_arg address;

    c.group = ++p->groups;
    make_value(&c, &w, &address);
    op = append(&c, OP_TOUCH);
    op->size = (uint8_t)random_below(2);
    op->args[0] = address;
    put_in(p, p->count, &c);
}

static void
generate_loop(struct program *p, unsigned lane)
{
    struct chain c = {.program = p, .lane = lane, .group = ++p->groups};
    struct program_op *op = append(&c, OP_LOOP);

    op->size = (uint8_t)(1 + random_below(12));
    op->number = one_in(12) ? random_below(1000) : random_below(12);
    put_in(p, p->count, &c);
}

static void
generate_sigreturn(struct program *p, unsigned lane)
{
    static struct chain c;
    struct word w = {.letter = 'p', .type = table_type("sigframe")};
    struct program_op *op;

    c = (struct chain){.program = p, .lane = lane, .group = ++p->groups};
    w.array = false;
    uint64_t at = make_structure(&c, &w, true);

    op = append(&c, OP_SIGRETURN);
    op->number = (uint32_t)at;
    put_in(p, p->count, &c);
}

bool
generate_call(struct program *p, unsigned at, unsigned lane)
{
    return generate_row(p, at, lane, choose_row());
}

static void
generate_lane(struct program *p, unsigned lane, unsigned lanes)
{
    unsigned calls = 1 + random_below(14), child_at = lane + 1 < lanes ? random_below(calls) : calls;

    for (unsigned i = 0; i < calls; i++) {
        if (i == child_at)
            generate_child(p, lane);
        if (one_in(6))
            generate_scene(p, lane);
        else
            generate_call(p, p->count, lane);
        if (one_in(16))
            generate_touch(p, lane);
        if (one_in(40))
            generate_loop(p, lane);
    }
    if (one_in(20))
        generate_sigreturn(p, lane);
    if (one_in(12))
        generate_state(p, lane);
    if (one_in(p->flags & PROGRAM_EVAL_UNKNOWN ? 3 : 20))
        generate_image(p, lane);
}

void
generate(struct program *p)
{
    unsigned lanes = 1 + random_below(PROGRAM_LANES);

    memset(p, 0, sizeof *p);
    p->seed = random_u64();
    p->flags = one_in(5) ? PROGRAM_EVAL_UNKNOWN : 0;
    for (unsigned i = 0; i < FOCUS; i++)
        focus[i] = random_below(row_count);
    for (unsigned lane = 0; lane < lanes; lane++)
        generate_lane(p, lane, lanes);
}

void
regenerate_argument(struct program *p, struct program_op *op)
{
    const struct row *r = op->kind == OP_CALL ? table_row(op->number) : NULL;
    static struct chain c;
    unsigned i;

    if (!r || r->arity == 0 || one_in(4)) {
        op->args[r && r->arity ? random_below(r->arity) : 0].value = random_number();
        return;
    }
    i = random_below(r->arity);
    c = (struct chain){.program = p, .lane = op->lane, .depth = MAX_NEED};
    if (!strchr("sprwbB", r->args[i].letter))
        make_value(&c, &r->args[i], &op->args[i]);
    else if (one_in(3))
        op->args[i] = (struct program_arg){.value = bad_pointer()};
}
