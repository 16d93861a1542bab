/* Damaged rewritten code against the verifier:
 *
 *   mutate OPTION... [--without RULE] [--level v2|v3] PROGRAM      (../sandbox/mutants.h has the options)
 *
 * A mutant is a unit of rewritten code, of PROGRAM, of functions of the C library or of nonsense, in
 * which a bit is turned, or some bytes are others, of the text, of a table of labels, or of the code map. The verifier
 * refuses most. What it accepts is run from the instructions at and before the change, from random states, between
 * canaries (../sandbox/sandbox.h): it may leave to the run time, trap, fault in the instance or never end, but reach
 * nothing else.
 *
 * --without: the verifier does without a rule of src/verify/rules.def, and there must be findings: they show what the
 * rule is for, and that this test would see it. */
#include "../sandbox/mutants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "artifact/direct_map.h"
#include "base/file.h"
#include "direct/unit.h"
#include "loaded.h"
#include "platform/direct.h"
#include "platform/platform.h"
#include "recheck.h"
#include "verify/verify_internal.h"
#include "x86/address_space.h"
#include "x86/fxsave.h"
#include "x86/helpers.h"

/* clang-format off */
enum { A_CHILD = 640 /* mutants */, CHANGES_OF_ONE = 64 /* unit */, MOST_ENTRIES = 4, MOST_PIECES = 3,
       ENTRY_SIZE = 8 /* of a table of labels */, FLAGS = 0xcd5, SKIPPED = 77 /* meson's status for it */ };
/* clang-format on */

static uint64_t rules_off;
static struct buf program; /* the object of it */

/* --- the run time that mutants meet: all its ways lead out --- */

/* platform/direct.c's and thread.c's, which the stubs use. Nothing is in the cache. */
static struct platform_thread the_thread;
__thread struct platform_thread *platform_thread_tls = &the_thread;
unsigned platform_threads = 1;
__thread uint64_t platform_direct_generation_tls __attribute__((visibility("hidden"))) = 1;
__thread uint64_t platform_stack_limit_tls __attribute__((visibility("hidden")));
_Noreturn void platform_leave(void);

void
direct_flags_c(uint64_t rflags)
{
}

void
direct_syscall_c(uint64_t next, uint64_t rflags)
{
    platform_leave();
}

uint64_t
direct_jump_c(uint64_t rflags, const uint64_t *top)
{
    platform_leave();
}

uint64_t
direct_evaluate_c(uint64_t rflags, const uint64_t *top)
{
    platform_leave();
}

/* The state that the sandbox made is in x86_cpu_tls. Exceptions stay masked. */
static void
enter(const void *code)
{
    struct x86_cpu *cpu = x86_this_cpu();
    struct x86_fxsave fx;

    memset(&fx, 0, sizeof fx);
    x86_fxsave_put_x87(&fx, &cpu->x87);
    fx.control |= 0x3f;
    fx.mxcsr = 0x1f80;
    cpu->memory = (uint64_t)(uintptr_t)x86_memory_tls;
    if (x86_level() >= X86_LEVEL_V3)
        for (unsigned i = 0; i < 16; i++)
            cpu->ymm_high[i] = cpu->xmm[15 - i];
    __asm__ volatile("fxrstor64 %0" ::"m"(fx));
    direct_enter((uint64_t)(uintptr_t)code, x86_cpu_rflags(cpu) & FLAGS);
}

/* --- units --- */

static bool
resolve(void *context, const char *name, uint32_t table_entries, uint64_t *value)
{
    return loaded_symbol(name, SANDBOX_IMAGE_BASE, value);
}

static _Noreturn void
give_up(const char *what, const struct err *e)
{
    fprintf(stderr, "mutate: %s: %s\n", what, e->text);
    exit(2);
}

static void
rewrite_program(const char *path)
{
    struct direct_result out;
    struct elf_image image;
    struct mapped m;
    struct err e = {0};
    struct disc d;

    if (file_map(path, &m, &e) < 0 || elf_image_open(&image, m.data, m.size, &e) < 0 ||
        discover(&d, &image, NULL, 0, &e) < 0 || direct_rewrite(&image, &d, "K", &out, &e) < 0)
        give_up(path, &e);
    program = out.object;
    buf_fini(&out.entries);
    disc_fini(&d);
    elf_image_close(&image);
}

/* Bytes that are no code: what can be rewritten of them must be accepted. */
static size_t
nonsense(uint64_t *random, uint8_t out[OBJECTS_MOST_SIZE])
{
    size_t size = 1 + random_below(random, OBJECTS_MOST_SIZE);

    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)random_next(random);
    return size;
}

