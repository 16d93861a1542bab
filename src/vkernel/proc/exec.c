/* execve: scripts that begin with #!, the ELF loader, and the new program's first stack. It behaves as Linux's
 * fs/exec.c and fs/binfmt_elf.c do.
 *
 * The new address space is built beside the old one. The old one goes only when nothing can fail any more, so that a
 * program whose exec fails goes on. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/heap.h"
#include "base/page.h"
#include "platform/platform.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/cpu/cpu.h"
#include "vkernel/image/artifact.h"
#include "vkernel/mm/mm.h"
#include "vkernel/proc/proc.h"
#include "vkernel/proc/proc_internal.h"
#include "vkernel/proc/trace.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/time/time.h"
#include "vkernel/trust/ledger.h"
#include "vkernel/vfs/file.h"
#include "vkernel/vfs/vfs.h"
#include "x86/address_space.h"
#include "x86/cpuid.h"
#include "x86/helpers.h"

enum {
    HEADER_SIZE = 256,
    MAX_SCRIPTS = 5,
    MAX_PHDRS = 128,
    MAX_STRING = 131072,
    MAX_ARGS = 1 << 20,
    MIN_STRINGS = 128 << 10, /* Linux's ARG_MAX: so much there is with any RLIMIT_STACK */
    MAX_STRINGS = 6 << 20,
    DEFAULT_STACK = 8 << 20,
    STACK_BESIDE_STRINGS = 32 << 10, /* for the tables, and for the program to begin */
    MAX_STACK = 192 << 20,
    MINSIGSTKSZ_HERE = 2048,
    MAX_AUXV = 24,
};

struct image {
    struct file *file;
    Elf64_Ehdr eh;
    Elf64_Phdr ph[MAX_PHDRS];
    uint64_t bias; /* a virtual address of the file plus this is a guest address */
    uint64_t phdr; /* guest address of the program headers */
    uint64_t end;
    char interpreter[4096];
    struct verified verified; /* its row, once the bytes were compared with the ledger */
};

struct exec {
    struct file *file,
        *executed;       /* the program; and as file_execute() gives it, from then on nobody opens it to write */
    char **argv, **envp; /* both owned, and NULL at their end */
    char *path;          /* what AT_EXECFN names; owned */
    struct image program, loader;
    struct mm *mm;
    uint64_t sp, entry;
    bool secure, readable; /* readable: may the caller read the program and its loader? */
    uint32_t euid, egid;
};

/* --- ELF --- */

static bool
read_image(struct image *im, void *to, size_t size, uint64_t offset)
{
    if (im->verified.row)
        return ledger_read(im->file, &im->verified, to, size, offset);
    return file_pread(im->file, to, size, offset) == (ssize_t)size;
}

static int
read_headers(struct image *im)
{
    size_t size;

    if (!read_image(im, &im->eh, sizeof im->eh, 0) || memcmp(im->eh.e_ident, ELFMAG, SELFMAG) != 0 ||
        im->eh.e_ident[EI_CLASS] != ELFCLASS64 || im->eh.e_machine != EM_X86_64 ||
        (im->eh.e_type != ET_EXEC && im->eh.e_type != ET_DYN) || im->eh.e_phentsize != sizeof(Elf64_Phdr) ||
        im->eh.e_phnum == 0 || im->eh.e_phnum > MAX_PHDRS)
        return -ENOEXEC;
    size = im->eh.e_phnum * sizeof(Elf64_Phdr);
    if (!read_image(im, im->ph, size, im->eh.e_phoff))
        return -ENOEXEC;
    for (unsigned i = 0; i < im->eh.e_phnum; i++) {
        const Elf64_Phdr *p = &im->ph[i];

        if (p->p_type == PT_LOAD && (p->p_filesz > p->p_memsz || p->p_memsz > GUEST_END || p->p_vaddr > GUEST_END ||
                                     p->p_offset > INT64_MAX || p->p_vaddr % PAGE_SIZE != p->p_offset % PAGE_SIZE))
            return -ENOEXEC;
        if (p->p_type == PT_INTERP) {
            if (p->p_filesz < 2 || p->p_filesz > sizeof im->interpreter ||
                !read_image(im, im->interpreter, p->p_filesz, p->p_offset) || im->interpreter[p->p_filesz - 1] != '\0')
                return -ENOEXEC;
        }
    }
    return 0;
}

