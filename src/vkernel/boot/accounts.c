/* Finding the user that an image is to run as in its /etc/passwd and /etc/group. Both files come from the image and may
 * hold anything: lines that are too short or whose numbers are none are passed over. The words of the messages are
 * docker's. */
#include "vkernel/boot/accounts.h"
#include "vkernel/vfs/creds.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Splits a line such as "a:b:c" in place, into `max` fields at most. Returns how many there are. */
static int
fields(char *line, char **out, int max)
{
    int n = 0;

    while (n < max) {
        out[n++] = line;
        line = strchr(line, ':');
        if (!line)
            break;
        *line++ = '\0';
    }
    return n;
}

static bool
number(const char *s, uint32_t *v)
{
    uint64_t n = 0;

    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        n = n * 10 + (uint64_t)(*s - '0');
        if (n > UINT32_MAX)
            return false;
    }
    *v = (uint32_t)n;
    return true;
}

/* Returns the next line of *text that is not empty, and moves *text behind it; NULL at the end. */
static char *
next_line(char **text)
{
    char *line = *text + strspn(*text, "\n"), *end = line + strcspn(line, "\n");

    if (!*line)
        return NULL;
    *text = *end ? end + 1 : end;
    *end = '\0';
    return line;
}

/* Finds the line of a passwd or group file that has this name, or this number in its third field. */
static int
find_line(char **text, const char *key, char **out, int max)
{
    uint32_t wanted = 0, id;
    bool numeric = number(key, &wanted);
    char *line;

    while ((line = next_line(text))) {
        int n = fields(line, out, max);

        if (n >= 3 && (strcmp(out[0], key) == 0 || (numeric && number(out[2], &id) && id == wanted)))
            return n;
    }
    return 0;
}

/* Adds the groups that have the user as a member. */
static void
add_groups(char *text, const char *user, struct account *a)
{
    char *line;

    while ((line = next_line(&text))) {
        char *f[4], *inner = NULL;
        uint32_t gid;

        if (fields(line, f, 4) < 4 || !number(f[2], &gid) || gid == a->gid)
            continue;
        for (char *m = strtok_r(f[3], ",", &inner); m; m = strtok_r(NULL, ",", &inner))
            if (strcmp(m, user) == 0 && a->group_count < CRED_MAX_GROUPS)
                a->groups[a->group_count++] = gid;
    }
}

static int
fail(struct account *a, const char *what, const char *name, const char *file)
{
    snprintf(a->problem, sizeof a->problem, "unable to find %s %.200s: no matching entries in %s file", what, name,
             file);
    return -1;
}

int
account_find(const char *spec, char *passwd, char *group_text, struct account *a)
{
    char user[256], *f[7], *g[4];
    const char *colon = strchr(spec, ':'), *group = colon ? colon + 1 : "", *name = NULL;
    size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
    int n;

    *a = (struct account){.home = "/"};
    if (length >= sizeof user)
        return fail(a, "user", spec, "passwd");
    memcpy(user, spec, length);
    user[length] = '\0';
    n = passwd ? find_line(&passwd, *user ? user : "0", f, 7) : 0;
    if (n >= 4 && number(f[2], &a->uid) && number(f[3], &a->gid)) {
        if (n >= 6 && *f[5])
            a->home = f[5];
        name = f[0];
    } else if (!number(user, &a->uid)) {
        return fail(a, "user", user, "passwd");
    }
    if (*group && !number(group, &a->gid) &&
        (!group_text || find_line(&group_text, group, g, 4) < 3 || !number(g[2], &a->gid)))
        return fail(a, "group", group, "group");
    a->groups[a->group_count++] = a->gid;
    if (name && !colon && group_text)
        add_groups(group_text, name, a);
    return 0;
}