static void
rewrite_pieces(uint64_t *random, struct buf *object)
{
    uint8_t code[MOST_PIECES][OBJECTS_MOST_SIZE];
    struct direct_piece pieces[MOST_PIECES];
    size_t count = 1 + random_below(random, MOST_PIECES);
    struct direct_result out;
    struct err e = {0};

    for (size_t i = 0; i < count; i++) {
        size_t size = random_below(random, 4) ? objects_code(random, code[i]) : nonsense(random, code[i]);

        pieces[i] = (struct direct_piece){0x1000 * (i + 1), size, code[i]};
    }
    if (direct_rewrite_pieces(pieces, count, "K", &out, &e) < 0)
        give_up("pieces", &e);
    *object = out.object;
    buf_fini(&out.entries);
}

static const struct direct_unit *unit;
static uint64_t loaded_number = UINT64_MAX;
static struct buf original; /* its text */

/* The code map's entry of a guest address, in memory that the guest cannot write. */
static direct_code_map_entry *
code_map_entry(uint64_t guest)
{
    return (direct_code_map_entry *)(void *)(sandbox_memory() + GUEST_CODE_MAP) + guest / GUEST_CODE_MAP_UNIT;
}

enum { CODE_MAP_SIZE = 256 << 10, CODE_MAP_ENTRIES = CODE_MAP_SIZE / sizeof(direct_code_map_entry) };

static void
fill_code_map(void)
{
    direct_code_map_entry *map = code_map_entry(SANDBOX_IMAGE_BASE);

    if (mprotect(map, CODE_MAP_SIZE, PROT_READ | PROT_WRITE) < 0)
        return;
    memset(map, 0, CODE_MAP_SIZE);
    for (uint64_t i = 0; i < CODE_MAP_ENTRIES; i++) {
        uint64_t guest = SANDBOX_IMAGE_BASE + i * GUEST_CODE_MAP_UNIT;
        struct direct_insn insn;

        if (direct_insn_of_guest(unit, guest, &insn) && insn.guest == guest && !insn.in_run)
            map[i] = (direct_code_map_entry)insn.host;
    }
    mprotect(map, CODE_MAP_SIZE, PROT_READ);
}

/* What was changed outside of the text. */
static struct {
    void *at; /* NULL: nothing */
    uint8_t before[ENTRY_SIZE];
} changed;

static void
put_back(void)
{
    if (changed.at)
        memcpy(changed.at, changed.before, sizeof changed.before);
    changed.at = NULL;
    mprotect(code_map_entry(SANDBOX_IMAGE_BASE), CODE_MAP_SIZE, PROT_READ);
}

/* Memory to be changed until put_back(). */
static uint8_t *
to_change(void *at)
{
    mprotect(code_map_entry(SANDBOX_IMAGE_BASE), CODE_MAP_SIZE, PROT_READ | PROT_WRITE);
    changed.at = at;
    memcpy(changed.before, at, sizeof changed.before);
    return at;
}

static void
load(uint64_t number)
{
    uint64_t random = mutants_random(number, CHANGES_OF_ONE), at;
    struct buf pieces = {0};
    struct err e = {0};

    put_back();
    if (number / CHANGES_OF_ONE == loaded_number) {
        memcpy((uint8_t *)(uintptr_t)unit->text, original.data, original.size);
        return;
    }
    loaded_number = number / CHANGES_OF_ONE;
    if (loaded_number % 4)
        rewrite_pieces(&random, &pieces);
    loader_clear();
    if (loader_place(pieces.size ? &pieces : &program, DIRECT_UNITS_SECTION, resolve, NULL, &at, &e) < 0)
        give_up("rewritten code", &e);
    unit = (const struct direct_unit *)(uintptr_t)at;
    original.size = 0;
    buf_put(&original, (const uint8_t *)(uintptr_t)unit->text, unit->text_size);
    fill_code_map();
    buf_fini(&pieces);
}

static struct verify_unit
unit_as_loaded(void)
{
    struct verify_unit u = loaded_unit(unit);

    /* all of it stays as it is */
    u.tables = (struct verify_range){(const uint8_t *)(uintptr_t)LOADER_AT, LOADER_AT, loader_end() - LOADER_AT};
    return u;
}

/* --- mutants --- */

/* Each of these changes at most 4 bytes and returns where in the text that counts; NULL: there is nothing of the
 * kind. */
static uint8_t *
change_text(uint64_t *random)
{
    static const uint8_t interesting[] = {0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x44, 0x48, 0x49,
                                          0x4c, 0x4f, 0x0f, 0x9c, 0x9d, 0xcc, 0xc3, 0xe8, 0xe9, 0xeb, 0xff, 0xe2,
                                          0xd2, 0xe4, 0x24, 0x25, 0x04, 0x05, 0xa4, 0xab, 0x75, 0x00};
    uint32_t offset = random_below(random, unit->text_size), count;
    uint8_t *at = (uint8_t *)(uintptr_t)unit->text + offset;

    if (random_below(random, 3)) {
        *at ^= (uint8_t)(1 << random_below(random, 8));
        return at;
    }
    count = 1 + random_below(random, 4);
    for (uint32_t i = 0; i < count && offset + i < unit->text_size; i++)
        at[i] = random_below(random, 2) ? interesting[random_below(random, sizeof interesting)]
                                        : (uint8_t)random_next(random);
    return at;
}