static bool
extent(const struct image *im, uint64_t *low, uint64_t *high)
{
    *low = UINT64_MAX;
    *high = 0;
    for (unsigned i = 0; i < im->eh.e_phnum; i++) {
        const Elf64_Phdr *p = &im->ph[i];
        uint64_t start = p->p_vaddr & ~(uint64_t)(PAGE_SIZE - 1);
        uint64_t end = (p->p_vaddr + p->p_memsz + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);

        if (p->p_type != PT_LOAD)
            continue;
        if (start < *low)
            *low = start;
        if (end > *high)
            *high = end;
    }
    return *low < *high;
}

/* A program that cannot be loaded as it is, whose user should know why. */
static int
refuse_program(const struct image *im, const char *why, int error)
{
    char path[VFS_PATH_MAX + 16];

    if (file_path(im->file, path, sizeof path) < 0)
        strcpy(path, "a program");
    audit_record(AUDIT_PROCESS, "segment-refused", false, "file.path", path, "event.reason", why, NULL);
    notice(NOTICE_SEGMENT, "%s cannot be executed: %s", path, why);
    return error;
}

/* Before anything is mapped: may the segments be what the file says? */
static int
check_segments(const struct image *im)
{
    for (unsigned i = 0; i < im->eh.e_phnum; i++) {
        const Elf64_Phdr *p = &im->ph[i];

        if (p->p_type == PT_LOAD && (p->p_flags & (PF_W | PF_X)) == (PF_W | PF_X) && p->p_memsz > 0)
            return refuse_program(im, "a segment is writable and executable at the same time", -EACCES);
    }
    return 0;
}

/* Chooses where the file's address 0 goes, which an ET_EXEC file has fixed. Any other file goes to the base that its
 * native code was made for, if that is free, because elsewhere the evaluator would have to run it. */
static int
choose_bias(struct mm *mm, struct image *im)
{
    static const char no_room[] = "its segments, with the zeros behind them, do not fit in the address space, where a "
                                  "program with addresses of its own has 1 GiB";
    const struct artifact_ledger *row = ledger_hint(im->file);
    uint64_t low, high;
    int64_t at;

    im->bias = 0;
    if (!extent(im, &low, &high))
        return -ENOEXEC;
    if (im->eh.e_type == ET_EXEC)
        return mm_range_free(mm, low, high) ? 0 : refuse_program(im, no_room, -ENOMEM);
    if (row && row->base && mm_range_free(mm, row->base + low, row->base + high)) {
        im->bias = row->base;
        return 0;
    }
    at = mm_find_free(mm, 0, high - low);
    if (at < 0)
        return refuse_program(im, no_room, (int)at);
    im->bias = (uint64_t)at - low;
    return 0;
}

