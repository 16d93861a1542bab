/* Nettle's assembly: every cipher, hash, MAC and AEAD of its lists, and its public-key functions above GMP. */
#include <nettle/nettle-meta.h>
#include <nettle/cbc.h>
#include <nettle/chacha-poly1305.h>
#include <nettle/cmac.h>
#include <nettle/ctr.h>
#include <nettle/curve25519.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/eddsa.h>
#include <nettle/gcm.h>
#include <nettle/knuth-lfib.h>
#include <nettle/memxor.h>
#include <nettle/pbkdf2.h>
#include <nettle/poly1305.h>
#include <nettle/rsa.h>
#include <nettle/salsa20.h>
#include <nettle/umac.h>
#include <nettle/xts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 4096 };
static uint8_t text[SIZE], out[SIZE], back[SIZE], key[256], iv[64];
static struct knuth_lfib_ctx random_context;

static void
show(const char *name, const uint8_t *p, size_t n)
{
    struct sha1_ctx sha;
    uint8_t digest[20];

    sha1_init(&sha);
    sha1_update(&sha, n, p);
    sha1_digest(&sha, 20, digest);
    printf("%s ", name);
    for (int i = 0; i < 20; i++)
        printf("%02x", digest[i]);
    printf("\n");
}

static void
hashes(void)
{
    for (const struct nettle_hash *const *h = nettle_get_hashes(); *h; h++) {
        void *ctx = malloc((*h)->context_size);
        uint8_t all[64 * 300] = {0};
        (*h)->init(ctx);
        for (unsigned n = 0; n < 300; n++) {
            (*h)->update(ctx, n, text + n % 7);
            if (n % 3)
                (*h)->update(ctx, 1, text);
            (*h)->digest(ctx, (*h)->digest_size, all + n * 64);
        }
        show((*h)->name, all, sizeof all);
        free(ctx);
    }
    for (const struct nettle_mac *const *m = nettle_get_macs(); m && *m; m++) {
        void *ctx = malloc((*m)->context_size);
        (*m)->set_key(ctx, key);
        (*m)->update(ctx, 1234, text);
        memset(out, 0, 64);
        (*m)->digest(ctx, (*m)->digest_size, out);
        show((*m)->name, out, 64);
        free(ctx);
    }
}

static void
ciphers(void)
{
    for (const struct nettle_cipher *const *c = nettle_get_ciphers(); *c; c++) {
        void *e = aligned_alloc(64, ((*c)->context_size + 63) & ~63u),
             *d = aligned_alloc(64, ((*c)->context_size + 63) & ~63u);
        (*c)->set_encrypt_key(e, key);
        (*c)->set_decrypt_key(d, key);
        size_t n = SIZE / (*c)->block_size * (*c)->block_size;
        for (size_t at = 0, k = 1; at + k * (*c)->block_size <= n; at += k * (*c)->block_size, k = k % 9 + 1)
            (*c)->encrypt(e, k * (*c)->block_size, out + at, text + at);
        (*c)->encrypt(e, n, out, text);
        (*c)->decrypt(d, n, back, out);
        show((*c)->name, out, n);
        if (memcmp(back, text, n) != 0)
            printf("%s does not decrypt\n", (*c)->name);
        uint8_t counter[32] = {0xff, 0xff};
        ctr_crypt(e, (*c)->encrypt, (*c)->block_size, counter, SIZE - 5, out, text);
        show("  ctr", out, SIZE - 5);
        memset(counter, 9, sizeof counter);
        cbc_encrypt(e, (*c)->encrypt, (*c)->block_size, counter, n, out, text);
        memset(counter, 9, sizeof counter);
        cbc_decrypt(d, (*c)->decrypt, (*c)->block_size, counter, n, back, out);
        show("  cbc", out, n);
        if (memcmp(back, text, n) != 0)
            printf("%s does not decrypt\n", (*c)->name);
        free(e);
        free(d);
    }
    for (const struct nettle_aead *const *a = nettle_get_aeads(); *a; a++) {
        void *ctx = aligned_alloc(64, ((*a)->context_size + 63) & ~63u);
        for (unsigned n = 16; n < 900; n = n * 2 - n % 16) {
            (*a)->set_encrypt_key(ctx, key);
            (*a)->set_nonce(ctx, iv);
            if ((*a)->update)
                (*a)->update(ctx, 48, text + 100);
            (*a)->encrypt(ctx, n, out, text);
            if ((*a)->digest)
                (*a)->digest(ctx, (*a)->digest_size, out + n);
            show((*a)->name, out, n + (*a)->digest_size);
        }
        free(ctx);
    }
}

