/* Changes to code objects. Those of bodies follow wasm's structure, so that many of them are valid: operators for
 * others of the same types, other constants, offsets and indices, values bent on their way, and whole accesses and
 * calls put in between. */
#include "sandbox.h"

#include <string.h>

enum { MOST_INSTRUCTIONS = 1 << 16, MOST_ADDED = 3 };

struct place { /* an instruction of a body */
    struct wasm_instruction i;
    const uint8_t *end;
};

struct change {
    struct wasm_module m; /* a copy that lends its bodies out */
    uint64_t *random;
    uint32_t function;
    const struct wasm_functype *type;
    uint32_t local_count;
    uint8_t *local_types;
    VEC(struct place) places;
};

static uint32_t
below(struct change *c, uint64_t n)
{
    return random_below(c->random, n ? n : 1);
}

/* --- numbers that are near something --- */
static uint64_t
interesting(struct change *c)
{
    /* clang-format off */
    static const uint64_t numbers[] = {
        0, 1, 2, 15, 16, 0xfff, 0x1000, 0xffff, 0x10000, 0xfffff, 0x10000000, 0x7fffffff, 0x80000000, 0x80000001,
        0xfffff000, 0xfffffff0, 0xffffffff, 0x100000000, 0x1fffffff0, 0x200000000, 0x7fffffffffff, 0x7fffffffffffffff,
        0x8000000000000000,
    };
    /* clang-format on */
    uint64_t n = numbers[below(c, sizeof numbers / sizeof *numbers)];

    switch (below(c, 4)) {
    case 0: return random_next(c->random);
    case 1: return n + below(c, 32) - 16;
    case 2: return 0 - n;
    default: return n;
    }
}

/* --- writing instructions --- */
static void
put_operator(struct buf *b, enum wasm_op op)
{
    const struct wasm_operator *o = &wasm_operators[op];

    if (o->prefix) {
        buf_put_u8(b, o->prefix);
        buf_put_uleb(b, o->code);
    } else {
        buf_put_u8(b, o->code);
    }
}

static void
put_indexed(struct buf *b, enum wasm_op op, uint32_t index)
{
    put_operator(b, op);
    buf_put_uleb(b, index);
}

static void
put_constant(struct change *c, struct buf *b, uint8_t type)
{
    uint64_t v = interesting(c);

    switch (type) {
    case WASM_I32:
        put_operator(b, WASM_OP_I32_CONST);
        buf_put_sleb(b, (int32_t)v);
        break;
    case WASM_I64:
        put_operator(b, WASM_OP_I64_CONST);
        buf_put_sleb(b, (int64_t)v);
        break;
    case WASM_F32:
        put_operator(b, WASM_OP_F32_CONST);
        buf_put_u32(b, (uint32_t)v);
        break;
    case WASM_F64:
        put_operator(b, WASM_OP_F64_CONST);
        buf_put_u64(b, v);
        break;
    default:
        put_operator(b, WASM_OP_V128_CONST);
        buf_put_u64(b, v);
        buf_put_u64(b, interesting(c));
    }
}

/* A value of the type: a constant, or a local where there is one. */
static void
put_value(struct change *c, struct buf *b, uint8_t type)
{
    for (unsigned tries = 0; tries < 4 && c->local_count; tries++) {
        uint32_t local = below(c, c->local_count);

        if (c->local_types[local] == type) {
            put_indexed(b, WASM_OP_LOCAL_GET, local);
            return;
        }
    }
    put_constant(c, b, type);
}

static void
put_address(struct change *c, struct buf *b)
{
    if (below(c, 2)) {
        put_value(c, b, WASM_I64);
        put_operator(b, WASM_OP_I32_WRAP_I64);
    } else {
        put_constant(c, b, WASM_I32);
    }
}

static uint8_t
type_of(char letter)
{
    switch (letter) {
    case 'i': return WASM_I32;
    case 'I': return WASM_I64;
    case 'f': return WASM_F32;
    case 'F': return WASM_F64;
    default: return WASM_V128;
    }
}