/* Behind a random place of the text, the next of these bytes. */
static uint8_t *
find_bytes(uint64_t *random, const void *bytes, size_t size)
{
    uint8_t *text = (uint8_t *)(uintptr_t)unit->text;
    uint32_t from = random_below(random, unit->text_size);

    return memmem(text + from, unit->text_size - from, bytes, size);
}

/* A host address, or a turned bit of it. */
static void
change_address(uint64_t *random, uint8_t *at)
{
    uint32_t address = (uint32_t)random_next(random);

    if (random_below(random, 3) == 0)
        address = (uint32_t)unit->text + random_below(random, unit->text_size);
    if (random_below(random, 3) == 0)
        at[random_below(random, sizeof address)] ^= (uint8_t)(1 << random_below(random, 8));
    else
        memcpy(at, &address, sizeof address);
}

/* The entry of its table that an indirect jump looks at: by the guest's index, it is r10's when the jump is entered,
 * which is then its own address. */
static uint32_t
entry_looked_at(uint64_t *random, const uint8_t *lookup)
{
    static const uint8_t and[] = {0x41, 0x81, 0xe2};
    struct direct_insn insn;
    uint32_t mask;

    if (!direct_insn_of_host(unit, (uint64_t)(uintptr_t)lookup, &insn) ||
        memcmp((void *)(uintptr_t)insn.host, and, sizeof and) != 0)
        return random_below(random, 4);
    memcpy(&mask, (uint8_t *)(uintptr_t)insn.host + sizeof and, sizeof mask);
    return (uint32_t)insn.host & mask;
}

/* Of an entry of a table: what it leads to or, now and then, from where. */
static uint8_t *
change_label(uint64_t *random)
{
    static const uint8_t load[] = {0x46, 0x8b, 0x14, 0xd5}; /* mov r10d, [r10*8 + table + 4] */
    uint8_t *lookup = find_bytes(random, load, sizeof load), *entry;
    uint32_t table, guest;

    if (!lookup || lookup + sizeof load + sizeof table > (uint8_t *)(uintptr_t)unit->text + unit->text_size)
        return NULL;
    memcpy(&table, lookup + sizeof load, sizeof table);
    table += ENTRY_SIZE * entry_looked_at(random, lookup) - 4;
    if (table < LOADER_AT || table + ENTRY_SIZE > loader_end())
        return NULL;
    entry = to_change((void *)(uintptr_t)table);
    change_address(random, random_below(random, 8) ? entry + 4 : entry);
    memcpy(&guest, entry, sizeof guest);
    sandbox_favourite = guest;
    return lookup;
}

static uint8_t *
change_code_map(uint64_t *random)
{
    static const uint8_t load[] = {0x65, 0x67, 0x46, 0x8b, 0x14, 0x95}; /* mov r10d, gs:[r10*4 + map] */
    uint8_t *lookup = find_bytes(random, load, sizeof load);
    uint64_t guest = SANDBOX_IMAGE_BASE + GUEST_CODE_MAP_UNIT * (uint64_t)random_below(random, CODE_MAP_ENTRIES - 1);

    if (!lookup)
        return NULL;
    change_address(random, to_change(code_map_entry(guest)));
    sandbox_favourite = guest;
    return lookup;
}

static uint8_t *
change(uint64_t *random)
{
    uint32_t what = random_below(random, 8);
    uint8_t *at = what == 0 ? change_label(random) : what == 1 ? change_code_map(random) : NULL;

    return at ? at : change_text(random);
}

/* Instructions that may be entered, at the place and before it. */
static unsigned
find_entries(const uint8_t *place, const void **entries)
{
    uint64_t host = (uint64_t)(uintptr_t)place;
    unsigned count = 0;

    while (count < MOST_ENTRIES && host >= unit->text) {
        struct direct_insn insn;

        if (!direct_insn_of_host(unit, host, &insn)) {
            host--;
            continue;
        }
        if (!insn.in_run)
            entries[count++] = (const void *)(uintptr_t)insn.host;
        host = insn.host - 1;
    }
    return count;
}

