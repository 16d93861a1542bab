/* Types of function bodies: the algorithm of the core specification's appendix ("Validation Algorithm"),
 * with one stack of operand types and one of control frames. */
#include "wasm/reader.h"

#include <string.h>

struct frame {
    enum wasm_op op; /* BLOCK (also the body), LOOP, IF, ELSE */
    struct wasm_functype type;
    size_t height; /* of the operand stack, below its parameters */
    bool unreachable;
};

struct validator {
    const struct wasm_module *m;
    const struct wasm_functype *type;
    VEC(uint8_t) operands;
    VEC(struct frame) frames;
    uint8_t *locals;
    size_t local_count;
    const struct wasm_instruction *i;
    struct err *e;
};

static int
fail(struct validator *v, const char *what)
{
    return err_set(v->e, "wasm offset 0x%zx: %s: %s", (size_t)(v->i->at - v->m->bytes.data),
                   wasm_operators[v->i->op].text, what);
}

static struct frame *
top(struct validator *v)
{
    return &v->frames.items[v->frames.count - 1];
}

static void
push(struct validator *v, uint8_t type)
{
    vec_push(&v->operands, type);
}

/* Returns the type popped, or -1. expected: WASM_UNKNOWN takes any. */
static int
pop(struct validator *v, uint8_t expected)
{
    struct frame *f = top(v);
    uint8_t type;

    if (v->operands.count == f->height) {
        if (f->unreachable)
            return expected;
        return fail(v, "operand stack is empty");
    }
    type = v->operands.items[--v->operands.count];
    if (type != expected && type != WASM_UNKNOWN && expected != WASM_UNKNOWN)
        return fail(v, "operand of the wrong type");
    return type == WASM_UNKNOWN ? expected : type;
}

static int
pop_all(struct validator *v, const uint8_t *types, uint32_t count)
{
    while (count--)
        if (pop(v, types[count]) < 0)
            return -1;
    return 0;
}

static void
push_all(struct validator *v, const uint8_t *types, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        push(v, types[k]);
}

static void
push_frame(struct validator *v, enum wasm_op op, struct wasm_functype type)
{
    struct frame f = {.op = op, .type = type, .height = v->operands.count};

    vec_push(&v->frames, f);
    push_all(v, type.params, type.param_count);
}

/* Checks that exactly the frame's results are left, and removes them. */
static int
close_frame(struct validator *v)
{
    struct frame *f = top(v);

    if (pop_all(v, f->type.results, f->type.result_count) < 0)
        return -1;
    if (v->operands.count != f->height)
        return fail(v, "values left on the operand stack");
    return 0;
}

static void
set_unreachable(struct validator *v)
{
    top(v)->unreachable = true;
    v->operands.count = top(v)->height;
}

static int
label_types(struct validator *v, uint32_t label, const uint8_t **types, uint32_t *count)
{
    struct frame *f;

    if (label >= v->frames.count)
        return fail(v, "no such label");
    f = &v->frames.items[v->frames.count - 1 - label];
    *types = f->op == WASM_OP_LOOP ? f->type.params : f->type.results;
    *count = f->op == WASM_OP_LOOP ? f->type.param_count : f->type.result_count;
    return 0;
}

static int
check_end(struct validator *v)
{
    struct frame *f = top(v);
    struct wasm_functype type = f->type;

    if (close_frame(v) < 0)
        return -1;
    if (f->op == WASM_OP_IF) {
        struct wasm_functype same = {type.params, type.params, type.param_count, type.param_count};

        if (!wasm_functype_equal(&type, &same))
            return fail(v, "if without else must leave its parameters' types");
    }
    v->frames.count--;
    push_all(v, type.results, type.result_count);
    return 0;
}

static int
check_else(struct validator *v)
{
    struct wasm_functype type = top(v)->type;

    if (top(v)->op != WASM_OP_IF)
        return fail(v, "else without if");
    if (close_frame(v) < 0)
        return -1;
    v->frames.count--;
    push_frame(v, WASM_OP_ELSE, type);
    return 0;
}

