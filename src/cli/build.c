/* ingot build: an image to one executable. */
#include "cli/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/temporary.h"
#include "elf/elf_image.h"
#include "recompile/link.h"

static int
collect_elf(void *context, struct tree_inode *inode, const char *path, struct err *e)
{
    struct build *b = context;
    const uint8_t *data;
    const char *reason;
    enum elf_kind kind;
    size_t at = 0;

    (void)e;
    if (!S_ISREG(inode->mode))
        return 0;
    data = tree_content(&b->image.tree, inode);
    kind = elf_classify(data, inode->size, &reason);
    if (kind == ELF_KIND_OTHER)
        vec_push(&b->skipped, ((struct skipped){mem_strdup(path), reason}));
    if (kind != ELF_KIND_X86_64)
        return 0;
    b->elf_files++;
    path = arena_strdup(&b->image.tree.arena, path);
    while (at < b->r.units.count && memcmp(&b->r.units.items[at].sha256, &inode->sha256, SHA256_SIZE) != 0)
        at++;
    if (at == b->r.units.count)
        vec_push(&b->r.units,
                 ((struct unit){.path = path, .file = data, .size = inode->size, .sha256 = inode->sha256}));
    vec_push(&b->r.units.items[at].paths, path);
    return 0;
}

static int
compare_units(const void *a, const void *b)
{
    return memcmp(((const struct unit *)a)->sha256.bytes, ((const struct unit *)b)->sha256.bytes, SHA256_SIZE);
}

static char *
folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

static int
dump(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->r.units.count; i++) {
        struct buf object = {0};
        struct elf_report report = {0};

        if (recompile_one(&b->r.units.items[i], b->options.dump, &object, &report, e) < 0)
            return -1;
        buf_fini(&object);
        report_fini(&report);
    }
    return 0;
}

/* Gives each unit the addresses that the profiles have for it. */
static int
apply_profiles(struct build *b, struct err *e)
{
    size_t used = 0;

    for (size_t i = 0; i < b->options.profiles.count; i++) {
        if (profile_read(&b->profile, b->options.profiles.items[i], e) < 0)
            return -1;
    }
    profile_settle(&b->profile);
    vec_reserve(&b->profile_addresses, b->profile.entries.count);
    for (size_t i = 0; i < b->r.units.count; i++) {
        struct unit *u = &b->r.units.items[i];
        const struct profile_entry *entries = profile_of(&b->profile, &u->sha256, &u->profile_count);

        u->profile = b->profile_addresses.items + used;
        for (size_t j = 0; j < u->profile_count; j++)
            b->profile_addresses.items[used++] = entries[j].address;
    }
    if (used < b->profile.entries.count && !b->options.quiet)
        fprintf(stderr, "  %zu of %zu addresses in the profiles are of files that are not in this image\n",
                b->profile.entries.count - used, b->profile.entries.count);
    return 0;
}

/* What a killed build left beside its output. */
static void
sweep_beside(const char *out)
{
    const char *slash = strrchr(out, '/');
    char *folder = folder_of(out);

    temporary_sweep(folder, slash ? slash + 1 : out);
    mem_free(folder);
}

static int
run_build(struct build *b, struct err *e)
{
    char *work_dir = folder_of(b->options.out ? b->options.out : ".");
    struct buf megabinary = {0};
    int result = image_load(&b->image, b->options.source, work_dir, e);

    mem_free(work_dir);
    if (result < 0)
        return -1;
    if (tree_walk(&b->image.tree, collect_elf, b, e) < 0)
        return -1;
    if (b->r.units.count)
        qsort(b->r.units.items, b->r.units.count, sizeof(struct unit), compare_units);
    if (b->options.profiles.count && apply_profiles(b, e) < 0)
        return -1;
    if (b->options.dump)
        return dump(b, e);
    if (cache_open(&b->r.cache, b->options.cache, e) < 0)
        return -1;
    sweep_beside(b->options.out);
    b->r.workers = b->options.jobs;
    b->r.opt_level = b->options.optimize;
    b->r.backend = b->options.backend;
    b->r.level = b->options.level;
    b->r.precise_faults = b->options.precise_faults;
    b->r.progress = &b->progress;
    if (recompile_objects(&b->r, e) < 0 || build_check_strict(b, e) < 0 || recompile_layout(&b->r, e) < 0)
        return -1;
    if (b->r.backend == BACKEND_WASM && !b->options.wasm && recompile_native(&b->r, e) < 0)
        return -1;
    result = link_megabinary(&b->r, &megabinary, &b->table_size, e);
    if (result == 0)
        result = b->options.wasm ? file_write_atomic(b->options.out, megabinary.data, megabinary.size, 0666, e)
                                 : build_write_artifact(b, &megabinary, e);
    buf_fini(&megabinary);
    if (result == 0 && b->options.report)
        result = build_write_report(b, e);
    return result;
}

int
cmd_build(int argc, char **argv)
{
    struct build b = {.start_ns = progress_now_ns()};
    struct err e = {0};
    int status = build_options_parse(argc, argv, &b.options);

    if (status)
        return status;
    x86_set_level(b.options.level);
    progress_init(&b.progress, b.options.quiet);
    if (run_build(&b, &e) < 0)
        status = cli_fail(1, "%s", e.text);
    else
        build_warn_left_out(&b);
    if (status == 0 && !b.options.quiet && !b.options.dump)
        build_print_report(&b);
    for (size_t i = 0; i < b.skipped.count; i++)
        mem_free(b.skipped.items[i].path);
    vec_fini(&b.skipped);
    vec_fini(&b.options.profiles);
    vec_fini(&b.profile_addresses);
    profile_fini(&b.profile);
    recompile_fini(&b.r);
    if (b.image.config)
        image_fini(&b.image);
    return status;
}