static void
others(void)
{
    struct xts_aes128_key xts;
    struct umac128_ctx umac;
    struct chacha_poly1305_ctx cp;
    struct salsa20_ctx salsa;
    struct cmac_aes128_ctx cmac;

    xts_aes128_set_encrypt_key(&xts, key);
    xts_aes128_encrypt_message(&xts, iv, 1003, out, text);
    show("xts", out, 1003);
    umac128_set_key(&umac, key);
    umac128_update(&umac, 3333, text);
    umac128_digest(&umac, 16, out);
    show("umac", out, 16);
    salsa20_256_set_key(&salsa, key);
    salsa20_set_nonce(&salsa, iv);
    salsa20_crypt(&salsa, SIZE - 3, out, text);
    show("salsa20", out, SIZE - 3);
    salsa20r12_crypt(&salsa, 1001, out, text);
    show("salsa20r12", out, 1001);
    cmac_aes128_set_key(&cmac, key);
    cmac_aes128_update(&cmac, 777, text);
    cmac_aes128_digest(&cmac, 16, out);
    show("cmac", out, 16);
    pbkdf2_hmac_sha256(20, key, 300, 16, iv, 40, out);
    show("pbkdf2", out, 40);
    for (unsigned n = 0; n < 70; n++)
        for (unsigned o = 0; o < 9; o++)
            memxor(out + n * 9, text + o, n), memxor3(back + n, text + o, out + 3, n);
    show("memxor", out, 1000);
    show("memxor3", back, 300);
}

static void
random_bytes(void *ctx, size_t n, uint8_t *to)
{
    knuth_lfib_random(ctx, n, to);
}

static void
public_keys(void)
{
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    struct sha256_ctx sha;
    mpz_t s;

    rsa_public_key_init(&pub);
    rsa_private_key_init(&priv);
    mpz_init(s);
    mpz_set_ui(pub.e, 65537);
    printf("rsa %d", rsa_generate_keypair(&pub, &priv, &random_context, random_bytes, 0, 0, 1024, 0));
    sha256_init(&sha);
    sha256_update(&sha, 100, text);
    rsa_sha256_sign_tr(&pub, &priv, &random_context, random_bytes, &sha, s);
    sha256_update(&sha, 100, text);
    printf(" %d ", rsa_sha256_verify(&pub, &sha, s));
    mpz_out_str(stdout, 16, s);
    printf("\n");

    const struct ecc_curve *curves[] = {nettle_get_secp_192r1(), nettle_get_secp_224r1(), nettle_get_secp_256r1(),
                                        nettle_get_secp_384r1(), nettle_get_secp_521r1()};
    for (int i = 0; i < 5; i++) {
        struct ecc_point p;
        struct ecc_scalar k;
        struct dsa_signature sig;
        ecc_point_init(&p, curves[i]);
        ecc_scalar_init(&k, curves[i]);
        dsa_signature_init(&sig);
        ecdsa_generate_keypair(&p, &k, &random_context, random_bytes);
        ecdsa_sign(&k, &random_context, random_bytes, 32, text, &sig);
        printf("ecdsa %d %d ", ecdsa_verify(&p, 32, text, &sig), ecdsa_verify(&p, 32, text + 1, &sig));
        mpz_out_str(stdout, 16, sig.s);
        printf("\n");
    }
    ed25519_sha512_public_key(out, key);
    ed25519_sha512_sign(out, key, 500, text, out + 32);
    printf("ed25519 %d", ed25519_sha512_verify(out, 500, text, out + 32));
    show("", out, 96);
    ed448_shake256_public_key(out, key);
    ed448_shake256_sign(out, key, 500, text, out + 57);
    printf("ed448 %d", ed448_shake256_verify(out, 500, text, out + 57));
    show("", out, 171);
    curve25519_mul_g(out, key);
    curve25519_mul(back, key + 32, out);
    show("x25519", back, 32);
}

int
main(void)
{
    knuth_lfib_init(&random_context, 4711);
    knuth_lfib_random(&random_context, sizeof text, text);
    knuth_lfib_random(&random_context, sizeof key, key);
    hashes();
    ciphers();
    others();
    public_keys();
    return 0;
}
