/* The network interfaces of the container's own, as ioctls (netdevice(7)), rtnetlink and /proc/net show them. */
#ifndef VKERNEL_NET_INTERFACES_H
#define VKERNEL_NET_INTERFACES_H

#include <netinet/in.h>
#include <stdint.h>

#include "vkernel/usercopy/usercopy.h"

/* Constant tables of them end with a name of NULL. The first one is lo, and a second one leads outside. Addresses are in
 * network byte order. */
struct interface {
    const char *name;
    int index;
    unsigned flags; /* IFF_* */
    unsigned type;  /* ARPHRD_* */
    unsigned mtu;
    uint8_t mac[6];
    in_addr_t four, gateway_four;
    struct in6_addr six, gateway_six;
    unsigned four_bits, six_bits; /* of the networks on the link */
};
extern const struct interface interfaces_loopback[], interfaces_user[];

/* SIOCGIF* of network->interfaces; -ENOTTY: it is no request to an interface. */
int interfaces_ioctl(unsigned long request, guest_addr arg);

#endif
