/* The artifact's entry: checks and opens the image in its own file, builds process 1 as `docker run` would, runs it.
 *
 * Options come from `ingot run` in a sealed memory file (space-separated, percent-encoded; platform/options.c); the
 * program's own arguments replace the image's Cmd. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/rare.h"
#include "platform/heap.h"
#include "platform/hostnet.h"
#include "platform/platform.h"
#include "platform/processor.h"
#include "vkernel/abi/dispatch.h"
#include "vkernel/abi/syscall.h"
#include "vkernel/audit/audit.h"
#include "vkernel/audit/notice.h"
#include "vkernel/boot/accounts.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/boot/options.h"
#include "vkernel/boot/room.h"
#include "vkernel/image/artifact.h"
#include "vkernel/image/config.h"
#include "vkernel/mm/mm.h"
#include "vkernel/mm/store.h"
#include "vkernel/net/socket.h"
#include "vkernel/proc/proc.h"
#include "vkernel/run/calls.h"
#include "vkernel/run/evaluated.h"
#include "vkernel/run/lockstep.h"
#include "vkernel/run/run.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/trust/ledger.h"
#include "vkernel/vfs/vfs.h"
#include "x86/helpers.h"
#include "x86/level.h"
#include "vkernel/signal/signal.h"

enum { EXIT_OWN = 125, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_CAPS 0x00000000a80425fbull /* docker's default set */

static struct {
    struct string_list env, arguments;
    int stats_fd;
    const char *workdir, *user, *audit;
    bool stats;
    const char *stats_path;
    bool has_hostname, audit_drop, network_host, isolate_full, require_layers, security;
} options;
static struct image_config config;
static uint64_t ignored_signals; /* by whoever started us: bit (signal - 1) */

/* --- options --- */

static void
stress(const char *what)
{
    if (strcmp(what, "unwind") == 0)
        stress_unwind = true;
    else if (strcmp(what, "budget") == 0)
        stress_budget = true;
    else if (strcmp(what, "evaluate") == 0)
        stress_evaluate = true;
    else
        platform_die("--stress %s: expected unwind, budget or evaluate", what);
}

static void
set_network(const char *value)
{
    options.network_host = strcmp(value, "host") == 0;
    if (!options.network_host && strcmp(value, "none") != 0)
        platform_die("--network %s: expected none or host", value);
}

static void
set_policy(const char *value)
{
    if (strcmp(value, "audit") == 0)
        ledger_policy = LEDGER_AUDIT;
    else if (strcmp(value, "enforce") == 0)
        ledger_policy = LEDGER_ENFORCE;
    else
        platform_die("--policy %s: expected enforce or audit", value);
}

static void
option_with_value(const char *name, const char *value)
{
    if (container_limits_option(name, value))
        return;
    if (strcmp(name, "--env") == 0)
        string_list_add(&options.env, value);
    else if (strcmp(name, "--volume") == 0)
        room_add_volume((char *)(uintptr_t)value);
    else if (strcmp(name, "--workdir") == 0)
        options.workdir = value;
    else if (strcmp(name, "--user") == 0)
        options.user = value;
    else if (strcmp(name, "--network") == 0)
        set_network(value);
    else if (strcmp(name, "--hostname") == 0) {
        if (!*value || strlen(value) >= sizeof system_info.hostname)
            platform_die("--hostname: a host name has 1 to %zu bytes", sizeof system_info.hostname - 1);
        snprintf(system_info.hostname, sizeof system_info.hostname, "%s", value);
        options.has_hostname = true;
    } else if (strcmp(name, "--policy") == 0)
        set_policy(value);
    else if (strcmp(name, "--audit") == 0)
        options.audit = value;
    else if (strcmp(name, "--audit-full") == 0) {
        options.audit_drop = strcmp(value, "drop") == 0;
        if (!options.audit_drop && strcmp(value, "wait") != 0)
            platform_die("--audit-full %s: expected wait or drop", value);
    } else if (strcmp(name, "--isolate") == 0) {
        options.isolate_full = strcmp(value, "full") == 0;
        if (!options.isolate_full && strcmp(value, "default") != 0)
            platform_die("--isolate %s: expected default or full", value);
    } else if (strcmp(name, "--stress") == 0)
        stress(value);
    else if (strcmp(name, "--calls") == 0) /* of ingot run --lockstep=OTHER */
        calls_start(atoi(value));
    else
        platform_die("unknown option %s", name);
}

/* Whoever sets the environment of the host process is not always who runs it, and options reach the host's files. Only
 * the vkernel for development takes them from there (tests/vkernel/dev_options.c). */
extern const bool options_from_environment;

