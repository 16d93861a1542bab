/* Process 1, made as `docker run` would: its user, environment, limits and command. The program's own arguments
 * replace the image's Cmd. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/platform.h"
#include "vkernel/audit/audit.h"
#include "vkernel/boot/accounts.h"
#include "vkernel/boot/boot.h"
#include "vkernel/boot/container_limits.h"
#include "vkernel/boot/exit_codes.h"
#include "vkernel/boot/room.h"
#include "vkernel/boot/run_options.h"
#include "vkernel/image/artifact.h"
#include "vkernel/image/config.h"
#include "vkernel/proc/proc.h"
#include "vkernel/signal/signal.h"
#include "vkernel/task/process.h"
#include "vkernel/task/system.h"
#include "vkernel/vfs/vfs.h"
#include "x86/helpers.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_CAPS 0x00000000a80425fbull /* docker's default set: bits CAP_* */

static const struct image_config *config;

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
    for (size_t i = 0; i < config->env.count; i++)
        env_set(&env, config->env.items[i], true);
    for (size_t i = 0; i < run_options.env.count; i++)
        if (strchr(run_options.env.items[i], '='))
            env_set(&env, run_options.env.items[i], true);
    snprintf(text, sizeof text, "HOME=%s", home);
    env_set(&env, text, false);
    return env;
}

static struct string_list
build_command(void)
{
    struct string_list command = {0};
    const struct string_list *cmd = run_options.arguments.count ? &run_options.arguments : &config->cmd;

    for (size_t i = 0; i < config->entrypoint.count; i++)
        string_list_add(&command, config->entrypoint.items[i]);
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
struct task *
boot_make_first_task(const struct image_config *image, uint64_t ignored)
{
    struct process *p = process_new(NULL);
    struct task *t = p ? task_new(p) : NULL;

    config = image;
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
        if (ignored >> (sig - 1) & 1)
            p->actions[sig].handler = (uint64_t)(uintptr_t)SIG_IGN;
    strcpy(p->comm, "init");
    x86_cpu_reset(platform_fiber_cpu(t->sched.fiber));
    list_append(&p->threads, &t->thread_link);
    list_append(&process_list, &p->all);
    process_number(p);
    task_number(t, p->pid);
    proc_tasks_made++;
    return t;
}

void
boot_first_task(void)
{
    struct process *p = current_process();
    struct string_list command, env;
    char *home = NULL;
    const char *workdir = run_options.workdir && *run_options.workdir ? run_options.workdir : config->working_dir,
               *user = run_options.user;
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
        if (run_options.workdir && *run_options.workdir && *workdir != '/')
            platform_die("the working directory %s is not an absolute path", workdir);
        vfs_make_path(workdir, true); /* what that cannot make, chdir reports */
    }
    set_user(user ? user : config->user, &home);
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
