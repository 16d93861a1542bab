/* libffi: calls with every kind of argument, closures (static trampolines) called from C, many at once, from threads,
 * through signals and longjmp. */
#include <complex.h>
#include <ffi.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
struct small { int a; float b; };
struct mixed { double d; char c; };
struct large { long v[5]; };
struct floats { float x, y, z; };
/* clang-format on */

static ffi_type *small_elements[] = {&ffi_type_sint, &ffi_type_float, 0};
static ffi_type *mixed_elements[] = {&ffi_type_double, &ffi_type_schar, 0};
static ffi_type *large_elements[] = {&ffi_type_slong, &ffi_type_slong, &ffi_type_slong,
                                     &ffi_type_slong, &ffi_type_slong, 0};
static ffi_type *floats_elements[] = {&ffi_type_float, &ffi_type_float, &ffi_type_float, 0};
static ffi_type small_type = {0, 0, FFI_TYPE_STRUCT, small_elements},
                mixed_type = {0, 0, FFI_TYPE_STRUCT, mixed_elements},
                large_type = {0, 0, FFI_TYPE_STRUCT, large_elements},
                floats_type = {0, 0, FFI_TYPE_STRUCT, floats_elements};

static struct large
target(signed char a, unsigned short b, int c, long d, float e, double f, long double g, struct small h, struct mixed i,
       struct large j, void *k, struct floats l, double m[2], float n)
{
    return (struct large){{a + b + c, d + (long)(e * 2 + f), (long)g + h.a + (long)h.b,
                           (long)(i.d * 4) + i.c + (long)l.z, j.v[0] + j.v[4] + *(int *)k + (long)(m[0] + n * l.x)}};
}

static void
calls(void)
{
    ffi_cif cif;
    ffi_type *types[] = {&ffi_type_schar,   &ffi_type_ushort,     &ffi_type_sint,    &ffi_type_slong, &ffi_type_float,
                         &ffi_type_double,  &ffi_type_longdouble, &small_type,       &mixed_type,     &large_type,
                         &ffi_type_pointer, &floats_type,         &ffi_type_pointer, &ffi_type_float};
    unsigned long h = 0;

    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 14, &large_type, types) != FFI_OK)
        abort();
    for (int i = 0; i < 500; i++) {
        signed char a = (signed char)(i - 100);
        unsigned short b = (unsigned short)(i * 300);
        int c = i * -7, kk = i;
        long d = i * 123456789l;
        float e = (float)i / 4, n = 0.5f;
        double f = i * 1.25, mm[2] = {i, 2}, *m = mm;
        long double g = i * 3.5L;
        struct small s = {i, 2.5f};
        struct mixed x = {i / 8.0, (char)i};
        struct large l = {{i, 2, 3, 4, i * 5}}, r;
        struct floats fl = {1, 2, (float)i};
        void *k = &kk;
        void *values[] = {&a, &b, &c, &d, &e, &f, &g, &s, &x, &l, &k, &fl, &m, &n};

        ffi_call(&cif, FFI_FN(target), &r, values);
        for (int v = 0; v < 5; v++)
            h = h * 31 + (unsigned long)r.v[v];
    }
    printf("calls %lx\n", h);
}

static void
variadic(void)
{
    ffi_cif cif;
    ffi_type *types[] = {&ffi_type_pointer, &ffi_type_pointer,    &ffi_type_sint,
                         &ffi_type_double,  &ffi_type_longdouble, &ffi_type_slong};
    char buffer[100], *p = buffer;
    const char *format = "%d %.3f %.2Lf %ld";
    int i = 42;
    double d = 2.71828;
    long double l = 1e6L / 3;
    long n = -5;
    ffi_arg result;
    void *values[] = {&p, &format, &i, &d, &l, &n};

    ffi_prep_cif_var(&cif, FFI_DEFAULT_ABI, 2, 6, &ffi_type_sint, types);
    ffi_call(&cif, FFI_FN(sprintf), &result, values);
    printf("variadic %s %d\n", buffer, (int)result);
}

/* --- closures --- */

struct bound {
    long factor;
    int calls;
};

static void
compare(ffi_cif *cif, void *result, void **args, void *data)
{
    struct bound *b = data;
    long x = **(const long **)args[0], y = **(const long **)args[1];

    (void)cif;
    b->calls++;
    *(ffi_sarg *)result = (x * b->factor > y * b->factor) - (x * b->factor < y * b->factor);
}

static void
everything(ffi_cif *cif, void *result, void **args, void *data)
{
    struct bound *b = data;

    (void)cif;
    b->calls++;
    const struct small *s = args[7];
    const struct mixed *m = args[8];
    const struct large *l = args[9];
    *(struct large *)result = (struct large){
        {*(signed char *)args[0] + *(unsigned short *)args[1] * b->factor, *(long *)args[3] + (long)*(float *)args[4],
         (long)*(double *)args[5] + (long)*(long double *)args[6], s->a + (long)s->b + (long)m->d + m->c,
         l->v[1] + l->v[4] + (long)((struct floats *)args[11])->y + (long)*(float *)args[13]}};
}