static int
check_block(struct validator *v)
{
    struct wasm_functype type = v->i->block;

    if (v->i->op == WASM_OP_IF && pop(v, WASM_I32) < 0)
        return -1;
    if (pop_all(v, type.params, type.param_count) < 0)
        return -1;
    push_frame(v, v->i->op, type);
    return 0;
}

static int
check_branch(struct validator *v)
{
    const uint8_t *types;
    uint32_t count;

    if (v->i->op == WASM_OP_BR_IF && pop(v, WASM_I32) < 0)
        return -1;
    if (label_types(v, v->i->index, &types, &count) < 0 || pop_all(v, types, count) < 0)
        return -1;
    if (v->i->op == WASM_OP_BR_IF)
        push_all(v, types, count);
    else
        set_unreachable(v);
    return 0;
}

/* Every target must accept the operands; they are popped once, for the default. The types checked against
 * each target are pushed back as they were, so unknown ones stay unknown. */
static int
check_table(struct validator *v)
{
    struct cursor labels = v->i->labels;
    const uint8_t *types = NULL;
    uint32_t count = 0, arity;

    if (pop(v, WASM_I32) < 0)
        return -1;
    for (uint32_t k = 0; k <= v->i->label_count; k++) {
        uint32_t label = (uint32_t)cursor_uleb(&labels, 32);
        const uint8_t *first = types;

        arity = count;
        if (label_types(v, label, &types, &count) < 0)
            return -1;
        if (k && arity != count)
            return fail(v, "targets of different arity");
        if (k && first == types)
            continue;
        for (uint32_t n = 0; n < count; n++) {
            size_t depth = v->operands.count - top(v)->height;
            uint8_t have = n < depth ? v->operands.items[v->operands.count - 1 - n] : WASM_UNKNOWN;

            if (n >= depth && !top(v)->unreachable)
                return fail(v, "operand stack is empty");
            if (have != WASM_UNKNOWN && have != types[count - 1 - n])
                return fail(v, "operand of the wrong type");
        }
    }
    set_unreachable(v);
    return 0;
}

static int
check_call(struct validator *v)
{
    enum wasm_op op = v->i->op;
    bool indirect = op == WASM_OP_CALL_INDIRECT || op == WASM_OP_RETURN_CALL_INDIRECT;
    const struct wasm_functype *t = indirect ? &v->m->types.items[v->i->index] : wasm_function_type(v->m, v->i->index);

    if (indirect && pop(v, WASM_I32) < 0)
        return -1;
    if (pop_all(v, t->params, t->param_count) < 0)
        return -1;
    if (op == WASM_OP_CALL || op == WASM_OP_CALL_INDIRECT) {
        push_all(v, t->results, t->result_count);
        return 0;
    }
    if (t->result_count != v->type->result_count ||
        (t->result_count && memcmp(t->results, v->type->results, t->result_count)))
        return fail(v, "results differ from the caller's");
    set_unreachable(v);
    return 0;
}

static int
check_select(struct validator *v)
{
    int a, b;

    if (pop(v, WASM_I32) < 0)
        return -1;
    if (v->i->op == WASM_OP_SELECT_TYPED) {
        if (pop(v, (uint8_t)v->i->index) < 0 || pop(v, (uint8_t)v->i->index) < 0)
            return -1;
        push(v, (uint8_t)v->i->index);
        return 0;
    }
    a = pop(v, WASM_UNKNOWN);
    if (a < 0)
        return -1;
    b = pop(v, (uint8_t)a);
    if (b < 0)
        return -1;
    push(v, (uint8_t)b);
    return 0;
}

static int
check_local(struct validator *v)
{
    uint8_t type;

    if (v->i->index >= v->local_count)
        return fail(v, "no such local");
    type = v->locals[v->i->index];
    if (v->i->op != WASM_OP_LOCAL_GET && pop(v, type) < 0)
        return -1;
    if (v->i->op != WASM_OP_LOCAL_SET)
        push(v, type);
    return 0;
}

static int
check_global(struct validator *v)
{
    const struct wasm_global *g = &v->m->globals.items[v->i->index];

    if (v->i->op == WASM_OP_GLOBAL_GET) {
        push(v, (uint8_t)g->type);
        return 0;
    }
    if (!g->is_mutable)
        return fail(v, "global is immutable");
    return pop(v, (uint8_t)g->type) < 0 ? -1 : 0;
}

