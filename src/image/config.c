/* The image config. */
#include "image/config.h"

#include <string.h>

#include "image/manifest.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int
copy_strings(json_t *out, const json_t *from, const char *key, struct err *e)
{
    json_t *list = json_object_get(from, key), *item, *copy = json_array();
    size_t i;

    if (list && !json_is_array(list) && !json_is_null(list)) {
        json_decref(copy);
        return err_set(e, "image config: %s is not a list", key);
    }
    if (json_is_array(list)) {
        json_array_foreach(list, i, item)
        {
            if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item)) {
                json_decref(copy);
                return err_set(e, "image config: %s has an element that is not a plain string", key);
            }
            json_array_append(copy, item);
        }
    }
    json_object_set_new(out, key, copy);
    return 0;
}

static int
copy_string(json_t *out, const json_t *from, const char *key, const char *fallback, struct err *e)
{
    json_t *s = json_object_get(from, key);

    if (s && !json_is_null(s) && !json_is_string(s))
        return err_set(e, "image config: %s is not a string", key);
    if (json_is_string(s) && json_string_length(s))
        json_object_set(out, key, s);
    else if (fallback)
        json_object_set_new(out, key, json_string(fallback));
    return 0;
}

json_t *
config_from_image(const json_t *document, struct err *e)
{
    const json_t *from = json_object_get(document, "config");
    const char *arch = json_string_value(json_object_get(document, "architecture"));
    const char *os = json_string_value(json_object_get(document, "os"));
    json_t *out;

    if (!json_is_object(document) || (from && !json_is_object(from) && !json_is_null(from))) {
        err_set(e, "image config: not an object");
        return NULL;
    }
    if (!manifest_architecture_fits(arch) || (os && strcmp(os, "linux") != 0)) {
        err_set(e, "the image is for %s/%s; ingot takes linux/amd64", os ? os : "?", arch ? arch : "?");
        return NULL;
    }
    out = json_object();
    if (copy_strings(out, from, "Entrypoint", e) < 0 || copy_strings(out, from, "Cmd", e) < 0 ||
        copy_strings(out, from, "Env", e) < 0 || copy_string(out, from, "WorkingDir", "/", e) < 0 ||
        copy_string(out, from, "User", "", e) < 0 || copy_string(out, from, "StopSignal", NULL, e) < 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *
config_default(void)
{
    return json_pack("{s:[],s:[s],s:[s],s:s,s:s}", "Entrypoint", "Cmd", "/bin/sh", "Env", DEFAULT_PATH, "WorkingDir",
                     "/", "User", "");
}

char *
config_text(const json_t *config)
{
    return json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
}
