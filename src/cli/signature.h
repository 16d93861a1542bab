/* Signatures of built images: Ed25519 over the root digest (artifact/format.h), by keys in PEM files as `openssl
 * genpkey -algorithm ed25519` makes them. */
#ifndef CLI_SIGNATURE_H
#define CLI_SIGNATURE_H

#include <stdint.h>

#include "artifact/format.h"
#include "base/err.h"
#include "cli/artifact_reader.h"

/* The public key of a PEM file; a file with the private key will do. */
int signature_read_public(const char *path, uint8_t key[32], struct err *e);
/* of its content */
int signature_parse_public(const void *text, size_t size, const char *path, uint8_t key[32], struct err *e);
/* Signs any bytes with the private key of a PEM file; out: the key's other half, too. */
int signature_sign(const char *path, const void *data, size_t size, uint8_t signature[64], uint8_t public_key[32],
                   struct err *e);
/* Signs a root digest with the private key of a PEM file. */
int signature_make(const char *path, const uint8_t root_digest[32], struct artifact_signature *out, struct err *e);
/* 0 when one of the image's signatures is by this key and right; the message says which of the two failed. Looks at no
 * other hash: artifact_open has compared the header's. */
int signature_check(const struct artifact_view *v, const uint8_t key[32], struct err *e);

/* The image's signatures, footer.signature_count of them. */
const struct artifact_signature *signature_all(const struct artifact_view *v);

#endif
