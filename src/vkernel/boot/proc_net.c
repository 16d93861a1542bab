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

/* The network's own text, if it has one. */
static bool
show_text(struct text *out, const char *name)
{
    char *text = network->text(name);

    if (text)
        text_printf(out, "%s", text);
    bytes_free(text);
    return text != NULL;
}

/* The network's own text of a table, or else the loopback's. */
static int
show_table(struct text *out, const char *name, const char *loopback)
{
    if (!show_text(out, name))
        text_printf(out, "%s", loopback);
    return 0;
}

/* How many sockets there are of a kind. */
struct counts {
    unsigned tcp[2], tcp_all, established, udp[2], unix_all; /* [1] of IPv6; tcp: those that are in a table */
};

static void
count_inet(struct socket *s, void *arg)
{
    struct counts *c = arg;
    bool six = s->family == AF_INET6;

    if (s->type == SOCK_DGRAM) {
        c->udp[six]++;
    } else if (s->type == SOCK_STREAM) {
        int state = tcp_state(s);

        c->tcp_all++;
        c->tcp[six] += state != TCP_CLOSE;
        c->established += state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
    }
}

static void
count_unix(struct socket *s, void *arg)
{
    ((struct counts *)arg)->unix_all++;
}

static struct counts
count_sockets(void)
{
    struct counts c = {0};

    inet_socket_list(count_inet, &c);
    unix_socket_list(count_unix, &c);
    return c;
}

static int
show_sockstat(const struct pseudo_key *key, struct text *out)
{
    struct counts c = count_sockets();

    if (show_text(out, "net/sockstat"))
        return 0;
    text_printf(out,
                "sockets: used %u\nTCP: inuse %u orphan 0 tw 0 alloc %u mem 0\nUDP: inuse %u mem 0\n"
                "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
                c.tcp_all + c.udp[0] + c.udp[1] + c.unix_all, c.tcp[0], c.tcp_all, c.udp[0]);
    return 0;
}

static int
show_sockstat6(const struct pseudo_key *key, struct text *out)
{
    struct counts c = count_sockets();

    text_printf(out, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n",
                c.tcp[1], c.udp[1]);
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

/* What the loopback has no counters for is zero. */
#define SNMP_TEXT                                                                                                      \
    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards "          \
    "InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails "    \
    "FragCreates OutTransmits\nIp: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"                                       \
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs "      \
    "OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: 1 200 120000 -1 0 0 0 0 %u 0 0 0 0 0 0\n"                 \
    "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"  \
    "Udp: 0 0 0 0 0 0 0 0 0\n"


static int
show_snmp(const struct pseudo_key *key, struct text *out)
{
    if (!show_text(out, "net/snmp"))
        text_printf(out, SNMP_TEXT, count_sockets().established);
    return 0;
}

#define TEXT(file, contents) {.name = file, .mode = S_IFREG | 0444, .text = contents}
#define SHOW(file, function) {.name = file, .mode = S_IFREG | 0444, .show = function}

/* Of tables that are empty: there are no such sockets. */
#define FOUR_HEADER "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n"
#define SIX_HEADER                                                                                                     \
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "        \
    "tm->when retrnsmt   uid  timeout inode ref pointer drops\n"

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
    SHOW("sockstat6", show_sockstat6),
    TEXT("packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    TEXT("raw6", SIX_HEADER),
    TEXT("udplite", FOUR_HEADER),
    TEXT("udplite6", SIX_HEADER),
    TEXT("icmp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n"),
    TEXT("icmp6", SIX_HEADER),
    TEXT("ptype", "Type Device      Function\n"),
    {.mode = 0},
};
/* clang-format on */
