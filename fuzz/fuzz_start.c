/* Fuzzes what the vkernel reads before its first guest instruction, besides the artifact: options, a seal, and the
 * image's users. The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "vkernel/boot/accounts.h"
#include "vkernel/boot/options.h"
#include "vkernel/image/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parsers alone are wanted of seal.c. */
int
platform_file_identity(int fd, struct platform_identity *id)
{
    return -1;
}

int
platform_file_times(int fd, struct platform_identity *id)
{
    return -1;
}

uint64_t
platform_realtime_ns(void)
{
    return 0;
}

int
platform_seal_open(const char *name)
{
    return -1;
}

long
platform_read_at(int fd, void *to, size_t size, uint64_t offset)
{
    return -1;
}

long
platform_write_at(int fd, const void *from, size_t size, uint64_t offset)
{
    return -1;
}

static void
options(char *text)
{
    char *rest = text, *word;
    uint64_t size;

    while ((word = option_word(&rest))) {
        if (option_size(word, &size) && *word == '0' && !word[1] && size != 0)
            abort();
    }
}

/* Three strings, each behind a NUL: who, passwd, group. */
static void
users(char *text, size_t size)
{
    char *passwd = memchr(text, 0, size),
         *group = passwd ? memchr(passwd + 1, 0, size - (size_t)(passwd + 1 - text)) : NULL;
    struct account a;

    if (account_find(text, passwd ? passwd + 1 : NULL, group ? group + 1 : NULL, &a) < 0) {
        if (!a.problem[0])
            abort();
    } else if (a.group_count == 0 || a.group_count > CRED_MAX_GROUPS || !a.home[0]) {
        abort();
    }
}

/* Of 100 chunks. What is not believed sets no bit. */
static void
seal(const uint8_t *data, size_t size)
{
    static const struct platform_identity id = {.size = 1000};
    static const uint8_t digest[32];
    uint64_t known[2] = {0};
    bool right = seal_parse(data, size, &id, digest, known, 100);

    if (!right && (known[0] || known[1]))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    /* A copy of exactly this size and a NUL, as files are read. */
    text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] % 3 == 0)
        options(text);
    else if (data[0] % 3 == 1)
        users(text, size - 1);
    else
        seal(data + 1, size - 1);
    free(text);
    return 0;
}