static void
run(const uint8_t *place)
{
    static const void *entries[MOST_ENTRIES];
    struct loaded code = {.table = entries, .table_entries = find_entries(place, entries)};
    char reason[256];

    mutants->run++;
    mutants->phase = "run";
    if (!sandbox_run(&code, mutants_seed ^ mutants->number << 20, mutants_states, mutants->ends, reason)) {
        mutants_finding(reason);
        for (const uint8_t *p = place - 16; p < place + 24; p++)
            printf("%s%02x", p == place ? " | " : " ", *p);
        printf("\n");
    }
}

/* As verify_artifact() has it. */
static bool
code_map_leads_to_places(const struct verify_places *places)
{
    const direct_code_map_entry *map = code_map_entry(SANDBOX_IMAGE_BASE);

    for (uint64_t i = 0; i < CODE_MAP_ENTRIES && !(rules_off >> VERIFY_CODE_MAP & 1); i++)
        if (map[i] && !verify_leads_to_place(places, map[i]))
            return false;
    return true;
}

static void
try(uint64_t number)
{
    uint64_t random = mutants_random(number, 1);
    bool is_changed = number % CHANGES_OF_ONE != 0; /* the first is as it is */
    struct verify_places places;
    enum verify_rule broken;
    struct verify_unit u;
    const char *wrong;
    const uint8_t *at;
    struct err e = {0};

    mutants->tried++;
    sandbox_favourite = 0;
    at = is_changed ? change(&random) : (const uint8_t *)(uintptr_t)unit->text + random_below(&random, unit->text_size);
    u = unit_as_loaded();
    if (verify_unit_without(&u, rules_off, &places, &broken, &e) < 0 ||
        (!code_map_leads_to_places(&places) && err_set(&e, "the code map leads elsewhere") < 0)) {
        verify_places_fini(&places);
        mutants->refused[0]++;
        if (mutants_verbose)
            printf("%llu: %s\n", (unsigned long long)number, e.text);
        if (!is_changed)
            mutants_finding(e.text);
        return;
    }
    wrong = recheck(&u, &places);
    if (wrong)
        mutants_finding(wrong);
    run(at);
    verify_places_fini(&places);
}

static void
load_and_try(uint64_t number)
{
    load(number);
    try(number);
}

static int
report(double seconds)
{
    printf(
        "seed %llu: %u mutants, %u refused, %u accepted and run: %u left, %u traps, %u faults in the instance, %u ends of the stack, "
        "%u without end; %.0f s\n",
        (unsigned long long)mutants_seed, mutants->tried, mutants->refused[0], mutants->run,
        mutants->ends[SANDBOX_RETURNED], mutants->ends[SANDBOX_TRAPPED], mutants->ends[SANDBOX_FAULTED],
        mutants->ends[SANDBOX_STACK], mutants->ends[SANDBOX_HUNG], seconds);
    /* A test that runs nothing shows nothing. */
    if (mutants_last - mutants_first >= 1000) {
        if (mutants->run * 10 < mutants->tried || mutants->refused[0] * 10 < mutants->tried)
            mutants_finding("fewer than a tenth of the mutants were accepted, or refused");
        if (!mutants->ends[SANDBOX_RETURNED] || !mutants->ends[SANDBOX_FAULTED])
            mutants_finding("no run left or faulted");
    }
    return rules_off ? mutants->findings == 0 : mutants->findings != 0;
}

static uint64_t
rule_named(const char *name)
{
    static const char *const names[] = {
#define RULE(name, text) #name,
#include "verify/rules.def"
#undef RULE
    };

    for (unsigned i = 0; i < VERIFY_RULE_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return 1ull << i;
    fprintf(stderr, "mutate: no rule %s\n", name);
    exit(2);
}

/* A host that lacks it has nothing to show here. */
static void
use_v3(void)
{
    if (!__builtin_cpu_supports("x86-64-v3")) {
        printf("mutate: this processor does not have level v3\n");
        exit(SKIPPED);
    }
    x86_set_level(X86_LEVEL_V3);
    platform_use_ymm();
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        MUTANTS_OPTIONS,
        {"without", required_argument, NULL, 'w'},
        {"level", required_argument, NULL, 'l'},
        {0},
    };
    time_t start = time(NULL);
    struct err e = {0};
    int c;

    mutants_last = 20000;
    mutants_states = 2;
    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        switch (c) {
        case 'w': rules_off |= rule_named(optarg); break;
        case 'l':
            if (strcmp(optarg, "v3") == 0)
                use_v3();
            break;
        default:
            if (!mutants_option(c))
                return 2;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "mutate: which program?\n");
        return 2;
    }
    mutants_most_findings = rules_off ? 1 : MUTANTS_MOST_FINDINGS; /* without a rule, one will do */
    if (mutants_init(&e) < 0)
        give_up("memory or functions", &e);
    sandbox_enter = enter;
    sandbox_goes_below = true;
    rewrite_program(argv[optind]);
    mutants_run(A_CHILD, load_and_try);
    return report(difftime(time(NULL), start));
}
