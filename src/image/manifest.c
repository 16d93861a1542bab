/* Which of an index's manifests are the image. */
#include "image/manifest.h"

#include <string.h>

enum { RANK_NONE, RANK_LATER, RANK_FIRST, RANK_OURS };

static const char *
string_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s && s[0] ? s : NULL;
}

bool
manifest_architecture_fits(const char *architecture)
{
    return !architecture || !architecture[0] || strcmp(architecture, "amd64") == 0 ||
           strcmp(architecture, "x86_64") == 0;
}

int
manifest_platform_rank(const json_t *descriptor)
{
    const json_t *p = json_object_get(descriptor, "platform");
    const char *os = string_of(p, "os"), *variant = string_of(p, "variant");

    if (!manifest_architecture_fits(string_of(p, "architecture")) || (os && strcmp(os, "linux") != 0))
        return RANK_NONE;
    return !variant || strcmp(variant, "v1") == 0 ? RANK_FIRST : strcmp(variant, "v2") == 0 ? RANK_OURS : RANK_LATER;
}

/* Is it a list of files, packed? Artifacts have layers, too, of types of their own. */
static bool
is_layer(const json_t *descriptor)
{
    const char *type = string_of(descriptor, "mediaType");

    return !type || strstr(type, ".tar") || strstr(type, "image.layer") || strstr(type, "image.rootfs");
}

bool
manifest_is_image(const json_t *descriptor, const json_t *document)
{
    const json_t *config = json_object_get(document, "config"), *layers = json_object_get(document, "layers"), *layer;
    const char *type = string_of(config, "mediaType");
    size_t i;

    if (string_of(json_object_get(descriptor, "annotations"), "vnd.docker.reference.type") ||
        string_of(descriptor, "artifactType") || string_of(document, "artifactType"))
        return false;
    if (json_is_array(json_object_get(document, "manifests")))
        return true;
    if (!json_is_object(config) || !json_is_array(layers) ||
        (type && !strstr(type, "image.config") && !strstr(type, "container.image")))
        return false;
    json_array_foreach(layers, i, layer)
    {
        if (!is_layer(layer))
            return false;
    }
    return true;
}
