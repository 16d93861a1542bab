/* One unit. */
#include "verify/verify_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

const char *const verify_rule_texts[VERIFY_RULE_COUNT] = {
#define RULE(name, text) [VERIFY_##name] = text,
#include "verify/rules.def"
#undef RULE
};

const char *const verify_rule_names[VERIFY_RULE_COUNT] = {
#define RULE(name, text) [VERIFY_##name] = #name,
#include "verify/rules.def"
#undef RULE
};

const char *const verify_entry_names[DIRECT_ENTRY_COUNT] = {
    [DIRECT_SYSCALL] = "direct_syscall",
    [DIRECT_UNWIND] = "direct_unwind",
    [DIRECT_JUMP] = "direct_jump",
    [DIRECT_EVALUATE] = "direct_evaluate",
};

static int
refuse(const struct verifier *v, enum verify_rule rule, uint32_t at)
{
    char bytes[3 * X86_MAX_LENGTH + 1] = "", insn[96] = "";
    struct x86_insn decoded;
    int length = 0;

    if (at < v->size)
        length = x86_decode(v->text + at, v->size - at, v->unit->text.address + at, &decoded);
    if (length > 0)
        x86_format(&decoded, insn, sizeof insn);
    for (uint32_t i = 0; i < (length > 0 ? (uint32_t)length : X86_MAX_LENGTH) && at + i < v->size; i++)
        snprintf(bytes + 3 * i, 4, "%02x ", v->text[at + i]);
    return err_set(v->e, "host address %#llx: %s%s%s%s: %s (rule %s)", (unsigned long long)(v->unit->text.address + at),
                   bytes, *insn ? "(" : "", insn, *insn ? ")" : "", verify_rule_texts[rule], verify_rule_names[rule]);
}

bool
verify_breaks(struct verifier *v, enum verify_rule rule, uint32_t at)
{
    if (v->off >> rule & 1)
        return false;
    v->broken = rule;
    refuse(v, rule, at);
    return true;
}

/* What the verifier's own arithmetic needs. A file without code has nothing but the entries' jumps. */
static bool
sizes_fit(const struct verify_unit *u)
{
    return u->text.size >= VERIFY_ENTRIES_SIZE && u->text.size <= INT32_MAX && u->map.size <= INT32_MAX &&
           u->index.size <= INT32_MAX;
}

int
verify_unit_without(const struct verify_unit *u, uint64_t off, struct verify_places *places, enum verify_rule *broken,
                    struct err *e)
{
    struct verifier v = {.unit = u,
                         .text = u->text.bytes,
                         .size = (uint32_t)u->text.size,
                         .off = off,
                         .places = places,
                         .broken = VERIFY_RULE_COUNT,
                         .e = e};
    size_t words;
    int result;

    *places = (struct verify_places){0};
    *broken = VERIFY_RULE_COUNT;
    if (!sizes_fit(u))
        return err_set(e, "its text, map or index has no sensible size");
    words = v.size / 64 + 1;
    places->bits = mem_zalloc(words, sizeof *places->bits);
    places->address = u->text.address;
    places->size = v.size;
    v.takes_flags = mem_zalloc(words, sizeof *v.takes_flags);
    result = verify_text(&v);
    if (result == 0)
        result = verify_labels(&v);
    if (result == 0)
        result = verify_map(&v);
    *broken = v.broken;
    mem_free(v.takes_flags);
    vec_fini(&v.branches);
    vec_fini(&v.lookups);
    return result;
}

int
verify_unit(const struct verify_unit *u, struct verify_places *places, struct err *e)
{
    enum verify_rule broken;

    return verify_unit_without(u, 0, places, &broken, e);
}

void
verify_places_fini(struct verify_places *places)
{
    mem_free(places->bits);
    *places = (struct verify_places){0};
}

bool
verify_leads_to_place(const struct verify_places *places, uint64_t address)
{
    return address - places->address < places->size && verify_bit(places->bits, (uint32_t)(address - places->address));
}
