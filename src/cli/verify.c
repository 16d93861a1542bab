/* ingot verify: recomputes every hash of a built image. */
#include <getopt.h>
#include <stdio.h>

#include "base/vec.h"
#include "cli/cli.h"
#include "cli/signature.h"
#include "verify/verify.h"

static const char usage[] =
    "usage: ingot verify [--key PUB.pem]... OUT\n"
    "\n"
    "Recomputes every hash of a built image: the native code, each section, each file, and the padding between\n"
    "them. Names every part that does not match; exit status 1 when there is one. Of an image of the direct\n"
    "backend, also shows that the programs' code cannot leave their memory.\n"
    "\n"
    "  --key PUB.pem   the image must have a signature by this Ed25519 key; may be repeated\n";

static void
print(void *context, const char *text)
{
    (void)context;
    cli_print(stdout, "%s", text);
}

static void
print_refusal(void *context, const uint8_t *program, const char *text)
{
    (void)program;
    print(context, text);
}

/* How many of the keys have not signed it. */
static unsigned
check_keys(const struct artifact_view *v, const char *path, char *const *keys, size_t count)
{
    unsigned bad = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t key[32];
        struct err e = {0};

        if (signature_read_public(keys[i], key, &e) < 0 || signature_check(v, key, &e) < 0) {
            cli_print(stdout, "%s: %s: %s", path, keys[i], e.text);
            bad++;
        }
    }
    return bad;
}

/* Does the programs' code keep to the rules of the direct backend? Returns how many problems there are. */
static unsigned
check_code(const struct artifact_view *v, const char *path)
{
    unsigned units, bad;

    if (v->header.backend != ARTIFACT_BACKEND_DIRECT)
        return 0;
    bad = verify_artifact(v->file.data, v->file.size, print_refusal, NULL, &units);
    if (bad)
        printf("%s: of the code of %u programs and libraries, %u parts break a rule\n", path, units, bad);
    else
        printf("%s: the code of %u programs and libraries keeps to its rules\n", path, units);
    return bad;
}

int
cmd_verify(int argc, char **argv)
{
    static const struct option longs[] = {{"key", required_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'}, {0}};
    VEC(char *) keys = {0};
    struct artifact_view v;
    struct err e = {0};
    const char *path;
    unsigned bad;
    size_t files;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'k') {
            vec_push(&keys, optarg);
            continue;
        }
        fputs(usage, c == 'h' ? stdout : stderr);
        return c == 'h' ? 0 : 2;
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    path = argv[optind];
    if (artifact_open(&v, path, &e) < 0)
        return cli_fail(1, "%s", e.text);
    bad = artifact_check(v.file.data, v.file.size, print, NULL, &files);
    if (bad)
        printf("%s: %u parts do not match\n", path, bad);
    else
        printf("%s: native code, %d sections and %zu files match their hashes\n", path, ARTIFACT_SECTION_COUNT - 1,
               files);
    if (!bad)
        bad = check_code(&v, path);
    if (check_keys(&v, path, keys.items, keys.count))
        bad++;
    else if (!bad && keys.count)
        printf("%s: signed by %zu of %zu keys\n", path, keys.count, keys.count);
    vec_fini(&keys);
    artifact_close(&v);
    return bad ? 1 : 0;
}
