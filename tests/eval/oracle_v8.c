/* The fourth execution: the code object itself, in Node's V8, which runs v8/execution.mjs (there the protocol) as a
 * child.
 *
 * Not covered: helpers that need the host's x87 or its rounding against MXCSR, and states with another
 * rounding mode or with denormals as zero, which WebAssembly does not have. Accesses outside the window do not
 * fault. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/ir.h"

enum { MXCSR_AT = 24, MXCSR_MODES = 0xe040 };

static int to_child = -1, from_child;
static uint8_t window[WINDOW_SIZE];
char *oracle_v8_command[4];

static void
send(const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = write(to_child, p, size);

        if (n <= 0) {
            printf("oracle: V8 is gone\n");
            exit(2);
        }
        p += n;
        size -= (size_t)n;
    }
}

static void
receive(void *data, size_t size)
{
    uint8_t *p = data;

    while (size) {
        ssize_t n = read(from_child, p, size);

        if (n <= 0) {
            printf("oracle: V8 is gone\n");
            exit(2);
        }
        p += n;
        size -= (size_t)n;
    }
}

static void
send_layout(void)
{
    static const char *const types[] = {[IR_I32] = "i32", [IR_I64] = "i64", [IR_V128] = "v128"};
    char line[8192];
    int n = snprintf(line, sizeof line,
                     "{\"cpuSize\": %zu, \"windowAt\": %u, \"windowSize\": %u, \"codeBase\": %u, \"states\": [",
                     sizeof(struct x86_cpu), WINDOW, WINDOW_SIZE, CODE_PAGE);

    for (unsigned i = 0; i < X86_S_COUNT; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s{\"name\": \"%s\", \"type\": \"%s\", \"offset\": %u}",
                      i ? ", " : "", ir_state_infos[i].name, types[ir_state_infos[i].type], ir_state_infos[i].offset);
    n += snprintf(line + n, sizeof line - (size_t)n, "]}\n");
    send(line, (size_t)n);
}

static void
start(void)
{
    int down[2], up[2];

    if (pipe(down) < 0 || pipe(up) < 0) {
        perror("oracle: pipe");
        exit(2);
    }
    if (fork() == 0) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        close(down[1]);
        close(up[0]);
        alarm(0);
        execvp(oracle_v8_command[0], oracle_v8_command);
        perror("oracle: V8");
        _exit(2);
    }
    close(down[0]);
    close(up[1]);
    to_child = down[1];
    from_child = up[0];
    send_layout();
}

static void
v8_load(const struct program *programs, size_t count, const struct buf *module)
{
    uint32_t head[2] = {(uint32_t)module->size, (uint32_t)count};

    if (to_child < 0)
        start();
    send("L", 1);
    send(head, sizeof head);
    send(module->data, module->size);
}

/* Does rounding mode or treatment of denormals matter to it? By the ends of the names: ps pd ss sd, and conversions. */
static bool
rounds(const struct program *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const char *name = x86_op_name(p->part[i].insn.op) + (p->part[i].insn.vector_size != 0),
                   *end = name + strlen(name);

        if (!strncmp(name, "cvt", 3) ||
            (end - name > 2 && (end[-2] == 'p' || end[-2] == 's') && (end[-1] == 's' || end[-1] == 'd')))
            return true;
    }
    return false;
}

static bool
sets_rounding(const struct program *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        unsigned op = p->part[i].insn.op;

        if (op == X86_OP_LDMXCSR || op == X86_OP_FXRSTOR || op == X86_OP_XRSTOR)
            return true;
    }
    return false;
}

static void
v8_run(const struct program *p, size_t index, const struct state *in, struct outcome *out)
{
    uint32_t number = (uint32_t)index, mxcsr;
    struct x86_cpu cpu;
    struct {
        int32_t trap;
        uint64_t pc;
    } __attribute__((packed)) head;

    memset(out, 0, sizeof *out);
    memcpy(&mxcsr, in->fx + MXCSR_AT, 4);
    if (((mxcsr & MXCSR_MODES) || sets_rounding(p)) && rounds(p)) {
        out->trap = TRAP_UNCOVERED;
        return;
    }
    cpu_from_state(&cpu, in);
    cpu.gs_base = GS_BASE;
    send("R", 1);
    send(&number, 4);
    send(&cpu, sizeof cpu);
    send(window, sizeof window);
    receive(&head, sizeof head);
    receive(&cpu, sizeof cpu);
    receive(window, sizeof window);
    cpu.rip = head.pc;
    out->trap = head.trap;
    out->trap_rip = head.pc;
    state_from_cpu(&out->state, &cpu);
}

static uint8_t *
v8_window(void)
{
    return window;
}

const struct execution execution_v8 = {
    .name = "v8",
    .compiled = true,
    .flat = true,
    .load = v8_load,
    .run = v8_run,
    .window = v8_window,
};
