/* A JSON reader for the one document that the vkernel has: bounded depth, no recursion on hostile nesting beyond it. */
#include "vkernel/image/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/heap.h"

enum { MAX_DEPTH = 32, MAX_STRING = 1 << 20 };

struct reader {
    const char *at, *end;
    const char *problem;
};

int
string_list_add(struct string_list *l, const char *s)
{
    char **items = array_resize(l->items, l->items ? l->count + 1 : 0, l->count + 2, sizeof *items);

    if (!items)
        return -1;
    l->items = items;
    items[l->count] = bytes_string(s);
    items[l->count + 1] = NULL;
    if (!items[l->count])
        return -1;
    l->count++;
    return 0;
}

static bool
fail(struct reader *r, const char *problem)
{
    if (!r->problem)
        r->problem = problem;
    return false;
}

static char
peek(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
    return r->at < r->end ? *r->at : '\0';
}

static bool
take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static int
hex4(struct reader *r)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = r->at < r->end ? *r->at++ : 'x';

        v = v * 16 + (c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -65536);
    }
    return v;
}

static size_t
put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static size_t
escape(struct reader *r, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at++ : '\0';
    const char *p = c ? strchr(from, c) : NULL;
    int v;

    if (p) {
        out[0] = to[p - from];
        return 1;
    }
    v = c == 'u' ? hex4(r) : -1;
    if (v >= 0xd800 && v < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        int low;

        r->at += 2;
        low = hex4(r);
        if (low < 0xdc00 || low > 0xdfff)
            v = -1;
        else
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    if (v <= 0) {
        fail(r, "a bad escape in a string");
        return 0;
    }
    return put_utf8(out, (uint32_t)v);
}

/* A string as a heap copy; NULL on error. */
static char *
read_string(struct reader *r)
{
    size_t n = 0, capacity = 64;
    char *out;

    if (!take(r, '"')) {
        fail(r, "a string was expected");
        return NULL;
    }
    out = bytes_new(capacity);
    while (out && r->at < r->end && *r->at != '"' && !r->problem) {
        if (n + 8 > capacity) {
            char *bigger = capacity >= MAX_STRING ? NULL : bytes_resize(out, capacity *= 2);

            if (!bigger)
                break;
            out = bigger;
        }
        if (*r->at == '\\') {
            r->at++;
            n += escape(r, out + n);
        } else {
            out[n++] = *r->at++;
        }
    }
    if (!out || r->problem || r->at == r->end || *r->at != '"') {
        bytes_free(out);
        fail(r, "a string does not end");
        return NULL;
    }
    r->at++;
    out[n] = '\0';
    return out;
}

static bool
skip_value(struct reader *r, int depth)
{
    char c = peek(r);

    if (depth > MAX_DEPTH)
        return fail(r, "nested too deep");
    if (c == '"') {
        bytes_free(read_string(r));
        return !r->problem;
    }
    if (c == '{' || c == '[') {
        char close = c == '{' ? '}' : ']';

        r->at++;
        if (take(r, close))
            return true;
        do {
            if (c == '{') {
                bytes_free(read_string(r));
                if (r->problem || !take(r, ':'))
                    return fail(r, "':' was expected");
            }
            if (!skip_value(r, depth + 1))
                return false;
        } while (take(r, ','));
        return take(r, close) || fail(r, "a list or object does not end");
    }
    if (c == '\0' || !strchr("-0123456789tfn", c))
        return fail(r, "a value was expected");
    while (r->at < r->end && (*r->at == '-' || *r->at == '+' || *r->at == '.' || (*r->at >= '0' && *r->at <= '9') ||
                              (*r->at >= 'a' && *r->at <= 'z') || *r->at == 'E'))
        r->at++;
    return true;
}

static bool
read_list(struct reader *r, struct string_list *l)
{
    if (peek(r) == 'n')
        return skip_value(r, 0);
    if (!take(r, '['))
        return fail(r, "a list of strings was expected");
    if (take(r, ']'))
        return true;
    do {
        char *s = read_string(r);
        int e = s ? string_list_add(l, s) : -1;

        bytes_free(s);
        if (e < 0)
            return fail(r, "out of memory");
    } while (take(r, ','));
    return take(r, ']') || fail(r, "a list does not end");
}

static bool
read_text(struct reader *r, char **slot)
{
    if (peek(r) == 'n')
        return skip_value(r, 0);
    bytes_free(*slot);
    *slot = read_string(r);
    return *slot != NULL;
}

static bool
read_member(struct reader *r, const char *key, struct image_config *c)
{
    if (strcmp(key, "Entrypoint") == 0)
        return read_list(r, &c->entrypoint);
    if (strcmp(key, "Cmd") == 0)
        return read_list(r, &c->cmd);
    if (strcmp(key, "Env") == 0)
        return read_list(r, &c->env);
    if (strcmp(key, "WorkingDir") == 0)
        return read_text(r, &c->working_dir);
    if (strcmp(key, "User") == 0)
        return read_text(r, &c->user);
    return skip_value(r, 0);
}

int
config_parse(const char *text, size_t size, struct image_config *out, char *error, size_t error_size)
{
    struct reader r = {.at = text, .end = text + size};
    bool ok = take(&r, '{') || fail(&r, "an object was expected");

    *out = (struct image_config){0};
    if (ok && !take(&r, '}')) {
        do {
            char *key = read_string(&r);

            ok = key && (take(&r, ':') || fail(&r, "':' was expected")) && read_member(&r, key, out);
            bytes_free(key);
        } while (ok && take(&r, ','));
        ok = ok && (take(&r, '}') || fail(&r, "the object does not end"));
    }
    if (ok)
        return 0;
    snprintf(error, error_size, "config section, byte %zu: %s", (size_t)(r.at - text),
             r.problem ? r.problem : "bad JSON");
    return -1;
}
