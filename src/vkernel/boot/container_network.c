#include "vkernel/boot/container_network.h"

#include <errno.h>
#include <string.h>

#include "platform/platform.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/socket.h"
#include "vkernel/net/user.h"

enum container_network container_network;

bool container_network_publishes;

static bool has_servers, has_list;

static void
set_network(const char *value)
{
    static const char *const names[] = {"none", "user", "host"};

    for (unsigned k = 0; k < sizeof names / sizeof *names; k++)
        if (strcmp(value, names[k]) == 0) {
            container_network = (enum container_network)k;
            return;
        }
    platform_die("--network %s: expected none, user or host", value);
}

bool
container_network_option(const char *name, const char *value)
{
    const char *expected;
    int r = 0;

    if (strcmp(name, "--network") == 0) {
        set_network(value);
        return true;
    }
    if (strcmp(name, "--publish") == 0) {
        r = publish_add(value);
        container_network_publishes = true;
        expected = "[IP:]HOST:GUEST, with /udp or /tcp";
    } else if (strcmp(name, "--allow") == 0) {
        r = policy_add(value);
        has_list = true;
        expected = "an address, a range of addresses or a name, with :PORT";
    } else if (strcmp(name, "--dns") == 0) {
        r = resolver_add(value);
        has_servers = true;
        expected = "IP[:PORT]";
    } else {
        return false;
    }
    if (r == -EINVAL)
        platform_die("%s %s: expected %s", name, value, expected);
    if (r < 0)
        platform_die("%s %s: %s", name, value, r == -E2BIG ? "there are too many" : strerror(-r));
    return true;
}

/* What was given is remembered here: a start without a network touches no page of net's. */
static void
check_options(void)
{
    if (container_network != NETWORK_IS_USER) {
        if (container_network_publishes)
            platform_die("--publish needs --network user: %s",
                         container_network == NETWORK_IS_HOST
                             ? "with --network host the container's ports are the host's"
                             : "without a network there is nothing to publish");
        if (has_servers || user_host_loopback)
            platform_die("%s needs --network user", has_servers ? "--dns" : "--host-loopback");
        if (has_list && policy_has_names())
            platform_die("--allow with a name needs --network user, whose resolver knows the name's addresses");
    }
    if (has_list && container_network == NETWORK_IS_NONE)
        platform_die("--allow needs --network user or --network host: without a network nothing is to be reached");
}

void
container_network_start(void)
{
    const char *what = "";
    int r = 0;

    check_options();
    if (container_network == NETWORK_IS_HOST && (r = host_network_start()) < 0)
        platform_die("--network host: %s", strerror(-r));
    if (container_network == NETWORK_IS_USER && (r = user_network_start(&what)) < 0)
        platform_die("--network user: %s: %s", what, strerror(-r));
}
