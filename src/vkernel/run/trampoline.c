/* Trampolines that programs write into memory: a few bytes that load a register or two and jump. libffi makes them for
 * closures, gcc for nested functions. Such memory is never executable here; when the guest jumps there all the same,
 * the known forms are carried out, and nothing else is (what PaX's EMUTRAMP does). The guest gains nothing by it:
 * registers and the target of a jump are its own to choose. Decision 0008. */
#include <string.h>

#include "vkernel/mm/mm.h"
#include "vkernel/run/run.h"
#include "x86/helpers.h"

enum { LONGEST = 32 };

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

/* libffi: r10 is the trampoline's own address, the target lies behind it. */
static const uint8_t libffi[] = {0xf3, 0x0f, 0x1e, 0xfa,                                /* endbr64 */
                                 0x4c, 0x8d, 0x15, 0xf5, 0xff, 0xff, 0xff,              /* lea -0xb(%rip), %r10 */
                                 0xff, 0x25, 0x07, 0x00, 0x00, 0x00,                    /* jmp *7(%rip) */
                                 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00};             /* nopl 0(%rax) */
static const uint8_t libffi_before_endbr[] = {0x4c, 0x8d, 0x15, 0xf9, 0xff, 0xff, 0xff, /* lea -7(%rip), %r10 */
                                              0xff, 0x25, 0x03, 0x00, 0x00, 0x00,       /* jmp *3(%rip) */
                                              0x0f, 0x1f, 0x00};                        /* nopl (%rax) */

static bool
run_libffi(const uint8_t *code, size_t available, const uint8_t *form, size_t size)
{
    struct x86_cpu *cpu = x86_this_cpu();

    if (available < size + 8 || memcmp(code, form, size) != 0)
        return false;
    cpu->gpr[X86_R10] = cpu->rip;
    memcpy(&cpu->rip, code + size, 8);
    return true;
}

/* movabs or mov of an immediate into r10 or r11; returns its size. */
static size_t
immediate(const uint8_t *code, uint8_t opcode, uint64_t *value)
{
    uint32_t low;

    if (code[1] != opcode)
        return 0;
    if (code[0] == 0x49) {
        memcpy(value, code + 2, 8);
        return 10;
    }
    if (code[0] != 0x41)
        return 0;
    memcpy(&low, code + 2, 4);
    *value = low;
    return 6;
}

/* gcc's nested functions: the target into r11, the frame into r10, jmp *%r11. */
static bool
run_gcc(const uint8_t *code)
{
    struct x86_cpu *cpu = x86_this_cpu();
    uint64_t target, frame;
    size_t n = memcmp(code, endbr64, sizeof endbr64) == 0 ? sizeof endbr64 : 0, size;

    if (!(size = immediate(code + n, 0xbb, &target)))
        return false;
    n += size;
    if (!(size = immediate(code + n, 0xba, &frame)))
        return false;
    n += size;
    if (memcmp(code + n, "\x49\xff\xe3", 3) != 0)
        return false;
    cpu->gpr[X86_R11] = target;
    cpu->gpr[X86_R10] = frame;
    cpu->rip = target;
    return true;
}

bool
trampoline_run(void)
{
    NO_SLEEP; /* with a host span */
    uint8_t code[LONGEST] = {0};
    size_t size = copy_from_guest_partial(code, x86_this_cpu()->rip, sizeof code);

    /* Zeros follow where the mapping ends: gcc's form does not end so. */
    return run_libffi(code, size, libffi, sizeof libffi) ||
           run_libffi(code, size, libffi_before_endbr, sizeof libffi_before_endbr) || run_gcc(code);
}
