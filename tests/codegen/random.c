/* Random control flow through the whole code generator: random DIRECTORY SEED COUNT writes random.wasm and
 * random.json, what each function must return. The expected values come from walking the description the
 * functions are built from, not from the IR. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codegen/object.h"

enum { BLOCKS_MAX = 40, ENTRIES_MAX = 8, TABLE = 20, STEPS = 300 };

struct plan_block {
    /* 0 jump, 1 branch, 2 switch of 4, 3 return, 4 call of a leaf, 5 and 6 jump through a table that others use
     * too, with an index that may be out of range, 7 computed goto to one of the entries */
    unsigned kind;
    unsigned target[4];
    unsigned state;  /* which of r12..r15 it mixes into */
    unsigned flag;   /* 0: none, 1: sets cf from the mix, 2: reads cf */
    unsigned vector; /* 0 to 2: none, 3: adds rax to both lanes of an xmm register, 4: adds its lanes to rax */
};

struct plan {
    unsigned count;
    struct plan_block blocks[BLOCKS_MAX];
    unsigned entry_count, entries[ENTRIES_MAX];
    unsigned table[2][TABLE + 1]; /* targets, default */
};

static uint64_t seed;

static unsigned
pick(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static uint64_t
address_of(unsigned function, unsigned block)
{
    return 0x100000 + function * 0x1000 + block * 16;
}

static void
make_plan(struct plan *p)
{
    bool interprets = pick(2);

    p->count = 2 + pick(BLOCKS_MAX - 2);
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i <= TABLE; i++)
            p->table[k][i] = pick(p->count);
    }
    for (unsigned i = 0; i < p->count; i++) {
        struct plan_block *b = &p->blocks[i];

        b->kind = pick(10) < 5 ? 1 : interprets && pick(2) ? 5 + pick(3) : pick(5);
        for (unsigned k = 0; k < 4; k++) /* mostly near, so that loops nest */
            b->target[k] = pick(4) ? (i + pick(6) + p->count - 2) % p->count : pick(p->count);
        b->state = pick(4);
        b->flag = pick(3);
        b->vector = pick(5);
    }
    p->entry_count = !interprets && pick(3) ? 1 : 2 + pick(ENTRIES_MAX - 1);
    p->entries[0] = 0;
    for (unsigned k = 1; k < p->entry_count; k++) {
        p->entries[k] = pick(p->count);
        for (unsigned j = 0; j < k; j++) {
            if (p->entries[j] == p->entries[k]) {
                p->entry_count = k;
                break;
            }
        }
    }
}

struct machine {
    uint64_t rax, r[4], x[4], left;
    unsigned cf;
};

/* Each step: r[state] = (r[state] ^ rax) * 33 + block; rax += r[state]; the way out by bits of rax. */
static void
walk(const struct plan *p, unsigned at, struct machine *m)
{
    for (;;) {
        const struct plan_block *b = &p->blocks[at];
        uint64_t *r = &m->r[b->state];

        *r = (*r ^ m->rax) * 33 + at;
        m->rax += *r;
        if (b->flag == 1)
            m->cf = m->rax >> 7 & 1;
        else if (b->flag == 2)
            m->rax += m->cf;
        if (b->vector == 3)
            m->x[b->state] += m->rax;
        else if (b->vector == 4)
            m->rax += 2 * m->x[b->state];
        if (--m->left == 0)
            return;
        switch (b->kind) {
        case 0: at = b->target[0]; break;
        case 1: at = b->target[m->rax >> 9 & 1]; break;
        case 2: at = b->target[m->rax >> 11 & 3]; break;
        case 3: return;
        case 5:
        case 6: at = p->table[b->kind - 5][(m->rax >> 13 & 31) < TABLE ? m->rax >> 13 & 31 : TABLE]; break;
        case 7: at = p->entries[(m->rax >> 15 & 255) % p->entry_count]; break;
        default:
            m->rax = m->rax * 5 + 1;
            at = b->target[0];
            m->cf = 0;
            break;
        }
    }
}

static struct ir_func f;
static struct ir_build b;

static void
return_block(uint64_t address)
{
    struct ir_terminator t = {.kind = IR_T_RETURN};
    ir_value sp;

    ir_begin_block(&b, address);
    sp = ir_get(&b, X86_S_RSP);
    t.value = ir_load(&b, IR_LOAD64, ir_op1(&b, IR_WRAP, sp), 0);
    ir_set(&b, X86_S_RSP, ir_op2(&b, IR_ADD64, sp, ir_const64(&b, 8)));
    ir_end_block(&b, &t, 1, 1);
}

static void
mix_vector(const struct plan_block *p)
{
    unsigned s = X86_S_XMM0 + p->state;
    ir_value rax = ir_get(&b, X86_S_RAX), v = ir_get(&b, s);

    if (p->vector == 3)
        ir_set(&b, s, ir_op2(&b, IR_I64X2_ADD, v, ir_op1(&b, IR_I64X2_SPLAT, rax)));
    else if (p->vector == 4)
        ir_set(&b, X86_S_RAX,
               ir_op2(&b, IR_ADD64, rax,
                      ir_op2(&b, IR_ADD64, ir_op_aux(&b, IR_I64X2_EXTRACT, 0, v, IR_NO_VALUE, IR_NO_VALUE),
                             ir_op_aux(&b, IR_I64X2_EXTRACT, 1, v, IR_NO_VALUE, IR_NO_VALUE))));
}

