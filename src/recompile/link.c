/* The native link: native objects + vkernel -> one static executable. */
#include "recompile/link.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recompile/paths.h"
#include "wasm/link.h"
#include "x86/cpu.h"

/* --- the megabinary --- */

static int
map_inputs(struct recompile *r, struct mapped *maps, struct wasm_link_input *inputs, size_t *count, struct err *e)
{
    *count = 0;
    for (size_t i = 0; i < r->units.count; i++) {
        const struct unit *u = &r->units.items[i];
        char *path;
        int result;

        if (u->unusable)
            continue;
        path = cache_path(&r->cache, "objects", &u->key, ".wasm");
        result = file_map(path, &maps[*count], e);
        mem_free(path);
        if (result < 0)
            return -1;
        inputs[*count] =
            (struct wasm_link_input){.object = maps[*count].data, .size = maps[*count].size, .base = u->base};
        ++*count;
    }
    return 0;
}

int
link_megabinary(struct recompile *r, struct buf *megabinary, uint32_t *table_size, struct err *e)
{
    struct mapped *maps = mem_zalloc(r->units.count, sizeof *maps);
    struct wasm_link_input *inputs = mem_zalloc(r->units.count, sizeof *inputs);
    size_t count = 0, at = 0;
    int result = map_inputs(r, maps, inputs, &count, e);

    if (result == 0)
        result = wasm_link_layout(inputs, count, table_size, e);
    if (result == 0 && megabinary)
        result = wasm_link(inputs, count, megabinary, e);
    for (size_t i = 0; i < r->units.count && result == 0; i++) {
        struct unit *u = &r->units.items[i];

        if (u->unusable)
            continue;
        u->table_base = inputs[at].table_base;
        u->entry_count = inputs[at].entry_count;
        at++;
    }
    for (size_t i = 0; i < r->units.count; i++)
        file_unmap(&maps[i]);
    mem_free(maps);
    mem_free(inputs);
    return result;
}

/* --- the linkers --- */

/* Always the same one for a backend, or builds would not be reproducible. What is compiled needs LLVM anyway; binutils'
 * linker comes with every gcc. Code and constant data share a segment, which makes fewer mappings at each start. */
static const struct linker {
    const char *names[2]; /* tried in this order */
    const char *options, *base;
} linkers[] = {
    [BACKEND_WASM] = {.names = {"ld.lld-19", "ld.lld"}, .options = "--no-rosegment", .base = "--image-base"},
    [BACKEND_DIRECT] = {.names = {"ld.bfd"}, .options = "-z noseparate-code", .base = "-Ttext-segment"},
};

static void
put_line(struct buf *b, char *line)
{
    buf_put(b, line, strlen(line));
    buf_put_u8(b, '\n');
    mem_free(line);
}

/* Offsets of CPU state from the host's FS base: x86_cpu_tls ends the TLS block (x86/cpu.h). */
static void
put_cpu_symbols(struct buf *b)
{
#define STATE(id, name, type, member)                      \
    put_line(b, mem_printf("--defsym=cpu." name "=0x%llx", \
                           (unsigned long long)(0 - sizeof(struct x86_cpu) + offsetof(struct x86_cpu, member))));
#include "x86/state.def"
#undef STATE
}

static void
put_unit(struct buf *b, const struct recompile *r, const struct unit *u, uint64_t *objects_size)
{
    char hex[SHA256_HEX_SIZE];

    unit_symbol_key(u, hex);
    put_line(b, mem_printf("--defsym=env.code_base.%s=0x%llx", hex, (unsigned long long)u->base));
    put_line(b, mem_printf("--defsym=env.table_base.%s=0x%x", hex, u->table_base));
    for (unsigned part = 0; part < u->parts; part++) {
        char suffix[32], *path;
        struct stat st;

        snprintf(suffix, sizeof suffix, ".%u.o", part);
        path = cache_path(&r->cache, "native", &u->native_key, suffix);
        put_line(b, mem_printf("\"%s\"", path));
        if (stat(path, &st) == 0)
            *objects_size += (uint64_t)st.st_size;
        mem_free(path);
    }
}

