/* What net_user.py has guests do in a container's own network (--network user), and natively. Addresses are IPv4 or IPv6.
 *
 *     net_user echo PORT N FAMILY      a server of N connections, each in a process: prints whom it has, echoes until the end
 *     net_user slow PORT BYTES         a server of one connection that reads so much, slowly, and prints a sum of it
 *     net_user refuse PORT MS          listens for so long, and not any more for as long, and then again for one connection
 *     net_user udp PORT N              echoes N datagrams
 *     net_user connect IP PORT...      how each connection ends
 *     net_user talk IP PORT BYTES      sends so much and gets it back; half closes
 *     net_user send IP PORT...         how a datagram to each goes, sent by three calls
 *     net_user ask IP PORT N           sends N datagrams and waits for each answer
 *     net_user names NAME...           what the resolver says
 *     net_user query HEX...            what it answers to such bytes, by UDP
 *     net_user stream HEX...           the same by TCP, all at once
 *     net_user storm SEED N PORT       N random calls on sockets of all kinds, at PORT and 53 of the gateway, of itself, ...
 *     net_user link                    interfaces and files */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 65536 };
static char buffer[PIECE];

static const char *
error_name(long r)
{
    return r < 0 ? strerrorname_np(errno) : "ok";
}

static void
need(const char *what, long r)
{
    if (r >= 0)
        return;
    printf("%s: %s\n", what, error_name(r));
    fflush(stdout);
    _exit(1);
}

static socklen_t
address(const char *ip, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (void *)out;
    struct sockaddr_in6 *six = (void *)out;
    char copy[64], *scope;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof *four;
    }
    snprintf(copy, sizeof copy, "%s", ip);
    scope = strchr(copy, '%');
    if (scope)
        *scope++ = '\0';
    need(ip, inet_pton(AF_INET6, copy, &six->sin6_addr) == 1 ? 0 : -1);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    six->sin6_scope_id = scope ? atoi(scope) : 0;
    return sizeof *six;
}

static const char *
text_of(const struct sockaddr_storage *a)
{
    static char text[INET6_ADDRSTRLEN];

    return a->ss_family == AF_INET
               ? inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text)
               : inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
}

static int
bound(int type, int port, int family)
{
    int s = socket(family == 4 ? AF_INET : AF_INET6, type, 0), one = 1;
    struct sockaddr_storage a;
    socklen_t n = address(family == 4 ? "0.0.0.0" : "::", port, &a);

    need("socket", s);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == 60)
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    need("bind", bind(s, (void *)&a, n));
    return s;
}

static void
send_all(int s, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(s, data, size, MSG_NOSIGNAL);

        if (n < 0) {
            printf("send: %s\n", error_name(n));
            return;
        }
        data += n;
        size -= (size_t)n;
    }
}

static void
echo(int port, int count, int family)
{
    int s = bound(SOCK_STREAM, port, family);

    need("listen", listen(s, 64));
    printf("ready\n");
    fflush(stdout);
    for (int k = 0; k < count; k++) {
        struct sockaddr_storage from, to;
        socklen_t size = sizeof from, to_size = sizeof to;
        int c = accept(s, (void *)&from, &size);
        char mine[64];
        ssize_t n;

        need("accept", c);
        if (fork() != 0) {
            close(c);
            continue;
        }
        close(s);
        getsockname(c, (void *)&to, &to_size);
        snprintf(mine, sizeof mine, "%s", text_of(&to));
        printf("from %s to %s\n", text_of(&from), mine);
        fflush(stdout);
        while ((n = read(c, buffer, sizeof buffer)) > 0)
            send_all(c, buffer, (size_t)n);
        if (n < 0)
            printf("read: %s\n", error_name(n));
        exit(0);
    }
    while (wait(NULL) > 0)
        ;
}

static void
slow(int port, long size)
{
    int s = bound(SOCK_STREAM, port, 4), c, small = 32768;
    uint64_t sum = 0;
    long total = 0;
    ssize_t n;

    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    need("listen", listen(s, 1));
    printf("ready\n");
    fflush(stdout);
    c = accept(s, NULL, NULL);
    need("accept", c);
    while ((n = read(c, buffer, 8192)) > 0) {
        for (ssize_t k = 0; k < n; k++)
            sum = sum * 31 + (unsigned char)buffer[k];
        total += n;
        if (total % 131072 < 8192)
            usleep(20000);
    }
    printf("%ld bytes, end %s, sum %016llx\n", total, error_name(n), (unsigned long long)sum);
}

