/* OCI image layouts (OCI image spec 1.1, image-layout.md) and `docker save` archives. */
#include "image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/temporary.h"
#include "image/unpack.h"
#include "image/config.h"
#include "image/manifest.h"

/* Of layers docker has 127 at most; each costs its archive being read twice, however often the manifest names it. */
enum { MAX_JSON = 16 << 20, MAX_NESTING = 4, MAX_LAYERS = 1000 };

/* --- documents and blobs --- */

static json_t *
load_json(const char *path, struct err *e)
{
    struct mapped m;
    json_error_t why;
    json_t *j;

    if (file_map(path, &m, e) < 0)
        return NULL;
    if (m.size > MAX_JSON) {
        file_unmap(&m);
        err_set(e, "%s: document of %zu bytes is too large", path, m.size);
        return NULL;
    }
    j = json_loadb((const char *)m.data, m.size, JSON_REJECT_DUPLICATES, &why);
    if (!j)
        err_set(e, "%s: line %d: %s", path, why.line, why.text);
    file_unmap(&m);
    return j;
}

/* The path of a blob, its content checked against its digest. */
static char *
blob_path(const char *dir, const json_t *descriptor, struct err *e)
{
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    struct sha256 want, have;
    struct mapped m;
    char *path;

    if (!digest || strncmp(digest, "sha256:", 7) != 0 || sha256_parse(digest + 7, &want) < 0) {
        err_set(e, "%s: descriptor with unusable digest \"%.80s\"", dir, digest ? digest : "");
        return NULL;
    }
    path = mem_printf("%s/blobs/sha256/%s", dir, digest + 7);
    if (file_map(path, &m, e) < 0) {
        mem_free(path);
        return NULL;
    }
    sha256_of(m.data, m.size, &have);
    file_unmap(&m);
    if (memcmp(&want, &have, sizeof want) != 0) {
        char hex[SHA256_HEX_SIZE];

        sha256_hex(&have, hex);
        err_set(e, "%s: content has sha256 %s", path, hex);
        mem_free(path);
        return NULL;
    }
    return path;
}

static json_t *
load_blob_json(const char *dir, const json_t *descriptor, struct err *e)
{
    char *path = blob_path(dir, descriptor, e);
    json_t *j = path ? load_json(path, e) : NULL;

    mem_free(path);
    return j;
}

/* --- OCI layouts --- */

static bool
is_index(const json_t *descriptor)
{
    const char *type = json_string_value(json_object_get(descriptor, "mediaType"));

    return type && (strstr(type, "image.index") || strstr(type, "manifest.list"));
}

static bool
tag_fits(const json_t *descriptor, const char *tag)
{
    const json_t *a = json_object_get(descriptor, "annotations");
    const char *name = json_string_value(json_object_get(a, "org.opencontainers.image.ref.name"));
    const char *full = json_string_value(json_object_get(a, "io.containerd.image.name"));
    const char *colon = full ? strrchr(full, ':') : NULL;

    return (name && strcmp(name, tag) == 0) || (full && strcmp(full, tag) == 0) ||
           (colon && strcmp(colon + 1, tag) == 0);
}

static const char *
digest_of(const json_t *descriptor)
{
    return json_string_value(json_object_get(descriptor, "digest"));
}

/* Each that fits is read and its digest compared, whose number and size the image's maker chooses. */
enum { FITTING_MOST = 64 };

/* What is known of the manifests that fit, while a list of them is gone through. */
struct choice {
    json_t *descriptor, *document; /* the best so far: the index's, and its document, which is owned */
    int rank;
    size_t equals; /* others with the same rank */
};

/* Looks at one manifest of the list. 0, or -1: it cannot be read. */
static int
consider(struct choice *c, const char *dir, json_t *descriptor, int rank, struct err *e)
{
    const char *digest = digest_of(descriptor), *best = c->descriptor ? digest_of(c->descriptor) : NULL;
    json_t *document;

    if (best && digest && strcmp(best, digest) == 0)
        return 0; /* one manifest with several tags */
    document = load_blob_json(dir, descriptor, e);
    if (!document)
        return -1;
    if (!manifest_is_image(descriptor, document)) {
        json_decref(document);
        return 0;
    }
    if (c->descriptor && rank <= c->rank) {
        c->equals += rank == c->rank;
        json_decref(document);
        return 0;
    }
    json_decref(c->document);
    *c = (struct choice){descriptor, document, rank, 0};
    return 0;
}

