/* The root file system of an image while it is built. */
#include "image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/page.h"
#include "image/limits.h"

enum { MAX_SYMLINKS = 40, MAX_NAME = 255, MAX_DEPTH = 512 };

/* --- the spool's index: open addressing by hash --- */

struct spool_slot {
    struct sha256 sha256;
    uint64_t offset, size;
    bool used;
};

struct spool_index {
    struct spool_slot *slots;
    size_t count, capacity;
};

static struct spool_slot *
index_slot(struct spool_index *x, const struct sha256 *h)
{
    size_t at;

    memcpy(&at, h->bytes, sizeof at);
    for (at &= x->capacity - 1; x->slots[at].used; at = (at + 1) & (x->capacity - 1)) {
        if (memcmp(x->slots[at].sha256.bytes, h->bytes, SHA256_SIZE) == 0)
            break;
    }
    return &x->slots[at];
}

static void
index_grow(struct spool_index *x)
{
    struct spool_index old = *x;

    x->capacity = old.capacity ? old.capacity * 2 : 1024;
    x->slots = mem_zalloc(x->capacity, sizeof *x->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].used)
            *index_slot(x, &old.slots[i].sha256) = old.slots[i];
    }
    mem_free(old.slots);
}

/* --- inodes and names --- */

static struct tree_inode *
inode_new(struct tree *t, const struct tree_attributes *a, struct err *e)
{
    struct tree_inode *n;

    if (t->inodes.count >= IMAGE_MAX_INODES) {
        err_set(e, "the image has more than %u files and folders", IMAGE_MAX_INODES);
        return NULL;
    }
    n = mem_zalloc(1, sizeof *n);

    n->mode = a->mode;
    n->uid = a->uid;
    n->gid = a->gid;
    n->mtime = a->mtime;
    n->mtime_nsec = a->mtime_nsec;
    n->rdev_major = a->rdev_major;
    n->rdev_minor = a->rdev_minor;
    n->index = UINT32_MAX;
    if (a->target)
        n->target = arena_strdup(&t->arena, a->target);
    if (S_ISLNK(n->mode))
        n->size = strlen(n->target ? n->target : "");
    vec_push(&t->inodes, n);
    return n;
}