static void
mix(const struct plan_block *p, unsigned at)
{
    unsigned s = X86_S_R12 + p->state;
    ir_value rax = ir_get(&b, X86_S_RAX);

    ir_set(&b, s,
           ir_op2(&b, IR_ADD64, ir_op2(&b, IR_MUL64, ir_op2(&b, IR_XOR64, ir_get(&b, s), rax), ir_const64(&b, 33)),
                  ir_const64(&b, at)));
    ir_set(&b, X86_S_RAX, ir_op2(&b, IR_ADD64, rax, ir_get(&b, s)));
    if (p->flag == 1)
        ir_set(&b, X86_S_CF,
               ir_op1(&b, IR_WRAP,
                      ir_op2(&b, IR_AND64, ir_op2(&b, IR_SHRU64, ir_get(&b, X86_S_RAX), ir_const64(&b, 7)),
                             ir_const64(&b, 1))));
    else if (p->flag == 2)
        ir_set(&b, X86_S_RAX, ir_op2(&b, IR_ADD64, ir_get(&b, X86_S_RAX), ir_op1(&b, IR_EXTU, ir_get(&b, X86_S_CF))));
    mix_vector(p);
}

static ir_value
rax_bits(unsigned shift, unsigned mask)
{
    return ir_op1(&b, IR_WRAP,
                  ir_op2(&b, IR_AND64, ir_op2(&b, IR_SHRU64, ir_get(&b, X86_S_RAX), ir_const64(&b, shift)),
                         ir_const64(&b, mask)));
}

/* Runtime choice of an entry's address: (rax >> 15 & 255) % entry_count. */
static ir_value
entry_address(const struct plan *p, unsigned function)
{
    ir_value n = ir_op2(&b, IR_REMU64,
                        ir_op2(&b, IR_AND64, ir_op2(&b, IR_SHRU64, ir_get(&b, X86_S_RAX), ir_const64(&b, 15)),
                               ir_const64(&b, 255)),
                        ir_const64(&b, p->entry_count));
    ir_value address = ir_addr(&b, address_of(function, p->entries[0]));

    for (unsigned k = 1; k < p->entry_count; k++)
        address = ir_op3(&b, IR_SELECT64, ir_addr(&b, address_of(function, p->entries[k])), address,
                         ir_op2(&b, IR_EQ64, n, ir_const64(&b, k)));
    return address;
}

/* Block `at` is two: at its address the mix and the count, 8 further the way out. */
static void
build_block(const struct plan *p, unsigned function, unsigned at)
{
    const struct plan_block *pb = &p->blocks[at];
    struct ir_terminator t = {.kind = IR_T_BRANCH};
    uint64_t targets[4], next = address_of(function, p->count);
    bool entry = false;
    struct ir_block *block;
    ir_value sp;

    for (unsigned k = 0; k < p->entry_count; k++)
        entry |= p->entries[k] == at;
    block = ir_begin_block(&b, address_of(function, at));
    block->entry = block->label = entry;
    mix(pb, at);
    ir_set(&b, X86_S_RDI, ir_op2(&b, IR_SUB64, ir_get(&b, X86_S_RDI), ir_const64(&b, 1)));
    t.value = ir_op1(&b, IR_EQZ64, ir_get(&b, X86_S_RDI));
    t.target = next;
    t.next = address_of(function, at) + 8;
    ir_end_block(&b, &t, 1, 1);

    ir_begin_block(&b, address_of(function, at) + 8);
    for (unsigned k = 0; k < 4; k++)
        targets[k] = address_of(function, pb->target[k]);
    switch (pb->kind) {
    case 0: t = (struct ir_terminator){.kind = IR_T_JUMP, .target = targets[0]}; break;
    case 1:
        t = (struct ir_terminator){.kind = IR_T_BRANCH,
                                   .value = rax_bits(9, 1),
                                   .target = targets[1],
                                   .next = targets[0]};
        break;
    case 2:
        t = (struct ir_terminator){.kind = IR_T_SWITCH,
                                   .value = rax_bits(11, 3),
                                   .target_count = 4,
                                   .next = IR_NO_ADDRESS,
                                   .indirect = ir_const64(&b, 1)};
        t.targets = arena_copy(&f.arena, targets, sizeof targets);
        break;
    case 3: t = (struct ir_terminator){.kind = IR_T_JUMP, .target = next}; break;
    case 5:
    case 6:
        t = (struct ir_terminator){.kind = IR_T_SWITCH,
                                   .value = rax_bits(13, 31),
                                   .target_count = TABLE,
                                   .next = address_of(function, p->table[pb->kind - 5][TABLE])};
        t.targets = arena_alloc(&f.arena, TABLE * sizeof *t.targets);
        for (unsigned k = 0; k < TABLE; k++)
            t.targets[k] = address_of(function, p->table[pb->kind - 5][k]);
        break;
    case 7: t = (struct ir_terminator){.kind = IR_T_JUMP_INDIRECT, .value = entry_address(p, function)}; break;
    default:
        sp = ir_op2(&b, IR_SUB64, ir_get(&b, X86_S_RSP), ir_const64(&b, 8));
        ir_store(&b, IR_STORE64, ir_op1(&b, IR_WRAP, sp), 0, ir_addr(&b, address_of(function, at) + 12));
        ir_set(&b, X86_S_RSP, sp);
        t = (struct ir_terminator){.kind = IR_T_CALL, .target = 0x1000, .next = address_of(function, at) + 12};
        break;
    }
    ir_end_block(&b, &t, 1, 1);
    if (pb->kind == 4) {
        ir_begin_block(&b, address_of(function, at) + 12);
        ir_set(&b, X86_S_CF, ir_const32(&b, 0));
        t = (struct ir_terminator){.kind = IR_T_JUMP, .target = targets[0]};
        ir_end_block(&b, &t, 1, 1);
    }
}

