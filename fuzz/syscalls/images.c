/* Files that look like programs and scripts, executed; and images of x87 and SSE state, loaded. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "fuzz/syscalls/generate_internal.h"

static struct program_op *
image_call(struct chain *c, unsigned number, unsigned file_slot)
{
    struct program_op *op = append(c, OP_CALL);

    op->number = number;
    if (file_slot < PROGRAM_SLOTS)
        op->args[0] = (struct program_arg){.kind = ARG_SLOT, .slot = (uint8_t)file_slot};
    return op;
}

static unsigned
image_open(struct chain *c, uint64_t path, uint64_t flags)
{
    struct program_op *op = image_call(c, SYS_open, PROGRAM_SLOTS);

    c->program->groups += 9; /* another slot for each file */
    op->slot = (uint8_t)new_slot(c);
    op->letter = 'f';
    op->args[0].value = path;
    op->args[1].value = flags;
    op->args[2].value = 0755;
    return op->slot;
}

/* Bytes at a place that is its own. */
static uint64_t
image_bytes(struct chain *c, const void *bytes, size_t size)
{
    uint32_t at = allocate(c, size);

    for (size_t done = 0; done < size;) {
        struct program_op *op = append(c, OP_BYTES);
        size_t n = size - done < sizeof op->args ? size - done : sizeof op->args;

        op->number = at + (uint32_t)done;
        op->size = (uint8_t)n;
        memcpy(op->args, (const char *)bytes + done, n);
        done += n;
    }
    return at;
}

/* A copy of a program that works, with up to three numbers of its headers replaced, at times cut. */
static void
image_of_program(struct chain *c, unsigned to)
{
    static const char *const programs[] = {"/bin/executor", "/bin/executor", "/bin/pie", "/bin/dynamic"};
    const char *name = programs[random_below(4)];
    unsigned from = image_open(c, image_bytes(c, name, strlen(name) + 1), O_RDONLY);
    struct program_op *op = image_call(c, SYS_sendfile, to);

    op->args[1] = (struct program_arg){.kind = ARG_SLOT, .slot = (uint8_t)from};
    op->args[3].value = 1 << 20;
    for (unsigned n = random_below(4); n; n--) {
        struct word w = {.letter = 'd', .type = table_number("elf_number")};
        unsigned size = one_in(3) ? 8 : one_in(2) ? 4 : 2;
        uint32_t at = allocate(c, 8);

        op = append(c, OP_POKE);
        op->number = at;
        op->size = 8;
        make_value(c, &w, &op->args[0]);
        op = image_call(c, SYS_pwrite64, to);
        op->args[1].value = at;
        op->args[2].value = size;
        op->args[3].value = (16 + random_below(48 + 8 * 56)) / size * size;
    }
    if (one_in(6)) {
        op = image_call(c, SYS_ftruncate, to);
        op->args[1].value = one_in(2) ? random_below(700) : random_below(20000);
    }
}

/* "#!", an interpreter, words; long, without an end, with NULs, of each other. */
static void
image_of_script(struct chain *c, unsigned to)
{
    static const char *const interpreters[] =
        {"/bin/executor",  "/bin/executor", "/bin/pie", "/bin/script", "/tmp/x",       "/tmp/y", "/tmp/script",
         "/proc/self/exe", "/dev/null",     "/tmp",     "/tmp/fifo",   "bin/executor", "x",      "",
         "/tmp/a",         "/dev/fd/3"};
    static const char *const spaces[] = {"", "", " ", "  ", "\t", " \t "},
                             *const words[] = {"", " exit", " exit x  y ", "\tfork", " \r"},
                             *const ends[] = {"\n", "\n", "\n\n", "", "\r\n", " \n"};
    char line[400];
    int n = snprintf(line, sizeof line, "#!%s%s%s", spaces[random_below(6)], interpreters[random_below(16)],
                     words[random_below(5)]);
    struct program_op *op;

    if (one_in(5)) /* about as long as the 256 bytes that are looked at */
        for (unsigned to_length = one_in(2) ? 240 + random_below(30) : 380; (unsigned)n < to_length;)
            line[n++] = one_in(40) ? ' ' : 'a';
    n += snprintf(line + n, sizeof line - (size_t)n, "%s", ends[random_below(6)]);
    if (one_in(8))
        line[random_below((unsigned)n)] = '\0';
    op = image_call(c, SYS_write, to);
    op->args[2].value = (uint64_t)n;
    {
        unsigned at = c->count - 1; /* the bytes come before the call */
        struct program_op call = c->ops[at];

        c->count--;
        call.args[1].value = image_bytes(c, line, (size_t)n);
        *append(c, OP_CALL) = call;
    }
}