/* --- what leaves the operand stack as it was --- */
static void
put_access(struct change *c, struct buf *b)
{
    bool edge = below(c, 4) == 0;
    const struct wasm_operator *o;
    enum wasm_op op;

    do {
        op = below(c, WASM_OP_COUNT);
        o = &wasm_operators[op];
    } while (o->immediate != WASM_IMM_MEMORY && o->immediate != WASM_IMM_MEMORY_LANE);
    if (edge) { /* as far as address and offset together can be */
        put_operator(b, WASM_OP_I32_CONST);
        buf_put_sleb(b, -1 - (int32_t)below(c, 20));
    } else {
        put_address(c, b);
    }
    if (o->signature[1] != ':')
        put_value(c, b, type_of(o->signature[1]));
    put_operator(b, op);
    buf_put_uleb(b, below(c, o->n + 1u));
    buf_put_uleb(b, edge ? UINT32_MAX - below(c, 20) : (uint32_t)interesting(c));
    if (o->immediate == WASM_IMM_MEMORY_LANE)
        buf_put_u8(b, (uint8_t)below(c, 16u >> o->n));
    if (strchr(o->signature, ':')[1])
        put_operator(b, WASM_OP_DROP);
}

static void
put_bulk(struct change *c, struct buf *b)
{
    bool copy = below(c, 2);

    put_address(c, b);
    put_address(c, b);
    if (below(c, 2))
        put_constant(c, b, WASM_I32);
    else
        put_address(c, b);
    put_operator(b, copy ? WASM_OP_MEMORY_COPY : WASM_OP_MEMORY_FILL);
    buf_put_zero(b, copy ? 2 : 1);
}

static void
put_call(struct change *c, struct buf *b)
{
    uint32_t count = (uint32_t)c->m.functions.count, tail = count < MOST_ADDED ? count : MOST_ADDED;
    uint32_t f = below(c, 2) ? count - 1 - below(c, tail) : below(c, count); /* the last may be added ones */
    const struct wasm_functype *t = wasm_function_type(&c->m, f);

    for (uint32_t i = 0; i < t->param_count; i++)
        put_value(c, b, t->params[i]);
    if (below(c, 4) == 0 && t->result_count == c->type->result_count) {
        put_indexed(b, WASM_OP_RETURN_CALL, f); /* what follows is not reached */
        return;
    }
    put_indexed(b, WASM_OP_CALL, f);
    for (uint32_t i = 0; i < t->result_count; i++)
        put_operator(b, WASM_OP_DROP);
}

static void
put_indirect_call(struct change *c, struct buf *b)
{
    const struct wasm_functype *t = &c->m.types.items[0];
    bool tail = below(c, 4) == 0;

    for (uint32_t i = 0; i < t->param_count; i++)
        put_value(c, b, t->params[i]);
    if (below(c, 2))
        put_address(c, b);
    else
        put_indexed(b, WASM_OP_I32_CONST, below(c, 8));
    put_indexed(b, tail ? WASM_OP_RETURN_CALL_INDIRECT : WASM_OP_CALL_INDIRECT, 0);
    buf_put_u8(b, 0);
    for (uint32_t i = 0; !tail && i < t->result_count; i++)
        put_operator(b, WASM_OP_DROP);
}

static void
put_global(struct change *c, struct buf *b)
{
    uint32_t g = below(c, c->m.globals.count);

    if (!c->m.globals.count)
        return;
    if (below(c, 2)) {
        put_indexed(b, WASM_OP_GLOBAL_GET, g);
        put_operator(b, WASM_OP_DROP);
    } else {
        put_value(c, b, (uint8_t)c->m.globals.items[g].type);
        put_indexed(b, WASM_OP_GLOBAL_SET, g);
    }
}

static void
put_loop(struct change *c, struct buf *b)
{
    put_operator(b, WASM_OP_LOOP);
    buf_put_u8(b, 0x40);
    put_access(c, b);
    put_value(c, b, WASM_I32);
    put_indexed(b, WASM_OP_BR_IF, 0);
    put_operator(b, WASM_OP_END);
}

