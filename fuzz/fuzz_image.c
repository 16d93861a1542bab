/* Fuzzes opening an image as the builder does, and writing an artifact of it, which must then pass its own check.
 *
 * The input describes a layout or an archive, so that changes reach behind the digests: its first byte chooses the
 * form; then come members, each a line with its name, content, and a line "--". A member called "blob" lies under the
 * digest of its content. In members that look like JSON, "@N" stands for the digest of member N, which comes later.
 * "NAME -> TARGET" is a symbolic link of an archive. Form 'r': the rest is an archive as it is. */
#include <elf.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/check.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "elf/elf_image.h"
#include "image/artifact.h"
#include "image/config.h"
#include "image/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_MEMBERS = 10, BLOCK = 512 };

struct member {
    char name[100], target[100]; /* target: of a symbolic link, or "" */
    struct buf content;
    char digest[SHA256_HEX_SIZE];
};

static char dir[] = "/dev/shm/fuzz-image-XXXXXX";
static char *image, *tagged, *executable, *out; /* paths in it */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
remove_dir(void)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The smallest executable that an artifact can be written behind. */
static void
init(void)
{
    uint8_t elf[sizeof(Elf64_Ehdr)] = {0};
    struct err e = {0};

    ((Elf64_Ehdr *)(void *)elf)->e_phoff = sizeof(Elf64_Ehdr);
    if (!mkdtemp(dir))
        abort();
    image = mem_printf("%s/image", dir);
    tagged = mem_printf("%s:latest", image);
    executable = mem_printf("%s/elf", dir);
    out = mem_printf("%s/out", dir);
    if (file_write_atomic(executable, elf, sizeof elf, 0600, &e) < 0)
        abort();
    atexit(remove_dir);
}

/* --- the input to members --- */
static const uint8_t *
find_end(const uint8_t *at, size_t size)
{
    return memmem(at, size, "\n--\n", 4);
}

static size_t
split(const uint8_t *data, size_t size, struct member *members)
{
    size_t count = 0;

    while (size && count < MAX_MEMBERS) {
        const uint8_t *line = memchr(data, '\n', size), *end = find_end(data, size);
        const uint8_t *stop = end ? end : data + size, *text = line && line < stop ? line + 1 : stop;
        size_t length = (size_t)(text - data) - (text > data && text[-1] == '\n');
        struct member *m = &members[count++];
        char *arrow;

        *m = (struct member){0};
        memcpy(m->name, data, length < sizeof m->name - 1 ? length : sizeof m->name - 1);
        arrow = strstr(m->name, " -> ");
        if (arrow) {
            strcpy(m->target, arrow + 4);
            *arrow = '\0';
        }
        buf_put(&m->content, text, (size_t)(stop - text));
        size -= (size_t)(stop - data);
        data = stop;
        if (end) {
            data += 4;
            size -= 4;
        }
    }
    return count;
}

static void
fill_digests(struct member *members, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        struct buf from = members[i].content, to = {0};
        bool json = from.size && (from.data[0] == '{' || from.data[0] == '[');
        struct sha256 hash;

        for (size_t at = 0; at < from.size; at++) {
            size_t n = at + 1 < from.size ? (size_t)from.data[at + 1] - '0' : 99;

            if (json && from.data[at] == '@' && n > i && n < count) {
                buf_put(&to, members[n].digest, SHA256_HEX_SIZE - 1);
                at++;
            } else {
                buf_put_u8(&to, from.data[at]);
            }
        }
        buf_fini(&from);
        members[i].content = to;
        sha256_of(to.data, to.size, &hash);
        sha256_hex(&hash, members[i].digest);
        if (strcmp(members[i].name, "blob") == 0)
            snprintf(members[i].name, sizeof members[i].name, "blobs/sha256/%s", members[i].digest);
    }
}

/* --- members to a folder or an archive --- */
static void
put_folder(struct member *members, size_t count)
{
    mkdir(image, 0700);
    for (size_t i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", image, members[i].name);
        struct err e = {0};

        for (char *p = path + strlen(image) + 1; !strstr(path, "..") && (p = strchr(p, '/')); p++) {
            *p = '\0';
            mkdir(path, 0700);
            *p = '/';
        }
        if (!strstr(path, ".."))
            file_write_atomic(path, members[i].content.data, members[i].content.size, 0600, &e);
        mem_free(path);
    }
}

static void
put_archive(struct member *members, size_t count)
{
    static const uint8_t zeros[2 * BLOCK];
    struct buf archive = {0};
    struct err e = {0};

    for (size_t i = 0; i < count; i++) {
        struct member *m = &members[i];
        char header[BLOCK] = {0};
        unsigned sum = 0;

        memcpy(header, m->name, strlen(m->name));
        memcpy(header + 157, m->target, strlen(m->target));
        snprintf(header + 100, 8, "0000644");
        snprintf(header + 124, 12, "%011zo", m->target[0] ? 0 : m->content.size);
        header[156] = m->target[0] ? '2' : '0';
        memcpy(header + 257, "ustar\00000", 8);
        memset(header + 148, ' ', 8);
        for (int k = 0; k < BLOCK; k++)
            sum += (uint8_t)header[k];
        snprintf(header + 148, 8, "%06o", sum);
        buf_put(&archive, header, BLOCK);
        if (m->target[0])
            continue;
        buf_put(&archive, m->content.data, m->content.size);
        buf_put(&archive, zeros, (BLOCK - m->content.size % BLOCK) % BLOCK);
    }
    buf_put(&archive, zeros, sizeof zeros);
    file_write_atomic(image, archive.data, archive.size, 0600, &e);
    buf_fini(&archive);
}

/* --- the image --- */
static int
look(void *context, struct tree_inode *inode, const char *path, struct err *e)
{
    struct image *im = context;
    const char *reason;

    (void)e;
    if (path[0] != '/')
        abort();
    if (S_ISREG(inode->mode))
        elf_classify(tree_content(&im->tree, inode), inode->size, &reason);
    return 0;
}

static void
complain(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static void
load(const char *source)
{
    struct image im;
    struct artifact_input in = {.executable = executable, .image = &im, .level = X86_LEVEL_V2};
    struct err e = {0};
    struct mapped made;

    if (image_load(&im, source, dir, &e) < 0)
        return;
    if (tree_walk(&im.tree, look, &im, &e) < 0 || artifact_write(&in, out, &e) < 0 || file_map(out, &made, &e) < 0) {
        complain(NULL, e.text);
        abort();
    }
    if (artifact_check(made.data, made.size, complain, NULL, NULL))
        abort();
    file_unmap(&made);
    image_fini(&im);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct member members[MAX_MEMBERS];
    size_t count;
    struct err e = {0};

    if (!image)
        init();
    if (size < 2)
        return 0;
    if (data[0] == 'r') {
        file_write_atomic(image, data + 1, size - 1, 0600, &e);
        load(image);
    } else {
        count = split(data + 1, size - 1, members);
        fill_digests(members, count);
        if (data[0] & 1)
            put_folder(members, count);
        else
            put_archive(members, count);
        load(data[0] & 2 ? tagged : image);
        for (size_t i = 0; i < count; i++)
            buf_fini(&members[i].content);
    }
    nftw(image, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
