/* Files against the ledger. A base-layer file that nobody wrote was compared with the hash in its inode when the
 * artifact was (artifact.h); any other is read whole into private memory, hashed there, and executed from that copy
 * alone, so that writing the file later changes nothing that was verified. */
#include "vkernel/trust/ledger.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/sha256.h"
#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/vfs/file.h"
#include "vkernel/image/artifact.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"

/* A file of a size that the ledger does not know is unknown, whatever its bytes are: only up to HASH_UNKNOWN are they
 * hashed for the record, so that a guest cannot keep us busy with large ones. */
enum { HASH_UNKNOWN = 64 << 20, MAX_ADMITTED = 4096, MAX_FILE = 1 << 30, MAX_PHDRS = 64 };

static int
refuse(struct file *f, const char *what, const char *expected, const char *found, const char *why)
{
    char path[1024];

    if (file_path(f, path, sizeof path) < 0)
        strcpy(path, "?");
    audit_refusals++;
    audit_record(AUDIT_PROCESS, "code-refused", false, "ingot.call", what, "file.path", path, "ingot.expected",
                 expected, "file.hash.sha256", found, "event.reason", why, NULL);
    notice(NOTICE_PROGRAM,
           "%s of %s was refused: %s%s%s. Only programs and libraries that were in the image when it was built "
           "can run; add the file to the image and build again",
           what, path, why, *found ? ", SHA-256 " : "", found);
    return -EACCES;
}

/* They are in the copy, or, when there is none, in a base-layer file that nobody wrote. */
bool
ledger_read(struct file *f, const struct verified *v, void *to, size_t size, uint64_t offset)
{
    if (v->stable)
        return file_pread(f, to, size, offset) == (ssize_t)size;
    if (!v->bytes || offset > v->row->file_size || size > v->row->file_size - offset)
        return false;
    memcpy(to, v->bytes + offset, size);
    return true;
}

static void
find_code(struct file *f, struct verified *v)
{
    struct code_extents *code = &v->code;
    Elf64_Ehdr eh;
    Elf64_Phdr ph[MAX_PHDRS];

    if (!ledger_read(f, v, &eh, sizeof eh, 0) || eh.e_phentsize != sizeof *ph || eh.e_phnum == 0 ||
        eh.e_phnum > MAX_PHDRS || !ledger_read(f, v, ph, eh.e_phnum * sizeof *ph, eh.e_phoff))
        return;
    for (unsigned i = 0; i < eh.e_phnum && code->count < CODE_SEGMENTS; i++) {
        uint64_t end;

        if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_X) ||
            __builtin_add_overflow(ph[i].p_vaddr, ph[i].p_filesz, &end) || end > INT64_MAX)
            continue;
        code->low[code->count] = ph[i].p_vaddr & ~(uint64_t)(PAGE_SIZE - 1);
        code->high[code->count] = (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
        code->offset[code->count] = ph[i].p_offset & ~(uint64_t)(PAGE_SIZE - 1);
        code->count++;
    }
}

/* A file of another size is unknown, whatever is in it. */
static bool
size_is_known(uint64_t size)
{
    for (uint32_t i = 0; i < artifact_ledger_count(the_artifact); i++) {
        const struct artifact_ledger *row = artifact_ledger(the_artifact, i);

        if (row && row->file_size == size)
            return true;
    }
    return false;
}

/* --- what --eval-unknown and --policy audit let in --- */

enum ledger_policy ledger_policy;

struct admitted {
    struct list link;
    struct artifact_ledger row; /* without base, code map and compiled code: all of it is left to the evaluator */
};
static struct list admitted; /* struct admitted; never freed: mappings point to rows. The kernel lock guards it */
static unsigned admitted_count;

OBJECT_POOL(admitted);

