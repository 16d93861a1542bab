/* Which of several sockets a packet or connection reaches. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "case.h"

enum { PORT = 15301 };

static int
bound(int family, int type)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    int s = socket(family, type | SOCK_NONBLOCK, 0), on = 1;

    setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (family == AF_INET)
        SHOW(bind(s, (struct sockaddr *)&any, sizeof any));
    else
        SHOW(bind(s, (struct sockaddr *)&six, sizeof six));
    if (type == SOCK_STREAM)
        listen(s, 5);
    return s;
}

static void
send_to_ipv4(int type)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, type, 0);

    SHOW(connect(s, (struct sockaddr *)&to, sizeof to));
    SHOW(send(s, "x", 1, 0));
}

static void
show_ready(int first, int second)
{
    struct pollfd p[2] = {{first, POLLIN}, {second, POLLIN}};

    SHOW(poll(p, 2, 5000));
    printf("first %d, second %d\n", p[0].revents != 0, p[1].revents != 0);
}

CASE(datagrams_of_ipv4_reach_ipv4_first)
{
    int six = bound(AF_INET6, SOCK_DGRAM), four = bound(AF_INET, SOCK_DGRAM);

    send_to_ipv4(SOCK_DGRAM);
    show_ready(six, four);
}

CASE(datagrams_of_ipv4_reach_ipv4_that_came_first)
{
    int four = bound(AF_INET, SOCK_DGRAM), six = bound(AF_INET6, SOCK_DGRAM);

    send_to_ipv4(SOCK_DGRAM);
    show_ready(four, six);
}

CASE(connections_of_ipv4_reach_ipv4_first)
{
    int six = bound(AF_INET6, SOCK_STREAM), four = bound(AF_INET, SOCK_STREAM);

    send_to_ipv4(SOCK_STREAM);
    show_ready(six, four);
}

CASE(datagrams_of_ipv4_reach_ipv6_alone)
{
    int six = bound(AF_INET6, SOCK_DGRAM);

    send_to_ipv4(SOCK_DGRAM);
    show_ready(six, six);
}
