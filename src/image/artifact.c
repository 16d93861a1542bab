/* Writing the artifact file. */
#include "image/artifact.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/direct_map.h"
#include "base/page.h"
#include "base/file.h"
#include "base/temporary.h"
#include "image/config.h"
#include "x86/address_space.h"

enum {
    MAP_PAGE_TEXT = PAGE_SIZE / sizeof(struct code_map_entry) * GUEST_CODE_MAP_UNIT,
    DIRECT_PAGE_TEXT = PAGE_SIZE / sizeof(direct_code_map_entry) * GUEST_CODE_MAP_UNIT
};

/* A content of the spool that the finished tree still has, and its place in the artifact. What later layers replaced
 * or removed stays behind. */
struct extent {
    uint64_t from, size, to;
};

struct writer {
    const struct artifact_input *in;
    VEC(struct extent) extents; /* by `from` */
    uint64_t data_size;
    struct buf sections[ARTIFACT_SECTION_COUNT]; /* all but DATA */
    VEC(struct tree_inode *) inodes;             /* by index */
    struct artifact_ledger *ledger;
};

/* --- code maps --- */

static int
put_code_map(struct writer *w, const struct artifact_program *p, struct artifact_ledger *row, struct err *e)
{
    uint64_t from = (p->base + p->exec_low) / MAP_PAGE_TEXT * MAP_PAGE_TEXT;
    uint64_t to = (p->base + p->exec_high + MAP_PAGE_TEXT - 1) / MAP_PAGE_TEXT * MAP_PAGE_TEXT;
    size_t count = (size_t)((to - from) / GUEST_CODE_MAP_UNIT);
    struct code_map_entry *map = mem_zalloc(count, sizeof *map);
    struct buf *out = &w->sections[ARTIFACT_CODE_MAP];
    uint32_t rank = p->table_base;

    for (uint32_t i = 0; i < p->entry_count; i++) {
        uint64_t at = p->base + p->entries[i] - from;

        /* One that were left out would give all behind it another's function. */
        if (p->entries[i] < p->exec_low || p->entries[i] >= p->exec_high) {
            mem_free(map);
            return err_set(e, "the code object of a program has an entry outside of its code");
        }
        map[at / GUEST_CODE_MAP_UNIT].bits |= (uint16_t)(1u << at % GUEST_CODE_MAP_UNIT);
    }
    for (size_t i = 0; i < count; i++) {
        map[i].rank = rank;
        rank += (uint32_t)__builtin_popcount(map[i].bits);
    }
    row->code_map = out->size;
    row->code_map_from = from;
    row->code_map_size = count * sizeof *map;
    buf_put(out, map, count * sizeof *map);
    mem_free(map);
    return 0;
}

static int
put_direct_map(struct writer *w, const struct artifact_program *p, struct artifact_ledger *row, struct err *e)
{
    uint64_t from = (p->base + p->exec_low) / DIRECT_PAGE_TEXT * DIRECT_PAGE_TEXT;
    uint64_t to = (p->base + p->exec_high + DIRECT_PAGE_TEXT - 1) / DIRECT_PAGE_TEXT * DIRECT_PAGE_TEXT;
    /* without native code it is the evaluator's */
    size_t count = p->native_size ? (size_t)((to - from) / GUEST_CODE_MAP_UNIT) : 0;
    direct_code_map_entry *map = mem_zalloc(count, sizeof *map);
    struct buf *out = &w->sections[ARTIFACT_CODE_MAP];

    for (size_t i = 0; i < p->direct_count; i++) {
        uint64_t address = p->direct_entries[2 * i], host = p->native_address + p->direct_entries[2 * i + 1];

        if (address < p->exec_low || address >= p->exec_high || p->direct_entries[2 * i + 1] >= p->native_size ||
            host > INT32_MAX) {
            mem_free(map);
            return err_set(e, "the code map of a program does not belong to its code");
        }
        map[(p->base + address - from) / GUEST_CODE_MAP_UNIT] = (direct_code_map_entry)host;
    }
    row->code_map = out->size;
    row->code_map_from = from;
    row->code_map_size = count * sizeof *map;
    buf_put(out, map, count * sizeof *map);
    mem_free(map);
    return 0;
}

