#include "vkernel/net/interfaces.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vkernel/net/socket.h"
#include "vkernel/vfs/creds.h"

/* Linux's put the bytes of an IPv4 address in network order in a word. */
#define FOUR(a, b, c, d) ((in_addr_t)((a) | (b) << 8 | (c) << 16 | (unsigned)(d) << 24))
#define LO                                         \
    {.name = "lo",                                 \
     .index = 1,                                   \
     .flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING, \
     .type = ARPHRD_LOOPBACK,                      \
     .mtu = 65536,                                 \
     .four = FOUR(127, 0, 0, 1),                   \
     .four_bits = 8,                               \
     .six = IN6ADDR_LOOPBACK_INIT,                 \
     .six_bits = 128}

const struct interface interfaces_loopback[] = {LO, {.name = NULL}};

const struct interface interfaces_user[] = {
    LO,
    {.name = "eth0",
     .index = 2,
     .flags = IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST,
     .type = ARPHRD_ETHER,
     .mtu = 65520,
     .mac = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x64},
     .four = FOUR(10, 0, 2, 100),
     .gateway_four = FOUR(10, 0, 2, 2),
     .four_bits = 24,
     .six = {.s6_addr = {0xfd, [14] = 0x01, [15] = 0x00}},
     .gateway_six = {.s6_addr = {0xfd, [15] = 0x02}},
     .six_bits = 64},
    {.name = NULL},
};

static const struct interface *
find(const char *name)
{
    for (const struct interface *i = network->interfaces; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

static void
put_four(struct sockaddr *a, in_addr_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};

    memcpy(a, &in, sizeof in);
}

static int
list(guest_addr arg)
{
    struct {
        int length, pad;
        uint64_t buffer;
    } conf;
    int done = 0, room;

    if (copy_from_guest(&conf, arg, sizeof conf) < 0)
        return -EFAULT;
    room = conf.length < 0 ? 0 : conf.length;
    for (const struct interface *i = network->interfaces; i->name; i++) {
        struct ifreq r = {.ifr_flags = 0};

        strcpy(r.ifr_name, i->name);
        put_four(&r.ifr_addr, i->four);
        if (conf.buffer && room - done < (int)sizeof r)
            break;
        if (conf.buffer && copy_to_guest(conf.buffer + (unsigned)done, &r, sizeof r) < 0)
            return -EFAULT;
        done += (int)sizeof r;
    }
    conf.length = done;
    return copy_to_guest(arg, &conf, sizeof conf);
}

static in_addr_t
mask(const struct interface *i)
{
    return htonl(~0u << (32 - i->four_bits));
}

/* Fills in what is asked for; false: nothing of that kind. */
static bool
give(const struct interface *i, unsigned long request, struct ifreq *r)
{
    bool ether = i->type == ARPHRD_ETHER;

    memset(&r->ifr_ifru, 0, sizeof r->ifr_ifru);
    switch (request) {
    case SIOCGIFFLAGS: r->ifr_flags = (short)i->flags; return true;
    case SIOCGIFINDEX: r->ifr_ifindex = i->index; return true;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR: put_four(&r->ifr_addr, i->four); return true;
    case SIOCGIFBRDADDR: put_four(&r->ifr_addr, ether ? i->four | ~mask(i) : 0); return true;
    case SIOCGIFNETMASK: put_four(&r->ifr_addr, mask(i)); return true;
    case SIOCGIFMTU: r->ifr_mtu = (int)i->mtu; return true;
    case SIOCGIFHWADDR:
        r->ifr_hwaddr.sa_family = (sa_family_t)i->type;
        memcpy(r->ifr_hwaddr.sa_data, i->mac, sizeof i->mac);
        return true;
    case SIOCGIFTXQLEN: r->ifr_qlen = 1000; return true;
    case SIOCGIFMETRIC: return true;
    default: return false;
    }
}

int
interfaces_ioctl(unsigned long request, guest_addr arg)
{
    const struct interface *found = NULL;
    struct ifreq r, known;

    if (request == SIOCGIFCONF)
        return list(arg);
    if (request < 0x8900 || request > 0x89ff)
        return -ENOTTY;
    if (copy_from_guest(&r, arg, sizeof r) < 0)
        return -EFAULT;
    if (request == SIOCGIFNAME) {
        for (const struct interface *i = network->interfaces; i->name; i++)
            if (i->index == r.ifr_ifindex)
                found = i;
        if (!found)
            return -ENODEV;
        strcpy(r.ifr_name, found->name);
        return copy_to_guest(arg, &r, sizeof r);
    }
    r.ifr_name[IFNAMSIZ - 1] = '\0';
    if (!give(interfaces_loopback, request, &known))
        return capable(CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
    found = find(r.ifr_name);
    if (!found)
        return -ENODEV;
    give(found, request, &r);
    return copy_to_guest(arg, &r, sizeof r);
}
