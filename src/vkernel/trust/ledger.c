/* Files against the ledger. A base-layer file that nobody wrote was compared with the hash in its inode when the artifact
 * was (artifact.h); any other is read whole into private memory, hashed there, and executed from that copy alone, so that
 * writing the file later changes nothing that was verified. */
#include "vkernel/trust/ledger.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "platform/platform.h"
#include "vkernel/fs/file.h"
#include "vkernel/trust/artifact.h"
#include "vkernel/trust/audit.h"
#include "vkernel/trust/notice.h"

enum { MAX_FILE = 1 << 30, MAX_PHDRS = 64 };

static int
refuse(struct file *f, const char *what, const char *expected, const char *found, const char *why)
{
    char path[1024];

    if (file_path(f, path, sizeof path) < 0)
        strcpy(path, "?");
    audit_refusals++;
    audit_record(AUDIT_PROCESS, "code-refused", false, "ingot.call", what, "file.path", path, "ingot.expected", expected,
                 "file.hash.sha256", found, "event.reason", why, NULL);
    notice(NOTICE_PROGRAM, "%s of %s was refused: %s%s%s. Only programs and libraries that were in the image when it was built "
           "can run; add the file to the image and build again", what, path, why, *found ? ", SHA-256 " : "", found);
    return -EACCES;
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
    copy = platform_reserve(size);
    if (!copy || platform_map_anon(copy, size, 3 /* PROT_READ | PROT_WRITE */) < 0)
        return -ENOMEM;
    if (file_pread(f, copy, size, 0) != (ssize_t)size) {
        platform_release(copy, size);
        return refuse(f, what, "", "", "the file can not be read");
    }
    sha256_of(copy, size, &h);
    out->row = artifact_ledger_find(the_artifact, h.bytes);
    if (!out->row) {
        sha256_hex(&h, found);
        platform_release(copy, size);
        return refuse(f, what, "a file of the ledger", found, "unknown file");
    }
    out->stable = false;
    out->bytes = out->mapping = copy;
    out->size = size;
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
    return 0;
}

void
ledger_release(struct verified *v)
{
    if (v->mapping)
        platform_release(v->mapping, v->size);
    v->mapping = NULL;
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
    if (size < sizeof(Elf64_Ehdr) || size > MAX_FILE || file_pread(f, magic, SELFMAG, 0) != SELFMAG ||
        memcmp(magic, ELFMAG, SELFMAG) != 0)
        return NULL;
    copy = malloc(size);
    if (!copy)
        return NULL;
    if (file_pread(f, copy, size, 0) == (ssize_t)size) {
        sha256_of(copy, size, &h);
        row = artifact_ledger_find(the_artifact, h.bytes);
    }
    free(copy);
    return row;
}

bool
ledger_image_address(struct file *f, uint64_t offset, uint64_t *address)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph[MAX_PHDRS];

    if (file_pread(f, &eh, sizeof eh, 0) != (ssize_t)sizeof eh || eh.e_phentsize != sizeof *ph || eh.e_phnum == 0 ||
        eh.e_phnum > MAX_PHDRS)
        return false;
    if (file_pread(f, ph, eh.e_phnum * sizeof *ph, eh.e_phoff) != (ssize_t)(eh.e_phnum * sizeof *ph))
        return false;
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        uint64_t start = ph[i].p_offset & ~(uint64_t)(PAGE_SIZE - 1);

        if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X) && offset >= start &&
            offset - start < ph[i].p_filesz + (ph[i].p_offset - start)) {
            *address = (ph[i].p_vaddr & ~(uint64_t)(PAGE_SIZE - 1)) + (offset - start);
            return true;
        }
    }
    return false;
}