static void
refuse(int port, int ms)
{
    int s = bound(SOCK_STREAM, port, 4), c;

    need("listen", listen(s, 4));
    printf("ready\n");
    fflush(stdout);
    usleep(ms * 1000);
    close(s);
    printf("closed\n");
    fflush(stdout);
    usleep(ms * 1000);
    s = bound(SOCK_STREAM, port, 4);
    need("listen", listen(s, 4));
    printf("again\n");
    fflush(stdout);
    c = accept(s, NULL, NULL);
    need("accept", c);
    send_all(c, "hello", 5);
}

static void
udp(int port, int count)
{
    int s = bound(SOCK_DGRAM, port, 6);

    printf("ready\n");
    fflush(stdout);
    for (int k = 0; k < count; k++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(s, buffer, sizeof buffer, 0, (void *)&from, &size);

        need("recvfrom", n);
        if (k == 0)
            printf("from %s\n", text_of(&from));
        need("sendto", sendto(s, buffer, (size_t)n, 0, (void *)&from, size));
    }
}

static void
connect_each(const char *from, char **argv)
{
    for (; argv[0] && argv[1]; argv += 2) {
        struct sockaddr_storage a;
        socklen_t n = address(argv[0], atoi(argv[1]), &a);
        int s = socket(a.ss_family, SOCK_STREAM, 0), r;
        struct sockaddr_storage me, peer;
        socklen_t size = sizeof me;

        if (from) {
            struct sockaddr_storage own;
            socklen_t length = address(from, 0, &own);

            need("bind", bind(s, (void *)&own, length));
        }

        r = connect(s, (void *)&a, n);
        printf("%s %s", argv[0], error_name(r));
        if (r == 0 && getsockname(s, (void *)&me, &size) == 0)
            printf(" as %s", text_of(&me));
        size = sizeof peer;
        if (r == 0 && getpeername(s, (void *)&peer, &size) == 0)
            printf(" to %s", text_of(&peer));
        if (r == 0)
            printf(" again %s", error_name(connect(s, (void *)&a, n)));
        printf("\n");
        close(s);
    }
}