static void
put_statement(struct change *c, struct buf *b)
{
    switch (below(c, 10)) {
    case 0: put_bulk(c, b); break;
    case 1:
    case 2: put_call(c, b); break;
    case 3: put_indirect_call(c, b); break;
    case 4: put_global(c, b); break;
    case 5: put_loop(c, b); break;
    default: put_access(c, b);
    }
}

/* --- single instructions changed --- */
static void
put_raw(struct buf *b, const struct place *p)
{
    buf_put(b, p->i.at, (size_t)(p->end - p->i.at));
}

/* The same immediate behind another operator. same_types: mostly valid. */
static void
other_operator(struct change *c, struct buf *b, const struct place *p, bool same_types)
{
    const struct wasm_operator *from = &wasm_operators[p->i.op];
    const uint8_t *immediate = p->i.at + 1;
    enum wasm_op op = p->i.op;

    if (from->prefix) {
        while (*immediate & 0x80)
            immediate++;
        immediate++;
    }
    for (unsigned tries = 0; tries < 2000; tries++) {
        enum wasm_op other = 1 + below(c, WASM_OP_COUNT - 1);
        const struct wasm_operator *to = &wasm_operators[other];

        if (to->immediate == from->immediate && other != p->i.op &&
            (!same_types || !strcmp(to->signature, from->signature))) {
            op = other;
            break;
        }
    }
    put_operator(b, op);
    buf_put(b, immediate, (size_t)(p->end - immediate));
}

static void
other_immediate(struct change *c, struct buf *b, const struct place *p)
{
    const struct wasm_operator *o = &wasm_operators[p->i.op];

    switch ((enum wasm_immediate)o->immediate) {
    case WASM_IMM_MEMORY:
    case WASM_IMM_MEMORY_LANE:
        put_operator(b, p->i.op);
        buf_put_uleb(b, p->i.align);
        buf_put_uleb(b, (uint32_t)interesting(c));
        if (o->immediate == WASM_IMM_MEMORY_LANE)
            buf_put_u8(b, (uint8_t)below(c, 16u >> o->n));
        break;
    case WASM_IMM_I32: put_constant(c, b, WASM_I32); break;
    case WASM_IMM_I64: put_constant(c, b, WASM_I64); break;
    case WASM_IMM_F32: put_constant(c, b, WASM_F32); break;
    case WASM_IMM_F64: put_constant(c, b, WASM_F64); break;
    case WASM_IMM_V128: put_constant(c, b, WASM_V128); break;
    case WASM_IMM_LOCAL: put_indexed(b, p->i.op, below(c, c->local_count + 1)); break;
    case WASM_IMM_GLOBAL: put_indexed(b, p->i.op, below(c, c->m.globals.count + 1)); break;
    case WASM_IMM_FUNCTION: put_indexed(b, p->i.op, below(c, c->m.functions.count + 1)); break;
    case WASM_IMM_LABEL: put_indexed(b, p->i.op, below(c, 8)); break;
    case WASM_IMM_BLOCK:
        put_operator(b, p->i.op);
        if (below(c, 2))
            buf_put_sleb(b, below(c, c->m.types.count + 1));
        else
            buf_put_u8(b, (uint8_t[]){0x40, 0x7f, 0x7e, 0x7b}[below(c, 4)]);
        break;
    case WASM_IMM_INDIRECT:
        put_indexed(b, p->i.op, below(c, c->m.types.count + 1));
        buf_put_u8(b, 0);
        break;
    default: put_raw(b, p);
    }
}