static int
put_ledger(struct writer *w, struct err *e)
{
    w->ledger = mem_zalloc(w->in->program_count, sizeof *w->ledger);
    for (size_t i = 0; i < w->in->program_count; i++) {
        const struct artifact_program *p = &w->in->programs[i];
        struct artifact_ledger *row = &w->ledger[i];

        *row = (struct artifact_ledger){
            .file_size = p->file_size,
            .base = p->base,
            .low = p->low,
            .high = p->high,
            .text_bytes = p->text_bytes,
            .table_base = p->table_base,
            .entry_count = p->entry_count,
            .function_count = p->function_count,
            .path = ARTIFACT_NONE,
            .native_offset = p->native_offset,
            .native_size = p->native_size,
        };
        memcpy(row->sha256, p->sha256.bytes, sizeof row->sha256);
        memcpy(row->code_sha256, p->code_sha256.bytes, sizeof row->code_sha256);
        memcpy(row->code_key, p->code_key.bytes, sizeof row->code_key);
        if ((w->in->backend == ARTIFACT_BACKEND_DIRECT ? put_direct_map : put_code_map)(w, p, row, e) < 0)
            return -1;
    }
    return 0;
}

static uint32_t
ledger_index(const struct writer *w, const struct sha256 *h)
{
    size_t low = 0, high = w->in->program_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = memcmp(w->ledger[mid].sha256, h->bytes, SHA256_SIZE);

        if (c == 0)
            return (uint32_t)mid;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return ARTIFACT_NONE;
}

/* --- the file tree --- */

static uint32_t
put_string(struct writer *w, const char *s)
{
    struct buf *b = &w->sections[ARTIFACT_STRINGS];
    uint32_t at = (uint32_t)b->size;

    buf_put(b, s, strlen(s) + 1);
    return at;
}

static int
number_inode(void *context, struct tree_inode *inode, const char *path, struct err *e)
{
    struct writer *w = context;
    uint32_t row;

    (void)e;
    inode->index = (uint32_t)w->inodes.count;
    inode->nlink = 0;
    vec_push(&w->inodes, inode);
    if (S_ISREG(inode->mode)) {
        row = ledger_index(w, &inode->sha256);
        if (row != ARTIFACT_NONE && w->ledger[row].path == ARTIFACT_NONE)
            w->ledger[row].path = put_string(w, path);
    }
    return 0;
}

static void
count_links(struct writer *w)
{
    w->inodes.items[0]->nlink = 2;
    for (size_t i = 0; i < w->inodes.count; i++) {
        struct tree_inode *dir = w->inodes.items[i];

        for (size_t j = 0; j < dir->entries.count; j++) {
            struct tree_inode *child = dir->entries.items[j].inode;

            if (S_ISDIR(child->mode)) {
                child->nlink = child->nlink ? child->nlink + 2 : 2;
                dir->nlink++;
            } else {
                child->nlink++;
            }
        }
    }
}

static int
compare_extents(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->size > y->size ? -1 : x->size < y->size; /* an empty file may share another's place */
}

static void
place_contents(struct writer *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->inodes.count; i++) {
        const struct tree_inode *n = w->inodes.items[i];

        if (S_ISREG(n->mode))
            vec_push(&w->extents, ((struct extent){n->spool_offset, n->size, 0}));
    }
    if (w->extents.count)
        qsort(w->extents.items, w->extents.count, sizeof(struct extent), compare_extents);
    for (size_t i = 0; i < w->extents.count; i++) {
        struct extent x = w->extents.items[i];

        if (kept && w->extents.items[kept - 1].from == x.from)
            continue;
        x.to = w->data_size;
        w->data_size = (x.to + x.size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
        w->extents.items[kept++] = x;
    }
    w->extents.count = kept;
}

static uint64_t
place_of(const struct writer *w, const struct tree_inode *n)
{
    size_t low = 0, high = w->extents.count;

    while (high - low > 1) {
        size_t mid = (low + high) / 2;

        if (w->extents.items[mid].from <= n->spool_offset)
            low = mid;
        else
            high = mid;
    }
    return w->extents.items[low].to;
}