static void
talk(const char *ip, int port, long size)
{
    struct sockaddr_storage a;
    socklen_t n = address(ip, port, &a);
    int s = socket(a.ss_family, SOCK_STREAM, 0), one = 1, value = 0;
    socklen_t value_size = sizeof value;
    long back = 0, bad = 0;
    ssize_t r;

    need("option", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    need("connect", connect(s, (void *)&a, n));
    getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &value_size);
    printf("nodelay %d\n", value != 0);
    fflush(stdout);
    if (fork() == 0) {
        for (long k = 0; k < size; k += PIECE) {
            for (long i = 0; i < PIECE; i++)
                buffer[i] = (char)((k + i) * 7 + (k >> 16));
            send_all(s, buffer, (size_t)(size - k < PIECE ? size - k : PIECE));
        }
        shutdown(s, SHUT_WR);
        _exit(0);
    }
    while ((r = read(s, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < r; i++, back++)
            bad += buffer[i] != (char)(back * 7 + (back >> 16));
    wait(NULL);
    printf("back %ld, wrong %ld, end %s\n", back, bad, error_name(r));
}

static void
send_each(char **argv)
{
    for (; argv[0] && argv[1]; argv += 2) {
        struct sockaddr_storage a;
        socklen_t n = address(argv[0], atoi(argv[1]), &a);
        int s = socket(a.ss_family, SOCK_DGRAM, 0), r;
        struct iovec iov = {"x", 1};
        struct msghdr h = {.msg_name = &a, .msg_namelen = n, .msg_iov = &iov, .msg_iovlen = 1};
        struct mmsghdr many = {.msg_hdr = h};

        printf("%s %s", argv[0], error_name(sendto(s, "x", 1, 0, (void *)&a, n)));
        printf(" %s", error_name(sendmsg(s, &h, 0)));
        r = sendmmsg(s, &many, 1, 0);
        printf(" %s", error_name(r));
        r = connect(s, (void *)&a, n);
        printf(" connect %s\n", error_name(r));
        close(s);
    }
}

static void
ask(const char *ip, int port, int count)
{
    struct sockaddr_storage a, from;
    socklen_t n = address(ip, port, &a), size;
    struct pollfd p = {.events = POLLIN};
    int good = 0;

    for (int connected = 0; connected < 2; connected++) {
        p.fd = socket(a.ss_family, SOCK_DGRAM, 0);
        if (connected)
            need("connect", connect(p.fd, (void *)&a, n));
        for (int k = 0; k < count; k++) {
            char text[32];
            int length = snprintf(text, sizeof text, "question %d", k);

            need("send", connected ? send(p.fd, text, length, 0) : sendto(p.fd, text, length, 0, (void *)&a, n));
            if (poll(&p, 1, 5000) != 1)
                continue;
            size = sizeof from;
            if (recvfrom(p.fd, buffer, sizeof buffer, 0, (void *)&from, &size) == length &&
                memcmp(buffer, text, length) == 0 && memcmp(&from, &a, n) == 0)
                good++;
        }
        close(p.fd);
    }
    printf("%d answers\n", good);
}

static void
names(char **argv)
{
    for (; *argv; argv++) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
        int r = getaddrinfo(*argv, NULL, &hints, &found);

        printf("%s %s\n", *argv, r ? gai_strerror(r) : text_of((void *)found->ai_addr));
        if (r == 0)
            freeaddrinfo(found);
    }
}

static void
query(char **argv)
{
    for (; *argv; argv++) {
        int wait = **argv == '-' ? 300 : 5000; /* '-': no answer is expected */
        const char *hex = *argv + (**argv == '-');
        struct sockaddr_storage a;
        socklen_t n = address("10.0.2.3", 53, &a);
        struct pollfd p = {.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN};
        unsigned char data[1024];
        size_t size = strlen(hex) / 2;
        ssize_t got;

        for (size_t k = 0; k < size && k < sizeof data; k++)
            sscanf(hex + 2 * k, "%2hhx", &data[k]);
        need("sendto", sendto(p.fd, data, size, 0, (void *)&a, n));
        got = poll(&p, 1, wait) == 1 ? recv(p.fd, buffer, sizeof buffer, 0) : -1;
        printf("answer ");
        for (ssize_t k = 0; k < got && k < 12; k++)
            printf("%02x", (unsigned char)buffer[k]);
        printf(" %zd\n", got);
        close(p.fd);
    }
}

static void
stream(char **argv)
{
    struct sockaddr_storage a;
    socklen_t n = address("10.0.2.3", 53, &a);
    int s = socket(AF_INET, SOCK_STREAM, 0), count = 0;
    size_t size = 0, at = 0;
    ssize_t got;

    need("connect", connect(s, (void *)&a, n));
    for (; *argv; argv++, count++) {
        size_t length = strlen(*argv) / 2;

        buffer[size++] = (char)(length >> 8);
        buffer[size++] = (char)length;
        for (size_t k = 0; k < length; k++)
            sscanf(*argv + 2 * k, "%2hhx", (unsigned char *)&buffer[size++]);
    }
    send_all(s, buffer, 5); /* a part of a question, and then the rest */
    usleep(20000);
    send_all(s, buffer + 5, size - 5);
    shutdown(s, SHUT_WR);
    size = 0;
    while ((got = read(s, buffer + size, sizeof buffer - size)) > 0)
        size += (size_t)got;
    while (size - at >= 6) {
        size_t length = (size_t)((unsigned char)buffer[at] << 8 | (unsigned char)buffer[at + 1]);

        printf("answer %02x%02x%02x%02x of %zu\n", (unsigned char)buffer[at + 2], (unsigned char)buffer[at + 3],
               (unsigned char)buffer[at + 4], (unsigned char)buffer[at + 5], length);
        at += 2 + length;
    }
    printf("end %s\n", error_name(got));
}

static unsigned long long state;

static unsigned
any(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static socklen_t
any_address(int port, struct sockaddr_storage *a)
{
    static const char *const ips[] = {"10.0.2.2",        "10.0.2.100", "127.0.0.1", "0.0.0.0",
                                      "10.0.2.3",        "192.0.2.1",  "fd00::100", "fd00::2",
                                      "::ffff:10.0.2.2", "::1",        "::",        "::ffff:10.0.2.3"};
    int ports[] = {port, 80, 53, 0};
    socklen_t n = address(ips[any(12)], ports[any(4)], a);

    if (any(20) == 0)
        a->ss_family = AF_UNSPEC;
    return n;
}

/* Any call on any of a few sockets; all that counts is that it ends. */
static void
storm(long seed, long count, int port)
{
    enum { SOCKETS = 24 };
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    int sockets[SOCKETS], value = 1;
    struct sockaddr_storage a;
    socklen_t n;

    state = (unsigned long long)seed;
    for (int k = 0; k < SOCKETS; k++)
        sockets[k] = -1;
    for (long k = 0; k < count; k++) {
        int *s = &sockets[any(SOCKETS)], *other = &sockets[any(SOCKETS)];

        n = any_address(port, &a);
        switch (any(14)) {
        case 0:
            close(*s);
            *s = -1;
            break;
        case 1:
        case 2:
            if (*s < 0)
                *s = socket(any(2) ? AF_INET : AF_INET6, types[any(2)] | SOCK_NONBLOCK, 0);
            break;
        case 3: bind(*s, (void *)&a, n); break;
        case 4: listen(*s, (int)any(3)); break;
        case 5:
        case 6: connect(*s, (void *)&a, n); break;
        case 7:
            close(*other);
            *other = accept4(*s, NULL, NULL, SOCK_NONBLOCK);
            break;
        case 8: sendto(*s, buffer, any(2) ? any(64) : any(sizeof buffer), MSG_NOSIGNAL, (void *)&a, n); break;
        case 9: send(*s, buffer, any(sizeof buffer), MSG_NOSIGNAL); break;
        case 10:
        case 11: recv(*s, buffer, any(sizeof buffer), any(8) ? 0 : MSG_PEEK); break;
        case 12: shutdown(*s, (int)any(3)); break;
        default: setsockopt(*s, SOL_SOCKET, any(2) ? SO_REUSEADDR : SO_REUSEPORT, &value, sizeof value); break;
        }
    }
    printf("done\n");
}

static void
print_file(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(buffer, 1, sizeof buffer - 1, f) : 0;

    printf("%s:\n%.*s", path, (int)n, buffer);
    if (f)
        fclose(f);
}

static void
link_all(void)
{
    struct ifaddrs *all;
    struct ifreq r = {.ifr_name = "eth0"};
    struct ifconf c = {.ifc_len = sizeof buffer, .ifc_buf = buffer};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    need("getifaddrs", getifaddrs(&all));
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6)) {
            printf("%s %s", i->ifa_name, text_of((void *)i->ifa_addr));
            printf(" mask %s\n", text_of((void *)i->ifa_netmask));
        }
    need("SIOCGIFADDR", ioctl(s, SIOCGIFADDR, &r));
    printf("eth0 %s", text_of((void *)&r.ifr_addr));
    need("SIOCGIFBRDADDR", ioctl(s, SIOCGIFBRDADDR, &r));
    printf(" broadcast %s", text_of((void *)&r.ifr_broadaddr));
    need("SIOCGIFMTU", ioctl(s, SIOCGIFMTU, &r));
    printf(" mtu %d index %u %u\n", r.ifr_mtu, if_nametoindex("lo"), if_nametoindex("eth0"));
    need("SIOCGIFCONF", ioctl(s, SIOCGIFCONF, &c));
    printf("%d in all\n", c.ifc_len / (int)sizeof r);
    print_file("/etc/resolv.conf");
    print_file("/proc/net/route");
    print_file("/proc/net/if_inet6");
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    long a[3] = {0};

    for (int k = 0; k < 3 && k + 2 < argc; k++)
        a[k] = atol(argv[k + 2]);
    if (strcmp(what, "echo") == 0)
        echo((int)a[0], (int)a[1], (int)a[2]);
    else if (strcmp(what, "slow") == 0)
        slow((int)a[0], a[1]);
    else if (strcmp(what, "refuse") == 0)
        refuse((int)a[0], (int)a[1]);
    else if (strcmp(what, "udp") == 0)
        udp((int)a[0], (int)a[1]);
    else if (strcmp(what, "connect") == 0)
        connect_each(NULL, argv + 2);
    else if (strcmp(what, "connect-from") == 0)
        connect_each(argv[2], argv + 3);
    else if (strcmp(what, "name-connect") == 0) { /* one name is looked up, then connect as above */
        char *one[] = {argv[2], NULL};

        names(one);
        connect_each(NULL, argv + 3);
    } else if (strcmp(what, "name-send") == 0) {
        char *one[] = {argv[2], NULL};

        names(one);
        send_each(argv + 3);
    } else if (strcmp(what, "talk") == 0)
        talk(argv[2], (int)a[1], a[2]);
    else if (strcmp(what, "send") == 0)
        send_each(argv + 2);
    else if (strcmp(what, "ask") == 0)
        ask(argv[2], (int)a[1], (int)a[2]);
    else if (strcmp(what, "names") == 0)
        names(argv + 2);
    else if (strcmp(what, "query") == 0)
        query(argv + 2);
    else if (strcmp(what, "stream") == 0)
        stream(argv + 2);
    else if (strcmp(what, "storm") == 0)
        storm(a[0], a[1], (int)a[2]);
    else if (strcmp(what, "link") == 0)
        link_all();
    else
        return 2;
    return 0;
}
