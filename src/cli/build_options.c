/* The options of `ingot build`. */
#include "cli/build.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aot/aot.h"
#include "recompile/paths.h"

static const char usage[] =
    "usage: ingot build [OPTIONS] SOURCE -o OUT\n"
    "\n"
    "Recompiles every x86-64 program and library of an image and writes one executable.\n"
    "\n"
    "SOURCE  an OCI image layout (folder or .tar, with :TAG when it holds several), a docker-save archive,\n"
    "        or a root filesystem folder\n"
    "\n"
    "  -o, --output FILE    where the result goes\n"
    "  --emit=wasm          write the megabinary (standard WebAssembly) instead of the executable\n"
    "  --cache DIR          the cache (default $XDG_CACHE_HOME/ingot or ~/.cache/ingot)\n"
    "  -j, --jobs N         worker processes (default: all processors)\n"
    "  --backend direct|wasm\n"
    "                       where native code comes from: the programs' own instructions, rewritten (x86-64 hosts, and\n"
    "                       there the default), or compiled from WebAssembly\n"
    "  -O, --optimize N     backend wasm: effort of native compilation, 0 to 3 (default 2)\n"
    "  --cpu x86-64-v2|x86-64-v3\n"
    "                       what the programs find, on every host, and the host must have (default x86-64-v2)\n"
    "  --profile FILE       compile what an ingot run --stats=FILE of this image left to the evaluator (repeatable)\n"
    "  --precise-faults auto|all|none\n"
    "                       backend wasm: programs whose signal handlers get, and may change, all registers at a fault\n"
    "                       (default auto: those that have such handlers)\n"
    "  --strict             backend direct: fail where a program would be left to the evaluator as a whole\n"
    "  --report FILE        write what was found in each program, and what is left to the evaluator, as JSON\n"
    "  --dump PASS          print the IR of every function after a pass (no cache; for developers)\n"
    "  -q, --quiet          no progress, no report\n";

static int
parse_precise(const char *text, enum precise_choice *out)
{
    static const char *const names[] = {[PRECISE_AUTO] = "auto", [PRECISE_ALL] = "all", [PRECISE_NONE] = "none"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum precise_choice)i;
            return 0;
        }
    }
    return -1;
}

/* What is not made into native code has no backend: the megabinary and dumps are WebAssembly's. */
static int
settle_backend(struct options *o)
{
    const char *without = o->wasm ? "--emit=wasm" : o->dump ? "--dump" : NULL;

    if (without && o->backend_given && o->backend == BACKEND_DIRECT)
        return cli_fail(2, "%s goes with --backend wasm only", without);
    if (without)
        o->backend = BACKEND_WASM;
    else if (o->backend == BACKEND_WASM && !aot_version())
        return cli_fail(
            2,
            "this ingot was built without LLVM, which --backend wasm needs; the megabinary (--emit=wasm) needs none");
    if (o->backend != BACKEND_DIRECT)
        return o->strict ? cli_fail(2, "--strict is an option of --backend direct") : 0;
    if (o->wasm_only)
        return cli_fail(2, "%s is an option of --backend wasm; with --backend direct%s it has no meaning", o->wasm_only,
                        o->backend_given ? "" : " (the default)");
    return 0;
}

static int
parse_level(const char *text, enum x86_level *out)
{
    for (enum x86_level i = X86_LEVEL_V2; i < X86_LEVEL_END; i++) {
        if (strcmp(text, x86_level_name(i)) == 0) {
            *out = i;
            return 0;
        }
    }
    return -1;
}

int
build_options_parse(int argc, char **argv, struct options *o)
{
    /* clang-format off */
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'}, {"emit", required_argument, NULL, 'e'},
        {"cache", required_argument, NULL, 'c'}, {"jobs", required_argument, NULL, 'j'},
        {"optimize", required_argument, NULL, 'O'}, {"cpu", required_argument, NULL, 'u'},
        {"profile", required_argument, NULL, 'p'}, {"precise-faults", required_argument, NULL, 'F'},
        {"report", required_argument, NULL, 'r'}, {"backend", required_argument, NULL, 'b'}, {"dump", required_argument, NULL, 'd'},
        {"strict", no_argument, NULL, 's'}, {"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    /* clang-format on */
    int c;

    *o = (struct options){.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
                          .optimize = 2,
                          .level = X86_LEVEL_V2,
                          .backend = INGOT_DEFAULT_BACKEND};
    while ((c = getopt_long(argc, argv, "o:j:O:qh", longs, NULL)) != -1) {
        switch (c) {
        case 'o': o->out = optarg; break;
        case 'c': o->cache = optarg; break;
        case 'j': o->jobs = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'O':
            o->optimize = atoi(optarg);
            o->wasm_only = "--optimize";
            break;
        case 'u':
            if (parse_level(optarg, &o->level) < 0)
                return cli_fail(2, "--cpu takes x86-64-v2 or x86-64-v3, not \"%s\"", optarg);
            break;
        case 'p': vec_push(&o->profiles, (const char *)optarg); break;
        case 'r': o->report = optarg; break;
        case 'd': o->dump = optarg; break;
        case 'F':
            if (parse_precise(optarg, &o->precise_faults) < 0)
                return cli_fail(2, "--precise-faults takes auto, all or none, not \"%s\"", optarg);
            o->wasm_only = "--precise-faults";
            break;
        case 'b':
            if (strcmp(optarg, "wasm") != 0 && strcmp(optarg, "direct") != 0)
                return cli_fail(2, "--backend takes direct or wasm, not \"%s\"", optarg);
            o->backend = optarg[0] == 'd' ? BACKEND_DIRECT : BACKEND_WASM;
            o->backend_given = true;
            break;
        case 's': o->strict = true; break;
        case 'q': o->quiet = true; break;
        case 'e':
            if (strcmp(optarg, "wasm") != 0)
                return cli_fail(2, "--emit takes wasm, not \"%s\"", optarg);
            o->wasm = true;
            break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 != argc || (!o->out && !o->dump)) {
        fputs(usage, stderr);
        return 2;
    }
    if (o->jobs < 1 || o->jobs > 256 || o->optimize < 0 || o->optimize > 3)
        return cli_fail(2, "--jobs takes 1 to 256, --optimize 0 to 3");
    o->source = argv[optind];
    return settle_backend(o);
}