static void
image_of_headers(struct chain *c, unsigned to)
{
    struct word w = {.letter = 'p', .type = table_type("elf_file")};
    uint64_t at = make_structure(c, &w, true);
    struct program_op *op = image_call(c, SYS_write, to);

    op->args[1].value = at;
    op->args[2].value = w.type->size;
}

/* {"x", a word for the executor, NULL} */
static uint64_t
image_arguments(struct chain *c)
{
    static const char *const words[] = {"exit", "exit", "read", "fork", "pause"};
    const char *word = words[random_below(5)];
    uint64_t strings = image_bytes(c, word, strlen(word) + 1);
    uint32_t at = allocate(c, 24);

    for (unsigned i = 0; i < 3; i++) {
        struct program_op *op = append(c, OP_POKE);

        op->number = at + 8 * i;
        op->size = 8;
        op->args[0].value = i < 2 ? strings : 0;
    }
    return at;
}

/* A file that looks like a program or script is made and executed, or mapped as code. */
void
generate_image(struct program *p, unsigned lane)
{
    static struct chain c;
    uint64_t path, arguments;
    struct program_op *op;
    unsigned file;

    c = (struct chain){.program = p, .lane = lane, .group = ++p->groups};
    path = image_bytes(&c, one_in(2) ? "/tmp/x" : "/tmp/y", 7);
    file = image_open(&c, path, O_CREAT | O_RDWR | O_TRUNC);
    if (one_in(3))
        image_of_script(&c, file);
    else if (one_in(4))
        image_of_headers(&c, file);
    else
        image_of_program(&c, file);
    arguments = image_arguments(&c);
    if (one_in(6)) {
        op = image_call(&c, SYS_mmap, PROGRAM_SLOTS);
        op->args[1].value = 4096 * (1 + random_below(16));
        op->args[2].value = 5;
        op->args[3].value = 2;
        op->args[4] = (struct program_arg){.kind = ARG_SLOT, .slot = (uint8_t)file};
        op->args[5].value = 4096 * random_below(4);
    } else if (one_in(3)) {
        struct program_op *fork = image_call(&c, SYS_vfork, PROGRAM_SLOTS);

        fork->target = PROGRAM_LANES;
    }
    image_call(&c, SYS_close, file);
    op = image_call(&c, SYS_execve, PROGRAM_SLOTS);
    op->args[0].value = path;
    op->args[1].value = one_in(8) ? 0 : arguments;
    put_in(p, p->count, &c);
}

/* An image of x87 and SSE state, loaded or stored by the instruction that goes with it. */
void
generate_state(struct program *p, unsigned lane)
{
    static struct chain c;
    const struct type *t = table_type("xsave_area");
    struct word mask = {.letter = 'x', .type = table_number("xfeatures")};
    struct program_op *op;
    unsigned kind = random_below(STATE_KINDS);
    uint32_t at;

    c = (struct chain){.program = p, .lane = lane, .group = ++p->groups};
    at = (allocate(&c, t->size + 64) + 63) & ~63u;
    if (one_in(8))
        at += 1 + random_below(63);
    if (at + t->size > DATA_START + DATA_SIZE)
        at = DATA_START;
    make_fields(&c, t, at);
    op = append(&c, OP_STATE);
    op->size = (uint8_t)kind;
    op->number = one_in(20) ? (uint32_t)bad_pointer() : at;
    make_value(&c, &mask, &op->args[0]);
    put_in(p, p->count, &c);
}
