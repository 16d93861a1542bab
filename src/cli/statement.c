/* What a built image was made of and by what: an in-toto Statement v1 with SLSA provenance v1. The addresses are the
 * names of these formats. */
#include "cli/statement.h"

#include <string.h>

#include "base/sha256.h"
#include "cli/cli.h"

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"
#define BUILD_TYPE     "urn:ingot:build:1"

static json_t *
digest(const uint8_t bytes[32])
{
    char hex[SHA256_HEX_SIZE];
    struct sha256 h;

    memcpy(h.bytes, bytes, sizeof h.bytes);
    sha256_hex(&h, hex);
    return json_pack("{s:s}", "sha256", hex);
}

/* "sha256:HEX" of the image as a material; nothing when there is none. */
static void
add_source(json_t *materials, const json_t *source, const char *what)
{
    const char *text = json_string_value(json_object_get(source, what));
    struct sha256 hash;

    if (text && strncmp(text, "sha256:", 7) == 0 && sha256_parse(text + 7, &hash) == 0)
        json_array_append_new(materials, json_pack("{s:o,s:{s:s}}", "name", json_sprintf("image %s", what), "digest",
                                                   "sha256", text + 7));
}

static json_t *
materials_of(const struct artifact_view *v, const json_t *source)
{
    const struct artifact_ledger *rows =
        (const struct artifact_ledger *)(const void *)artifact_section(v, ARTIFACT_LEDGER);
    size_t count = v->header.sections[ARTIFACT_LEDGER].size / sizeof *rows;
    json_t *list = json_array();

    add_source(list, source, "manifest");
    add_source(list, source, "config");
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list,
                              json_pack("{s:o,s:o,s:{s:o}}", "name", cli_json_string(artifact_string(v, rows[i].path)),
                                        "digest", digest(rows[i].sha256), "annotations", "code",
                                        digest(rows[i].code_sha256)));
    }
    return list;
}

static json_t *
text_or_null(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return value ? json_incref(value) : json_null();
}

json_t *
statement_make(const struct artifact_view *v, const char *path, const char *builder)
{
    json_t *config = json_loadb((const char *)artifact_section(v, ARTIFACT_CONFIG),
                                v->header.sections[ARTIFACT_CONFIG].size, 0, NULL);
    const json_t *build = json_object_get(config, "Build"), *source = json_object_get(build, "Source");
    const char *slash = strrchr(path, '/');
    struct sha256 file;
    json_t *definition, *run, *statement;

    sha256_of(v->file.data, v->file.size, &file);
    definition = json_pack("{s:s,s:{s:o,s:o},s:{s:o,s:o},s:o}", "buildType", BUILD_TYPE, "externalParameters", "source",
                           text_or_null(build, "Source"), "options", text_or_null(build, "Options"),
                           "internalParameters", "recompiler", text_or_null(build, "Recompiler"), "compiler",
                           text_or_null(build, "Compiler"), "resolvedDependencies", materials_of(v, source));
    run =
        json_pack("{s:{s:s,s:{s:o}},s:[{s:s,s:o},{s:s,s:o}]}", "builder", "id", builder, "version", "ingot",
                  text_or_null(build, "Version"), "byproducts", "name", "root digest", "digest",
                  digest(v->footer.header_sha256), "name", "megabinary", "digest", digest(v->header.megabinary_sha256));
    statement = json_pack("{s:s,s:[{s:o,s:o}],s:s,s:{s:o,s:o}}", "_type", STATEMENT_TYPE, "subject", "name",
                          cli_json_string(slash ? slash + 1 : path), "digest", digest(file.bytes), "predicateType",
                          PREDICATE_TYPE, "predicate", "buildDefinition", definition, "runDetails", run);
    json_decref(config);
    return statement;
}
