/* ingot audit verify: recomputes the hash chain of an audit log. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/audit_log.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: ingot audit verify [--unfinished] [--last HASH] FILE\n"
    "\n"
    "Recomputes the hash chain of an audit log (ingot run --audit FILE) and names every place where a record was\n"
    "changed, removed, added or moved. A log may hold the records of several runs. Exit status 1 when something is\n"
    "wrong.\n"
    "\n"
    "  --unfinished   accept runs without an end: still running, or killed from outside\n"
    "  --last HASH    the chain's last value must be HASH (64 hex digits), as noted elsewhere: who can write the\n"
    "                 file can also compute a whole new chain\n";

static int
verify(const char *path, bool unfinished, const struct sha256 *last)
{
    FILE *f = fopen(path, "re");
    unsigned long bad;

    if (!f)
        return cli_fail(1, "audit: cannot open %s: %s", path, strerror(errno));
    bad = audit_log_verify(f, path, unfinished, last, stdout);
    fclose(f);
    return bad ? 1 : 0;
}

int
cmd_audit(int argc, char **argv)
{
    static const struct option longs[] = {
        {"unfinished", no_argument, NULL, 'u'},
        {"last", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool unfinished = false, has_last = false;
    struct sha256 last;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'u') {
            unfinished = true;
        } else if (c == 'l') {
            if (sha256_parse(optarg, &last) < 0)
                return cli_fail(2, "audit: --last %s: expected 64 hex digits", optarg);
            has_last = true;
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (optind + 2 != argc || strcmp(argv[optind], "verify") != 0) {
        fputs(usage, stderr);
        return 2;
    }
    return verify(argv[optind + 1], unfinished, has_last ? &last : NULL);
}