/* The value that an instruction leaves, and a constant with it: addresses go elsewhere, conditions turn. */
static void
bend_value(struct change *c, struct buf *b, const struct place *p)
{
    static const enum wasm_op narrow[] = {WASM_OP_I32_ADD, WASM_OP_I32_XOR, WASM_OP_I32_OR, WASM_OP_I32_MUL,
                                          WASM_OP_I32_SHL};
    static const enum wasm_op wide[] = {WASM_OP_I64_ADD, WASM_OP_I64_XOR, WASM_OP_I64_OR, WASM_OP_I64_MUL,
                                        WASM_OP_I64_SHL};
    const char *signature = wasm_operators[p->i.op].signature;
    char result = *signature == '*' ? 0 : strchr(signature, ':')[1];
    unsigned which = below(c, 5);

    put_raw(b, p);
    if (p->i.op == WASM_OP_LOCAL_GET && p->i.index < c->local_count)
        result = c->local_types[p->i.index] == WASM_I32 ? 'i' : c->local_types[p->i.index] == WASM_I64 ? 'I' : 0;
    if (p->i.op == WASM_OP_GLOBAL_GET)
        result = c->m.globals.items[p->i.index].type == WASM_I32   ? 'i'
                 : c->m.globals.items[p->i.index].type == WASM_I64 ? 'I'
                                                                   : 0;
    if (result != 'i' && result != 'I') {
        put_statement(c, b);
        return;
    }
    put_constant(c, b, result == 'i' ? WASM_I32 : WASM_I64);
    put_operator(b, result == 'i' ? narrow[which] : wide[which]);
}

/* --- bodies --- */
static bool
open_body(struct change *c, struct cursor *body)
{
    struct wasm_bytes bytes = c->m.functions.items[c->function].body;
    struct cursor again;
    struct err e = {0};
    int64_t count;

    *body = again = cursor_make(bytes.data, bytes.size);
    count = wasm_read_locals(&c->m, c->function, &again, NULL, 0, &e);
    if (count < 0)
        return false;
    c->type = wasm_function_type(&c->m, c->function);
    c->local_count = (uint32_t)count;
    c->local_types = mem_zalloc((size_t)count + 1, 1);
    wasm_read_locals(&c->m, c->function, body, c->local_types, (size_t)count, &e);
    c->places.count = 0;
    again = *body;
    while (cursor_left(&again) && c->places.count < MOST_INSTRUCTIONS) {
        struct place p = {0};

        if (wasm_decode(&c->m, &again, &p.i, &e) < 0)
            break;
        p.end = again.at;
        vec_push(&c->places, p);
    }
    return c->places.count != 0;
}

static void
change_at(struct change *c, struct buf *b, const struct place *p)
{
    switch (below(c, 12)) {
    case 0:
    case 1: other_operator(c, b, p, true); break;
    case 2: other_operator(c, b, p, false); break;
    case 3:
    case 4: other_immediate(c, b, p); break;
    case 5: break; /* left out */
    case 6:
        put_raw(b, p);
        put_raw(b, p);
        break;
    case 7: put_raw(b, &c->places.items[below(c, c->places.count)]); break;
    case 8:
    case 9: bend_value(c, b, p); break;
    default: put_statement(c, b); put_raw(b, p);
    }
}

/* One change of one body, which is then in `out`. */
static void
change_body(struct change *c, struct buf *out)
{
    struct wasm_function *f;
    struct cursor body;

    c->function = c->m.imported_functions + below(c, c->m.functions.count - c->m.imported_functions);
    f = &c->m.functions.items[c->function];
    if (open_body(c, &body)) {
        size_t at = below(c, c->places.count);
        const struct place *p = &c->places.items[at];
        struct buf b = {0};

        /* An access, if there is one near: most instructions are none. */
        for (unsigned k = 0; k < 8 && below(c, 2) && wasm_operators[p->i.op].immediate != WASM_IMM_MEMORY; k++)
            p = &c->places.items[below(c, c->places.count)];
        buf_put(&b, f->body.data, (size_t)(p->i.at - f->body.data));
        change_at(c, &b, p);
        buf_put(&b, p->end, (size_t)(f->body.data + f->body.size - p->end));
        buf_fini(out);
        *out = b;
        f->body = (struct wasm_bytes){b.data, b.size};
    }
    mem_free(c->local_types);
    c->local_types = NULL;
}