static void
closures(void)
{
    ffi_cif cif;
    ffi_type *types[] = {&ffi_type_pointer, &ffi_type_pointer};
    long v[300];
    unsigned long h = 0;
    struct bound up = {1, 0}, down = {-1, 0};
    void *code[2];
    ffi_closure *c[2];

    ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 2, &ffi_type_sint, types);
    for (int i = 0; i < 2; i++) {
        c[i] = ffi_closure_alloc(sizeof(ffi_closure), &code[i]);
        if (ffi_prep_closure_loc(c[i], &cif, compare, i ? &down : &up, code[i]) != FFI_OK)
            abort();
    }
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 300; i++)
            v[i] = (long)((unsigned)(i + round) * 2654435761u % 10007u);
        qsort(v, 300, sizeof v[0], (int (*)(const void *, const void *))code[round & 1]);
        for (int i = 0; i < 300; i++)
            h = h * 31 + (unsigned long)v[i];
    }
    printf("closures %lx %d\n", h, up.calls == down.calls);
    ffi_closure_free(c[0]);
    ffi_closure_free(c[1]);
}

static void
many(void)
{
    enum { N = 3000 };
    static ffi_closure *c[N];
    static void *code[N];
    static struct bound bounds[N];
    ffi_cif cif;
    ffi_type *types[] = {&ffi_type_schar,   &ffi_type_ushort,     &ffi_type_sint,    &ffi_type_slong, &ffi_type_float,
                         &ffi_type_double,  &ffi_type_longdouble, &small_type,       &mixed_type,     &large_type,
                         &ffi_type_pointer, &floats_type,         &ffi_type_pointer, &ffi_type_float};
    unsigned long h = 0;
    int x = 5;
    double d[2] = {1, 2};

    ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 14, &large_type, types);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            c[i] = ffi_closure_alloc(sizeof(ffi_closure), &code[i]);
            bounds[i].factor = i;
            if (!c[i] || ffi_prep_closure_loc(c[i], &cif, everything, &bounds[i], code[i]) != FFI_OK)
                abort();
        }
        for (int i = 0; i < N; i++) {
            struct large r =
                ((__typeof__(&target))code[i])((signed char)i, (unsigned short)i, i, i * 3, 1.5f, 2.5, 3.5L,
                                               (struct small){i, 1}, (struct mixed){9, 'x'},
                                               (struct large){{1, i, 3, 4, 5}}, &x, (struct floats){1, 2, 3}, d, 7);
            for (int k = 0; k < 5; k++)
                h = h * 31 + (unsigned long)r.v[k];
        }
        for (int i = 0; i < N; i++)
            ffi_closure_free(c[(i * 7) % N]);
    }
    printf("many %lx\n", h);
}

/* --- closures as thread bodies, as signal handlers, left by longjmp, across fork --- */

static jmp_buf out;

static void
body(ffi_cif *cif, void *result, void **args, void *data)
{
    (void)cif;
    *(void **)result = (char *)data + *(long *)args[0];
}

static void
handle(ffi_cif *cif, void *result, void **args, void *data)
{
    (void)cif, (void)result;
    *(volatile int *)data += *(int *)args[0];
    longjmp(out, 1);
}

static void
elsewhere(void)
{
    ffi_cif cif, signal_cif;
    ffi_type *types[] = {&ffi_type_pointer}, *signal_types[] = {&ffi_type_sint};
    void *code, *signal_code, *r;
    ffi_closure *c = ffi_closure_alloc(sizeof *c, &code), *s = ffi_closure_alloc(sizeof *s, &signal_code);
    volatile int handled = 0, rounds = 0;
    pthread_t t[6];
    long sum = 0;
    int status;

    ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1, &ffi_type_pointer, types);
    ffi_prep_closure_loc(c, &cif, body, (void *)1000, code);
    for (long i = 0; i < 6; i++)
        pthread_create(&t[i], 0, (void *(*)(void *))code, (void *)i);
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], &r);
        sum = sum * 7 + (long)r;
    }
    ffi_prep_cif(&signal_cif, FFI_DEFAULT_ABI, 1, &ffi_type_void, signal_types);
    ffi_prep_closure_loc(s, &signal_cif, handle, (void *)&handled, signal_code);
    struct sigaction sa = {.sa_flags = SA_NODEFER};
    sa.sa_handler = (void (*)(int))signal_code;
    sigaction(SIGUSR1, &sa, 0);
    setjmp(out);
    if (rounds++ < 50)
        raise(SIGUSR1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)((long)((void *(*)(void *))code)((void *)5) % 200));
    waitpid(pid, &status, 0);
    printf("elsewhere %ld %d %d\n", sum, handled, WEXITSTATUS(status));
}

int
main(void)
{
    calls();
    variadic();
    closures();
    many();
    elsewhere();
    return 0;
}