static int
put_tree(struct writer *w, struct err *e)
{
    if (tree_walk(&w->in->image->tree, number_inode, w, e) < 0)
        return -1;
    count_links(w);
    place_contents(w);
    for (size_t i = 0; i < w->inodes.count; i++) {
        const struct tree_inode *n = w->inodes.items[i];
        struct artifact_inode out = {
            .mode = n->mode,
            .uid = n->uid,
            .gid = n->gid,
            .nlink = n->nlink,
            .size = n->size,
            .mtime = n->mtime,
            .mtime_nsec = n->mtime_nsec,
            .rdev_major = n->rdev_major,
            .rdev_minor = n->rdev_minor,
            .ledger = ARTIFACT_NONE,
        };

        if (S_ISREG(n->mode)) {
            out.data = place_of(w, n);
            out.ledger = ledger_index(w, &n->sha256);
            memcpy(out.sha256, n->sha256.bytes, sizeof out.sha256);
        } else if (S_ISLNK(n->mode)) {
            out.data = put_string(w, n->target);
        } else if (S_ISDIR(n->mode)) {
            out.first_dirent = (uint32_t)(w->sections[ARTIFACT_DIRENTS].size / sizeof(struct artifact_dirent));
            out.dirent_count = (uint32_t)n->entries.count;
            for (size_t j = 0; j < n->entries.count; j++) {
                struct artifact_dirent d = {put_string(w, n->entries.items[j].name), n->entries.items[j].inode->index};

                buf_put(&w->sections[ARTIFACT_DIRENTS], &d, sizeof d);
            }
        }
        buf_put(&w->sections[ARTIFACT_INODES], &out, sizeof out);
    }
    if (w->sections[ARTIFACT_STRINGS].size > UINT32_MAX)
        return err_set(e, "too many names for one artifact");
    return 0;
}

/* --- the file --- */

static int
write_at(int fd, const void *data, uint64_t size, uint64_t offset, struct err *e)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = pwrite(fd, p, size < (1 << 30) ? (size_t)size : 1 << 30, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, "cannot write: %s", strerror(errno));
        p += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int
write_contents(struct writer *w, int fd, uint64_t offset, struct err *e)
{
    const struct tree *t = &w->in->image->tree;

    for (size_t i = 0; i < w->extents.count; i++) {
        const struct extent *x = &w->extents.items[i];

        if (write_at(fd, t->spool + x->from, x->size, offset + x->to, e) < 0)
            return -1;
    }
    return 0;
}

/* What of the executable the host loads, and the range in it that holds all programs' native code. */
static int
describe_executable(const struct writer *w, const struct mapped *elf, struct artifact_header *h, struct err *e)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)elf->data;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(const void *)(elf->data + sizeof *eh);
    uint64_t low = UINT64_MAX, high = 0;

    if (elf->size < sizeof *eh || eh->e_phoff != sizeof *eh || eh->e_phnum > (elf->size - sizeof *eh) / sizeof *ph)
        return err_set(e, "the linked executable has no program headers behind its header");
    for (unsigned i = 0; i < eh->e_phnum; i++)
        if (ph[i].p_type == PT_LOAD && ph[i].p_offset + ph[i].p_filesz > h->loaded_size)
            h->loaded_size = ph[i].p_offset + ph[i].p_filesz;
    for (size_t i = 0; i < w->in->program_count; i++) {
        const struct artifact_program *p = &w->in->programs[i];

        if (!p->native_size)
            continue;
        low = p->native_offset < low ? p->native_offset : low;
        high = p->native_offset + p->native_size > high ? p->native_offset + p->native_size : high;
    }
    if (high) {
        h->code_offset = low;
        h->code_size = high - low;
    }
    return h->loaded_size > elf->size || high > h->loaded_size ? err_set(e, "the linked executable is damaged") : 0;
}

/* Of the whole file up to the section that is to hold them. */
static int
hash_chunks(int fd, uint64_t payload, uint64_t size, struct buf *out, struct err *e)
{
    uint8_t *file = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    struct sha256 digest;

    if (file == MAP_FAILED)
        return err_set(e, "cannot map what was written: %s", strerror(errno));
    for (uint64_t at = 0; at < size; at += ARTIFACT_CHUNK_SIZE) {
        digest = (struct sha256){0};
        if (at != payload)
            sha256_of(file + at, ARTIFACT_CHUNK_SIZE, &digest);
        buf_put(out, digest.bytes, sizeof digest.bytes);
    }
    munmap(file, size);
    return 0;
}

/* Where a section begins that would begin at `at`. */
static uint64_t
section_place(int id, uint64_t at)
{
    uint64_t unit = id == ARTIFACT_CHUNKS ? ARTIFACT_CHUNK_SIZE : PAGE_SIZE;

    return (at + unit - 1) / unit * unit;
}

