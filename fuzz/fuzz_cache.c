/* Fuzzes what the builder reads back from its cache: an entry with its .sum, the report of a program, and a code object
 * on its way into an artifact, laid out by what the ELF file says. The first byte chooses; the next says how the entry
 * is damaged. */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recompile/recompile.h"
#include "image/artifact.h"
#include "image/config.h"
#include "image/source.h"
#include "wasm/link.h"
#include "x86/address_space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/fuzz-cache-XXXXXX";
static struct cache cache;
static struct image image;
static const struct sha256 key = {{1}};

static void
remove_dir(void)
{
    char *command = mem_printf("rm -rf %s", dir);

    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", dir);
    mem_free(command);
    image_fini(&image);
    cache_close(&cache);
}

static void
init(void)
{
    struct err e = {0};
    Elf64_Ehdr elf = {.e_phoff = sizeof elf};
    char *path;

    if (!mkdtemp(dir) || cache_open(&cache, dir, &e) < 0 || tree_init(&image.tree, dir, &e) < 0 ||
        tree_seal(&image.tree, &e) < 0)
        abort();
    image.config = config_default();
    path = mem_printf("%s/elf", dir);
    if (file_write_atomic(path, &elf, sizeof elf, 0600, &e) < 0)
        abort();
    mem_free(path);
    stderr = fopen("/dev/null", "we"); /* a warning for each entry that is dropped; reports do not go through it */
    if (!stderr)
        abort();
    atexit(remove_dir);
}

/* Counts when nothing was damaged, not when others may write to it or the sum is missing, and otherwise if the sum is
 * right by chance. */
static void
entry(const uint8_t *data, size_t size, uint8_t damage)
{
    struct err e = {0};
    char *path = cache_path(&cache, "objects", &key, ".wasm"), *sum = mem_printf("%s.sum", path);

    if (cache_put(&cache, "objects", &key, ".wasm", data, size, &e) < 0)
        abort();
    if (damage & 1)
        file_write_atomic(sum, data, size, 0600, &e);
    if (damage & 2)
        file_write_atomic(path, data, size / 2, 0600, &e);
    if (damage & 4)
        chmod(path, 0666);
    if (damage & 8 && unlink(sum) < 0)
        abort();
    if (cache_has(&cache, "objects", &key, ".wasm") ? damage & 12 : !(damage & 15))
        abort();
    unlink(path);
    unlink(sum);
    mem_free(path);
    mem_free(sum);
}

static void
report(const uint8_t *data, size_t size)
{
    json_t *detail = json_loadb((const char *)data, size, 0, NULL);
    struct elf_report r = {0};

    if (!detail)
        return;
    report_read(&r, detail);
    report_fini(&r);
}

/* A file whose code has this extent, and the object that the cache gave for it. */
static void
object(const uint8_t *data, size_t size, uint8_t extent)
{
    struct recompile r = {0};
    struct unit u = {.path = "x",
                     .is_pie = extent & 1,
                     .low = 0x1000,
                     .high = 0x100000u << (extent >> 5),
                     .exec_low = 0x1000};
    struct artifact_program p = {0};
    struct artifact_input in = {.image = &image, .programs = &p, .program_count = 1, .level = X86_LEVEL_V2};
    char *executable = mem_printf("%s/elf", dir), *out = mem_printf("%s/out", dir);
    uint64_t *entries = NULL;
    size_t count = 0;
    struct err e = {0};

    u.exec_high = u.exec_low + (0x400u << (extent >> 5));
    vec_push(&r.units, u);
    in.executable = executable;
    if (recompile_layout(&r, &e) == 0 && wasm_object_entries(data, size, &entries, &count, &e) == 0) {
        p = (struct artifact_program){.base = r.units.items[0].base,
                                      .low = u.low,
                                      .high = u.high,
                                      .exec_low = u.exec_low,
                                      .exec_high = u.exec_high,
                                      .entries = entries,
                                      .entry_count = (uint32_t)count};
        if (p.base + u.high > GUEST_IMAGE_END)
            abort();
        artifact_write(&in, out, &e);
    }
    mem_free(entries);
    vec_fini(&r.units);
    mem_free(executable);
    mem_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!cache.dir)
        init();
    if (size < 2)
        return 0;
    switch (data[0] % 3) {
    case 0: entry(data + 2, size - 2, data[1]); break;
    case 1: report(data + 2, size - 2); break;
    default: object(data + 2, size - 2, data[1]); break;
    }
    return 0;
}
