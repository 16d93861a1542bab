/* The oracle's command line: all forms a few times each (the meson test), or what options pick.
 *
 *   oracle [--form MNEMONIC] [--count N] [--seed S] [--sequences [N]] [--list] [--verbose]
 *          [--bytes HEX: print the IR of this code]  [--strict-nan] [--strict-x87] [--failures FILE]
 * Exit code: 0 all agree, 1 differences. Forms without lifter are counted and named, not failures. */
#include "oracle.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lift/lift.h"

static unsigned printed_per_op = 1;
static uint8_t master[WINDOW_SIZE], work[WINDOW_SIZE];

static struct tally {
    unsigned passed, failed, unlifted, unmade;
    char example[600];
} tallies[X86_OP_COUNT];

static void
load_windows(const uint8_t *from)
{
    memcpy(native_window(), from, WINDOW_SIZE);
    memcpy(evaluator_window(), from, WINDOW_SIZE);
}

static void
print_case(const struct made *m, const struct state *before, const char *text)
{
    char insn[128];

    printf("\n%s  [", x86_format(&m->insn, insn, sizeof insn));
    for (unsigned i = 0; i < m->length; i++)
        printf("%s%02x", i ? " " : "", m->bytes[i]);
    printf("]\n%s", text);
    state_print(before);
}

/* SHLD and SHRD of 16 bits by more than 16 leave the destination undefined. */
static bool
result_undefined(const struct x86_insn *insn, const struct state *s)
{
    if ((insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD) && insn->opsize == 2) {
        const struct x86_operand *o = &insn->operand[2];
        return ((o->kind == X86_OPD_IMM ? (uint64_t)o->imm : s->gpr[X86_RCX]) & 31) > 16;
    }
    return insn->op == X86_OP_BSWAP && insn->opsize == 2;
}

static void
run_case(const struct form *f, bool verbose)
{
    struct state state;
    struct made m;
    struct outcome native, evaluated;
    char text[2048], name[128];
    struct tally *tally = &tallies[f->op];

    state_random(&state);
    form_faults = f->memory && !f->sample.rep && !f->sample.repne && random_below(24) == 0 &&
                  f->op != X86_OP_CLFLUSH && f->op != X86_OP_CLFLUSHOPT && f->op != X86_OP_CLWB;
    if (!form_make(f, CODE_AT, false, &state, &m)) {
        tally->unmade++;
        return;
    }
    memcpy(work, master, sizeof work);
    state_prepare(&m.insn, m.length, &state, work);
    if (result_undefined(&m.insn, &state))
        return;
    struct tolerance t = tolerance_of(&m.insn, &state);
    native_load(m.bytes, m.length);
    load_windows(work);
    native_run(&state, &native);
    evaluator_run(&state, m.bytes, m.length, &evaluated);
    if (evaluated.trap == 256) {
        tally->unlifted++;
        return;
    }
    if (!state_compare(&native, &evaluated, &t, CODE_AT, text, sizeof text)) {
        tally->passed++;
        return;
    }
    if (tally->failed++ == 0) {
        int n = snprintf(tally->example, sizeof tally->example, "%s [", x86_format(&m.insn, name, sizeof name));
        for (unsigned i = 0; i < m.length; i++)
            n += snprintf(tally->example + n, sizeof tally->example - (size_t)n, "%s%02x", i ? " " : "", m.bytes[i]);
        snprintf(tally->example + n, sizeof tally->example - (size_t)n, "]\n%.400s", text);
    }
    if (verbose || tally->failed <= printed_per_op)
        print_case(&m, &state, text);
}

/* --- sequences --- */
struct sequence {
    struct made part[MAX_SEQUENCE];
    unsigned count;
};

static size_t
sequence_bytes(const struct sequence *q, uint8_t *out)
{
    size_t n = 0;

    for (unsigned i = 0; i < q->count; i++) {
        memcpy(out + n, q->part[i].bytes, q->part[i].length);
        n += q->part[i].length;
    }
    return n;
}

static unsigned
run_sequence(const struct sequence *q, const struct state *state, uint32_t undefined, char *text, size_t size)
{
    uint8_t bytes[MAX_SEQUENCE * X86_MAX_LENGTH];
    size_t n = sequence_bytes(q, bytes);
    struct outcome native, evaluated;
    struct tolerance t = {.undefined = undefined, .sequence = true};

    native_load(bytes, n);
    load_windows(master);
    native_run(state, &native);
    evaluator_run(state, bytes, n, &evaluated);
    if (evaluated.trap == 256)
        return 0;
    return state_compare(&native, &evaluated, &t, 0, text, size);
}

static bool
is_shift(const struct x86_insn *insn)
{
    return insn->op == X86_OP_ROL || insn->op == X86_OP_ROR || insn->op == X86_OP_RCL || insn->op == X86_OP_RCR ||
           insn->op == X86_OP_SHL || insn->op == X86_OP_SHR || insn->op == X86_OP_SAR ||
           insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD;
}