/* Position of name in a directory; *found tells whether it is there. */
static size_t
dir_find(const struct tree_inode *dir, const char *name, size_t length, bool *found)
{
    size_t low = 0, high = dir->entries.count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const char *s = dir->entries.items[mid].name;
        int c = strncmp(s, name, length);

        if (c == 0 && s[length])
            c = 1;
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static void
dir_set(struct tree *t, struct tree_inode *dir, const char *name, size_t length, struct tree_inode *inode)
{
    bool found;
    size_t at = dir_find(dir, name, length, &found);
    char *copy;

    inode->nlink++;
    if (found) {
        dir->entries.items[at].inode->nlink--;
        dir->entries.items[at].inode = inode;
        return;
    }
    copy = arena_alloc(&t->arena, length + 1);
    memcpy(copy, name, length);
    vec_reserve(&dir->entries, 1);
    memmove(dir->entries.items + at + 1, dir->entries.items + at,
            (dir->entries.count - at) * sizeof *dir->entries.items);
    dir->entries.items[at] = (struct tree_entry){copy, inode};
    dir->entries.count++;
}

static const char *
next_component(const char **path, size_t *length)
{
    const char *p = *path;

    while (*p == '/')
        p++;
    *length = strcspn(p, "/");
    *path = p + *length;
    return p;
}

static bool
is_last(const char *rest)
{
    return rest[strspn(rest, "/")] == '\0';
}

/* Where a walk stands: the directories from the root down, so that the ".." of symlink targets leads back. */
struct walk {
    struct tree *t;
    bool create; /* make missing parents */
    unsigned symlinks, depth;
    struct tree_inode *stack[MAX_DEPTH];
};

static int walk_path(struct walk *w, const char *path, size_t length, struct err *e);

/* Goes from the directory on top into `name`, or to where that leads. 0, or -1: not there (no message when nothing is
 * wrong but that) or unusable. */
static int
enter(struct walk *w, const char *name, size_t length, struct err *e)
{
    struct tree_inode *dir = w->stack[w->depth - 1], *n;
    bool found;
    size_t at = dir_find(dir, name, length, &found);

    if (!found) {
        struct tree_attributes a = {.mode = S_IFDIR | 0755};

        if (!w->create)
            return -1;
        n = inode_new(w->t, &a, e);
        if (!n)
            return -1;
        dir_set(w->t, dir, name, length, n);
    } else {
        n = dir->entries.items[at].inode;
    }
    if (S_ISLNK(n->mode)) {
        if (++w->symlinks > MAX_SYMLINKS)
            return err_set(e, "too many symbolic links at \"%.*s\"", (int)length, name);
        if (n->target[0] == '/')
            w->depth = 1;
        return walk_path(w, n->target, strlen(n->target), e);
    }
    if (!S_ISDIR(n->mode)) /* below it there is nothing */
        return w->create ? err_set(e, "\"%.*s\" is not a directory", (int)length, name) : -1;
    if (w->depth == MAX_DEPTH)
        return err_set(e, "path too deep at \"%.*s\"", (int)length, name);
    w->stack[w->depth++] = n;
    return 0;
}

/* ".." is met in symlink targets only, and stops at the image's root. */
static int
walk_path(struct walk *w, const char *path, size_t length, struct err *e)
{
    const char *end = path + length;

    while (path < end) {
        size_t size;
        const char *name = next_component(&path, &size);

        if (name >= end || size == 0)
            break;
        if (path > end)
            size -= (size_t)(path - end);
        if (size == 1 && name[0] == '.')
            continue;
        if (size == 2 && name[0] == '.' && name[1] == '.') {
            if (w->depth > 1)
                w->depth--;
            continue;
        }
        if (size > MAX_NAME)
            return err_set(e, "name too long: \"%.80s...\"", name);
        if (enter(w, name, size, e) < 0)
            return -1;
    }
    return 0;
}

/* Splits path into parent directory and last component (*name NULL for the root itself). */
static struct tree_inode *
locate(struct tree *t, const char *path, bool create, const char **name, size_t *length, struct err *e)
{
    struct walk w = {.t = t, .create = create, .depth = 1, .stack = {t->root}};
    const char *p = path, *last = NULL;
    size_t size = 0, last_size = 0;

    *name = NULL;
    *length = 0;
    for (;;) {
        const char *c = next_component(&p, &size);

        if (size == 0)
            break;
        if (size == 2 && c[0] == '.' && c[1] == '.') {
            err_set(e, "path \"%s\" leads out of the image", path);
            return NULL;
        }
        if (size == 1 && c[0] == '.')
            continue;
        if (size > MAX_NAME) {
            err_set(e, "path \"%.80s...\": name too long", path);
            return NULL;
        }
        last = c;
        last_size = size;
        if (is_last(p))
            break;
    }
    if (!last)
        return t->root;
    *name = last;
    *length = last_size;
    return walk_path(&w, path, (size_t)(last - path), e) < 0 ? NULL : w.stack[w.depth - 1];
}

struct tree_inode *
tree_put(struct tree *t, const char *path, const struct tree_attributes *a, struct err *e)
{
    const char *name;
    size_t length, at;
    struct err why = {0};
    struct tree_inode *dir = locate(t, path, true, &name, &length, &why), *n, *old = NULL;
    bool found = false;

    if (!dir) {
        err_set(e, "%.200s: %s", path, why.text);
        return NULL;
    }
    if (name) {
        at = dir_find(dir, name, length, &found);
        old = found ? dir->entries.items[at].inode : NULL;
    } else {
        old = t->root;
    }
    if (old && S_ISDIR(old->mode) && S_ISDIR(a->mode)) {
        old->mode = a->mode;
        old->uid = a->uid;
        old->gid = a->gid;
        old->mtime = a->mtime;
        old->mtime_nsec = a->mtime_nsec;
        return old;
    }
    if (!name) {
        err_set(e, "%s: the root must be a directory", path);
        return NULL;
    }
    n = inode_new(t, a, e);
    if (n)
        dir_set(t, dir, name, length, n);
    return n;
}

int
tree_link(struct tree *t, const char *path, const char *target, struct err *e)
{
    struct tree_inode *n = tree_lookup(t, target), *dir;
    const char *name;
    size_t length;
    struct err why = {0};

    if (!n || S_ISDIR(n->mode))
        return err_set(e, "%s: hard link to \"%s\", which is %s", path, target, n ? "a directory" : "not there");
    dir = locate(t, path, true, &name, &length, &why);
    if (!dir || !name)
        return err_set(e, "%.200s: %s", path, dir ? "is the root" : why.text);
    dir_set(t, dir, name, length, n);
    return 0;
}

int
tree_remove(struct tree *t, const char *path, struct err *e)
{
    const char *name;
    size_t length, at;
    bool found;
    struct err why = {0};
    struct tree_inode *dir = locate(t, path, false, &name, &length, &why);

    if (!dir)
        return why.text[0] ? err_set(e, "%.200s: %s", path, why.text) : 0;
    if (!name) {
        t->root->entries.count = 0;
        return 0;
    }
    at = dir_find(dir, name, length, &found);
    if (!found)
        return 0;
    dir->entries.items[at].inode->nlink--;
    memmove(dir->entries.items + at, dir->entries.items + at + 1,
            (dir->entries.count - at - 1) * sizeof *dir->entries.items);
    dir->entries.count--;
    return 0;
}

struct tree_inode *
tree_lookup(struct tree *t, const char *path)
{
    const char *name;
    size_t length, at;
    bool found;
    struct tree_inode *dir = locate(t, path, false, &name, &length, NULL);

    if (!dir || !name)
        return dir;
    at = dir_find(dir, name, length, &found);
    return found ? dir->entries.items[at].inode : NULL;
}

/* --- content --- */

int
tree_write_begin(struct tree *t, struct tree_writer *w, struct err *e)
{
    *w = (struct tree_writer){.tree = t, .start = t->spool_size, .hash = EVP_MD_CTX_new()};
    if (!w->hash || !EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL)) {
        tree_write_abort(w);
        return err_set(e, "out of memory");
    }
    return 0;
}