static void
parse_options(void)
{
    const char *given = getenv("INGOT_OPTIONS");
    static char *text; /* kept: options point into it */
    char *rest, *word;

    if (!given)
        return;
    text = platform_handed_options(given);
    if (!text && options_from_environment)
        text = bytes_string(given);
    if (!text) {
        platform_log("ingot: INGOT_OPTIONS in the environment is not by ingot run, and is ignored\n");
        unsetenv("INGOT_OPTIONS");
        return;
    }
    rest = text;
    while ((word = option_word(&rest))) {
        char *value;

        if (strcmp(word, "--strace") == 0) {
            strace_on = true;
        } else if (strcmp(word, "--quiet") == 0) {
            notice_quiet = true;
        } else if (strcmp(word, "--eval-unknown") == 0) {
            ledger_policy = LEDGER_EVAL_UNKNOWN;
        } else if (strcmp(word, "--require-layers") == 0) {
            options.require_layers = true;
        } else if (strcmp(word, "--security") == 0) { /* ingot inspect --security */
            options.security = true;
        } else if (strcmp(word, "--lockstep") == 0) {
            lockstep_init();
        } else if (strcmp(word, "--stats") == 0) {
            options.stats = run_stats = true;
        } else if (strncmp(word, "--stats=", 8) == 0) {
            run_stats = true;
            options.stats_path = word + 8;
        } else {
            value = option_word(&rest);
            if (!value)
                platform_die("option %s needs a value", word);
            option_with_value(word, value);
        }
    }
    unsetenv("INGOT_OPTIONS");
    if (!options.stats_path)
        return;
    options.stats_fd = platform_open_append(options.stats_path);
    if (options.stats_fd < 0)
        platform_die("cannot open %s: %s", options.stats_path, strerror(-options.stats_fd));
}

/* --- users --- */

static char *
read_whole(const char *path)
{
    struct file *f;
    uint64_t size;
    char *text = NULL;

    if (vfs_open(AT_FDCWD, path, O_RDONLY, 0, &f) < 0)
        return NULL;
    size = file_size(f);
    if (size < 1 << 20)
        text = bytes_new(size + 1);
    if (text) {
        ssize_t n = file_pread(f, text, size, 0);

        text[n > 0 ? n : 0] = '\0';
    }
    file_put(f);
    return text;
}

/* "user[:group]", names or numbers. *home gets a heap string. */
static void
set_user(const char *spec, char **home)
{
    struct creds *c = &current_process()->creds;
    char *passwd = read_whole("/etc/passwd"), *group = read_whole("/etc/group");
    struct account account;

    if (account_find(spec && *spec ? spec : "0", passwd, group, &account) < 0)
        platform_die("%s", account.problem);
    c->gid = c->egid = c->sgid = c->fsgid = account.gid;
    memcpy(c->groups, account.groups, account.group_count * sizeof *c->groups);
    c->group_count = account.group_count;
    c->uid = c->euid = c->suid = c->fsuid = account.uid;
    if (!(*home = bytes_string(account.home)) || process_set_user(current_process(), account.uid) < 0)
        platform_die("out of memory");
    if (account.uid != 0)
        c->cap_effective = c->cap_permitted = 0;
    bytes_free(passwd);
    bytes_free(group);
}

/* --- environment and command --- */

static bool
same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static void
env_set(struct string_list *env, const char *entry, bool replace)
{
    for (size_t i = 0; i < env->count; i++) {
        if (!same_name(entry, env->items[i]))
            continue;
        if (replace) {
            bytes_free(env->items[i]);
            env->items[i] = bytes_string(entry);
        }
        return;
    }
    string_list_add(env, entry);
}

static struct string_list
build_env(const char *home)
{
    struct string_list env = {0};
    char text[4200];

    string_list_add(&env, DEFAULT_PATH);
    snprintf(text, sizeof text, "HOSTNAME=%s", system_info.hostname);
    string_list_add(&env, text);
    if (platform_isatty(0))
        string_list_add(&env, "TERM=xterm");
    for (size_t i = 0; i < config.env.count; i++)
        env_set(&env, config.env.items[i], true);
    for (size_t i = 0; i < options.env.count; i++)
        if (strchr(options.env.items[i], '='))
            env_set(&env, options.env.items[i], true);
    snprintf(text, sizeof text, "HOME=%s", home);
    env_set(&env, text, false);
    return env;
}

static struct string_list
build_command(void)
{
    struct string_list command = {0};
    const struct string_list *cmd = options.arguments.count ? &options.arguments : &config.cmd;

    for (size_t i = 0; i < config.entrypoint.count; i++)
        string_list_add(&command, config.entrypoint.items[i]);
    for (size_t i = 0; i < cmd->count; i++)
        string_list_add(&command, cmd->items[i]);
    return command;
}