static int
map_segment(struct mm *mm, const struct image *im, const Elf64_Phdr *p)
{
    int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
               (p->p_flags & PF_X ? PROT_EXEC : 0);
    uint64_t start = (p->p_vaddr & ~(uint64_t)(PAGE_SIZE - 1)) + im->bias;
    uint64_t file_end = p->p_vaddr + im->bias + p->p_filesz, end = p->p_vaddr + im->bias + p->p_memsz;
    uint64_t file_page_end = (file_end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t page_end = (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    int64_t r;

    if (p->p_memsz == 0)
        return 0;
    if (p->p_filesz == 0)
        file_page_end = start;
    if (file_page_end > start) {
        r = mm_map(mm, start, file_page_end - start, prot, MM_FIXED, im->file, p->p_offset & ~(uint64_t)(PAGE_SIZE - 1),
                   NULL);
        if (r < 0)
            return (int)r;
        if ((p->p_flags & PF_W) && file_end < file_page_end && p->p_memsz > p->p_filesz &&
            mm_clear(mm, file_end, file_page_end - file_end) != file_page_end - file_end)
            return -ENOEXEC; /* the file ends before the segment does */
    }
    if (page_end > file_page_end) {
        r = mm_map(mm, file_page_end, page_end - file_page_end, prot & ~PROT_EXEC, MM_FIXED, NULL, 0, NULL);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

static int
load_image(struct mm *mm, struct image *im)
{
    int r = check_segments(im);

    if (r == 0)
        r = choose_bias(mm, im);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < im->eh.e_phnum; i++) {
        const Elf64_Phdr *p = &im->ph[i];

        if (p->p_type != PT_LOAD)
            continue;
        r = map_segment(mm, im, p);
        if (r < 0)
            return r;
        if (im->eh.e_phoff >= p->p_offset && im->eh.e_phoff < p->p_offset + p->p_filesz)
            im->phdr = im->eh.e_phoff - p->p_offset + p->p_vaddr + im->bias;
    }
    return 0;
}

/* --- the first stack --- */

struct stack_writer {
    struct mm *mm;
    uint64_t sp, bottom;
    bool failed;
};

static uint64_t
push_bytes(struct stack_writer *w, const void *data, size_t size)
{
    if (w->sp - w->bottom < size + PAGE_SIZE) {
        w->failed = true;
        return 0;
    }
    w->sp -= size;
    if (mm_write(w->mm, w->sp, data, size) != size)
        w->failed = true;
    return w->sp;
}

static size_t
count_strings(char *const *v)
{
    size_t n = 0;

    while (v[n])
        n++;
    return n;
}

/* Pushes strings in reverse order, so that they lie in order from lower addresses to higher ones. at[] gets their
 * addresses, and 0 behind them. */
static void
push_strings(struct stack_writer *w, char *const *v, size_t n, uint64_t *at)
{
    for (size_t i = n; i-- > 0;)
        at[i] = push_bytes(w, v[i], strlen(v[i]) + 1);
    at[n] = 0;
}

static unsigned
make_auxv(const struct exec *x, uint64_t auxv[][2], uint64_t random, uint64_t platform, uint64_t execfn)
{
    const struct creds *c = &current_process()->creds;
    const struct image *im = &x->program;
    unsigned n = 0;
    uint32_t edx;

    helper_cpuid(1, 0);
    edx = (uint32_t)(x86_cpu_tls.tmp[0] >> 32);
#define AUX(type, value) (auxv[n][0] = (type), auxv[n++][1] = (value))
    AUX(AT_HWCAP, edx);
    AUX(AT_PAGESZ, PAGE_SIZE);
    AUX(AT_CLKTCK, 100);
    AUX(AT_PHDR, im->phdr);
    AUX(AT_PHENT, sizeof(Elf64_Phdr));
    AUX(AT_PHNUM, im->eh.e_phnum);
    AUX(AT_BASE, x->loader.file ? x->loader.bias : 0);
    AUX(AT_FLAGS, 0);
    AUX(AT_ENTRY, im->eh.e_entry + im->bias);
    AUX(AT_UID, c->uid);
    AUX(AT_EUID, x->euid);
    AUX(AT_GID, c->gid);
    AUX(AT_EGID, x->egid);
    AUX(AT_SECURE, x->secure);
    AUX(AT_RANDOM, random);
    AUX(AT_HWCAP2, 1 << 1); /* HWCAP2_FSGSBASE */
    AUX(AT_EXECFN, execfn);
    AUX(AT_PLATFORM, platform);
    AUX(51 /* AT_MINSIGSTKSZ */, MINSIGSTKSZ_HERE);
    AUX(AT_NULL, 0);
#undef AUX
    return n;
}

/* The room that strings take on the stack, with the words that point to them. */
static uint64_t
strings_size(char **v)
{
    uint64_t size = 0;

    for (; *v; v++)
        size += strlen(*v) + 1 + sizeof *v;
    return size;
}

/* How large the stack is at first: RLIMIT_STACK, but what is written there fits in any case. Where there is no limit,
 * or a very large one, it is the usual one and grows (mm/grow_down.c). */
static uint64_t
stack_size(const struct exec *x)
{
    uint64_t soft = current_process()->rlimits[RLIMIT_STACK].rlim_cur;
    uint64_t least = PAGE_UP(strings_size(x->argv) + strings_size(x->envp) + strlen(x->path) + STACK_BESIDE_STRINGS);
    uint64_t size = soft == RLIM_INFINITY ? DEFAULT_STACK : soft > MAX_STACK ? MAX_STACK : PAGE_DOWN(soft);

    return size > least ? size : least;
}

static int
build_stack(struct exec *x)
{
    uint64_t size = stack_size(x);
    size_t argc = count_strings(x->argv), envc = count_strings(x->envp), words;
    uint64_t auxv[MAX_AUXV][2], random_at, platform_at, execfn, *table, *p;
    struct stack_writer w = {.mm = x->mm};
    uint8_t random[16];
    unsigned aux_count;
    int64_t r;

    r = mm_map(x->mm, GUEST_STACK_END - size, size, PROT_READ | PROT_WRITE, MM_FIXED | MM_STACK | MM_GROWS_DOWN, NULL,
               0, "[stack]");
    if (r < 0)
        return (int)r;
    table = array_new(argc + envc + 4, sizeof *table);
    if (!table)
        return -ENOMEM;
    w.sp = GUEST_STACK_END - 8;
    w.bottom = GUEST_STACK_END - size;
    execfn = push_bytes(&w, x->path, strlen(x->path) + 1);
    x->mm->env_end = w.sp;
    push_strings(&w, x->envp, envc, table + argc + 1);
    x->mm->env_start = x->mm->arg_end = w.sp;
    push_strings(&w, x->argv, argc, table);
    x->mm->arg_start = w.sp;
    platform_at = push_bytes(&w, "x86_64", sizeof "x86_64");
    w.sp &= ~15ull;
    platform_random(random, sizeof random);
    random_at = push_bytes(&w, random, sizeof random);
    aux_count = make_auxv(x, auxv, random_at, platform_at, execfn);
    words = 1 + argc + 1 + envc + 1 + 2 * aux_count;
    w.sp = (w.sp - words * 8) & ~15ull;
    x->sp = w.sp;
    p = array_new(words, sizeof *p);
    if (!p) {
        array_free(table);
        return -ENOMEM;
    }
    p[0] = argc;
    memcpy(p + 1, table, (argc + 1) * 8);
    memcpy(p + 1 + argc + 1, table + argc + 1, (envc + 1) * 8);
    memcpy(p + 1 + argc + 1 + envc + 1, auxv, aux_count * 16);
    if (w.sp < w.bottom + PAGE_SIZE || mm_write(x->mm, x->sp, p, words * 8) != words * 8)
        w.failed = true;
    x->mm->auxv_start = x->sp + (1 + argc + 1 + envc + 1) * 8;
    x->mm->auxv_end = x->mm->auxv_start + aux_count * 16;
    x->mm->stack_start = x->sp;
    array_free(table);
    array_free(p);
    return w.failed ? -E2BIG : 0;
}

/* --- scripts --- */

static char *
replace(char **slot, const char *s)
{
    char *copy = bytes_string(s);

    if (copy) {
        bytes_free(*slot);
        *slot = copy;
    }
    return copy;
}

/* Parses "#!INTERPRETER [ARGUMENT]". argv becomes INTERPRETER, ARGUMENT if there is one, the script's path, and the old
 * argv from argv[1] on. */
static int
rewrite_script(struct exec *x, char *line, const char *script, char *interpreter, size_t size)
{
    char *p = line + 2, *name, *argument = NULL, *end = strchr(p, '\n');
    size_t argc = count_strings(x->argv), extra, i;
    char **argv;

    if (!end && strlen(line) >= HEADER_SIZE - 1 && !strpbrk(p + strspn(p, " \t"), " \t"))
        return -ENOEXEC;
    if (end)
        *end = '\0';
    p += strspn(p, " \t");
    name = p;
    p += strcspn(p, " \t");
    if (p == name)
        return -ENOEXEC;
    if (*p) {
        *p++ = '\0';
        p += strspn(p, " \t");
        for (char *e = p + strlen(p); e > p && (e[-1] == ' ' || e[-1] == '\t'); e--)
            e[-1] = '\0';
        argument = *p ? p : NULL;
    }
    if (strlen(name) >= size)
        return -ENAMETOOLONG;
    strcpy(interpreter, name);
    extra = argument ? 2 : 1;
    argv = array_new(argc + extra + 2, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    i = 0;
    argv[i++] = bytes_string(name);
    if (argument)
        argv[i++] = bytes_string(argument);
    argv[i++] = bytes_string(script);
    for (size_t k = 1; k < argc; k++)
        argv[i++] = x->argv[k];
    bytes_free(argc ? x->argv[0] : NULL);
    array_free(x->argv);
    x->argv = argv;
    return 0;
}

/* Opens the file to run. For a script that is its interpreter, over up to MAX_SCRIPTS steps. */
static int
resolve(struct exec *x, int dirfd, const char *path, int flags)
{
    char header[HEADER_SIZE], interpreter[HEADER_SIZE], script[4096 + 32];
    int r;

    if (dirfd != AT_FDCWD && path[0] == '\0')
        snprintf(script, sizeof script, "/dev/fd/%d", dirfd);
    else if (dirfd != AT_FDCWD && path[0] != '/')
        snprintf(script, sizeof script, "/dev/fd/%d/%s", dirfd, path);
    else
        snprintf(script, sizeof script, "%s", path);
    if (!replace(&x->path, script))
        return -ENOMEM;
    for (int depth = 0;; depth++) {
        ssize_t n;

        r = depth == 0 ? vfs_open_exec(dirfd, path, flags, &x->file)
                       : vfs_open_exec(AT_FDCWD, interpreter, 0, &x->file);
        if (r < 0)
            return r;
        memset(header, 0, sizeof header);
        n = file_pread(x->file, header, sizeof header - 1, 0);
        if (n < 0)
            return (int)n;
        if (n < 2 || header[0] != '#' || header[1] != '!')
            return 0;
        if (depth == MAX_SCRIPTS)
            return -ELOOP;
        file_put(x->file);
        x->file = NULL;
        r = rewrite_script(x, header, script, interpreter, sizeof interpreter);
        if (r < 0)
            return r;
        snprintf(script, sizeof script, "%s", interpreter);
    }
}

/* --- credentials --- */

static void
exec_creds(struct exec *x)
{
    struct process *p = current_process();
    struct stat st;

    x->euid = p->creds.euid;
    x->egid = p->creds.egid;
    if (file_stat(x->file, &st) == 0 && !current_task()->no_new_privs && !x->file->inode->sb->no_suid &&
        !trace_hampers_exec(current_task())) {
        if (st.st_mode & S_ISUID)
            x->euid = st.st_uid;
        if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
            x->egid = st.st_gid;
    }
    x->secure = x->euid != p->creds.uid || x->egid != p->creds.gid;
}

/* Applies the rules of capabilities(7), "Transformation of capabilities during execve()". No file here has capabilities
 * of its own. */
static void
commit_creds(const struct exec *x)
{
    struct process *p = current_process();
    struct creds *c = &p->creds;
    uint64_t permitted = 0, before = c->cap_permitted;
    bool hampered = trace_hampers_exec(current_task()); /* perhaps only since exec_creds() has looked */

    c->euid = c->suid = c->fsuid = hampered ? c->euid : x->euid;
    c->egid = c->sgid = c->fsgid = hampered ? c->egid : x->egid;
    if ((c->euid == 0 || c->uid == 0) && !(p->securebits & SECBIT_NOROOT))
        permitted = c->cap_bounding | c->cap_inheritable;
    if (current_task()->no_new_privs ||
        hampered) /* with no_new_privs, root does not get back by a program what it gave away */
        permitted &= c->cap_permitted;
    if (x->secure) {
        p->cap_ambient = 0;
        p->pdeath_signal = 0;
    }
    c->cap_permitted = permitted | p->cap_ambient;
    c->cap_effective = c->euid == 0 && !(p->securebits & SECBIT_NOROOT) ? c->cap_permitted : p->cap_ambient;
    p->dumpable = x->readable && !x->secure && !(c->cap_permitted & ~before);
}

/* --- the whole --- */

static void
free_strings(char **v)
{
    if (!v)
        return;
    for (size_t i = 0; v[i]; i++)
        bytes_free(v[i]);
    array_free(v);
}

OBJECT_POOL(exec);

static void
exec_fini(struct exec *x)
{
    ledger_release(&x->program.verified);
    ledger_release(&x->loader.verified);
    file_execute_end(x->executed);
    if (x->file)
        file_put(x->file);
    if (x->loader.file)
        file_put(x->loader.file);
    if (x->mm) {
        mm_empty(x->mm);
        mm_put(x->mm);
    }
    free_strings(x->argv);
    free_strings(x->envp);
    bytes_free(x->path);
    OBJECT_FREE(exec, x);
}

/* A program that the ledger does not have fails the whole launch, while nothing of the old program is gone yet. The
 * file may be one that somebody writes meanwhile, as a memfd that is mapped, or one of a volume. What its headers said
 * before it was verified decides only whether it is a program at all. */
static int
verify_program(struct image *im)
{
    int r = read_headers(im);

    if (r == 0)
        r = ledger_verify(im->file, "execve", &im->verified);
    if (r < 0 || im->verified.stable)
        return r;
    im->interpreter[0] = '\0';
    r = read_headers(im);
    ledger_release(&im->verified);
    return r;
}

/* Each mapping of code was verified by itself: the launch that is recorded must be that of the code which runs. */
static bool
is_code_of(struct mm *mm, const struct image *im)
{
    MM_EACH(v, mm) {
        if (v->code && v->file == im->file && v->code != im->verified.row)
            return false;
    }
    return true;
}

static int
prepare(struct exec *x, int dirfd, const char *path, int flags)
{
    int r = resolve(x, dirfd, path, flags);

    if (r < 0)
        return r;
    x->executed = file_execute(x->file);
    x->program.file = x->file;
    r = verify_program(&x->program);
    if (r < 0)
        return r;
    x->mm = mm_new();
    if (!x->mm)
        return -ENOMEM;
    exec_creds(x);
    x->readable = inode_permission(x->file->inode, MAY_READ) == 0;
    r = load_image(x->mm, &x->program);
    if (r < 0)
        return r;
    if (!is_code_of(x->mm, &x->program))
        return -ETXTBSY;
    x->entry = x->program.eh.e_entry + x->program.bias;
    if (x->program.interpreter[0]) {
        r = vfs_open_exec(AT_FDCWD, x->program.interpreter, 0, &x->loader.file);
        if (r < 0)
            return r;
        x->readable &= inode_permission(x->loader.file->inode, MAY_READ) == 0;
        r = verify_program(&x->loader);
        if (r < 0)
            return r == -ENOEXEC ? -ELIBBAD : r;
        r = load_image(x->mm, &x->loader);
        if (r < 0)
            return r;
        if (!is_code_of(x->mm, &x->loader))
            return -ETXTBSY;
        x->entry = x->loader.eh.e_entry + x->loader.bias;
    }
    return build_stack(x);
}

static void
set_names(struct exec *x)
{
    struct process *p = current_process();
    const char *base = strrchr(x->path, '/');
    char path[4096];

    base = base ? base + 1 : x->path;
    snprintf(p->comm, sizeof p->comm, "%s", base);
    memcpy(current_task()->comm, p->comm, sizeof p->comm);
    if (file_path(x->file, path, sizeof path) > 0) {
        bytes_free(p->exe_path);
        p->exe_path = bytes_string(path);
    }
    file_execute_end(p->exe);
    p->exe = x->executed;
    x->executed = NULL;
}

static void
record_launch(const struct exec *x)
{
    const struct process *p = current_process();
    struct audit_entry e;

    audit_begin(&e, AUDIT_PROCESS, "process-launched", true);
    audit_number(&e, "process.parent.pid", p->parent ? p->parent->pid : 0);
    audit_string(&e, "process.executable", p->exe_path);
    audit_hash(&e, "process.hash.sha256", x->program.verified.row->sha256);
    audit_number(&e, "user.id", p->creds.euid);
    audit_list(&e, "process.args", x->argv);
    audit_end(&e);
}

static void
commit(struct exec *x)
{
    struct task *t = current_task();
    struct process *p = t->process;
    struct mm *old;

    mm_release(t);
    if (!x->readable) /* a tracer may come before commit_creds() */
        p->dumpable = false;
    old = p->mm;
    p->mm = x->mm;
    x->mm = old; /* it ends with x */
    if (old)
        proc_hooks.leaves_memory(old);
    proc_hooks.reload();
    set_names(x);
    commit_creds(x);
    record_launch(x);
    signal_exec(p);
    timers_exec(p);
    t->altstack_sp = t->altstack_size = 0; /* the flags stay, as on Linux */
    t->restart = NULL;
    p->exec_done = true;
    p->exit_signal = SIGCHLD;
    p->keep_caps = false;
    if (x->program.eh.e_phnum)
        p->personality &= ~0x0400000u; /* READ_IMPLIES_EXEC never applies */
    x87_replaced();
    x86_cpu_reset(&x86_cpu_tls);
    proc_hooks.reload();
    x86_cpu_tls.rip = x->entry;
    x86_cpu_tls.gpr[X86_RSP] = x->sp;
    x86_apply_mxcsr();
    thread_own_exec(); /* both may give way, so that they come last */
    fdtable_close_on_exec(p->files);
}

int
exec_file(int dirfd, const char *path, int flags, char **argv, char **envp)
{
    struct exec *x = OBJECT_NEW(exec);
    int r, former_tid = current_task()->tid;

    if (!x) {
        free_strings(argv);
        free_strings(envp);
        return -ENOMEM;
    }
    x->argv = argv;
    x->envp = envp;
    /* As on Linux, a setuid beyond RLIMIT_NPROC succeeds, because few programs look at its result. The exec after it
     * fails instead. */
    r = current_process()->over_limit && process_limit_reached(current_process()) ? -EAGAIN : 0;
    current_process()->over_limit = r < 0;
    if (r == 0)
        r = prepare(x, dirfd, path, flags);
    /* What this process shared with another one by CLONE_FILES or CLONE_SIGHAND stays the other's. */
    if (r == 0)
        r = fdtable_unshare();
    if (r == 0)
        r = signal_actions_unshare(current_process());
    if (r < 0) {
        exec_fini(x);
        return r;
    }
    if (!kill_other_threads()) {
        exec_fini(x);
        task_exit(current_process()->exit_status);
    }
    commit(x);
    exec_fini(x);
    if (current_task()->trace)
        trace_exec(current_task(), former_tid);
    return 0;
}

/* --- system calls --- */

/* As much as a quarter of the stack, of arguments and environment together (Linux: bprm_stack_limits). */
static uint64_t
strings_limit(void)
{
    uint64_t quarter = current_process()->rlimits[RLIMIT_STACK].rlim_cur / 4;

    return quarter < MIN_STRINGS ? MIN_STRINGS : quarter < MAX_STRINGS ? quarter : MAX_STRINGS;
}

static int
copy_strings(uint64_t array, char ***out, size_t *total)
{
    char **v = NULL, *buf = bytes_new(MAX_STRING);
    size_t n = 0, capacity = 0;
    uint64_t most = strings_limit();
    int r = buf ? 0 : -ENOMEM;

    while (r == 0) {
        uint64_t p = 0;
        ssize_t length;

        if (n + 1 >= capacity) {
            size_t c = capacity ? capacity * 2 : 32;
            char **bigger = c > MAX_ARGS ? NULL : array_resize(v, capacity, c, sizeof *v);

            if (!bigger) {
                r = c > MAX_ARGS ? -E2BIG : -ENOMEM;
                break;
            }
            v = bigger;
            capacity = c;
        }
        v[n] = NULL;
        if (array && copy_from_guest(&p, array + n * 8, sizeof p) < 0)
            r = -EFAULT;
        if (r < 0 || !p)
            break;
        length = copy_string_from_guest(buf, p, MAX_STRING);
        if (length < 0) {
            r = length == -ENAMETOOLONG ? -E2BIG : (int)length;
            break;
        }
        *total += (size_t)length + 1 + 8;
        if (*total > most) {
            r = -E2BIG;
            break;
        }
        v[n] = bytes_string(buf);
        if (!v[n]) {
            r = -ENOMEM;
            break;
        }
        v[++n] = NULL;
    }
    bytes_free(buf);
    if (r < 0) {
        if (v)
            free_strings(v);
        v = NULL;
    }
    *out = v;
    return r;
}

static int64_t
do_execve(int dirfd, uint64_t path_address, uint64_t argv_address, uint64_t envp_address, int flags)
{
    char path[4096], **argv, **envp;
    size_t total = 0;
    ssize_t n = copy_string_from_guest(path, path_address, sizeof path);
    int r;

    if (n < 0)
        return n;
    if (n == 0 && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    r = copy_strings(argv_address, &argv, &total);
    if (r < 0)
        return r;
    if (!argv[0]) { /* as on Linux, argv[0] is at least "" */
        array_free(argv);
        argv = array_new(2, sizeof *argv);
        if (!argv || !(argv[0] = bytes_string(""))) {
            array_free(argv);
            return -ENOMEM;
        }
    }
    r = copy_strings(envp_address, &envp, &total);
    if (r < 0) {
        free_strings(argv);
        return r;
    }
    r = exec_file(dirfd, path, flags, argv, envp);
    if (r < 0)
        return r;
    if (strace_on)
        strace_result(NR_execve, 0);
    if (current_task()->trace)
        trace_call_ends(current_task());
    proc_hooks.restart();
    __builtin_unreachable();
}

int64_t
sys_execve(const uint64_t a[6])
{
    return do_execve(AT_FDCWD, a[0], a[1], a[2], 0);
}

int64_t
sys_execveat(const uint64_t a[6])
{
    if (a[4] & ~(uint64_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return do_execve((int)a[0], a[1], a[2], a[3], (int)a[4]);
}
