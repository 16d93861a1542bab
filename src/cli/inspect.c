/* ingot inspect: what is in a built image. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "cli/artifact_reader.h"
#include "cli/cli.h"
#include "x86/level.h"

static const char usage[] =
    "usage: ingot inspect [--json] OUT\n"
    "       ingot inspect --security OUT\n"
    "\n"
    "Lists the programs and libraries of a built image with their hashes, bases and sizes, and its config.\n"
    "--security: starts the image up to its lock-down and prints which layers hold on this host and which system\n"
    "calls are left.\n";

static void
hex_of(const uint8_t bytes[32], char out[SHA256_HEX_SIZE])
{
    struct sha256 h;

    memcpy(h.bytes, bytes, sizeof h.bytes);
    sha256_hex(&h, out);
}

static json_t *
program_json(const struct artifact_view *v, const struct artifact_ledger *row)
{
    char file[SHA256_HEX_SIZE], code[SHA256_HEX_SIZE], key[SHA256_HEX_SIZE];

    hex_of(row->sha256, file);
    hex_of(row->code_sha256, code);
    hex_of(row->code_key, key);
    return json_pack("{s:o,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "path", cli_json_string(artifact_string(v, row->path)),
                     "sha256", file, "code_sha256", code, "code_key", key, "size", (json_int_t)row->file_size, "text",
                     (json_int_t)row->text_bytes, "base", (json_int_t)row->base, "functions",
                     (json_int_t)row->function_count, "entries", (json_int_t)row->entry_count);
}

static int
inspect(const struct artifact_view *v, bool as_json)
{
    const struct artifact_section *ledger = &v->header.sections[ARTIFACT_LEDGER];
    const struct artifact_ledger *rows = (const struct artifact_ledger *)artifact_section(v, ARTIFACT_LEDGER);
    size_t count = ledger->size / sizeof *rows;
    json_t *config = json_loadb((const char *)artifact_section(v, ARTIFACT_CONFIG),
                                v->header.sections[ARTIFACT_CONFIG].size, 0, NULL);
    const char *backend = v->header.backend == ARTIFACT_BACKEND_DIRECT ? "direct" : "wasm";
    const char *level = x86_level_name((enum x86_level)v->header.level);
    char hex[SHA256_HEX_SIZE];

    if (as_json) {
        json_t *programs = json_array(), *all;

        for (size_t i = 0; i < count; i++)
            json_array_append_new(programs, program_json(v, &rows[i]));
        hex_of(v->header.megabinary_sha256, hex);
        all = json_pack("{s:s,s:o,s:o,s:s,s:s,s:I,s:I}", "megabinary_sha256", hex, "config",
                        config ? config : json_null(), "programs", programs, "backend", backend, "cpu", level,
                        "table_size", (json_int_t)v->header.table_size, "native_size", (json_int_t)v->header.elf_size);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(all);
        return 0;
    }
    printf("%-64s  %10s  %9s  %9s  %s\n", "SHA256", "BASE", "TEXT", "FUNCTIONS", "PATH");
    for (size_t i = 0; i < count; i++) {
        hex_of(rows[i].sha256, hex);
        cli_print(stdout, "%s  0x%08lx  %9lu  %9u  %s", hex, rows[i].base, rows[i].text_bytes, rows[i].function_count,
                  artifact_string(v, rows[i].path));
    }
    hex_of(v->header.megabinary_sha256, hex);
    printf(
        "\n%zu programs and libraries; megabinary sha256 %s\nnative code %.1f MB (backend %s, for %s), files %.1f MB\nconfig: ",
        count, hex, (double)v->header.elf_size / 1e6, backend, level,
        (double)v->header.sections[ARTIFACT_DATA].size / 1e6);
    json_dumpf(config, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(config);
    return 0;
}

/* Only the image's own kernel knows which calls it is left with, and only trying tells what this host allows. */
static int
describe_security(const char *artifact)
{
    char *path = strchr(artifact, '/') ? mem_strdup(artifact) : mem_printf("./%s", artifact);

    if (hand_over("--quiet --security") != 0)
        return 1;
    execl(path, path, (char *)NULL);
    return cli_fail(1, "%s: %s", path, strerror(errno));
}

int
cmd_inspect(int argc, char **argv)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
                                          {"security", no_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct artifact_view v;
    struct err e = {0};
    bool as_json = false, security = false;
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c != 'j' && c != 's') {
            fputs(usage, stderr);
            return 2;
        }
        as_json |= c == 'j';
        security |= c == 's';
    }
    if (optind + 1 != argc || (as_json && security)) {
        fputs(usage, stderr);
        return 2;
    }
    if (artifact_open(&v, argv[optind], &e) < 0)
        return cli_fail(1, "%s", e.text);
    c = security ? 0 : inspect(&v, as_json);
    artifact_close(&v);
    return security ? describe_security(argv[optind]) : c;
}