/* Tries the directories of PATH as execvp does. */
static int
exec_search(struct string_list *command, struct string_list *env)
{
    const char *name = command->items[0], *path = "";
    char full[4096];
    int result = -ENOENT;

    if (strchr(name, '/')) {
        snprintf(full, sizeof full, "%s", name);
        return exec_file(AT_FDCWD, full, 0, command->items, env->items);
    }
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], "PATH=", 5) == 0)
            path = env->items[i] + 5;
    while (*path) {
        size_t n = strcspn(path, ":");
        struct file *f;

        if (n && snprintf(full, sizeof full, "%.*s/%s", (int)n, path, name) < (int)sizeof full) {
            int r = vfs_open_exec(AT_FDCWD, full, 0, &f);

            if (r == 0) {
                file_put(f);
                return exec_file(AT_FDCWD, full, 0, command->items, env->items);
            }
            if (r != -ENOENT && r != -ENOTDIR)
                result = r;
        }
        path += n;
        path += *path == ':';
    }
    return result;
}

/* --- process 1 --- */

static void
set_limits(struct process *p)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        p->rlimits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    p->rlimits[RLIMIT_STACK] = (struct rlimit){8 << 20, RLIM_INFINITY};
    p->rlimits[RLIMIT_NOFILE] = (struct rlimit){1024, 524288};
    p->rlimits[RLIMIT_CORE] = (struct rlimit){0, 0};
    p->rlimits[RLIMIT_MEMLOCK] = (struct rlimit){8 << 20, 8 << 20};
    p->rlimits[RLIMIT_SIGPENDING] = (struct rlimit){8192, 8192};
    p->rlimits[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
    p->rlimits[RLIMIT_NICE] = (struct rlimit){0, 0};
    p->rlimits[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
    p->rlimits[RLIMIT_NPROC] = (struct rlimit){32768, 32768};
    container_limits_ulimits(p);
}

/* Its address space is made by its first exec. */
static struct task *
first_task(void)
{
    struct process *p = process_new(NULL);
    struct task *t = p ? task_new(p) : NULL;

    if (!t)
        platform_die("out of memory");
    t->tid = p->pid = (int)proc_allocate_id();
    p->pgid = p->sid = p->pid;
    p->leader = t;
    p->thread_count = 1;
    p->exit_signal = 0;
    p->creds.cap_bounding = p->creds.cap_permitted = p->creds.cap_effective = DEFAULT_CAPS;
    set_limits(p);
    for (int sig = 1; sig <= 64; sig++)
        if (ignored_signals >> (sig - 1) & 1)
            p->actions[sig].handler = (uint64_t)(uintptr_t)SIG_IGN;
    strcpy(p->comm, "init");
    x86_cpu_reset(platform_fiber_cpu(t->sched.fiber));
    list_append(&p->threads, &t->thread_link);
    list_append(&process_list, &p->all);
    process_number(p);
    task_number(t, p->pid);
    return t;
}

void
boot_first_task(void)
{
    struct process *p = current_process();
    struct string_list command, env;
    char *home = NULL;
    const char *workdir = options.workdir && *options.workdir ? options.workdir : config.working_dir,
               *user = options.user;
    char name[256];
    int r;

    command = build_command();
    if (!command.count)
        platform_die("no command: the image has neither Entrypoint nor Cmd");
    audit_start(artifact_digest(the_artifact), room_layers(), room_missing_layers(), command.items);
    r = vfs_mount_root(the_artifact, system_info.hostname);
    if (r < 0)
        platform_die("cannot mount the image: %s", strerror(-r));
    p->fs = fs_context_new();
    p->files = fdtable_new();
    if (!p->fs || !p->files)
        platform_die("out of memory");
    room_mount_volumes();
    r = console_open(p->files);
    if (r < 0)
        platform_die("cannot open the console: %s", strerror(-r));
    if (workdir && *workdir) {
        if (options.workdir && *options.workdir && *workdir != '/')
            platform_die("the working directory %s is not an absolute path", workdir);
        vfs_make_path(workdir, true); /* what that cannot make, chdir reports */
    }
    set_user(user ? user : config.user, &home);
    if (workdir && *workdir) {
        r = fs_context_chdir(p->fs, workdir);
        if (r < 0)
            platform_die("cannot change to the working directory %s: %s", workdir, strerror(-r));
    }
    env = build_env(home);
    bytes_free(home);
    snprintf(name, sizeof name, "%s", command.items[0]);
    init_process = p;
    r = exec_search(&command, &env);
    if (r < 0) {
        int status = r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;

        platform_log("ingot: cannot run %s: %s\n", name, strerror(-r));
        audit_finish(status);
        exit(status);
    }
}

static void
report(int fd)
{
    char line[256];

    snprintf(line, sizeof line, "system calls: %llu\nswitches: %llu\nrefused: %llu\n",
             (unsigned long long)syscall_total, (unsigned long long)sched_switches, (unsigned long long)audit_refusals);
    platform_write(fd, line, strlen(line));
    if (lockstep_on) {
        snprintf(line, sizeof line, "lockstep: %llu checks and ends of compiled code compared\n",
                 (unsigned long long)lockstep_compared());
        platform_write(fd, line, strlen(line));
    }
    evaluated_report(fd);
    syscall_report(fd);
}

static void
put_record(const char *text)
{
    static char buffer[16 << 10] RARE;
    static size_t used;
    size_t n = text ? strlen(text) : 0;

    if (!text || used + n > sizeof buffer) {
        platform_write(options.stats_fd, buffer, used);
        used = 0;
    }
    if (n > sizeof buffer) {
        platform_write(options.stats_fd, text, n);
    } else if (n) {
        memcpy(buffer + used, text, n);
        used += n;
    }
}

/* --stats=FILE: one JSON object, one line (docs/formats.md). */
static void
write_record(void)
{
    char text[256];

    snprintf(text, sizeof text, "{\"version\":1,\"system_calls\":%llu,\"switches\":%llu,\"refused\":%llu,",
             (unsigned long long)syscall_total, (unsigned long long)sched_switches, (unsigned long long)audit_refusals);
    put_record(text);
    evaluated_write(put_record);
    put_record(",\"not_implemented\":[");
    syscall_write_unknown(put_record);
    put_record("]}\n");
    put_record(NULL);
}

void
container_exit(int status)
{
    int code;

    status = container_limits_status(status);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);

    audit_finish(code);
    artifact_remember(the_artifact);
    if (run_stats)
        evaluated_collect_all();
    if (options.stats)
        report(2);
    if (options.stats_path)
        write_record();
    exit(code);
}

