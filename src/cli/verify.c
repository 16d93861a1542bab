/* ingot verify: recomputes every hash of a built image. */
#include <getopt.h>
#include <stdio.h>

#include "cli/artifact_reader.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: ingot verify OUT\n"
    "\n"
    "Recomputes every hash of a built image: the native code, each section, each file, and the padding between\n"
    "them. Names every part that does not match; exit status 1 when there is one.\n";

static void
print(void *context, const char *text)
{
    (void)context;
    puts(text);
}

int
cmd_verify(int argc, char **argv)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct artifact_view v;
    struct err e = {0};
    const char *path;
    unsigned bad;
    size_t files;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
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
    artifact_close(&v);
    return bad ? 1 : 0;
}
