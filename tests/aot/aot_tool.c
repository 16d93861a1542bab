/* Developer's tool: compiles a code object and says what took how long.
 *
 *   aot-tool [-O N] [--passes LIST] [--llvm OPTIONS] [--part N] [--emit-llvm | --emit-llvm-raw] IN.wasm KEY OUT_PREFIX
 *
 * Writes OUT_PREFIX.N.o (or OUT_PREFIX.N.ll) for every part N. */
#include "aot/aot_internal.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
read_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "rb");
    uint8_t chunk[65536];
    size_t n;

    if (!f)
        return -1;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(b, chunk, n);
    return fclose(f);
}

static int
write_file(const char *prefix, unsigned part, const char *suffix, const struct buf *b)
{
    char *path = mem_printf("%s.%u.%s", prefix, part, suffix);
    FILE *f = fopen(path, "wb");
    int rc = f && fwrite(b->data, 1, b->size, f) == b->size ? 0 : -1;

    if (f && fclose(f))
        rc = -1;
    mem_free(path);
    return rc;
}

struct request {
    struct aot_options options;
    bool text, raw, check_only;
    int only; /* part, or -1 */
};

static int
compile_part(const struct request *r, const struct buf *in, unsigned part, const char *prefix, struct err *e)
{
    struct buf out = {0};
    double start = now();
    int rc;

    if (r->text)
        rc = aot_print(in->data, in->size, part, &r->options, !r->raw, &out, e);
    else
        rc = aot_compile(in->data, in->size, part, &r->options, &out, e);
    if (rc == 0)
        fprintf(stderr, "part %u: %.3f s, %zu bytes\n", part, now() - start, out.size);
    if (rc == 0 && write_file(prefix, part, r->text ? "ll" : "o", &out) < 0)
        rc = err_set(e, "cannot write %s.%u", prefix, part);
    buf_fini(&out);
    return rc;
}

static int
run(const struct request *r, const struct buf *in, const char *prefix, struct err *e)
{
    unsigned parts;
    double start = now();

    if (r->check_only) {
        struct wasm_module m;
        int rc;

        if (wasm_module_read(&m, in->data, in->size, e) < 0)
            return -1;
        rc = wasm_validate(&m, e);
        wasm_module_fini(&m);
        fprintf(stderr, "validated %zu bytes in %.3f s\n", in->size, now() - start);
        return rc;
    }
    if (aot_part_count(in->data, in->size, &parts, e) < 0)
        return -1;
    for (unsigned part = 0; part < parts; part++)
        if ((r->only < 0 || r->only == (int)part) && compile_part(r, in, part, prefix, e) < 0)
            return -1;
    fprintf(stderr, "%u parts, %zu bytes of wasm, %.3f s\n", parts, in->size, now() - start);
    return 0;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"emit-llvm", no_argument, NULL, 'l'},
        {"emit-llvm-raw", no_argument, NULL, 'r'},
        {"passes", required_argument, NULL, 'p'},
        {"check", no_argument, NULL, 'c'},
        {"llvm", required_argument, NULL, 'v'},
        {"part", required_argument, NULL, 'n'},
        {0},
    };
    struct request r = {.options = {.opt_level = 2}, .only = -1};
    struct buf in = {0};
    struct err e = {0};
    int c, rc;

    while ((c = getopt_long(argc, argv, "O:", options, NULL)) != -1) {
        switch (c) {
        case 'O': r.options.opt_level = atoi(optarg); break;
        case 'p': r.options.passes = optarg; break;
        case 'v': aot_further_llvm_options = optarg; break;
        case 'n': r.only = atoi(optarg); break;
        case 'c': r.check_only = true; break;
        case 'r':
            r.raw = true;
            /* fall through */
        case 'l': r.text = true; break;
        default: return 2;
        }
    }
    if (argc - optind != (r.check_only ? 1 : 3)) {
        fprintf(
            stderr,
            "usage: aot-tool [-O N] [--passes LIST] [--llvm OPTIONS] [--part N] [--emit-llvm[-raw]] IN.wasm KEY OUT_PREFIX\n"
            "       aot-tool --check IN.wasm\n");
        return 2;
    }
    if (read_file(argv[optind], &in) < 0) {
        fprintf(stderr, "aot-tool: cannot read %s\n", argv[optind]);
        return 1;
    }
    r.options.key = r.check_only ? "" : argv[optind + 1];
    rc = run(&r, &in, r.check_only ? "" : argv[optind + 2], &e);
    if (rc < 0)
        fprintf(stderr, "aot-tool: %s: %s\n", argv[optind], e.text);
    buf_fini(&in);
    LLVMShutdown(); /* prints what --llvm -time-passes measured */
    return rc < 0;
}