static int
run_linker(const struct linker *linker, const char *response, struct err *e)
{
    char *argument = mem_printf("@%s", response);
    int error = ENOENT;

    for (size_t i = 0; i < sizeof linker->names / sizeof *linker->names && linker->names[i] && error == ENOENT; i++) {
        char *argv[] = {(char *)linker->names[i], argument, NULL};
        pid_t pid;
        int status;

        error = posix_spawnp(&pid, linker->names[i], NULL, NULL, argv, environ);
        if (error != 0)
            continue;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        mem_free(argument);
        if (status != 0)
            return err_set(e, "%s failed (%s %d)", linker->names[i], WIFSIGNALED(status) ? "signal" : "exit status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return 0;
    }
    mem_free(argument);
    return err_set(e, "cannot start the linker %s: %s", linker->names[0], strerror(error));
}

/* Where the executable lies: another place for other programs, the same place for the same. Whoever breaks into one
 * artifact's process cannot use addresses of another's. All of it must stay in the low 2 GiB, as the compiler's code
 * model wants. */
static uint64_t
link_base(const struct recompile *r, uint64_t objects_size)
{
    static const uint64_t lowest = 0x200000, end = 0x7f000000, runtime = 256 << 20, granule = 64 << 10;
    struct sha256 digest;
    struct buf hashes = {0};
    uint64_t number;

    if (objects_size + runtime + lowest >= end)
        return lowest;
    for (size_t i = 0; i < r->units.count; i++)
        buf_put(&hashes, r->units.items[i].sha256.bytes, sizeof r->units.items[i].sha256.bytes);
    sha256_of(hashes.data, hashes.size, &digest);
    buf_fini(&hashes);
    memcpy(&number, digest.bytes, sizeof number);
    return lowest + number % ((end - runtime - objects_size - lowest) / granule) * granule;
}

int
link_executable(struct recompile *r, const char *runtime_dir, uint32_t table_size, const char *out, struct err *e)
{
    const struct linker *linker = &linkers[r->backend];
    char *response = mem_printf("%s.rsp", out);
    uint64_t objects_size = 0;
    struct buf b = {0};
    int result;

    put_line(&b, mem_printf("-static\n-m elf_x86_64\n-z noexecstack\n-z relro\n-z now\n--build-id=none\n%s",
                            linker->options));
    put_line(&b, mem_printf("-o \"%s\"", out));
    put_line(&b, mem_printf("\"%s/crt1.o\"\n\"%s/crti.o\"", runtime_dir, runtime_dir));
    put_cpu_symbols(&b);
    put_line(&b, mem_printf("--defsym=ingot_table_size=0x%x", table_size));
    if (table_size && r->backend == BACKEND_WASM) /* an image without programs has no such section */
        put_line(&b, mem_strdup("--defsym=ingot_table=__start_ingot_table"));
    for (size_t i = 0; i < r->units.count; i++) {
        if (unit_has_native(&r->units.items[i]))
            put_unit(&b, r, &r->units.items[i], &objects_size);
    }
    put_line(&b, mem_printf("%s=0x%llx", linker->base, (unsigned long long)link_base(r, objects_size)));
    put_line(&b, mem_printf("--whole-archive\n\"%s/libvkernel.a\"\n--no-whole-archive", runtime_dir));
    put_line(&b,
             mem_printf("--start-group\n\"%s/libm.a\"\n\"%s/libc.a\"\n\"%s/libgcc.a\"\n\"%s/libgcc_eh.a\"\n--end-group",
                        runtime_dir, runtime_dir, runtime_dir, runtime_dir));
    /* Last, so that x86_cpu_tls ends the TLS block. */
    put_line(&b, mem_printf("\"%s/cpu_tls.o\"\n\"%s/crtn.o\"", runtime_dir, runtime_dir));
    result = file_write_atomic(response, b.data, b.size, 0600, e);
    if (result == 0)
        result = run_linker(linker, response, e);
    if (!getenv("INGOT_KEEP_TEMPORARIES"))
        unlink(response);
    buf_fini(&b);
    mem_free(response);
    return result;
}

char *
link_runtime_dir(struct err *e)
{
    const char *given = getenv("INGOT_RUNTIME");
    char self[4096], *candidates[3] = {0}, *found = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    candidates[0] = given ? mem_strdup(given) : NULL;
    candidates[1] = mem_printf("%s/../runtime", self); /* build tree: src/cli/ingot-build -> src/runtime */
    candidates[2] = mem_strdup(self);                  /* installed beside it */
    for (int i = 0; i < 3; i++) {
        char *probe = candidates[i] ? mem_printf("%s/libvkernel.a", candidates[i]) : NULL;

        if (probe && !found && access(probe, R_OK) == 0)
            found = candidates[i];
        else
            mem_free(candidates[i]);
        mem_free(probe);
    }
    if (!found)
        err_set(e, "cannot find the runtime (libvkernel.a): set INGOT_RUNTIME to its folder");
    return found;
}