static uint8_t
letter_type(char letter)
{
    switch (letter) {
    case 'i': return WASM_I32;
    case 'I': return WASM_I64;
    case 'f': return WASM_F32;
    case 'F': return WASM_F64;
    default: return WASM_V128;
    }
}

static int
check_signature(struct validator *v, const char *signature)
{
    unsigned colon = 0;

    while (signature[colon] != ':')
        colon++;
    for (unsigned k = colon; k-- > 0;)
        if (pop(v, letter_type(signature[k])) < 0)
            return -1;
    if (signature[colon + 1])
        push(v, letter_type(signature[colon + 1]));
    return 0;
}

static int
check_instruction(struct validator *v)
{
    const char *signature = wasm_operators[v->i->op].signature;

    if (*signature != '*')
        return check_signature(v, signature);
    switch (v->i->op) {
    case WASM_OP_UNREACHABLE: set_unreachable(v); return 0;
    case WASM_OP_BLOCK:
    case WASM_OP_LOOP:
    case WASM_OP_IF: return check_block(v);
    case WASM_OP_ELSE: return check_else(v);
    case WASM_OP_END: return check_end(v);
    case WASM_OP_BR:
    case WASM_OP_BR_IF: return check_branch(v);
    case WASM_OP_BR_TABLE: return check_table(v);
    case WASM_OP_RETURN:
        if (pop_all(v, v->type->results, v->type->result_count) < 0)
            return -1;
        set_unreachable(v);
        return 0;
    case WASM_OP_CALL:
    case WASM_OP_CALL_INDIRECT:
    case WASM_OP_RETURN_CALL:
    case WASM_OP_RETURN_CALL_INDIRECT: return check_call(v);
    case WASM_OP_DROP: return pop(v, WASM_UNKNOWN) < 0 ? -1 : 0;
    case WASM_OP_SELECT:
    case WASM_OP_SELECT_TYPED: return check_select(v);
    case WASM_OP_LOCAL_GET:
    case WASM_OP_LOCAL_SET:
    case WASM_OP_LOCAL_TEE: return check_local(v);
    case WASM_OP_GLOBAL_GET:
    case WASM_OP_GLOBAL_SET: return check_global(v);
    default: return fail(v, "operator table is broken");
    }
}

static int
validate_code(struct validator *v, struct cursor *body)
{
    struct wasm_instruction i = {0};

    v->i = &i;
    push_frame(v, WASM_OP_BLOCK, (struct wasm_functype){NULL, v->type->results, 0, v->type->result_count});
    while (v->frames.count) {
        if (!cursor_left(body))
            return err_set(v->e, "wasm offset 0x%zx: body has no end", (size_t)(body->at - v->m->bytes.data));
        if (wasm_decode(v->m, body, &i, v->e) < 0 || check_instruction(v) < 0)
            return -1;
    }
    if (cursor_left(body))
        return fail(v, "code after the body's end");
    return 0;
}

int
wasm_validate_function(const struct wasm_module *m, uint32_t function, struct err *e)
{
    const struct wasm_function *f = &m->functions.items[function];
    struct validator v = {.m = m, .type = wasm_function_type(m, function), .e = e};
    struct cursor body, again;
    int64_t count;
    int rc = -1;

    if (f->import >= 0)
        return 0;
    body = again = cursor_make(f->body.data, f->body.size);
    count = wasm_read_locals(m, function, &again, NULL, 0, e);
    if (count >= 0) {
        v.local_count = (size_t)count;
        v.locals = mem_alloc(v.local_count + 1);
        wasm_read_locals(m, function, &body, v.locals, v.local_count, e);
        rc = validate_code(&v, &body);
    }
    if (rc < 0)
        err_prefix(e, "function %u", function);
    vec_fini(&v.operands);
    vec_fini(&v.frames);
    mem_free(v.locals);
    return rc;
}

int
wasm_validate(const struct wasm_module *m, struct err *e)
{
    for (size_t i = 0; i < m->functions.count; i++)
        if (wasm_validate_function(m, (uint32_t)i, e) < 0)
            return -1;
    return 0;
}