static uint32_t
undefined_after(const struct sequence *q, bool *reads)
{
    static const uint16_t bit[X86_FLAG_COUNT] = {1, 4, 0x10, 0x40, 0x80, 0x800, 0x400};
    uint8_t undefined = 0;
    uint32_t out = 0;

    *reads = false;
    for (unsigned i = 0; i < q->count; i++) {
        struct x86_flag_effects e = x86_flag_effects(&q->part[i].insn);
        if (e.tested & undefined)
            *reads = true;
        uint32_t now = tolerance_of(&q->part[i].insn, NULL).undefined;
        /* a shift by CL may leave flags as they were */
        if (!is_shift(&q->part[i].insn))
            undefined &= (uint8_t)~e.written;
        for (unsigned j = 0; j < X86_FLAG_COUNT; j++)
            undefined |= (uint8_t)((now & bit[j] ? 1 : 0) << j);
    }
    for (unsigned i = 0; i < X86_FLAG_COUNT; i++)
        out |= undefined >> i & 1 ? bit[i] : 0;
    return out;
}

/* Results that later instructions of a sequence would spread. */
static bool
varies(const struct x86_insn *insn)
{
    struct tolerance t = tolerance_of(insn, NULL);

    return t.nan || t.estimate || t.high_halves;
}

static bool
make_sequence(struct sequence *q, struct state *state, const char *filter)
{
    unsigned want = 5 + random_below(MAX_SEQUENCE - 5);
    uint64_t at = CODE_AT;

    state_random(state);
    state->fx[24] &= 0xbf; /* no DAZ: see state_prepare() */
    state->gpr[X86_R14] = WINDOW_MIDDLE;
    state->gpr[X86_R15] = random_below(64) * 16;
    q->count = 0;
    for (unsigned tries = 0; q->count < want && tries < 2000; tries++) {
        const struct form *f = &forms[random_below((uint32_t)form_count)];
        struct made *m = &q->part[q->count];
        bool reads;

        if (q->count && random_below(7) == 0) {
            /* jcc to the next instruction: ends the block, so that flags cross into the next one */
            m->bytes[0] = (uint8_t)(0x70 | random_below(16));
            m->bytes[1] = 0;
            m->length = 2;
            x86_decode(m->bytes, 2, at, &m->insn);
            q->count++;
            undefined_after(q, &reads);
            if (reads)
                q->count--;
            else
                at += 2;
            continue;
        }
        if (!form_runs(f) || !lift_supported(&f->sample))
            continue;
        /* three in four from the integer instructions, which have the flags and partial registers */
        if (f->map && !(f->map == 1 && (f->opcode >= 0x90 || (f->opcode & 0xf0) == 0x40)) && random_below(4))
            continue;
        if (!form_make(f, at, true, state, m) || varies(&m->insn) || result_undefined(&m->insn, state) ||
            ((m->insn.op == X86_OP_SHLD || m->insn.op == X86_OP_SHRD) && m->insn.opsize == 2))
            continue;
        if (at + m->length - CODE_AT > 600)
            break;
        /* alignment: with r14 and r15 multiples of 16, only the displacement matters; drop what faults */
        q->count++;
        undefined_after(q, &reads);
        if (reads) {
            q->count--;
            continue;
        }
        at += m->length;
    }
    return q->count > 0;
}

/* Replaces a part by nops, so that the others stay where they are. */
static bool
drop_part(const struct sequence *q, unsigned i, struct sequence *out)
{
    struct made *m;
    bool reads;

    *out = *q;
    m = &out->part[i];
    if (m->bytes[0] == 0x90)
        return false;
    memset(m->bytes, 0x90, m->length);
    x86_decode(m->bytes, 1, m->insn.address, &m->insn);
    undefined_after(out, &reads);
    return !reads;
}

static unsigned
sequences(unsigned count)
{
    unsigned failed = 0;
    char text[2048], insn[128];

    for (unsigned k = 0; k < count; k++) {
        struct sequence q, smaller;
        struct state state;
        bool reads;

        alarm(20);
        memory_random(master);
        if (!make_sequence(&q, &state, NULL) ||
            !run_sequence(&q, &state, undefined_after(&q, &reads), text, sizeof text))
            continue;
        failed++;
        for (unsigned i = 0; i < q.count; i++) {
            if (drop_part(&q, i, &smaller) &&
                run_sequence(&smaller, &state, undefined_after(&smaller, &reads), text, sizeof text))
                q = smaller;
        }
        if (failed > 5)
            continue;
        run_sequence(&q, &state, undefined_after(&q, &reads), text, sizeof text);
        printf("\nsequence %u:\n", k);
        for (unsigned i = 0; i < q.count; i++) {
            if (q.part[i].bytes[0] == 0x90)
                continue;
            printf("  %-50s [", x86_format(&q.part[i].insn, insn, sizeof insn));
            for (unsigned j = 0; j < q.part[i].length; j++)
                printf("%s%02x", j ? " " : "", q.part[i].bytes[j]);
            printf("]\n");
        }
        printf("%s", text);
        state_print(&state);
    }
    printf("sequences: %u run, %u differ\n", count, failed);
    return failed;
}

