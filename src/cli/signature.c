#include "cli/signature.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { SIGNED_SIZE = sizeof ARTIFACT_SIGNED - 1 + 32, MAX_KEY = 65536 };

static void
signed_text(const uint8_t root_digest[32], uint8_t out[SIGNED_SIZE])
{
    memcpy(out, ARTIFACT_SIGNED, sizeof ARTIFACT_SIGNED - 1);
    memcpy(out + sizeof ARTIFACT_SIGNED - 1, root_digest, 32);
}

/* Only who signs is asked for a passphrase. A file that was given as a public key may come from anywhere; it can also
 * say how many times a passphrase is to be hashed. */
static int
no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static int
parse_key(const void *text, size_t size, const char *path, bool private_key, EVP_PKEY **key, struct err *e)
{
    BIO *bio = size <= MAX_KEY ? BIO_new_mem_buf(text, (int)size) : NULL;

    *key = NULL;
    if (!bio)
        return err_set(e, "%s is too large for a key", path);
    if (!private_key)
        *key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    if (!*key) {
        BIO_reset(bio);
        *key = PEM_read_bio_PrivateKey(bio, NULL, private_key ? NULL : no_passphrase, NULL);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (!*key)
        return err_set(e, "%s holds no %s key in PEM form", path, private_key ? "private" : "public");
    if (EVP_PKEY_get_id(*key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(*key);
        *key = NULL;
        return err_set(e, "%s is no Ed25519 key (openssl genpkey -algorithm ed25519 makes one)", path);
    }
    return 0;
}

static int
read_text(const char *path, char text[MAX_KEY + 1], size_t *size, struct err *e)
{
    FILE *f = fopen(path, "re");

    if (!f)
        return err_set(e, "cannot open the key %s: %m", path);
    *size = fread(text, 1, MAX_KEY + 1, f);
    fclose(f);
    return 0;
}

static int
raw_public(EVP_PKEY *key, uint8_t out[32], const char *path, struct err *e)
{
    size_t size = 32;

    if (EVP_PKEY_get_raw_public_key(key, out, &size) != 1 || size != 32)
        return err_set(e, "%s: the public key cannot be read", path);
    return 0;
}

int
signature_parse_public(const void *text, size_t size, const char *path, uint8_t out[32], struct err *e)
{
    EVP_PKEY *key;
    int result;

    if (parse_key(text, size, path, false, &key, e) < 0)
        return -1;
    result = raw_public(key, out, path, e);
    EVP_PKEY_free(key);
    return result;
}

int
signature_read_public(const char *path, uint8_t out[32], struct err *e)
{
    char text[MAX_KEY + 1];
    size_t size = 0;

    if (read_text(path, text, &size, e) < 0)
        return -1;
    return signature_parse_public(text, size, path, out, e);
}

int
signature_sign(const char *path, const void *data, size_t size, uint8_t signature[64], uint8_t public_key[32],
               struct err *e)
{
    char text[MAX_KEY + 1];
    size_t length = 64, text_size = 0;
    EVP_MD_CTX *context;
    EVP_PKEY *key;
    int result;

    if (read_text(path, text, &text_size, e) < 0)
        return -1;
    result = parse_key(text, text_size, path, true, &key, e);
    OPENSSL_cleanse(text, sizeof text);
    if (result < 0)
        return -1;
    result = raw_public(key, public_key, path, e);
    context = EVP_MD_CTX_new();
    if (result == 0 && (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
                        EVP_DigestSign(context, signature, &length, data, size) != 1 || length != 64))
        result = err_set(e, "%s: signing failed", path);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return result;
}

int
signature_make(const char *path, const uint8_t root_digest[32], struct artifact_signature *out, struct err *e)
{
    uint8_t text[SIGNED_SIZE];

    signed_text(root_digest, text);
    return signature_sign(path, text, sizeof text, out->signature, out->public_key, e);
}

const struct artifact_signature *
signature_all(const struct artifact_view *v)
{
    const uint8_t *end = v->file.data + v->file.size;

    return (const struct artifact_signature *)(const void *)(end - artifact_tail_size(&v->footer));
}

static bool
is_right(const struct artifact_signature *s, const uint8_t root_digest[32])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, s->public_key, sizeof s->public_key);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t text[SIGNED_SIZE];
    bool right;

    signed_text(root_digest, text);
    right = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
            EVP_DigestVerify(context, s->signature, sizeof s->signature, text, sizeof text) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return right;
}

int
signature_check(const struct artifact_view *v, const uint8_t key[32], struct err *e)
{
    const struct artifact_signature *all = signature_all(v);

    for (uint64_t i = 0; i < v->footer.signature_count; i++) {
        if (memcmp(all[i].public_key, key, sizeof all[i].public_key) != 0)
            continue;
        if (is_right(&all[i], v->footer.header_sha256))
            return 0;
        return err_set(e, "the signature by this key does not match the image");
    }
    return err_set(e, v->footer.signature_count ? "signed, but not by this key" : "not signed");
}
