/* Where guests may send to: the list of --allow, and what is out of reach whatever that says.
 *
 * Without a list everything is allowed. With one, what no rule names is denied. A rule is an address or a range of
 * them, or the name of a host, with a port or without. Names are the container's resolver's (resolver.c): it answers
 * questions about allowed names only, and pins the addresses in the answers, which are allowed from then on. Addresses
 * are IPv6 throughout, IPv4 ones mapped (::ffff:a.b.c.d); a scope makes no difference. */
#ifndef VKERNEL_NET_POLICY_H
#define VKERNEL_NET_POLICY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POLICY_NAME_MAX = 254 };

/* Before the container starts: ADDRESS[/BITS][:PORT], [IPV6][/BITS][:PORT], IPV6[/BITS] or NAME[:PORT], where the name
 * may begin with "*." and then stands for all names below. 0; -EINVAL: it is none of these; -ENOMEM. */
int policy_add(const char *rule);
/* IPv4 or IPv6, "[IPv6]" too, without port. */
bool policy_parse_address(const char *text, size_t length, struct in6_addr *ip);
bool policy_parse_port(const char *text, unsigned *port); /* 1 to 65535 */

bool policy_given(void);     /* there is a list */
bool policy_has_names(void); /* and there are names on it */
/* Port 0: of a protocol without ports. By address: names do not count, whoever answers for them. */
bool policy_allows(const struct in6_addr *ip, unsigned port);
bool policy_allows_by_address(const struct in6_addr *ip, unsigned port);
/* In lower case, without a dot at the end. */
bool policy_allows_name(const char *name);
/* The name was answered with this address, for so many seconds; kept for ten minutes at least and a day at most, as
 * programs keep addresses longer than they may. */
void policy_pin(const char *name, const struct in6_addr *ip, uint32_t seconds);
/* An audit record of a destination that is out of reach; the error, negative, is returned. */
int policy_refuse(const struct in6_addr *ip, unsigned port, int error);
/* The same of a name that the resolver refuses. */
void policy_refuse_name(const char *name);

/* For a destination of the host's network as guests name it (--network host); NULL: none is named, which is allowed.
 * `size` is what the address has of the storage. With a list, the unspecified address becomes the loopback's there: the
 * host must be given what was checked. 0 or the error, which is recorded. */
struct sockaddr_storage;
int policy_check(struct sockaddr_storage *a, size_t size);

#endif