static void
add(struct wasm_object *o)
{
    static const struct ir_flag_facts facts;
    struct ir_pipeline p = {.flags = &facts, .verify = true};
    struct err e = {0};

    if (ir_optimize(&f, &p, &e) < 0 || wasm_object_add(o, &f, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void
expect(const struct plan *p, unsigned function, FILE *json)
{
    for (unsigned k = 0; k < p->entry_count; k++) {
        struct machine m = {.rax = function * 7 + k, .left = STEPS};

        walk(p, p->entries[k], &m);
        fprintf(json,
                "%s[%" PRIu64 ",\"%" PRIu64 "\",\"%" PRIu64 "\",\"%" PRIu64 "\",\"%" PRIu64 "\",\"%" PRIu64 "\",%u]",
                function + k ? ",\n" : "", address_of(function, p->entries[k]), m.rax, m.r[0], m.r[1], m.r[2], m.r[3],
                function * 7 + k);
    }
}

static FILE *
create(const char *dir, const char *name)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

int
main(int argc, char **argv)
{
    struct wasm_object *o = wasm_object_new(false, false);
    unsigned count;
    struct plan *plans;
    struct buf out = {0};
    struct err e = {0};
    FILE *json, *wasm;

    if (argc != 4)
        return 2;
    seed = strtoull(argv[2], NULL, 0);
    count = (unsigned)strtoul(argv[3], NULL, 0);
    plans = mem_zalloc(count + 1, sizeof *plans);
    json = create(argv[1], "random.json");
    wasm = create(argv[1], "random.wasm");
    ir_func_init(&f, 0x1000);
    ir_build_init(&b, &f);
    wasm_object_declare(o, 0x1000, NULL, 0);
    wasm_object_declare(o, 0x2000, NULL, 0);
    for (unsigned i = 0; i < count; i++) {
        uint64_t entries[ENTRIES_MAX];

        make_plan(&plans[i]);
        for (unsigned k = 0; k < plans[i].entry_count; k++)
            entries[k] = address_of(i, plans[i].entries[k]);
        wasm_object_declare(o, address_of(i, 0), entries, plans[i].entry_count);
    }
    ir_begin_block(&b, 0x1000); /* the leaf: rax = rax * 5 + 1 */
    ir_set(&b, X86_S_RAX,
           ir_op2(&b, IR_ADD64, ir_op2(&b, IR_MUL64, ir_get(&b, X86_S_RAX), ir_const64(&b, 5)), ir_const64(&b, 1)));
    ir_end_block(&b, &(struct ir_terminator){.kind = IR_T_JUMP, .target = 0x1008}, 1, 1);
    return_block(0x1008);
    add(o);
    ir_func_clear(&f, 0x2000); /* clears the xmm registers, which JavaScript cannot */
    ir_begin_block(&b, 0x2000);
    for (unsigned i = 0; i < 4; i++)
        ir_set(&b, X86_S_XMM0 + i, ir_op1(&b, IR_I64X2_SPLAT, ir_const64(&b, 0)));
    ir_end_block(&b, &(struct ir_terminator){.kind = IR_T_JUMP, .target = 0x2008}, 1, 1);
    return_block(0x2008);
    add(o);
    fprintf(json, "[");
    for (unsigned i = 0; i < count; i++) {
        ir_func_clear(&f, address_of(i, 0));
        for (unsigned k = 0; k < plans[i].count; k++)
            build_block(&plans[i], i, k);
        return_block(address_of(i, plans[i].count));
        add(o);
        expect(&plans[i], i, json);
    }
    fprintf(json, "]\n");
    if (wasm_object_finish(o, &out, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    fwrite(out.data, 1, out.size, wasm);
    fclose(json);
    fclose(wasm);
    buf_fini(&out);
    wasm_object_free(o);
    mem_free(plans);
    ir_build_fini(&b);
    ir_func_fini(&f);
    return 0;
}