/* The one manifest of an index that fits best: its document, which the caller owns, and a borrowed descriptor. */
static json_t *
choose(const char *dir, const json_t *index, const char *tag, json_t **descriptor, struct err *e)
{
    json_t *list = json_object_get(index, "manifests"), *d;
    struct choice c = {0};
    size_t i, fitting = 0;

    json_array_foreach(list, i, d)
    {
        int rank = tag && !tag_fits(d, tag) ? 0 : manifest_platform_rank(d);

        fitting += rank > 0;
        if (fitting > FITTING_MOST) {
            err_set(e, "%s: more than %d manifests fit", dir, FITTING_MOST);
            json_decref(c.document);
            return NULL;
        }
        if (rank > 0 && consider(&c, dir, d, rank, e) < 0) {
            json_decref(c.document);
            return NULL;
        }
    }
    *descriptor = c.descriptor;
    if (c.descriptor && c.equals == 0)
        return c.document;
    json_decref(c.document);
    if (c.descriptor)
        err_set(e, "%s: %zu manifests fit; name one with %s:TAG", dir, c.equals + 1, dir);
    else if (fitting > 0)
        err_set(e, "%s: what fits is no image, but a signature or another artifact", dir);
    else if (tag)
        err_set(e, "%s: no linux/amd64 manifest with tag \"%s\"", dir, tag);
    else
        err_set(e, "%s: no linux/amd64 manifest", dir);
    return NULL;
}

/* Whatever the digest was compared with its content when that was read. */
static void
note_origin(struct image *im, const char *what, const char *digest)
{
    if (!im->origin)
        im->origin = json_object();
    json_object_set_new(im->origin, what, json_string(digest));
}

