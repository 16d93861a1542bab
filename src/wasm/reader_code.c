/* Decoding instructions and local declarations. */
#include "wasm/reader.h"

#include <string.h>

const struct wasm_operator wasm_operators[WASM_OP_COUNT] = {
#define PREFIX_PLAIN 0
#define PREFIX_FC    0xfc
#define PREFIX_FD    0xfd
#define OPERATOR(space, code, id, text, immediate, signature, n) \
    [WASM_OP_##id] = {text, signature, PREFIX_##space, code, WASM_IMM_##immediate, n},
#include "wasm/operators.def"
#undef OPERATOR
};

/* Code to enum wasm_op, for each of the three spaces; 0 is WASM_OP_INVALID. */
#define IN_PLAIN_PLAIN(code, id) [code] = WASM_OP_##id,
#define IN_PLAIN_FC(code, id)
#define IN_PLAIN_FD(code, id)
#define IN_FC_PLAIN(code, id)
#define IN_FC_FC(code, id) [code] = WASM_OP_##id,
#define IN_FC_FD(code, id)
#define IN_FD_PLAIN(code, id)
#define IN_FD_FC(code, id)
#define IN_FD_FD(code, id) [code] = WASM_OP_##id,

static const uint16_t plain_operators[256] = {
#define OPERATOR(space, code, id, text, immediate, signature, n) IN_PLAIN_##space(code, id)
#include "wasm/operators.def"
#undef OPERATOR
};

static const uint16_t fc_operators[256] = {
#define OPERATOR(space, code, id, text, immediate, signature, n) IN_FC_##space(code, id)
#include "wasm/operators.def"
#undef OPERATOR
};

static const uint16_t fd_operators[256] = {
#define OPERATOR(space, code, id, text, immediate, signature, n) IN_FD_##space(code, id)
#include "wasm/operators.def"
#undef OPERATOR
};

static int
fail(const struct wasm_module *m, const uint8_t *at, const char *what, struct err *e)
{
    return err_set(e, "wasm offset 0x%zx: %s", (size_t)(at - m->bytes.data), what);
}

/* A block type is an s33: -64 for none, a value type, or a type index (core specification 5.4.1). */
static int
decode_block_type(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    const uint8_t *at = c->at;
    int64_t type = cursor_sleb(c, 33);

    if (c->failed)
        return fail(m, at, "block type does not decode", e);
    if (type >= 0) {
        if ((uint64_t)type >= m->types.count)
            return fail(m, at, "no such type", e);
        i->block = m->types.items[type];
        return 0;
    }
    i->block = (struct wasm_functype){0};
    if (type == -64 && c->at == at + 1)
        return 0;
    if (c->at != at + 1 || *at < WASM_V128 || *at > WASM_I32)
        return fail(m, at, "block type does not exist or is not supported", e);
    i->block.results = at;
    i->block.result_count = 1;
    return 0;
}

static int
decode_labels(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    i->label_count = (uint32_t)cursor_uleb(c, 32);
    if (c->failed || i->label_count >= cursor_left(c))
        return fail(m, i->at, "more labels than bytes", e);
    i->labels = *c;
    for (uint32_t k = 0; k <= i->label_count; k++)
        cursor_uleb(c, 32);
    i->labels.end = c->at;
    return 0;
}

static int
decode_indirect(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    i->index = (uint32_t)cursor_uleb(c, 32);
    if (i->index >= m->types.count)
        return fail(m, i->at, "no such type", e);
    if (cursor_uleb(c, 32) != 0 || !m->has_table)
        return fail(m, i->at, "no such table", e);
    return 0;
}

static int
decode_memory(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    i->align = (uint32_t)cursor_uleb(c, 32);
    i->offset = cursor_uleb(c, 32);
    if (!m->has_memory)
        return fail(m, i->at, "no memory", e);
    if (i->align > wasm_operators[i->op].n)
        return fail(m, i->at, "alignment larger than the access, or more than one memory", e);
    return 0;
}

static int
decode_memory_index(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    unsigned count = wasm_operators[i->op].immediate == WASM_IMM_MEMORY_COPY ? 2 : 1;

    while (count--)
        if (cursor_u8(c) != 0 || !m->has_memory)
            return fail(m, i->at, "no such memory", e);
    return 0;
}

static int
decode_immediate(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    switch ((enum wasm_immediate)wasm_operators[i->op].immediate) {
    case WASM_IMM_NONE: return 0;
    case WASM_IMM_BLOCK: return decode_block_type(m, c, i, e);
    case WASM_IMM_LABEL:
    case WASM_IMM_LOCAL: i->index = (uint32_t)cursor_uleb(c, 32); return 0;
    case WASM_IMM_LABELS: return decode_labels(m, c, i, e);
    case WASM_IMM_FUNCTION:
        i->index = (uint32_t)cursor_uleb(c, 32);
        return i->index < m->functions.count ? 0 : fail(m, i->at, "no such function", e);
    case WASM_IMM_GLOBAL:
        i->index = (uint32_t)cursor_uleb(c, 32);
        return i->index < m->globals.count ? 0 : fail(m, i->at, "no such global", e);
    case WASM_IMM_INDIRECT: return decode_indirect(m, c, i, e);
    case WASM_IMM_TYPES:
        if (cursor_uleb(c, 32) != 1)
            return fail(m, i->at, "select of other than one type is not supported", e);
        i->index = cursor_u8(c);
        if (i->index < WASM_V128 || i->index > WASM_I32)
            return fail(m, i->at, "value type does not exist or is not supported", e);
        return 0;
    case WASM_IMM_MEMORY: return decode_memory(m, c, i, e);
    case WASM_IMM_MEMORY_LANE:
        if (decode_memory(m, c, i, e) < 0)
            return -1;
        i->index = cursor_u8(c);
        return i->index < 16u >> wasm_operators[i->op].n ? 0 : fail(m, i->at, "no such lane", e);
    case WASM_IMM_MEMORY_INDEX:
    case WASM_IMM_MEMORY_COPY: return decode_memory_index(m, c, i, e);
    case WASM_IMM_I32: i->bits[0] = (uint32_t)cursor_sleb(c, 32); return 0;
    case WASM_IMM_I64: i->bits[0] = (uint64_t)cursor_sleb(c, 64); return 0;
    case WASM_IMM_F32: i->bits[0] = cursor_u32(c); return 0;
    case WASM_IMM_F64: i->bits[0] = cursor_u64(c); return 0;
    case WASM_IMM_V128:
    case WASM_IMM_SHUFFLE:
        i->bits[0] = cursor_u64(c);
        i->bits[1] = cursor_u64(c);
        if (i->op == WASM_OP_I8X16_SHUFFLE && ((i->bits[0] | i->bits[1]) & 0xe0e0e0e0e0e0e0e0ull))
            return fail(m, i->at, "no such lane", e);
        return 0;
    case WASM_IMM_LANE:
        i->index = cursor_u8(c);
        return i->index < wasm_operators[i->op].n ? 0 : fail(m, i->at, "no such lane", e);
    }
    return fail(m, i->at, "operator table is broken", e);
}

int
wasm_decode(const struct wasm_module *m, struct cursor *c, struct wasm_instruction *i, struct err *e)
{
    const uint8_t *at = c->at;
    uint8_t byte = cursor_u8(c);

    i->at = at;
    if (byte == 0xfc || byte == 0xfd) {
        uint32_t code = (uint32_t)cursor_uleb(c, 32);

        i->op = code > 255 ? WASM_OP_INVALID : byte == 0xfc ? fc_operators[code] : fd_operators[code];
    } else {
        i->op = plain_operators[byte];
    }
    if (c->failed)
        return fail(m, at, "code ends inside an instruction", e);
    if (i->op == WASM_OP_INVALID)
        return fail(m, at, "operator does not exist or is not supported", e);
    if (decode_immediate(m, c, i, e) < 0)
        return -1;
    if (c->failed)
        return fail(m, at, "code ends inside an instruction, or an immediate is out of range", e);
    return 0;
}

int64_t
wasm_read_locals(const struct wasm_module *m, uint32_t function, struct cursor *body, uint8_t *types, size_t room,
                 struct err *e)
{
    const struct wasm_functype *t = wasm_function_type(m, function);
    uint64_t total = t->param_count;
    uint32_t runs = (uint32_t)cursor_uleb(body, 32);

    if (types && total && total <= room)
        memcpy(types, t->params, total);
    for (uint32_t k = 0; k < runs && !body->failed; k++) {
        uint32_t count = (uint32_t)cursor_uleb(body, 32);
        uint8_t type = cursor_u8(body);

        if (body->failed)
            break;
        if (type < WASM_V128 || type > WASM_I32)
            return fail(m, body->at, "type of a local does not exist or is not supported", e);
        if (count > WASM_MAX_LOCALS || total + count > WASM_MAX_LOCALS)
            return fail(m, body->at, "too many locals", e);
        if (types && total + count <= room)
            memset(types + total, type, count);
        total += count;
    }
    if (body->failed)
        return fail(m, body->at, "code ends inside the local declarations", e);
    return (int64_t)total;
}
