/* ingot attest: a statement of what a built image was made of and by what (in-toto Statement v1 with SLSA provenance
 * v1), bare or in a signed DSSE envelope. The addresses in it are the names of those formats; nothing is fetched from
 * them. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "cli/cli.h"
#include "cli/signature.h"
#include "cli/statement.h"

#define PAYLOAD_TYPE "application/vnd.in-toto+json"
#define BUILDER_ID   "urn:ingot:builder:local"

static const char usage[] =
    "usage: ingot attest [--key KEY.pem] [--builder-id URI] OUT\n"
    "\n"
    "Prints what a built image was made of and by what: an in-toto statement with SLSA provenance (v1). Its subject is\n"
    "the file; every program and library is a material with its SHA-256. All hashes of the image are compared first.\n"
    "\n"
    "  --key KEY.pem      sign it with an Ed25519 key: a DSSE envelope is printed\n"
    "  --builder-id URI   who builds, as consumers of the statement know it (default: " BUILDER_ID ")\n";

static char *
base64(const void *data, size_t size)
{
    char *text = mem_alloc(size / 3 * 4 + 5);

    EVP_EncodeBlock((unsigned char *)text, data, (int)size);
    return text;
}

/* DSSE v1: what is signed is the pre-authentication encoding of type and payload. */
static int
print_signed(const char *payload, const char *key, struct err *e)
{
    char *head = mem_printf("DSSEv1 %zu %s %zu ", strlen(PAYLOAD_TYPE), PAYLOAD_TYPE, strlen(payload));
    char *payload64 = base64(payload, strlen(payload)), *signature64, id[SHA256_HEX_SIZE];
    uint8_t signature[64], public_key[32];
    struct buf text = {0};
    struct sha256 h;
    json_t *envelope;
    int result;

    buf_put(&text, head, strlen(head));
    buf_put(&text, payload, strlen(payload));
    result = signature_sign(key, text.data, text.size, signature, public_key, e);
    if (result == 0) {
        sha256_of(public_key, sizeof public_key, &h);
        sha256_hex(&h, id);
        signature64 = base64(signature, sizeof signature);
        envelope = json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "payloadType", PAYLOAD_TYPE, "payload", payload64, "signatures",
                             "keyid", id, "sig", signature64);
        json_dumpf(envelope, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(envelope);
        mem_free(signature64);
    }
    buf_fini(&text);
    mem_free(payload64);
    mem_free(head);
    return result;
}

static void
print_mismatch(void *context, const char *text)
{
    (void)context;
    cli_print(stderr, "%s", text);
}

int
cmd_attest(int argc, char **argv)
{
    static const struct option longs[] = {
        {"key", required_argument, NULL, 'k'},
        {"builder-id", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *key = NULL, *builder = BUILDER_ID;
    struct artifact_view v;
    struct err e = {0};
    json_t *statement;
    char *text;
    int c, result = 0;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'k') {
            key = optarg;
        } else if (c == 'b') {
            builder = optarg;
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (artifact_open(&v, argv[optind], &e) < 0)
        return cli_fail(1, "attest: %s", e.text);
    if (artifact_check(v.file.data, v.file.size, print_mismatch, NULL, NULL)) {
        artifact_close(&v);
        return cli_fail(1, "attest: %s does not match its hashes", argv[optind]);
    }
    statement = statement_make(&v, argv[optind], builder);
    text = statement ? json_dumps(statement, key ? JSON_COMPACT : JSON_INDENT(2)) : NULL;
    if (!text)
        result = err_set(&e, "%s: a path or the builder's id is no UTF-8", argv[optind]);
    else if (key)
        result = print_signed(text, key, &e);
    else
        puts(text);
    free(text);
    json_decref(statement);
    artifact_close(&v);
    return result < 0 ? cli_fail(1, "attest: %s", e.text) : 0;
}
