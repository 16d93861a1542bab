/* Runs what wast2json made of the specification's scripts:  spec-run [-v] [-p] NAME.json...
 *
 * -p: compiled as files with precise faults are. For each script one line, "NAME accepted N unsupported N ...":
 *   accepted     valid modules that reader and validator take
 *   unsupported  valid modules that they refuse, and say that they do not support what it uses
 *   refused      modules that are wrong, and refused
 *   compiled     accepted modules that aot compiled, and that are instantiated
 *   returns      calls that returned what they should; traps: that trapped as they should
 *   omitted      accesses that should have trapped and, since nobody uses what they load, were left out: never with -p
 *   left         assertions about modules that are not compiled, or share state with one that is not
 * Anything else is a line that begins with FAIL, and exit status 1. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aot/aot.h"
#include "spec.h"

struct script {
    const char *path, *name;
    json_t *json;
    VEC(struct spec_instance *) instances;
    VEC(const char *) names;      /* by instance; NULL */
    VEC(const char *) registered; /* by instance; NULL */
    struct spec_instance *last;
    bool last_missing; /* the last module is not compiled */
    unsigned accepted, unsupported, refused, compiled, returns, traps, omitted, left, failures;
    long line;
};

static int scripts_failed;
static bool verbose, precise;

__attribute__((format(printf, 2, 3))) static void
failure(struct script *s, const char *format, ...)
{
    va_list args;

    printf("FAIL %s:%ld: ", s->name, s->line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    s->failures++;
}

static const char *
text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static int
read_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "rb");
    uint8_t chunk[65536];
    size_t n;

    if (!f)
        return -1;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(b, chunk, n);
    return fclose(f);
}

/* The module of a command, read and validated: 0, or -1 with the reason. */
static int
judge(struct script *s, const json_t *command, struct spec_instance *i, struct err *e)
{
    const char *slash = strrchr(s->path, '/');
    char *path = mem_printf("%.*s%s", slash ? (int)(slash - s->path + 1) : 0, s->path, text_of(command, "filename"));
    int rc = read_file(path, &i->file);

    if (rc < 0)
        failure(s, "cannot read %s", path);
    mem_free(path);
    if (rc < 0 || wasm_module_read(&i->m, i->file.data, i->file.size, e) < 0)
        return -1;
    return wasm_validate(&i->m, e);
}

static bool
says_unsupported(const struct err *e)
{
    return strstr(e->text, "not supported") != NULL;
}

/* --- values --- */
static bool
value_of(const json_t *value, union spec_value *out)
{
    const char *type = text_of(value, "type");
    const json_t *v = json_object_get(value, "value");
    const char *text = json_string_value(v);

    memset(out, 0, sizeof *out);
    if (!strcmp(type, "v128")) {
        const char *lanes = text_of(value, "lane_type");
        unsigned size = (unsigned)atoi(lanes + 1) / 8;

        for (size_t k = 0; k < json_array_size(v); k++) {
            uint64_t lane = strtoull(json_string_value(json_array_get(v, k)), NULL, 10);

            memcpy(out->bytes + k * size, &lane, size);
        }
        return size * json_array_size(v) == 16;
    }
    if (!text || !strchr("if", *type))
        return false;
    out->u64[0] = strtoull(text, NULL, 10);
    return true;
}

/* One scalar: a number, or a class of NaNs. */
static bool
scalar_matches(const char *text, unsigned size, const uint8_t *found)
{
    uint64_t bits = 0, sign = 1ull << (size * 8 - 1), quiet = 1ull << (size == 4 ? 22 : 51);
    uint64_t infinity = size == 4 ? 0x7f800000ull : 0x7ffull << 52;

    memcpy(&bits, found, size);
    if (!strcmp(text, "nan:canonical"))
        return (bits & ~sign) == (infinity | quiet);
    if (!strcmp(text, "nan:arithmetic"))
        return (bits & (infinity | quiet)) == (infinity | quiet);
    return bits == strtoull(text, NULL, 10);
}

static bool
matches(const json_t *expected, const union spec_value *found)
{
    const char *type = text_of(expected, "type");
    const json_t *v = json_object_get(expected, "value");
    unsigned size;

    if (strcmp(type, "v128"))
        return scalar_matches(text_of(expected, "value"), (unsigned)atoi(type + 1) / 8, found->bytes);
    size = (unsigned)atoi(text_of(expected, "lane_type") + 1) / 8;
    if (!size || size * json_array_size(v) != 16)
        return false;
    for (size_t k = 0; k < json_array_size(v); k++)
        if (!scalar_matches(json_string_value(json_array_get(v, k)), size, found->bytes + k * size))
            return false;
    return true;
}