static int
load_manifest(struct image *im, const char *dir, const json_t *manifest, struct err *e)
{
    json_t *layers = json_object_get(manifest, "layers"), *d;
    json_t *document = load_blob_json(dir, json_object_get(manifest, "config"), e);
    size_t i;

    if (!document)
        return -1;
    im->config = config_from_image(document, e);
    json_decref(document);
    if (!im->config)
        return -1;
    note_origin(im, "config", digest_of(json_object_get(manifest, "config")));
    if (!json_is_array(layers) || json_array_size(layers) > MAX_LAYERS)
        return err_set(e, "%s: manifest without layers, or with more than %d", dir, MAX_LAYERS);
    json_array_foreach(layers, i, d)
    {
        char *path = blob_path(dir, d, e);
        int result = path ? layer_apply(&im->tree, path, e) : -1;

        mem_free(path);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int
load_layout(struct image *im, const char *dir, const char *tag, struct err *e)
{
    char *path = mem_printf("%s/index.json", dir);
    json_t *index = load_json(path, e), *d = NULL;
    int result = -1;

    mem_free(path);
    snprintf(im->kind, sizeof im->kind, "OCI image layout");
    for (int depth = 0; index && depth < MAX_NESTING; depth++) {
        json_t *next = choose(dir, index, depth == 0 ? tag : NULL, &d, e);

        if (next && !is_index(d) && !json_object_get(next, "manifests")) {
            note_origin(im, "manifest", digest_of(d));
            result = load_manifest(im, dir, next, e);
            json_decref(next);
            json_decref(index);
            return result;
        }
        json_decref(index);
        index = next;
    }
    if (index)
        err_set(e, "%s: indexes nested too deeply", dir);
    json_decref(index);
    return -1;
}

/* --- docker save --- */

static int
note_file(struct image *im, const char *what, const char *path, struct err *e)
{
    char text[sizeof "sha256:" + SHA256_HEX_SIZE] = "sha256:";
    struct sha256 have;
    struct mapped m;

    if (file_map(path, &m, e) < 0)
        return -1;
    sha256_of(m.data, m.size, &have);
    file_unmap(&m);
    sha256_hex(&have, text + strlen(text));
    note_origin(im, what, text);
    return 0;
}

/* Does one of the image's names, or its tag alone, match? */
static bool
docker_image_fits(const json_t *image, const char *tag)
{
    json_t *tags = json_object_get(image, "RepoTags"), *name;
    size_t k;

    if (!tag)
        return true;
    json_array_foreach(tags, k, name)
    {
        const char *s = json_string_value(name), *colon = s ? strrchr(s, ':') : NULL;

        if (s && (strcmp(s, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0)))
            return true;
    }
    return false;
}

/* NULL, unless exactly one image of the list fits and its description can be used. */
static json_t *
docker_image_choose(json_t *list, const char *dir, const char *tag, struct err *e)
{
    json_t *item, *chosen = NULL, *layers;
    size_t i, fitting = 0;
    const char *config;

    json_array_foreach(list, i, item)
    {
        if (docker_image_fits(item, tag)) {
            chosen = item;
            fitting++;
        }
    }
    config = json_string_value(json_object_get(chosen, "Config"));
    layers = json_object_get(chosen, "Layers");
    if (fitting == 1 && config && !strstr(config, "..") && json_is_array(layers) &&
        json_array_size(layers) <= MAX_LAYERS)
        return chosen;
    err_set(e, "%s: %zu images fit%s", dir, fitting, fitting == 1 ? ", but the manifest is damaged" : "");
    return NULL;
}

static int
docker_config(struct image *im, const char *dir, const char *name, struct err *e)
{
    char *path = mem_printf("%s/%s", dir, name);
    json_t *document = load_json(path, e);

    if (document && note_file(im, "config", path, e) == 0)
        im->config = config_from_image(document, e);
    json_decref(document);
    mem_free(path);
    return im->config ? 0 : -1;
}

static int
docker_layers(struct image *im, const char *dir, json_t *layers, struct err *e)
{
    json_t *name;
    size_t i;

    json_array_foreach(layers, i, name)
    {
        const char *s = json_string_value(name);
        char *path;
        int r;

        if (!s || strstr(s, ".."))
            return err_set(e, "%s: manifest names an unusable layer", dir);
        path = mem_printf("%s/%s", dir, s);
        r = layer_apply(&im->tree, path, e);
        mem_free(path);
        if (r < 0)
            return r;
    }
    return 0;
}

static int
load_docker(struct image *im, const char *dir, const char *tag, struct err *e)
{
    char *path = mem_printf("%s/manifest.json", dir);
    json_t *list = load_json(path, e), *image;
    int r = -1;

    mem_free(path);
    if (!list)
        return -1;
    snprintf(im->kind, sizeof im->kind, "docker archive");
    image = docker_image_choose(list, dir, tag, e);
    if (image)
        r = docker_config(im, dir, json_string_value(json_object_get(image, "Config")), e);
    if (r == 0)
        r = docker_layers(im, dir, json_object_get(image, "Layers"), e);
    json_decref(list);
    return r;
}

/* --- choosing --- */

static bool
exists(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);
    bool there = access(path, F_OK) == 0;

    mem_free(path);
    return there;
}

static int
load_unpacked(struct image *im, const char *dir, const char *tag, struct err *e)
{
    if (exists(dir, "index.json"))
        return load_layout(im, dir, tag, e);
    if (exists(dir, "manifest.json"))
        return load_docker(im, dir, tag, e);
    return err_set(e, "neither an OCI image layout nor a docker archive (no index.json, no manifest.json)");
}

static int
load_archive(struct image *im, const char *path, const char *tag, const char *work_dir, struct err *e)
{
    char *base = mem_printf("%s/.ingot", work_dir), *name = temporary_name(base, "image"),
         *dir = mem_printf("%s-XXXXXX", name);
    int result;

    temporary_sweep(work_dir, ".ingot"); /* what builds that were killed had unpacked */
    if (!mkdtemp(dir)) {
        result = err_set(e, "cannot create a temporary folder in %s: %s", work_dir, strerror(errno));
    } else {
        result = archive_unpack(path, dir, e);
        if (result == 0 && load_unpacked(im, dir, tag, e) < 0)
            result = err_prefix(e, "%s", path);
        temporary_remove(dir);
    }
    mem_free(dir);
    mem_free(name);
    mem_free(base);
    return result;
}

/* PATH or PATH:TAG; a path that exists as a whole is never split. */
static char *
split_source(const char *source, const char **tag)
{
    const char *colon;

    *tag = NULL;
    if (access(source, F_OK) == 0)
        return mem_strdup(source);
    for (colon = strchr(source, ':'); colon; colon = strchr(colon + 1, ':')) {
        char *path = mem_printf("%.*s", (int)(colon - source), source);

        if (access(path, F_OK) == 0) {
            *tag = colon + 1;
            return path;
        }
        mem_free(path);
    }
    return mem_strdup(source);
}

int
image_load(struct image *im, const char *source, const char *work_dir, struct err *e)
{
    const char *tag;
    char *path = split_source(source, &tag);
    struct stat st;
    int result;

    *im = (struct image){0};
    if (tree_init(&im->tree, work_dir, e) < 0) {
        mem_free(path);
        return -1;
    }
    if (stat(path, &st) < 0) {
        result = err_set(e, "%s: %s", path, strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        result = load_archive(im, path, tag, work_dir, e);
    } else if (exists(path, "oci-layout") || (exists(path, "index.json") && exists(path, "blobs"))) {
        result = load_layout(im, path, tag, e);
    } else if (exists(path, "manifest.json") && !exists(path, "bin") && !exists(path, "usr")) {
        result = load_docker(im, path, tag, e);
    } else {
        snprintf(im->kind, sizeof im->kind, "root filesystem");
        im->config = config_default();
        result = rootfs_load(&im->tree, path, e);
    }
    mem_free(path);
    if (result == 0) {
        note_origin(im, "kind", im->kind);
        result = tree_seal(&im->tree, e);
    }
    if (result < 0)
        image_fini(im);
    return result;
}

void
image_fini(struct image *im)
{
    json_decref(im->config);
    json_decref(im->origin);
    im->config = im->origin = NULL;
    tree_fini(&im->tree);
}
