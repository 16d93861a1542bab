/* Users as an image names them: its /etc/passwd and /etc/group, whatever stands there. */
#ifndef VKERNEL_BOOT_ACCOUNTS_H
#define VKERNEL_BOOT_ACCOUNTS_H

#include <stdint.h>

#include "vkernel/task/process.h"

struct account {
    uint32_t uid, gid;
    uint32_t groups[CRED_MAX_GROUPS]; /* gid first */
    unsigned group_count;
    const char *home; /* points into passwd, or to a constant */
    char problem[320];
};

/* spec: "user[:group]", names or numbers. passwd, group: the files' text, which is cut up, or NULL. Negative: problem
 * says why. */
int account_find(const char *spec, char *passwd, char *group, struct account *out);

#endif