static int
write_file(struct writer *w, int fd, const struct mapped *elf, struct err *e)
{
    struct artifact_header h = {
        .magic = ARTIFACT_MAGIC,
        .version = ARTIFACT_VERSION,
        .section_count = ARTIFACT_SECTION_COUNT,
        .elf_size = elf->size,
        .table_size = w->in->table_size,
        .backend = (uint16_t)w->in->backend,
        .level = (uint16_t)w->in->level,
    };
    struct artifact_footer f = {.magic = ARTIFACT_MAGIC};
    uint64_t payload = (elf->size + ARTIFACT_CHUNK_SIZE - 1) / ARTIFACT_CHUNK_SIZE * ARTIFACT_CHUNK_SIZE;
    uint64_t at = ARTIFACT_CHUNK_SIZE; /* the header's chunk */
    struct sha256 digest;

    sha256_of(elf->data, elf->size, &digest);
    memcpy(h.elf_sha256, digest.bytes, sizeof h.elf_sha256);
    memcpy(h.megabinary_sha256, w->in->megabinary.bytes, sizeof h.megabinary_sha256);
    if (describe_executable(w, elf, &h, e) < 0 || write_at(fd, elf->data, elf->size, 0, e) < 0)
        return -1;
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++) {
        const uint8_t *data;
        uint64_t size;

        at = section_place(i, at);
        if (i == ARTIFACT_CHUNKS) {
            if (ftruncate(fd, (off_t)(payload + at)) < 0)
                return err_set(e, "cannot write: %s", strerror(errno));
            if (hash_chunks(fd, payload, payload + at, &w->sections[i], e) < 0)
                return -1;
        }
        data = w->sections[i].data;
        size = i == ARTIFACT_DATA ? w->data_size : w->sections[i].size;

        h.sections[i] = (struct artifact_section){.offset = at, .size = size};
        if (i != ARTIFACT_DATA) {
            sha256_of(data, size, &digest);
            memcpy(h.sections[i].sha256, digest.bytes, sizeof digest.bytes);
        }
        if (i == ARTIFACT_DATA ? write_contents(w, fd, payload + at, e) < 0
                               : write_at(fd, data, size, payload + at, e) < 0)
            return -1;
        at += size;
    }
    at = (at + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
    h.payload_size = at;
    sha256_of(&h, sizeof h, &digest);
    memcpy(f.header_sha256, digest.bytes, sizeof f.header_sha256);
    f.payload_offset = payload;
    f.file_size = payload + at + sizeof f;
    if (write_at(fd, &h, sizeof h, payload, e) < 0 || write_at(fd, &f, sizeof f, payload + at, e) < 0)
        return -1;
    if (fchmod(fd, 0755) < 0)
        return err_set(e, "cannot make it executable: %s", strerror(errno));
    return 0;
}

int
artifact_write(const struct artifact_input *in, const char *out_path, struct err *e)
{
    struct writer w = {.in = in};
    char *text = config_text(in->image->config);
    char *tmp = temporary_name(out_path, "file");
    struct mapped elf = {0};
    int fd = -1, result = file_map(in->executable, &elf, e);

    if (result == 0) {
        buf_put(&w.sections[ARTIFACT_CONFIG], text, strlen(text));
        result = put_ledger(&w, e);
        if (result == 0)
            result = put_tree(&w, e);
    }
    if (result == 0) {
        buf_put(&w.sections[ARTIFACT_LEDGER], w.ledger, in->program_count * sizeof *w.ledger);
        fd = temporary_create(tmp, 0700);
        result = fd < 0 ? err_set(e, "cannot create %s: %s", tmp, strerror(errno)) : write_file(&w, fd, &elf, e);
    }
    if (fd >= 0 && close(fd) < 0 && result == 0)
        result = err_set(e, "cannot write %s: %s", tmp, strerror(errno));
    if (result == 0 && rename(tmp, out_path) < 0)
        result = err_set(e, "cannot rename %s to %s: %s", tmp, out_path, strerror(errno));
    if (result < 0 && fd >= 0)
        unlink(tmp);
    if (result < 0)
        err_prefix(e, "%s", out_path);
    file_unmap(&elf);
    for (int i = 0; i < ARTIFACT_SECTION_COUNT; i++)
        buf_fini(&w.sections[i]);
    vec_fini(&w.inodes);
    vec_fini(&w.extents);
    mem_free(w.ledger);
    mem_free(tmp);
    free(text);
    return result;
}
