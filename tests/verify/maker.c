#include "maker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMES = 32 };

struct name {
    char text[16];
    uint32_t at;
    unsigned size; /* of a place to be filled; 0: a label */
};

struct names {
    struct name items[MOST_NAMES];
    unsigned count;
};

static _Noreturn void
mistake(const char *token)
{
    fprintf(stderr, "maker: %s\n", token);
    abort();
}

static void
add_name(struct names *n, const char *text, size_t length, uint32_t at, unsigned size)
{
    struct name *name = &n->items[n->count++];

    if (n->count > MOST_NAMES || length >= sizeof name->text)
        mistake(text);
    memcpy(name->text, text, length);
    name->text[length] = '\0';
    name->at = at;
    name->size = size;
}

static int32_t
slot(const char *name)
{
    /* clang-format off */
    static const struct {
        const char *name;
        int32_t at;
    } slots[] = {
        {"r10", VERIFY_SLOT(gpr[X86_R10])}, {"r11", VERIFY_SLOT(gpr[X86_R11])}, {"r12", VERIFY_SLOT(gpr[X86_R12])},
        {"tmp", VERIFY_SLOT(tmp)}, {"borrowed0", VERIFY_SLOT(borrowed[0])}, {"borrowed1", VERIFY_SLOT(borrowed[1])},
        {"fs", VERIFY_SLOT(fs_base)}, {"gs", VERIFY_SLOT(gs_base)}, {"memory", VERIFY_SLOT(memory)}, {"id", VERIFY_SLOT(id_flag)},
        {"limit", VERIFY_SLOT(limit)},
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (strcmp(slots[i].name, name) == 0)
            return slots[i].at;
    mistake(name);
}

static void
put_token(struct buf *out, struct names *places, struct names *labels, const char *token)
{
    size_t length = strlen(token);

    if (token[0] == '>' && token[1] == '>') {
        add_name(places, token + 2, length - 2, (uint32_t)out->size, 4);
        buf_put_u32(out, 0);
    } else if (token[0] == '>' && isupper((unsigned char)token[1])) {
        add_name(places, token + 1, length - 1, (uint32_t)out->size, 4);
        buf_put_u32(out, 0);
    } else if (token[0] == '>' || token[0] == '.') {
        add_name(places, token + 1, length - 1, (uint32_t)out->size, 1);
        buf_put_u8(out, 0);
    } else if (token[0] == '#') {
        buf_put_u32(out, (uint32_t)slot(token + 1));
    } else if (token[0] == '@') {
        buf_put_u32(out, MAKER_TABLES + (uint32_t)atoi(token + 1));
    } else if (token[length - 1] == ':') {
        add_name(labels, token, length - 1, (uint32_t)out->size, 0);
    } else if (length == 2 && isxdigit((unsigned char)token[0]) && isxdigit((unsigned char)token[1])) {
        buf_put_u8(out, (uint8_t)strtoul(token, NULL, 16));
    } else {
        mistake(token);
    }
}

static void
fill(struct buf *text, const struct names *places, const struct names *labels)
{
    for (unsigned i = 0; i < places->count; i++) {
        const struct name *p = &places->items[i];
        unsigned k = 0;
        int32_t distance;

        while (k < labels->count && strcmp(labels->items[k].text, p->text) != 0)
            k++;
        if (k == labels->count)
            mistake(p->text);
        distance = (int32_t)(labels->items[k].at - p->at - p->size);
        if (p->size == 1 && distance != (int8_t)distance)
            mistake(p->text);
        memcpy(text->data + p->at, &distance, p->size);
    }
}

static const char *const entry_names[DIRECT_ENTRY_COUNT] = {
    [DIRECT_SYSCALL] = "SYSCALL",
    [DIRECT_UNWIND] = "UNWIND",
    [DIRECT_JUMP] = "JUMP",
    [DIRECT_EVALUATE] = "EVALUATE",
};

static uint64_t
entry_address(unsigned entry)
{
    return MAKER_RUN_TIME + 64 * entry;
}

void
maker_text(struct maker *m, const char *description)
{
    struct names places = {0}, labels = {0};
    char *copy = mem_strdup(description), *rest = copy, *token;

    *m = (struct maker){0};
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++) {
        add_name(&labels, entry_names[i], strlen(entry_names[i]), (uint32_t)m->text.size, 0);
        buf_put_u8(&m->text, 0xe9);
        buf_put_u32(&m->text, (uint32_t)(entry_address(i) - (MAKER_TEXT + m->text.size + 4)));
    }
    buf_put_u8(&m->text, 0xc3);
    while ((token = strtok_r(rest, " ", &rest)))
        put_token(&m->text, &places, &labels, token);
    fill(&m->text, &places, &labels);
    mem_free(copy);
    /* One guest instruction of 1 byte, at the RET; the end. */
    buf_put_u32(&m->index, MAKER_GUEST);
    buf_put_u32(&m->index, VERIFY_ENTRIES_SIZE);
    buf_put_u32(&m->index, 0);
    buf_put_u8(&m->map, 0x11);
    buf_put_u32(&m->index, MAKER_GUEST + 1);
    buf_put_u32(&m->index, VERIFY_ENTRIES_SIZE + 1);
    buf_put_u32(&m->index, 1);
}

void
maker_label(struct maker *m, uint32_t guest, uint32_t host)
{
    buf_put_u32(&m->tables, guest);
    buf_put_u32(&m->tables, host);
}

const struct verify_unit *
maker_unit(struct maker *m)
{
    m->unit = (struct verify_unit){
        .text = {m->text.data, MAKER_TEXT, m->text.size},
        .map = {m->map.data, 0, m->map.size},
        .index = {m->index.data, 0, m->index.size},
        .tables = {m->tables.data, MAKER_TABLES, m->tables.size},
    };
    for (unsigned i = 0; i < DIRECT_ENTRY_COUNT; i++)
        m->unit.entries[i] = entry_address(i);
    return &m->unit;
}

void
maker_fini(struct maker *m)
{
    buf_fini(&m->text);
    buf_fini(&m->tables);
    buf_fini(&m->map);
    buf_fini(&m->index);
}
