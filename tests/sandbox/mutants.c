#include "mutants.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct mutants *mutants;
uint64_t mutants_seed = 1, mutants_first, mutants_last;
unsigned mutants_states, mutants_most_findings = MUTANTS_MOST_FINDINGS;
bool mutants_verbose;

static struct {
    void (*try)(uint64_t number);
    uint64_t end;
} work;

bool
mutants_option(int c)
{
    switch (c) {
    case 'c': mutants_last = strtoull(optarg, NULL, 0); break;
    case 's': mutants_seed = strcmp(optarg, "time") ? strtoull(optarg, NULL, 0) : (uint64_t)time(NULL); break;
    case 't': mutants_states = (unsigned)strtoul(optarg, NULL, 0); break;
    case 'f': mutants_first = strtoull(optarg, NULL, 0); break;
    case 'o':
        mutants_first = strtoull(optarg, NULL, 0);
        mutants_last = mutants_first + 1;
        break;
    case 'v': mutants_verbose = true; break;
    default: return false;
    }
    return true;
}

int
mutants_init(struct err *e)
{
    mutants = mmap(NULL, sizeof *mutants, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return mutants == MAP_FAILED ? err_set(e, "no memory") : objects_init(e);
}

void
mutants_finding(const char *reason)
{
    printf("FAIL mutant %llu of seed %llu: %s\n", (unsigned long long)mutants->number, (unsigned long long)mutants_seed,
           reason);
    fflush(stdout);
    mutants->findings++;
}

uint64_t
mutants_random(uint64_t number, uint64_t together)
{
    uint64_t factor = together > 1 ? 0xd1342543de82ef95 : 0xff51afd7ed558ccd;
    uint64_t random = (mutants_seed + 1) * 0x9e3779b97f4a7c15 ^ (number / together + 1) * factor;

    return random | !random;
}

static void
try_all(void *unused)
{
    for (; mutants->number < work.end && mutants->findings < mutants_most_findings; mutants->number++) {
        mutants->phase = "made";
        work.try(mutants->number);
    }
}

static _Noreturn void
child(void)
{
    struct err e = {0};

    if (sandbox_init(&e) < 0) {
        fprintf(stderr, "mutate: sandbox: %s\n", e.text);
        _exit(2);
    }
    sandbox_thread(try_all, NULL);
    fflush(stdout);
    _exit(0);
}

static void
run_child(void)
{
    char reason[128];
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        child();
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("mutate");
        exit(2);
    }
    if (status == 0)
        return;
    snprintf(reason, sizeof reason, "the process ended (%s %d) while it was %s",
             WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
             mutants->phase);
    mutants_finding(reason);
    mutants->number++;
}

void
mutants_run(unsigned in_a_child, void (*try)(uint64_t number))
{
    work.try = try;
    mutants->number = mutants_first;
    while (mutants->number < mutants_last && mutants->findings < mutants_most_findings) {
        if (mutants->number >= work.end || work.end == 0)
            work.end = mutants->number + in_a_child < mutants_last ? mutants->number + in_a_child : mutants_last;
        run_child();
    }
}