/* --- actions --- */
static struct spec_instance *
instance_of(struct script *s, const json_t *action)
{
    const char *name = json_string_value(json_object_get(action, "module"));

    if (!name)
        return s->last_missing ? NULL : s->last;
    for (size_t i = s->instances.count; i-- > 0;)
        if (s->names.items[i] && !strcmp(s->names.items[i], name))
            return s->instances.items[i];
    return NULL;
}

enum { ACTION_LEFT = -1, ACTION_FAILED = -2 };

/* Carries out an action: how a call ended, or ACTION_*. count: of results, which are in the cells. */
static int
act(struct script *s, const json_t *action, uint32_t *count)
{
    struct spec_instance *i = instance_of(s, action);
    const json_t *field = json_object_get(action, "field"), *args = json_object_get(action, "args");
    bool get = !strcmp(text_of(action, "type"), "get");
    const struct wasm_functype *type;
    const struct wasm_export *x;

    *count = 0;
    if (!i || i->forgotten)
        return ACTION_LEFT;
    x = spec_export(i, json_string_value(field), json_string_length(field), get ? WASM_GLOBAL : WASM_FUNCTION);
    if (!x) {
        failure(s, "no export %s", json_string_value(field));
        return ACTION_FAILED;
    }
    if (get) {
        *count = 1;
        spec_cells[SPEC_RESULT_CELLS] = spec_global(i, x->index);
        return SPEC_RETURNED;
    }
    type = wasm_function_type(&i->m, x->index);
    *count = type->result_count;
    if (json_array_size(args) != type->param_count) {
        failure(s, "%s has %u parameters", json_string_value(field), type->param_count);
        return ACTION_FAILED;
    }
    for (uint32_t k = 0; k < type->param_count; k++) {
        if (!value_of(json_array_get(args, k), &spec_cells[k])) {
            failure(s, "argument %u is of no known type", k);
            return ACTION_FAILED;
        }
    }
    memset(&spec_cells[SPEC_RESULT_CELLS], 0xa5, SPEC_ARGUMENTS * sizeof *spec_cells);
    return spec_call(i, x->index);
}

static const char *
end_name(int end)
{
    /* clang-format off */
    static const char *const names[] = {"returned",  "exhausted the stack", "accessed memory beyond its end",
                                        "trapped: unreachable", "trapped: divide", "trapped: overflow",
                                        "trapped: table", "trapped: conversion", "trapped: memory"};
    /* clang-format on */

    return end >= 0 && end < (int)(sizeof names / sizeof *names) ? names[end] : "?";
}

static void
assert_return(struct script *s, const json_t *command)
{
    const json_t *action = json_object_get(command, "action"), *expected = json_object_get(command, "expected");
    uint32_t count;
    int end = act(s, action, &count);

    if (end == ACTION_LEFT)
        s->left++;
    if (end < 0)
        return;
    if (end != SPEC_RETURNED) {
        failure(s, "%s %s", text_of(action, "field"), end_name(end));
        return;
    }
    if (count != json_array_size(expected)) {
        failure(s, "%s has %u results", text_of(action, "field"), count);
        return;
    }
    for (uint32_t k = 0; k < count; k++) {
        const union spec_value *found = &spec_cells[SPEC_RESULT_CELLS + k];

        if (!matches(json_array_get(expected, k), found)) {
            char *text = json_dumps(json_array_get(expected, k), 0);

            failure(s, "%s: result %u is %016llx %016llx, not %s", text_of(action, "field"), k,
                    (unsigned long long)found->u64[0], (unsigned long long)found->u64[1], text);
            free(text);
            return;
        }
    }
    s->returns++;
}

