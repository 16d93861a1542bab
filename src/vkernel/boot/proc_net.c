/* /proc/net: the tables that netstat, ss and resolvers read. */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "vkernel/boot/procfs.h"
#include "platform/heap.h"
#include "vkernel/net/socket.h"

struct listing {
    struct text *out;
    int family, type;
    unsigned count;
};

static void
hex_address(struct text *out, const struct address *a, int family)
{
    if (family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;

        text_printf(out, "%08X:%04X", a->length ? in->sin_addr.s_addr : 0, a->length ? ntohs(in->sin_port) : 0);
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a->storage;

        for (int k = 0; k < 4; k++)
            text_printf(out, "%08X", a->length ? in->sin6_addr.s6_addr32[k] : 0);
        text_printf(out, ":%04X", a->length ? ntohs(in->sin6_port) : 0);
    }
}

/* Ends a line of /proc/net/tcp or udp, which Linux fills up with blanks (seq_setwidth) where the addresses are of
 * IPv4. */
static void
end_line(const struct listing *l, size_t start)
{
    size_t width = l->family != AF_INET ? 0 : l->type == SOCK_STREAM ? 149 : 127, size = l->out->size - start;

    text_printf(l->out, "%*s\n", (int)(size < width ? width - size : 0), "");
}

static void
inet_row(struct socket *s, void *arg)
{
    struct listing *l = arg;
    bool tcp = s->type == SOCK_STREAM;
    int state = tcp ? tcp_state(s) : s->connected ? TCP_ESTABLISHED : TCP_CLOSE;
    /* Linux counts the FIN as a byte. What was sent is acknowledged as soon as it lies in the other end's queue. */
    unsigned unread = s->listening ? s->pending_count - s->deferred_count : (unsigned)s->queued + (tcp && s->fin);
    size_t start = l->out->size;

    if (s->family != l->family || s->type != l->type || (tcp && state == TCP_CLOSE))
        return;
    text_printf(l->out, tcp ? "%4u: " : "%5u: ", l->count++);
    hex_address(l->out, &s->local, s->family);
    text_printf(l->out, " ");
    hex_address(l->out, &s->remote, s->family);
    text_printf(l->out, " %02X %08X:%08X 00:00000000 00000000 %5u %8d %llu", state, 0, unread, s->creds.uid, 0,
                s->inode ? (unsigned long long)s->inode->ino : 0ull);
    if (tcp)
        text_printf(l->out, " 1 0000000000000000 100 0 0 10 0");
    else
        text_printf(l->out, " 2 0000000000000000 %u", s->drops);
    end_line(l, start);
}

static int
inet_table(struct text *out, int family, int type)
{
    struct listing l = {out, family, type, 0};
    size_t start = out->size;

    if (family == AF_INET6)
        text_printf(out, "  sl  local_address                         remote_address                        "
                         "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode");
    else
        text_printf(
            out, "  %ssl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            type == SOCK_DGRAM ? " " : "");
    if (type == SOCK_DGRAM)
        text_printf(out, " ref pointer drops");
    end_line(&l, start);
    inet_socket_list(inet_row, &l);
    return 0;
}

static int
show_tcp(const struct pseudo_key *key, struct text *out)
{
    return inet_table(out, AF_INET, SOCK_STREAM);
}

static int
show_tcp6(const struct pseudo_key *key, struct text *out)
{
    return inet_table(out, AF_INET6, SOCK_STREAM);
}

static int
show_udp(const struct pseudo_key *key, struct text *out)
{
    return inet_table(out, AF_INET, SOCK_DGRAM);
}

static int
show_udp6(const struct pseudo_key *key, struct text *out)
{
    return inet_table(out, AF_INET6, SOCK_DGRAM);
}

static void
unix_row(struct socket *s, void *arg)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&s->local.storage;
    struct text *out = arg;
    size_t n = s->local.length > sizeof(sa_family_t) ? s->local.length - sizeof(sa_family_t) : 0;

    text_printf(out, "0000000000000000: %08X 00000000 %08X %04X %02X %5llu", 2, s->listening ? 0x10000 : 0, s->type,
                s->connected ? 3 : 1, s->inode ? (unsigned long long)s->inode->ino : 0ull);
    if (n) {
        text_printf(out, " ");
        for (size_t k = 0; k < n; k++) {
            char c = un->sun_path[k];

            if (c || k + 1 < n)
                text_printf(out, "%c", c ? c : '@');
        }
    }
    text_printf(out, "\n");
}

static int
show_unix(const struct pseudo_key *key, struct text *out)
{
    text_printf(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    unix_socket_list(unix_row, out);
    return 0;
}

/* The network's own text of a table, or else the loopback's. */
static int
show_table(struct text *out, const char *name, const char *loopback)
{
    char *text = network->text(name);

    text_printf(out, "%s", text ? text : loopback);
    bytes_free(text);
    return 0;
}

#define TABLE(function, file, loopback)                                 \
    static int function(const struct pseudo_key *key, struct text *out) \
    {                                                                   \
        return show_table(out, "net/" file, loopback);                  \
    }

/* clang-format off */
TABLE(show_dev, "dev",
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
      "compressed\n"
      "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n")
TABLE(show_route, "route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
TABLE(show_if_inet6, "if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n")
TABLE(show_arp, "arp", "IP address       HW type     Flags       HW address            Mask     Device\n")
TABLE(show_snmp, "snmp", "")
TABLE(show_sockstat, "sockstat", "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n")

#define TEXT(file, contents) {.name = file, .mode = S_IFREG | 0444, .text = contents}
#define SHOW(file, function) {.name = file, .mode = S_IFREG | 0444, .show = function}

const struct pseudo OPS_TABLE(pseudo) proc_net_children[] = {
    SHOW("tcp", show_tcp),
    SHOW("tcp6", show_tcp6),
    SHOW("udp", show_udp),
    SHOW("udp6", show_udp6),
    SHOW("unix", show_unix),
    SHOW("dev", show_dev),
    SHOW("route", show_route),
    SHOW("if_inet6", show_if_inet6),
    SHOW("arp", show_arp),
    TEXT("raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"),
    TEXT("netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"),
    SHOW("snmp", show_snmp),
    SHOW("sockstat", show_sockstat),
    {.mode = 0},
};
/* clang-format on */
