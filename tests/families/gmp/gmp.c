/* GMP's assembly: every mpn function over sizes and patterns of limbs, and the layers above. Prints a hash per
 * function. */
#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = 600 };
static mp_limb_t a[MAX], b[MAX], r[4 * MAX], q[2 * MAX], scratch[4 * MAX];
static unsigned long hash, seed;

static mp_limb_t
random_limb(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    unsigned long x = seed ^ seed >> 29;
    switch (seed >> 60) { /* runs of ones and zeros carry far */
    case 0:
    case 1: return 0;
    case 2:
    case 3: return ~0ul;
    case 4: return 1ul << (x & 63);
    case 5: return ~0ul << (x & 63);
    default: return x * 0x9e3779b97f4a7c15u;
    }
}

static void
mix(mp_limb_t x)
{
    hash = (hash ^ x) * 0x100000001b3u;
    hash ^= hash >> 29;
}

static void
mix_all(const mp_limb_t *p, long n)
{
    for (long i = 0; i < n; i++)
        mix(p[i]);
}

static void
fill(long n)
{
    for (long i = 0; i < n; i++)
        a[i] = random_limb(), b[i] = random_limb();
    a[n - 1] |= 1ul << 62, b[n - 1] |= 1ul << 63;
}

#define SIZES(n, max) for (long n = 1; n <= max; n += n < 40 ? 1 : n / 5)
#define TEST(name, max, body)               \
    hash = 14695981039346656037u, seed = 7; \
    SIZES(n, max)                           \
    {                                       \
        fill(n);                            \
        body;                               \
    }                                       \
    printf("%s %016lx\n", #name, hash)

static void
mpn(void)
{
    TEST(add_n, MAX, mix(mpn_add_n(r, a, b, n)); mix_all(r, n));
    TEST(sub_n, MAX, mix(mpn_sub_n(r, a, b, n)); mix_all(r, n));
    TEST(add_1, MAX, mix(mpn_add_1(r, a, n, b[0])); mix_all(r, n));
    TEST(sub_1, MAX, mix(mpn_sub_1(r, a, n, b[0])); mix_all(r, n));
    TEST(neg, MAX, mix(mpn_neg(r, a, n)); mix_all(r, n));
    TEST(mul_1, MAX, mix(mpn_mul_1(r, a, n, b[n - 1])); mix_all(r, n));
    TEST(addmul_1, MAX, memcpy(r, b, sizeof b); mix(mpn_addmul_1(r, a, n, b[n / 2])); mix_all(r, n));
    TEST(submul_1, MAX, memcpy(r, b, sizeof b); mix(mpn_submul_1(r, a, n, b[n / 2])); mix_all(r, n));
    TEST(mul_n, MAX, mpn_mul_n(r, a, b, n); mix_all(r, 2 * n));
    TEST(mul, MAX, long m = n / 2 + 1; mix(mpn_mul(r, a, n, b, m)); mix_all(r, n + m));
    TEST(sqr, MAX, mpn_sqr(r, a, n); mix_all(r, 2 * n));
    TEST(
        lshift, MAX, for (unsigned s = 1; s < 64; s += 1 + (unsigned)n / 8) {
            mix(mpn_lshift(r, a, n, s));
            mix_all(r, n);
        });
    TEST(
        rshift, MAX, for (unsigned s = 1; s < 64; s += 1 + (unsigned)n / 8) {
            mix(mpn_rshift(r, a, n, s));
            mix_all(r, n);
        });
    TEST(lshift in place, MAX, mix(mpn_lshift(a, a, n, 13)); mix_all(a, n));
    TEST(divrem_1, MAX, mix(mpn_divrem_1(q, 0, a, n, b[n - 1])); mix_all(q, n));
    TEST(mod_1, MAX, mix(mpn_mod_1(a, n, b[n - 1])); mix(mpn_mod_1(a, n, b[0] | 1)); mix(mpn_mod_1(a, n, 97)));
    TEST(divexact_1, MAX, r[n] = mpn_mul_1(r, a, n, 10007); mpn_divexact_1(q, r, n + 1, 10007); mix_all(q, n + 1));
    TEST(divexact_by3, MAX, mix(mpn_divexact_by3(q, a, n)); mix_all(q, n));
    TEST(tdiv_qr, MAX, long m = n / 2 + 1; mpn_tdiv_qr(q, r, 0, a, n, b + n - m, m); mix_all(q, n - m + 1);
         mix_all(r, m));
    TEST(sqrtrem, MAX, long m = mpn_sqrtrem(q, r, a, n); mix_all(q, (n + 1) / 2); mix_all(r, m));
    TEST(gcd_1, MAX, mix(mpn_gcd_1(a, n, b[0] | 1)));
    TEST(gcd, 200, a[0] |= 1; b[0] |= 1; mix((mp_limb_t)mpn_gcd(r, a, n, b, n)); mix(r[0]));
    TEST(gcdext, 100, mp_size_t s; long m = mpn_gcdext(r, q, &s, a, n, b, n); mix_all(r, m); mix_all(q, labs(s)));
    TEST(popcount, MAX, mix(mpn_popcount(a, n)); mix(mpn_hamdist(a, b, n)));
    TEST(logic, MAX, mpn_and_n(r, a, b, n); mix_all(r, n); mpn_ior_n(r, a, b, n); mix_all(r, n); mpn_xor_n(r, a, b, n);
         mix_all(r, n); mpn_nand_n(r, a, b, n); mix_all(r, n); mpn_andn_n(r, a, b, n); mix_all(r, n);
         mpn_iorn_n(r, a, b, n); mix_all(r, n); mpn_xnor_n(r, a, b, n); mix_all(r, n); mpn_com(r, a, n); mix_all(r, n));
    TEST(copy, MAX, mpn_copyi(r, a, n); mix_all(r, n); mpn_copyd(r + 1, r, n); mix_all(r, n + 1); mpn_zero(r, n);
         mix((mp_limb_t)mpn_zero_p(r, n)));
    TEST(compare, MAX, mix((mp_limb_t)mpn_cmp(a, b, n)); mix((mp_limb_t)mpn_scan1(b, 0));
         mix((mp_limb_t)mpn_perfect_square_p(a, n)));
    TEST(
        get_str, 120, unsigned char s[9000]; for (int base = 2; base <= 62; base += 7) {
            memcpy(r, a, sizeof a);
            size_t m = mpn_get_str(s, base, r, n);
            for (size_t i = 0; i < m; i++)
                mix(s[i]);
            mix((mp_limb_t)mpn_set_str(q, s, m, base));
            mix_all(q, n);
        });
    TEST(secure, 150, mp_limb_t m = mpn_sec_add_1(r, a, n, 5, scratch); mix(m); mix(mpn_cnd_add_n(1, r, a, b, n));
         mix_all(r, n); mix(mpn_cnd_sub_n(n & 1, r, a, b, n)); mix_all(r, n); mpn_cnd_swap(n & 1, a, b, n); mix(a[0]);
         mpn_sec_tabselect(r, a, 1, n, 0); mix(r[0]));
}

static void
show(const char *name, mpz_t z)
{
    char *s = mpz_get_str(0, 36, z);

    hash = 5381;
    for (char *p = s; *p; p++)
        mix((unsigned char)*p);
    printf("%s %zu %.20s %016lx\n", name, strlen(s), s, hash);
    free(s);
}

static void
above(void)
{
    mpz_t x, y, z;
    mpf_t f, g;
    mpq_t p, o;
    gmp_randstate_t state;

    mpz_inits(x, y, z, NULL);
    gmp_randinit_mt(state);
    gmp_randseed_ui(state, 42);
    mpz_fac_ui(x, 3000), show("factorial", x);
    mpz_fib_ui(x, 20000), show("fibonacci", x);
    mpz_bin_uiui(x, 5000, 1234), show("binomial", x);
    mpz_urandomb(x, state, 30000), mpz_rrandomb(y, state, 17000);
    mpz_tdiv_qr(z, x, x, y), show("quotient", z), show("remainder", x);
    mpz_urandomb(x, state, 1024), mpz_urandomb(y, state, 1024), mpz_setbit(y, 0), mpz_powm(z, x, y, y), show("powm", z);
    mpz_sub_ui(z, y, 1), mpz_powm_sec(z, x, z, y), show("powm_sec", z);
    mpz_ui_pow_ui(x, 7, 9999), show("power", x);
    mpz_root(y, x, 5), show("root", y);
    mpz_urandomb(x, state, 256), mpz_nextprime(y, x), show("next prime", y);
    printf("prime %d jacobi %d invert %d\n", mpz_probab_prime_p(y, 20), mpz_jacobi(x, y), mpz_invert(z, x, y));
    show("inverse", z);
    mpf_set_default_prec(2000);
    mpf_inits(f, g, NULL);
    mpf_sqrt_ui(f, 2), mpf_set_ui(g, 1), mpf_div_ui(g, g, 7), mpf_mul(f, f, g);
    gmp_printf("mpf %.300Ff\n", f);
    mpq_inits(p, o, NULL);
    for (unsigned i = 1; i < 200; i++)
        mpq_set_ui(o, 1, i), mpq_add(p, p, o);
    gmp_printf("mpq %Qd\n", p);
    mpz_set_ui(x, 1);
    for (int i = 0; i < 10; i++)
        mpz_mul(x, x, x), mpz_add_ui(x, x, (unsigned)i * 77 + 3), mpz_mul(x, x, x);
    show("squares", x);
}

int
main(void)
{
    mpn();
    above();
    return 0;
}