/* Does the call end as the specification's message says? */
static bool
trap_matches(const char *text, int end)
{
    /* clang-format off */
    static const struct {
        const char *text;
        int ends[3];
    } traps[] = {
        {"out of bounds memory access", {SPEC_BEYOND, SPEC_TRAPPED + AOT_TRAP_MEMORY, SPEC_BEYOND}},
        {"integer divide by zero", {SPEC_TRAPPED + AOT_TRAP_DIVIDE, SPEC_TRAPPED + AOT_TRAP_DIVIDE, SPEC_TRAPPED + AOT_TRAP_DIVIDE}},
        {"integer overflow", {SPEC_TRAPPED + AOT_TRAP_OVERFLOW, SPEC_TRAPPED + AOT_TRAP_CONVERSION, SPEC_TRAPPED + AOT_TRAP_OVERFLOW}},
        {"invalid conversion to integer", {SPEC_TRAPPED + AOT_TRAP_CONVERSION, SPEC_TRAPPED + AOT_TRAP_CONVERSION, SPEC_TRAPPED + AOT_TRAP_CONVERSION}},
        /* Types are compared by the wrapper, which then is unreachable; so is what an empty slot holds. */
        {"indirect call", {SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE}},
        {"uninitialized", {SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE}},
        {"undefined", {SPEC_TRAPPED + AOT_TRAP_TABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_TABLE}},
        {"unreachable", {SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE, SPEC_TRAPPED + AOT_TRAP_UNREACHABLE}},
        {"call stack exhausted", {SPEC_EXHAUSTED, SPEC_EXHAUSTED, SPEC_EXHAUSTED}},
    };
    /* clang-format on */

    for (size_t k = 0; k < sizeof traps / sizeof *traps; k++)
        if (!strncmp(text, traps[k].text, strlen(traps[k].text)))
            return end == traps[k].ends[0] || end == traps[k].ends[1] || end == traps[k].ends[2];
    return false;
}

static void
assert_trap(struct script *s, const json_t *command)
{
    uint32_t count;
    int end = act(s, json_object_get(command, "action"), &count);

    if (end == ACTION_LEFT)
        s->left++;
    else if (end >= 0 && trap_matches(text_of(command, "text"), end))
        s->traps++;
    else if (end == SPEC_RETURNED && !precise && !strncmp(text_of(command, "text"), "out of bounds memory", 20))
        s->omitted++;
    else if (end >= 0)
        failure(s, "%s %s, expected: %s", text_of(json_object_get(command, "action"), "field"), end_name(end),
                text_of(command, "text"));
}

static void
plain_action(struct script *s, const json_t *command)
{
    uint32_t count;
    int end = act(s, json_object_get(command, "action"), &count);

    if (end == ACTION_LEFT)
        s->left++;
    else if (end > 0)
        failure(s, "%s %s", text_of(json_object_get(command, "action"), "field"), end_name(end));
}

/* --- modules --- */
static void
keep(struct script *s, struct spec_instance *i, const json_t *command)
{
    vec_push(&s->instances, i);
    vec_push(&s->names, json_string_value(json_object_get(command, "name")));
    vec_push(&s->registered, NULL);
}

static void
register_last(struct script *s, const json_t *command)
{
    for (size_t k = 0; k < s->instances.count; k++)
        if (s->instances.items[k] == instance_of(s, command))
            s->registered.items[k] = json_string_value(json_object_get(command, "as"));
}

/* What a module that is not compiled imports from others would have changed: nothing is known of them any more. */
static void
forget_exporters(struct script *s, const struct wasm_module *m)
{
    for (size_t k = 0; k < s->instances.count; k++)
        for (size_t n = 0; s->registered.items[k] && n < m->imports.count; n++)
            s->instances.items[k]->forgotten |= wasm_bytes_equal(m->imports.items[n].module, s->registered.items[k]);
}

static void
module(struct script *s, const json_t *command)
{
    struct spec_instance *i = mem_zalloc(1, sizeof *i);
    bool trapped = false;
    struct err e = {0};

    s->last = NULL;
    s->last_missing = true;
    if (judge(s, command, i, &e) < 0) {
        if (says_unsupported(&e))
            s->unsupported++;
        else
            failure(s, "valid module refused: %s", e.text);
    } else {
        s->accepted++;
        if (spec_instantiate(i, precise, &trapped, &e) < 0) {
            forget_exporters(s, &i->m);
            if (!says_unsupported(&e))
                failure(s, "module not compiled: %s", e.text);
        } else {
            s->compiled++;
            s->last = i;
            s->last_missing = false;
        }
        if (trapped)
            failure(s, "instantiation trapped");
    }
    if (verbose && *e.text)
        printf("%s:%ld: %s\n", s->name, s->line, e.text);
    if (s->last) {
        keep(s, i, command);
    } else {
        spec_instance_fini(i);
        mem_free(i);
    }
}

