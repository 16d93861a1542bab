/* From numbers to handlers, and the trace. Calls without a handler answer the error of their row, or ENOSYS, and are
 * counted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/mm/mm.h"
#include "vkernel/sched/kernel_time.h"
#include "vkernel/sched/sched.h"
#include "vkernel/task/process.h"

enum { MAX_STRING_SHOWN = 48 };

bool strace_on;
uint64_t syscall_total;
static uint32_t unknown[SYSCALL_TABLE_SIZE];

/* --- what of each argument belongs to it --- */

/* The calling convention leaves the upper half of an int's register undefined. A bit for each argument that is 32 bits
 * wide, and KNOWN: a call's formats are read when it is made for the first time, since a program makes few of the calls
 * that there are. */
enum { ARGUMENTS = 6, KNOWN = 1 << ARGUMENTS };
static uint8_t halves[SYSCALL_TABLE_SIZE];

/* Which calls are measured: of each number the next timed_next[number] calls, all of them. All other calls count
 * until_sample down, and the one with which it comes to 0 is measured as a sample. */
static uint8_t timed_next[SYSCALL_TABLE_SIZE];
static unsigned until_sample = 1;

#define MASK(bits, k)  ((bits) >> (k) & 1 ? UINT32_MAX : UINT64_MAX)
#define MASKS(bits)    {MASK(bits, 0), MASK(bits, 1), MASK(bits, 2), MASK(bits, 3), MASK(bits, 4), MASK(bits, 5)}
#define MASKS_4(bits)  MASKS(bits), MASKS((bits) + 1), MASKS((bits) + 2), MASKS((bits) + 3)
#define MASKS_16(bits) MASKS_4(bits), MASKS_4((bits) + 4), MASKS_4((bits) + 8), MASKS_4((bits) + 12)
static const uint64_t masks[KNOWN][ARGUMENTS] = {MASKS_16(0), MASKS_16(16), MASKS_16(32), MASKS_16(48)};

/* It and measured() are not inlined, because each call would then save the registers that they need. */
static __attribute__((noinline)) unsigned
read_halves(int64_t nr)
{
    const char *word = syscall_table[nr].format;
    unsigned bits = KNOWN;

    for (unsigned k = 0; k < syscall_table[nr].arity; k++) {
        if (*word && strchr("duxofDFSitcTWk", *word))
            bits |= 1u << k;
        word += strcspn(word, " ");
        word += *word == ' ';
    }
    halves[nr] = (uint8_t)bits;
    timed_next[nr] = 1;
    return bits;
}

/* --- trace --- */