/* --- modules --- */
static void
put_function_section(const struct wasm_module *m, struct buf *out)
{
    struct buf s = {0};

    buf_put_uleb(&s, m->functions.count - m->imported_functions);
    for (size_t i = m->imported_functions; i < m->functions.count; i++)
        buf_put_uleb(&s, m->functions.items[i].type);
    buf_put_u8(out, 3);
    buf_put_uleb(out, s.size);
    buf_put(out, s.data, s.size);
    buf_fini(&s);
}

static void
put_code_section(const struct wasm_module *m, struct buf *out)
{
    struct buf s = {0};

    buf_put_uleb(&s, m->functions.count - m->imported_functions);
    for (size_t i = m->imported_functions; i < m->functions.count; i++) {
        buf_put_uleb(&s, m->functions.items[i].body.size);
        buf_put(&s, m->functions.items[i].body.data, m->functions.items[i].body.size);
    }
    buf_put_u8(out, 10);
    buf_put_uleb(out, s.size);
    buf_put(out, s.data, s.size);
    buf_fini(&s);
}

/* The module with its bodies as they are by now. */
static void
put_module(const struct wasm_module *m, struct buf *out)
{
    struct cursor c = cursor_make(m->bytes.data, m->bytes.size);

    buf_put(out, cursor_bytes(&c, 8), 8);
    while (cursor_left(&c)) {
        const uint8_t *start = c.at;
        uint8_t id = cursor_u8(&c);

        cursor_sub(&c, (size_t)cursor_uleb(&c, 32));
        if (id == 10)
            put_code_section(m, out);
        else if (id == 3)
            put_function_section(m, out);
        else
            buf_put(out, start, (size_t)(c.at - start));
    }
}

/* Another function, of any type that the module has: code objects have functions of one type only. */
static void
add_function(struct change *c, struct buf *body)
{
    struct wasm_function f = {.type = below(c, c->m.types.count), .import = -1};
    const struct wasm_functype *t = &c->m.types.items[f.type];

    buf_put_u8(body, 0);
    c->type = t;
    c->local_count = 0;
    put_access(c, body);
    for (uint32_t i = 0; i < t->result_count; i++)
        put_constant(c, body, t->results[i]);
    put_operator(body, WASM_OP_END);
    f.body = (struct wasm_bytes){body->data, body->size};
    c->m.functions.items[c->m.functions.count++] = f;
}

static void
change_bytes(struct change *c, struct buf *module)
{
    /* Half of them where imports and types are: the front. */
    for (unsigned count = 1 + below(c, 3); count; count--) {
        size_t at = 8 + below(c, below(c, 2) && module->size > 1200 ? 1200 : module->size - 8);

        switch (below(c, 3)) {
        case 0: module->data[at] ^= (uint8_t)(1u << below(c, 8)); break;
        case 1: module->data[at] = (uint8_t)random_next(c->random); break;
        default: module->data[at] = (uint8_t[]){0, 1, 0x7f, 0x7e, 0x7b, 0xff, 0x40, 0x0b}[below(c, 8)];
        }
    }
}

void
change_module(const struct wasm_module *m, uint64_t *random, struct buf *out)
{
    struct change c = {.m = *m, .random = random};
    struct wasm_function *copy = mem_zalloc(m->functions.count + MOST_ADDED, sizeof *copy);
    struct buf *bodies = mem_zalloc(m->functions.count + MOST_ADDED, sizeof *bodies);

    memcpy(copy, m->functions.items, m->functions.count * sizeof *copy);
    c.m.functions.items = copy;
    for (unsigned n = below(&c, MOST_ADDED + 1); n; n--)
        add_function(&c, &bodies[c.m.functions.count]);
    for (unsigned n = 1 + below(&c, 4); n; n--) {
        struct buf changed = {0};

        change_body(&c, &changed);
        if (changed.data) {
            buf_fini(&bodies[c.function]);
            bodies[c.function] = changed;
        }
    }
    put_module(&c.m, out);
    if (below(&c, 8) == 0)
        change_bytes(&c, out);
    for (size_t i = 0; i < c.m.functions.count; i++)
        buf_fini(&bodies[i]);
    mem_free(bodies);
    mem_free(copy);
    vec_fini(&c.places);
}