static void
assert_refused(struct script *s, const json_t *command)
{
    struct spec_instance i = {0};
    struct err e = {0};

    if (strcmp(text_of(command, "module_type"), "binary")) /* text is wat2wasm's to judge */
        return;
    if (judge(s, command, &i, &e) == 0)
        failure(s, "accepted: %s", text_of(command, "text"));
    else if (!*e.text)
        failure(s, "refused without a message");
    else
        s->refused++;
    spec_instance_fini(&i);
}

/* Valid, but not to be linked; or linked, and trapping at once. */
static void
assert_no_instance(struct script *s, const json_t *command, bool traps)
{
    struct spec_instance i = {0};
    bool trapped = false;
    struct err e = {0};

    if (judge(s, command, &i, &e) < 0) {
        if (says_unsupported(&e))
            s->unsupported++;
        else
            failure(s, "valid module refused: %s", e.text);
    } else if (!traps) {
        s->accepted++;
        forget_exporters(s, &i.m); /* segments may have been written, by the specification of the time */
    } else {
        s->accepted++;
        if (spec_instantiate(&i, precise, &trapped, &e) == 0) {
            s->compiled++;
            s->traps += trapped;
            if (!trapped)
                failure(s, "instantiated: %s", text_of(command, "text"));
        } else if (!says_unsupported(&e)) {
            failure(s, "module not compiled: %s", e.text);
        } else {
            forget_exporters(s, &i.m);
            s->left++;
        }
    }
    spec_instance_fini(&i);
}

static void
command(struct script *s, const json_t *c)
{
    const char *type = text_of(c, "type");

    s->line = (long)json_integer_value(json_object_get(c, "line"));
    if (!strcmp(type, "module"))
        module(s, c);
    else if (!strcmp(type, "assert_return"))
        assert_return(s, c);
    else if (!strcmp(type, "assert_trap") || !strcmp(type, "assert_exhaustion"))
        assert_trap(s, c);
    else if (!strcmp(type, "action"))
        plain_action(s, c);
    else if (!strcmp(type, "assert_invalid") || !strcmp(type, "assert_malformed"))
        assert_refused(s, c);
    else if (!strcmp(type, "assert_unlinkable") || !strcmp(type, "assert_uninstantiable"))
        assert_no_instance(s, c, !strcmp(type, "assert_uninstantiable"));
    else if (!strcmp(type, "register")) /* whoever imports from it is not compiled */
        register_last(s, c);
    else
        failure(s, "unknown command %s", type);
}

static void
run_script(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct script s = {.path = path, .name = slash ? slash + 1 : path};
    const json_t *commands;
    json_error_t error;

    s.json = json_load_file(path, JSON_ALLOW_NUL, &error);
    commands = json_object_get(s.json, "commands");
    if (!json_is_array(commands) || json_array_size(commands) == 0)
        failure(&s, "no commands: %s", error.text);
    for (size_t k = 0; k < json_array_size(commands); k++)
        command(&s, json_array_get(commands, k));
    printf("%.*s%s accepted %u unsupported %u refused %u compiled %u returns %u traps %u omitted %u left %u\n",
           (int)(strlen(s.name) - strlen(".json")), s.name, precise ? "+precise" : "", s.accepted, s.unsupported,
           s.refused, s.compiled, s.returns, s.traps, s.omitted, s.left);
    fflush(stdout);
    scripts_failed |= s.failures != 0;
    for (size_t k = 0; k < s.instances.count; k++) {
        spec_instance_fini(s.instances.items[k]);
        mem_free(s.instances.items[k]);
    }
    vec_fini(&s.instances);
    vec_fini(&s.names);
    vec_fini(&s.registered);
    json_decref(s.json);
    spec_native_reset();
}

static void
run_scripts(void *argument)
{
    char **paths = argument;

    for (; *paths; paths++) {
        if (!strcmp(*paths, "-v"))
            verbose = true;
        else if (!strcmp(*paths, "-p"))
            precise = true;
        else
            run_script(*paths);
    }
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: spec-run [-v] SCRIPT.json...\n");
        return 2;
    }
    alarm(300);
    spec_native_run(run_scripts, argv + 1);
    return scripts_failed;
}