static size_t
put_quoted(char *out, size_t size, uint64_t address, uint64_t limit)
{
    char text[MAX_STRING_SHOWN];
    size_t n = copy_from_guest_partial(text, address, limit < sizeof text ? limit : sizeof text), at = 0;

    out[at++] = '"';
    for (size_t i = 0; i < n && text[i] != '\0' && at + 6 < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n')
            at += (size_t)snprintf(out + at, size - at, "\\n");
        else if (c < 0x20 || c >= 0x7f)
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    out[at++] = '"';
    out[at] = '\0';
    return at;
}

/* format: the argument's word in the table. */
static size_t
put_argument(char *out, size_t size, const char *format, uint64_t v, uint64_t next)
{
    switch (*format) {
    case 's': return v ? put_quoted(out, size, v, MAX_STRING_SHOWN) : (size_t)snprintf(out, size, "NULL");
    case 'b': return v ? put_quoted(out, size, v, next) : (size_t)snprintf(out, size, "NULL");
    case 'p':
    case 'r':
    case 'w':
    case 'a':
    case 'B':
        return v ? (size_t)snprintf(out, size, "%#llx", (unsigned long long)v) : (size_t)snprintf(out, size, "NULL");
    case 'x':
    case 'X':
    case 'F':
    case 'P': return (size_t)snprintf(out, size, "%#llx", (unsigned long long)v);
    case 'o': return (size_t)snprintf(out, size, "%#llo", (unsigned long long)v);
    case 'u':
    case 'k': return (size_t)snprintf(out, size, "%u", (unsigned)v);
    case 'D':
        if ((int)v == -100)
            return (size_t)snprintf(out, size, "AT_FDCWD");
        return (size_t)snprintf(out, size, "%d", (int)v);
    case 'l':
    case 'm':
    case 'n': return (size_t)snprintf(out, size, "%lld", (long long)v);
    default: return (size_t)snprintf(out, size, "%d", (int)v);
    }
}

void
syscall_describe(int64_t nr, const uint64_t a[6], char *out, size_t size)
{
    const struct syscall_row *r =
        nr >= 0 && nr < SYSCALL_TABLE_SIZE && syscall_table[nr].handler ? &syscall_table[nr] : NULL;
    const char *format;
    size_t at;

    if (!r && nr >= 0 && nr < SYSCALL_TABLE_SIZE && syscall_table[nr].name) {
        snprintf(out, size, "%s(%#llx, %#llx, %#llx, %#llx)", syscall_table[nr].name, (unsigned long long)a[0],
                 (unsigned long long)a[1], (unsigned long long)a[2], (unsigned long long)a[3]);
        return;
    }
    if (!r) {
        snprintf(out, size, "syscall_%lld(%#llx, %#llx, %#llx, %#llx)", (long long)nr, (unsigned long long)a[0],
                 (unsigned long long)a[1], (unsigned long long)a[2], (unsigned long long)a[3]);
        return;
    }
    at = (size_t)snprintf(out, size, "%s(", r->name);
    format = r->format;
    for (unsigned i = 0; i < r->arity && at + 80 < size; i++) {
        if (i)
            at += (size_t)snprintf(out + at, size - at, ", ");
        at += put_argument(out + at, size - at, format, a[i], i < 5 ? a[i + 1] : 0);
        format += strcspn(format, " ");
        format += *format == ' ';
    }
    snprintf(out + at, size - at, ")");
}

void
strace_result(int64_t nr, int64_t result)
{
    if (result < 0 && result > -4096)
        platform_log("[%d] ... %s = %lld %s\n", current_task()->tid,
                     nr >= 0 && nr < SYSCALL_TABLE_SIZE && syscall_table[nr].name ? syscall_table[nr].name : "?",
                     (long long)result, strerrorname_np((int)-result) ? strerrorname_np((int)-result) : "");
    else
        platform_log("[%d] ... %s = %#llx\n", current_task()->tid,
                     nr >= 0 && nr < SYSCALL_TABLE_SIZE && syscall_table[nr].name ? syscall_table[nr].name : "?",
                     (unsigned long long)result);
}

void
strace_exit_note(const char *text)
{
    platform_log("[%d] +++ killed by: %s +++\n", current_task()->tid, text);
}

static int64_t
refuse(int64_t nr)
{
    int error = nr >= 0 && nr < SYSCALL_TABLE_SIZE ? syscall_table[nr].refusal : 0;

    return error ? -error : -ENOSYS;
}

static int64_t
traced(int64_t nr, const uint64_t a[6])
{
    char line[512];
    uint64_t switches = sched_switches;
    int64_t result;

    syscall_describe(nr, a, line, sizeof line);
    /* What does not come back, or only after others ran, is shown at once. */
    if (nr == NR_execve || nr == NR_execveat || nr == NR_exit || nr == NR_exit_group || nr == NR_rt_sigreturn)
        platform_log("[%d] %s ...\n", current_task()->tid, line);
    result =
        nr >= 0 && nr < SYSCALL_TABLE_SIZE && syscall_table[nr].handler ? syscall_table[nr].handler(a) : refuse(nr);
    if (result < 0 && result > -4096) {
        const char *name = result > -512 ? strerrorname_np((int)-result) : "ERESTART";

        platform_log("[%d] %s = -1 %s%s\n", current_task()->tid, line, name ? name : "?",
                     switches != sched_switches ? " (slept)" : "");
    } else {
        platform_log("[%d] %s = %#llx\n", current_task()->tid, line, (unsigned long long)result);
    }
    return result;
}

/* --- dispatch --- */

static int64_t
call(int64_t nr, const uint64_t a[6])
{
    return strace_on ? traced(nr, a) : syscall_table[nr].handler(a);
}

/* Makes a call, and measures its time for the task's account. What takes long is likely to do so again, so a call pays
 * for the measuring of those that follow: by 3 % of its own time, as two readings of the clock take some 60 ns. A call
 * that does not come back here (exec, exit) is always measured. */
static __attribute__((noinline)) int64_t
measured(int64_t nr, const uint64_t a[6])
{
    enum { PAYS_NS = 2048 };
    bool sample = timed_next[nr] == 0;
    uint64_t took, paid;
    int64_t result;

    if (sample)
        until_sample = kernel_time_next_sample();
    kernel_time_begin();
    result = call(nr, a);
    took = kernel_time_end();
    kernel_time_call(took, sample ? KERNEL_TIME_SAMPLED : 1);
    paid = took / PAYS_NS < UINT8_MAX ? took / PAYS_NS : UINT8_MAX;
    if (timed_next[nr])
        timed_next[nr]--;
    if (timed_next[nr] < paid)
        timed_next[nr] = (uint8_t)paid;
    return result;
}

static int64_t
not_implemented(int64_t nr)
{
    if (nr >= 0 && nr < SYSCALL_TABLE_SIZE)
        unknown[nr]++;
    return refuse(nr);
}

int64_t
syscall_dispatch(int64_t nr, uint64_t a[6])
{
    syscall_total++;
    might_sleep();
    if (nr < 0 || nr >= SYSCALL_TABLE_SIZE || !syscall_table[nr].handler)
        return strace_on ? not_implemented(nr), traced(nr, a) : not_implemented(nr);
    const uint64_t *m = masks[(halves[nr] ? halves[nr] : read_halves(nr)) % KNOWN];

#pragma GCC unroll 6
    for (unsigned k = 0; k < ARGUMENTS; k++)
        a[k] &= m[k];
    return timed_next[nr] || --until_sample == 0 ? measured(nr, a) : call(nr, a);
}

void
syscall_write_unknown(void (*put)(const char *text))
{
    char text[64];
    bool first = true;

    for (int i = 0; i < SYSCALL_TABLE_SIZE; i++) {
        if (!unknown[i])
            continue;
        snprintf(text, sizeof text, "%s[%d,%u]", first ? "" : ",", i, unknown[i]);
        put(text);
        first = false;
    }
}

void
syscall_report(int fd)
{
    char line[128];

    for (int i = 0; i < SYSCALL_TABLE_SIZE; i++) {
        if (!unknown[i])
            continue;
        snprintf(line, sizeof line, "not implemented: system call %d, %u times\n", i, unknown[i]);
        platform_write(fd, line, strlen(line));
    }
}