/* What the programs find on every host, this one must have. */
static void
set_level(const struct artifact_header *h)
{
    char missing[512];

    if (h->level < X86_LEVEL_V2 || h->level >= X86_LEVEL_END)
        platform_die("the artifact is built for a processor that this version of ingot does not know");
    x86_set_level(h->level);
    if (!platform_executes(h->level, h->backend == ARTIFACT_BACKEND_DIRECT)) {
        platform_missing_features(&platform_processor, h->level, h->backend == ARTIFACT_BACKEND_DIRECT, missing,
                                  sizeof missing);
        platform_die("the artifact is built for %s%s, and this processor does not have: %s", x86_level_name(h->level),
                     h->backend == ARTIFACT_BACKEND_DIRECT ? " with rewritten code" : "",
                     *missing ? missing : "some of its instructions");
    }
    if (h->level == X86_LEVEL_V3)
        platform_use_ymm();
}

int
main(int argc, char **argv)
{
    char error[256];
    const char *text;
    size_t size;
    int fd, r;

    if (!platform_init())
        return EXIT_OWN;
    parse_options();
    for (int i = 1; i < argc; i++)
        string_list_add(&options.arguments, argv[i]);
    fd = platform_open_self();
    if (fd < 0)
        platform_die("cannot open this executable: %s", strerror(-fd));
    the_artifact = artifact_open(fd, error, sizeof error);
    if (!the_artifact)
        platform_die("%s", error);
    set_level(artifact_header(the_artifact));
    text = artifact_config(the_artifact, &size);
    if (config_parse(text, size, &config, error, sizeof error) < 0)
        platform_die("%s", error);
    if (options.audit)
        audit_open(options.audit, options.audit_drop);
    if (options.network_host && (r = host_network_start()) < 0)
        platform_die("--network host: %s", strerror(-r));
    if (!options.has_hostname && options.network_host)
        options.has_hostname = host_name(system_info.hostname, sizeof system_info.hostname) == 0; /* as docker does */
    if (!options.has_hostname) {
        uint8_t id[6];

        platform_random(id, sizeof id);
        snprintf(system_info.hostname, sizeof system_info.hostname, "%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2],
                 id[3], id[4], id[5]);
    }
    ignored_signals = platform_forward_signals(platform_isatty(0));
    sched_init();
    run_init();
    container_limits_start();
    room_enter(options.network_host, options.isolate_full, options.require_layers);
    if (options.security) {
        room_describe();
        return 0;
    }
    sched_start(first_task());
}
