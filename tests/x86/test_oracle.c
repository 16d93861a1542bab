/* The decoder against Zydis:
 *
 *   test_oracle enumerate [v3]   prefixes x opcode maps x ModRM bytes, and VEX encodings; on level v3 every row of
 *                                insn.tab must have been met
 *   test_oracle random COUNT     random bytes behind random prefixes (fixed seed)
 *   test_oracle elf [--every-byte] PATH...
 *                                a linear sweep over the executable segments of the ELF files there and in folders
 *                                below, or one instruction at each byte; what is missing or no ELF file is skipped
 *   test_oracle bytes HEX...     one encoding, for looking closer */
#include <elf.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oracle.h"
#include "x86/x86.h"

enum { ADDRESS = 0x7fff0000 };

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t
next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void
enumerate(void)
{
    /* clang-format off */
    static const uint8_t prefixes[][4] = { /* length, bytes */
        {0}, {1, 0x66}, {1, 0xf3}, {1, 0xf2}, {1, 0x48}, {1, 0x41}, {1, 0x44}, {1, 0x42}, {2, 0x66, 0x4f}, {2, 0xf3, 0x49},
        {2, 0xf2, 0x48}, {2, 0x66, 0xf3}, {2, 0xf2, 0xf3}, {2, 0xf2, 0x66}, {1, 0xf0}, {2, 0xf0, 0x66}, {1, 0x67},
        {1, 0x64}, {2, 0x3e, 0x65}, {3, 0x48, 0x66, 0x40}, {3, 0x66, 0xf2, 0x48},
    };
    /* clang-format on */
    static const uint8_t maps[4][3] = {{0}, {1, 0x0f}, {2, 0x0f, 0x38}, {2, 0x0f, 0x3a}};
    for (unsigned p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (unsigned m = 0; m < 4; m++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                for (unsigned modrm = 0; modrm < 256; modrm++) {
                    uint8_t b[16];
                    uint64_t tail = next_random(), more = next_random();
                    memcpy(b, &tail, 8);
                    memcpy(b + 8, &more, 8);
                    unsigned n = prefixes[p][0];
                    memcpy(b, prefixes[p] + 1, n);
                    memcpy(b + n, maps[m] + 1, maps[m][0]);
                    n += maps[m][0];
                    b[n] = (uint8_t)opcode;
                    b[n + 1] = (uint8_t)modrm;
                    oracle_check(b, 15, ADDRESS);
                }
}

static void
enumerate_vex(void)
{
    for (unsigned map = 0; map < 32; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned k = 0; k < (map == 0 || map > 3                           ? 8
                                      : map != 1 && opcode >= 0xf0 && opcode < 0xf8 ? 20000
                                                                                    : 2000);
                 k++) {
                uint64_t r = next_random(), s = next_random();
                uint8_t b[16] = {0xc4, (uint8_t)((r & 0xe0) | map), (uint8_t)(r >> 8), (uint8_t)opcode};
                memcpy(b + 4, &s, 8);
                if (map > 1 && opcode >= 0xf0 && r >> 16 & 3)
                    b[2] &= (uint8_t)~4;
                if ((r >> 18 & 3) == 0)
                    b[2] |= 0x78;
                oracle_check(b, 15, ADDRESS);
            }
    for (unsigned k = 0; k < 200000; k++) {
        uint64_t r = next_random(), s = next_random();
        uint8_t b[16] = {k & 1 ? 0xc5 : 0x62};
        memcpy(b + 1, &r, 8);
        if (k & 2)
            b[1] |= 0x78;
        memcpy(b + 9, &s, 6);
        oracle_check(b, 15, ADDRESS);
    }
}

/* Every address form: REX, address size, segment, mod, rm, SIB, with the displacement's edges. */
static void
enumerate_addresses(void)
{
    static const uint8_t opcodes[][3] = {{1, 0x8b}, {1, 0x8d}, {2, 0x0f, 0x10}, {1, 0xff}};
    static const uint8_t before[][3] = {{0}, {1, 0x67}, {1, 0x65}, {2, 0x66, 0x64}};
    static const uint32_t displacements[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned o = 0; o < 4; o++)
        for (unsigned p = 0; p < 4; p++)
            for (unsigned rex = 0x3f; rex < 0x50; rex++)
                for (unsigned modrm = 0; modrm < 0xc0; modrm++)
                    for (unsigned sib = 0; sib < ((modrm & 7) == 4 ? 256 : 1); sib++) {
                        uint8_t b[16] = {0};
                        unsigned n = before[p][0];
                        memcpy(b, before[p] + 1, n);
                        if (rex >= 0x40)
                            b[n++] = (uint8_t)rex;
                        memcpy(b + n, opcodes[o] + 1, opcodes[o][0]);
                        n += opcodes[o][0];
                        b[n++] = (uint8_t)modrm;
                        if ((modrm & 7) == 4)
                            b[n++] = (uint8_t)sib;
                        memcpy(b + n, &displacements[next_random() & 7], 4);
                        oracle_check(b, 15, ADDRESS);
                    }
}

static void
random_bytes(unsigned long count)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x36, 0x3e,
                                       0x26, 0x64, 0x65, 0x40, 0x48, 0x4f, 0x45, 0x41};
    for (unsigned long k = 0; k < count; k++) {
        uint8_t b[24];
        uint64_t r = next_random();
        for (unsigned j = 0; j < 24; j += 8) {
            uint64_t s = next_random();
            memcpy(b + j, &s, 8);
        }
        unsigned n = r & 7;
        r >>= 3;
        if (n == 7)
            n = 5 + (r & 7);
        for (unsigned j = 0; j < n; j++)
            b[j] = prefixes[next_random() & 15];
        if (r & 16)
            b[n++] = 0x0f;
        oracle_check(b, r & 32 ? 15 : 1 + (r >> 8) % 15, ADDRESS + (r >> 32));
    }
}