/* The row of an unknown file; NULL: there are too many. */
static const struct artifact_ledger *
admit(struct file *f, const char *what, const struct sha256 *h, uint64_t size)
{
    char path[1024], hex[SHA256_HEX_SIZE];
    struct admitted *a;

    if (!admitted_count)
        list_init(&admitted);
    LIST_EACH(p, &admitted) {
        a = list_entry(p, struct admitted, link);
        if (memcmp(a->row.sha256, h->bytes, sizeof a->row.sha256) == 0)
            return &a->row;
    }
    a = admitted_count < MAX_ADMITTED ? OBJECT_NEW(admitted) : NULL;
    if (!a)
        return NULL;
    admitted_count++;
    list_append(&admitted, &a->link);
    memcpy(a->row.sha256, h->bytes, sizeof a->row.sha256);
    a->row.file_size = size;
    a->row.path = ARTIFACT_NONE;
    if (file_path(f, path, sizeof path) < 0)
        strcpy(path, "?");
    sha256_hex(h, hex);
    audit_record(AUDIT_PROCESS, "code-admitted", true, "ingot.call", what, "file.path", path, "file.hash.sha256", hex,
                 "event.reason", ledger_policy == LEDGER_AUDIT ? "--policy audit" : "--eval-unknown", NULL);
    if (ledger_policy == LEDGER_AUDIT)
        notice(NOTICE_ADMITTED,
               "%s of %s would be refused: unknown file, SHA-256 %s. It is let in by --policy audit and run slowly",
               what, path, hex);
    return &a->row;
}

static int
verify_copy(struct file *f, const char *what, struct verified *out)
{
    uint64_t size = file_size(f);
    char found[SHA256_HEX_SIZE];
    struct sha256 h;
    uint8_t *copy;

    if (size == 0 || size > MAX_FILE)
        return refuse(f, what, "", "", "empty or too large");
    if (size > HASH_UNKNOWN && !size_is_known(size))
        return refuse(f, what, "a file of the ledger", "", "unknown file, of a size that no file of the ledger has");
    copy = platform_reserve(size);
    if (!copy || platform_map_anon(copy, size, 3 /* PROT_READ | PROT_WRITE */) < 0) {
        if (copy)
            platform_release(copy, size);
        return -ENOMEM;
    }
    if (file_pread(f, copy, size, 0) != (ssize_t)size) {
        platform_release(copy, size);
        return refuse(f, what, "", "", "the file can not be read");
    }
    sha256_of(copy, size, &h);
    out->row = artifact_ledger_find(the_artifact, h.bytes);
    if (out->row && out->row->file_size != size)
        out->row = NULL;
    if (!out->row && ledger_policy != LEDGER_ENFORCE)
        out->row = admit(f, what, &h, size);
    if (!out->row) {
        sha256_hex(&h, found);
        platform_release(copy, size);
        return refuse(f, what, "a file of the ledger", found, "unknown file");
    }
    out->stable = false;
    out->bytes = out->mapping = copy;
    find_code(f, out);
    return 0;
}

int
ledger_verify(struct file *f, const char *what, struct verified *out)
{
    const struct artifact_ledger *row = file_base_ledger(f);

    *out = (struct verified){0};
    if (!row)
        return verify_copy(f, what, out);
    out->row = row;
    out->stable = true;
    find_code(f, out);
    return 0;
}

void
ledger_release(struct verified *v)
{
    if (v->mapping)
        platform_release(v->mapping, v->row->file_size);
    v->mapping = NULL;
    v->bytes = NULL;
}

const struct artifact_ledger *
ledger_hint(struct file *f)
{
    const struct artifact_ledger *row = file_base_ledger(f);
    char magic[SELFMAG];
    uint8_t *copy;
    struct sha256 h;
    uint64_t size;

    if (row)
        return row;
    size = file_size(f);
    if (size < sizeof(Elf64_Ehdr) || size > MAX_FILE || !size_is_known(size) ||
        file_pread(f, magic, SELFMAG, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0)
        return NULL;
    copy = bytes_new(size);
    if (!copy)
        return NULL;
    if (file_pread(f, copy, size, 0) == (ssize_t)size) {
        sha256_of(copy, size, &h);
        row = artifact_ledger_find(the_artifact, h.bytes);
    }
    bytes_free(copy);
    return row;
}

bool
ledger_image_address(const struct code_extents *code, uint64_t offset, uint64_t *address)
{
    for (unsigned i = 0; i < code->count; i++) {
        if (offset >= code->offset[i] && offset - code->offset[i] < code->high[i] - code->low[i]) {
            *address = code->low[i] + (offset - code->offset[i]);
            return true;
        }
    }
    return false;
}