/* From w->size bytes to `to`: whether the file and the image may be so large. */
static int
grow(struct tree_writer *w, uint64_t to, struct err *e)
{
    if (to > IMAGE_MAX_FILE)
        return err_set(e, "file is larger than %llu GiB", IMAGE_MAX_FILE >> 30);
    if (to - w->size > IMAGE_MAX_BYTES - w->tree->content_size)
        return err_set(e, "the image's files have more than %llu GiB together", IMAGE_MAX_BYTES >> 30);
    w->tree->content_size += to - w->size;
    return 0;
}

static int
hash_zeros(struct tree_writer *w, uint64_t count)
{
    static const uint8_t zeros[65536];

    while (count) {
        size_t n = count < sizeof zeros ? (size_t)count : sizeof zeros;

        if (!EVP_DigestUpdate(w->hash, zeros, n))
            return -1;
        count -= n;
    }
    return 0;
}

int
tree_write(struct tree_writer *w, const void *data, size_t size, uint64_t offset, struct err *e)
{
    const uint8_t *p = data;

    if (offset < w->size)
        return err_set(e, "file content is out of order");
    if (offset > IMAGE_MAX_FILE || size > IMAGE_MAX_FILE)
        return err_set(e, "file is larger than %llu GiB", IMAGE_MAX_FILE >> 30);
    if (grow(w, offset + size, e) < 0)
        return -1;
    if (hash_zeros(w, offset - w->size) < 0 || !EVP_DigestUpdate(w->hash, data, size))
        return err_set(e, "cannot hash");
    w->size = offset + size;
    while (size) {
        ssize_t n = pwrite(w->tree->spool_fd, p, size, (off_t)(w->start + offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, "cannot write temporary file: %s", strerror(errno));
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

int
tree_write_end(struct tree_writer *w, struct tree_inode *inode, uint64_t size, struct err *e)
{
    struct spool_index *x = w->tree->index;
    struct spool_slot *slot;

    if (size < w->size)
        size = w->size;
    if (grow(w, size, e) < 0) {
        tree_write_abort(w);
        return -1;
    }
    if (hash_zeros(w, size - w->size) < 0 || !EVP_DigestFinal_ex(w->hash, inode->sha256.bytes, NULL)) {
        tree_write_abort(w);
        return err_set(e, "cannot hash");
    }
    EVP_MD_CTX_free(w->hash);
    w->hash = NULL;
    inode->size = size;
    if (x->count * 2 >= x->capacity)
        index_grow(x);
    slot = index_slot(x, &inode->sha256);
    if (!slot->used) {
        *slot = (struct spool_slot){inode->sha256, w->start, size, true};
        x->count++;
        w->tree->spool_size = (w->start + size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
    }
    inode->spool_offset = slot->offset;
    /* Cut what an identical content left behind, and make holes up to the page end real. */
    if (ftruncate(w->tree->spool_fd, (off_t)w->tree->spool_size) < 0)
        return err_set(e, "cannot write temporary file: %s", strerror(errno));
    return 0;
}

void
tree_write_abort(struct tree_writer *w)
{
    EVP_MD_CTX_free(w->hash);
    w->hash = NULL;
}

int
tree_seal(struct tree *t, struct err *e)
{
    void *p;

    if (t->spool_size == 0) {
        t->spool = (const uint8_t *)"";
        return 0;
    }
    p = mmap(NULL, t->spool_size, PROT_READ, MAP_SHARED, t->spool_fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, "cannot map temporary file: %s", strerror(errno));
    t->spool = p;
    return 0;
}

const uint8_t *
tree_content(const struct tree *t, const struct tree_inode *inode)
{
    return t->spool + inode->spool_offset;
}

int
tree_init(struct tree *t, const char *dir, struct err *e)
{
    struct tree_attributes a = {.mode = S_IFDIR | 0755};
    char *path = mem_printf("%s/.ingot-XXXXXX", dir);

    *t = (struct tree){.spool_fd = mkostemp(path, O_CLOEXEC)};
    if (t->spool_fd < 0) {
        err_set(e, "cannot create a temporary file in %s: %s", dir, strerror(errno));
        mem_free(path);
        return -1;
    }
    unlink(path);
    mem_free(path);
    t->index = mem_zalloc(1, sizeof *t->index);
    t->root = inode_new(t, &a, e);
    t->root->nlink = 1;
    return 0;
}

void
tree_fini(struct tree *t)
{
    for (size_t i = 0; i < t->inodes.count; i++) {
        vec_fini(&t->inodes.items[i]->entries);
        mem_free(t->inodes.items[i]);
    }
    vec_fini(&t->inodes);
    if (t->spool && t->spool_size)
        munmap((void *)t->spool, t->spool_size);
    if (t->index)
        mem_free(t->index->slots);
    mem_free(t->index);
    if (t->spool_fd >= 0)
        close(t->spool_fd);
    arena_fini(&t->arena);
}

struct visit_frame {
    struct tree_inode *dir;
    size_t next, path_length;
};

int
tree_walk(struct tree *t, tree_visit *visit, void *context, struct err *e)
{
    VEC(struct visit_frame) stack = {0};
    struct buf path = {0};
    int result;

    for (size_t i = 0; i < t->inodes.count; i++)
        t->inodes.items[i]->visited = false;
    result = visit(context, t->root, "/", e);
    vec_push(&stack, ((struct visit_frame){t->root, 0, 0}));
    while (stack.count && result == 0) {
        struct visit_frame *top = &stack.items[stack.count - 1];
        const struct tree_entry *entry;

        if (top->next == top->dir->entries.count) {
            stack.count--;
            continue;
        }
        entry = &top->dir->entries.items[top->next++];
        path.size = top->path_length;
        buf_put_u8(&path, '/');
        buf_put(&path, entry->name, strlen(entry->name));
        buf_put_u8(&path, 0);
        path.size--;
        if (!entry->inode->visited) {
            entry->inode->visited = true; /* a further hard link is not a further visit */
            result = visit(context, entry->inode, (const char *)path.data, e);
        }
        if (S_ISDIR(entry->inode->mode))
            vec_push(&stack, ((struct visit_frame){entry->inode, 0, path.size}));
    }
    vec_fini(&stack);
    buf_fini(&path);
    return result;
}