static void
sweep(const uint8_t *bytes, size_t size, uint64_t address)
{
    for (size_t at = 0; at < size;)
        at += oracle_check(bytes + at, size - at, address + at);
}

/* At each of its bytes, so at every wrong alignment too. */
static void
sweep_bytes(const uint8_t *bytes, size_t size, uint64_t address)
{
    for (size_t at = 0; at < size; at++)
        oracle_check(bytes + at, size - at, address + at);
}

static bool
is_x86_64(const uint8_t *file, size_t size)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)file;
    return size >= sizeof *eh && !memcmp(file, ELFMAG, SELFMAG) && eh->e_machine == EM_X86_64 &&
           eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_phoff <= size &&
           (size - eh->e_phoff) / sizeof(Elf64_Phdr) >= eh->e_phnum;
}

static bool every_byte;
static unsigned long elf_files, elf_bytes;

static void
sweep_elf(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const uint8_t *file = fstat(fd, &st) < 0 || st.st_size == 0
                              ? MAP_FAILED
                              : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        return;
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(file + (is_x86_64(file, (size_t)st.st_size) ? eh->e_phoff : 0));
    for (unsigned i = 0; is_x86_64(file, (size_t)st.st_size) && i < eh->e_phnum; i++) {
        if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_X) || ph[i].p_offset > (size_t)st.st_size ||
            ph[i].p_filesz > (size_t)st.st_size - ph[i].p_offset)
            continue;
        (every_byte ? sweep_bytes : sweep)(file + ph[i].p_offset, ph[i].p_filesz, ph[i].p_vaddr);
        elf_files++;
        elf_bytes += ph[i].p_filesz;
    }
    munmap((void *)file, (size_t)st.st_size);
}

static int
visit(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    if (kind == FTW_F && S_ISREG(st->st_mode))
        sweep_elf(path);
    return 0;
}

int
main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "enumerate";
    oracle_init();
    if (!strcmp(mode, "enumerate")) {
        bool v3 = argc > 2 && !strcmp(argv[2], "v3");

        if (v3)
            x86_set_level(X86_LEVEL_V3);
        enumerate();
        enumerate_vex();
        enumerate_addresses();
        return (v3 && oracle_report_rows()) | oracle_report();
    }
    if (!strcmp(mode, "random"))
        random_bytes(argc > 2 ? strtoul(argv[2], NULL, 0) : 100000);
    else if (!strcmp(mode, "elf"))
        for (int i = 2; i < argc; i++) {
            if (!strcmp(argv[i], "--every-byte"))
                every_byte = true;
            else
                nftw(argv[i], visit, 32, FTW_PHYS);
        }
    else if (!strcmp(mode, "bytes")) {
        uint8_t b[15] = {0};
        for (int i = 2; i < argc && i < 17; i++)
            b[i - 2] = (uint8_t)strtoul(argv[i], NULL, 16);
        oracle_check(b, 15, ADDRESS);
    }
    if (elf_files)
        printf("%lu executable segments, %lu bytes\n", elf_files, elf_bytes);
    return oracle_report();
}
