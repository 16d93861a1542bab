/* ingot sign: adds a signature to a built image. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "cli/cli.h"
#include "cli/signature.h"

static const char usage[] =
    "usage: ingot sign --key KEY.pem OUT\n"
    "\n"
    "Compares a built image with all its hashes, as ingot verify does, and signs its root digest with an Ed25519 key\n"
    "(openssl genpkey -algorithm ed25519 -out KEY.pem). An image may have signatures by several keys. Checked by\n"
    "ingot verify --key PUB.pem and ingot run --require-signature PUB.pem\n"
    "(openssl pkey -in KEY.pem -pubout -out PUB.pem).\n";

static void
print(void *context, const char *text)
{
    (void)context;
    cli_print(stderr, "%s", text);
}

/* The signatures there are, without one by the same key, and the new one; then the footer. */
static int
make_tail(const struct artifact_view *v, const struct artifact_signature *fresh, struct buf *tail, struct err *e)
{
    const struct artifact_signature *all = signature_all(v);
    struct artifact_footer footer = v->footer;

    footer.signature_count = 0;
    for (uint64_t i = 0; i < v->footer.signature_count; i++) {
        if (memcmp(all[i].public_key, fresh->public_key, sizeof fresh->public_key) == 0)
            continue;
        buf_put(tail, &all[i], sizeof all[i]);
        footer.signature_count++;
    }
    buf_put(tail, fresh, sizeof *fresh);
    footer.signature_count++;
    if (footer.signature_count > ARTIFACT_MAX_SIGNATURES)
        return err_set(e, "%d signatures are the most an image can have", ARTIFACT_MAX_SIGNATURES);
    footer.file_size = v->file.size - artifact_tail_size(&v->footer) + artifact_tail_size(&footer);
    buf_put(tail, &footer, sizeof footer);
    return 0;
}

/* Replaces the file at once: whoever runs it meanwhile has the old one. */
static int
rewrite(const char *path, const struct artifact_view *v, const struct buf *tail, struct err *e)
{
    char *temporary = temporary_name(path, "file");
    struct stat st;
    int fd = -1, result = 0;

    if (stat(path, &st) < 0 || (fd = temporary_create(temporary, 0700)) < 0)
        result = err_set(e, "cannot create %s: %s", temporary, strerror(errno));
    else if (file_write_all(fd, v->file.data, v->file.size - artifact_tail_size(&v->footer)) < 0 ||
             file_write_all(fd, tail->data, tail->size) < 0 || fchmod(fd, st.st_mode & 0777) < 0 || fsync(fd) < 0)
        result = err_set(e, "cannot write %s: %s", temporary, strerror(errno));
    if (fd >= 0 && close(fd) < 0 && result == 0)
        result = err_set(e, "cannot write %s: %s", temporary, strerror(errno));
    if (result == 0 && rename(temporary, path) < 0)
        result = err_set(e, "cannot rename %s to %s: %s", temporary, path, strerror(errno));
    if (result < 0 && fd >= 0)
        unlink(temporary);
    mem_free(temporary);
    return result;
}

int
cmd_sign(int argc, char **argv)
{
    static const struct option longs[] = {{"key", required_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct artifact_signature fresh;
    struct artifact_view v;
    struct buf tail = {0};
    struct err e = {0};
    const char *key = NULL;
    int c, result;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c != 'k') {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
        key = optarg;
    }
    if (optind + 1 != argc || !key) {
        fputs(usage, stderr);
        return 2;
    }
    if (artifact_open(&v, argv[optind], &e) < 0)
        return cli_fail(1, "sign: %s", e.text);
    if (artifact_check(v.file.data, v.file.size, print, NULL, NULL)) {
        artifact_close(&v);
        return cli_fail(1, "sign: %s does not match its hashes; nothing was signed", argv[optind]);
    }
    result = signature_make(key, v.footer.header_sha256, &fresh, &e);
    if (result == 0)
        result = make_tail(&v, &fresh, &tail, &e);
    if (result == 0)
        result = rewrite(argv[optind], &v, &tail, &e);
    artifact_close(&v);
    buf_fini(&tail);
    return result < 0 ? cli_fail(1, "sign: %s", e.text) : 0;
}