static unsigned
summary(const char *failures)
{
    FILE *out = failures ? fopen(failures, "w") : NULL;
    unsigned passed = 0, failed = 0, failing_ops = 0, unlifted = 0;

    printf("\n");
    for (unsigned i = 0; i < X86_OP_COUNT; i++) {
        const struct tally *t = &tallies[i];
        passed += t->passed;
        failed += t->failed;
        unlifted += t->unlifted;
        if (t->failed) {
            failing_ops++;
            printf("FAIL %-12s %u of %u\n", x86_op_name(i), t->failed, t->passed + t->failed);
            if (out)
                fprintf(out, "%s: %u of %u fail, e.g. %s\n", x86_op_name(i), t->failed, t->passed + t->failed,
                        t->example);
        }
        if (t->unmade && !t->passed && !t->failed)
            printf("no encoding made: %s\n", x86_op_name(i));
    }
    printf("%u cases agree, %u differ (%u mnemonics), %u without lifter\n", passed, failed, failing_ops, unlifted);
    if (out)
        fclose(out);
    return failed;
}

static void
list_unlifted(void)
{
    const char *last = "";

    printf("without lifter:");
    for (size_t i = 0; i < form_count; i++) {
        if (!form_runs(&forms[i]) || lift_supported(&forms[i].sample))
            continue;
        if (strcmp(last, x86_op_name(forms[i].op)))
            printf(" %s", x86_op_name(forms[i].op));
        last = x86_op_name(forms[i].op);
    }
    printf("\n");
}

static int
print_ir(const char *hex)
{
    uint8_t bytes[256];
    struct ir_func f;
    struct ir_build b;
    struct lift_request request = {.bytes = bytes, .address = 0x1000, .max_insns = 64};
    struct err e = {0};
    int used;
    unsigned v;

    while (request.size < sizeof bytes && sscanf(hex, " %2x%n", &v, &used) == 1) {
        bytes[request.size++] = (uint8_t)v;
        hex += used;
    }
    ir_func_init(&f, request.address);
    ir_build_init(&b, &f);
    lift_block(&b, &request);
    ir_print(&f, stdout);
    if (ir_verify(&f, &e) < 0)
        printf("not valid: %s\n", e.text);
    ir_build_fini(&b);
    ir_func_fini(&f);
    return 0;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"form", required_argument, NULL, 'f'},      {"count", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},      {"sequences", optional_argument, NULL, 'q'},
        {"list", no_argument, NULL, 'l'},            {"verbose", no_argument, NULL, 'v'},
        {"strict-nan", no_argument, NULL, 'N'},      {"strict-x87", no_argument, NULL, 'X'},
        {"failures", required_argument, NULL, 'o'},  {"bytes", required_argument, NULL, 'b'},  {0},
    };
    const char *only = NULL, *failures = NULL;
    unsigned count = 8, sequence_count = 300;
    bool only_sequences = false, verbose = false, list = false;
    uint64_t seed = 1;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'f': only = optarg; break;
        case 'n': count = (unsigned)strtoul(optarg, NULL, 0); break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'q':
            only_sequences = true;
            sequence_count = optarg ? (unsigned)strtoul(optarg, NULL, 0) : 1000;
            break;
        case 'l': list = true; break;
        case 'v': verbose = true; break;
        case 'N': strict_nan = true; break;
        case 'X': strict_x87 = true; break;
        case 'b': return print_ir(optarg);
        case 'o': failures = optarg; break;
        default: return 2;
        }
    }
    native_init();
    forms_find();
    random_seed(seed);
    if (list) {
        for (size_t i = 0; i < form_count; i++) {
            char text[128];
            printf("%s%s%s\n", x86_format(&forms[i].sample, text, sizeof text), form_runs(&forms[i]) ? "" : " (not run)",
                   lift_supported(&forms[i].sample) ? "" : " (no lifter)");
        }
        return 0;
    }
    if (only)
        printed_per_op = 3;
    for (size_t i = 0; !only_sequences && i < form_count; i++) {
        if (!form_runs(&forms[i]) || (only && strcasecmp(only, x86_op_name(forms[i].op))))
            continue;
        if (!lift_supported(&forms[i].sample)) {
            tallies[forms[i].op].unlifted++;
            continue;
        }
        for (unsigned k = 0; k < count; k++) {
            alarm(20);
            if (k % 16 == 0)
                memory_random(master);
            run_case(&forms[i], verbose);
        }
    }
    unsigned failed = only_sequences ? 0 : summary(failures);
    if (!only && !only_sequences)
        list_unlifted();
    if (!only)
        failed += sequences(sequence_count);
    return failed != 0;
}
