/* The container's resolver by TCP (RFC 7766): messages that begin with their length, one question after the other. The
 * guest's connection ends at a socket of the network's own; each question goes to the servers by a connection of the
 * host's of its own. Work is done from a timer, so that it never happens in the middle of a guest's send. */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "platform/heap.h"
#include "platform/hostnet.h"
#include "platform/platform.h"
#include "vkernel/net/policy.h"
#include "vkernel/net/resolver_internal.h"

enum { ASKERS_MOST = 64, LENGTH = 2, QUESTION_MOST = 1024 };
/* How long a connection may be idle, and a server may take. */
static const uint64_t IDLE_NS = 10 * (uint64_t)1000000000u, SERVER_NS = 5 * (uint64_t)1000000000u;

struct asker {
    struct list link;
    struct socket *end;     /* of the guest's connection; a reference */
    struct socket *host;    /* of the connection to a server; a reference. NULL: no question is under way */
    struct wait_entry news; /* in end's queue of what comes in */
    struct ktimer work;     /* something came, or nothing came for too long: at `deadline` */
    uint64_t deadline;
    struct dns_question question;
    uint16_t id;
    unsigned server;
    bool starting, sent;
    uint8_t in[LENGTH + QUESTION_MOST];
    size_t in_size;
    uint8_t *out; /* LENGTH + DNS_MESSAGE_MOST bytes, while a question is under way: the answer so far */
    size_t out_size;
};
OBJECT_POOL(asker);

static struct list askers = {&askers, &askers};
static unsigned asker_count;

static void
server_done(struct asker *a)
{
    if (a->host) {
        host_detach(a->host);
        socket_put(a->host);
    }
    a->host = NULL;
    bytes_free(a->out);
    a->out = NULL;
}

static void
asker_free(struct asker *a)
{
    ktimer_stop(&a->work);
    list_remove(&a->news.link);
    list_remove(&a->link);
    asker_count--;
    server_done(a);
    socket_close(a->end);
    OBJECT_FREE(asker, a);
}

/* In the guest's call that sends or closes. */
CALLBACK static void
on_news(struct wait_entry *e)
{
    struct asker *a = list_entry(e, struct asker, news);

    ktimer_start(&a->work, clock_monotonic_ns());
}

static void
wait_for(struct asker *a, uint64_t ns)
{
    a->deadline = clock_monotonic_ns() + ns;
    ktimer_start(&a->work, a->deadline);
}

/* The message of `size` bytes behind the place for its length. false: a guest that does not read, which is left. */
static bool
give(struct asker *a, uint8_t *message, size_t size)
{
    struct iovec iov = {message, LENGTH + size};
    struct transfer t = {.flags = MSG_NOSIGNAL};

    message[0] = (uint8_t)(size >> 8);
    message[1] = (uint8_t)size;
    return stream_send(a->end, &iov, 1, &t) == (ssize_t)iov.iov_len;
}

static bool
give_code(struct asker *a, unsigned code)
{
    uint8_t message[LENGTH + DNS_QUERY_MOST];

    return give(a, message, dns_make_answer(&a->question, code, message + LENGTH));
}

/* --- the server --- */

static const struct socket_ops OPS_TABLE(socket_ops) server_ops;

static int
ask_server(struct asker *a)
{
    const struct endpoint *to = &resolver_servers[a->server];
    int family = IN6_IS_ADDR_V4MAPPED(&to->ip) ? AF_INET : AF_INET6, fd, r;
    struct address address = inet_format(family, to);

    a->out = bytes_new(LENGTH + DNS_MESSAGE_MOST);
    a->host = socket_new_of(user_network_owner, family, SOCK_STREAM, IPPROTO_TCP, &server_ops);
    a->out_size = 0;
    a->sent = false;
    if (!a->out || !a->host)
        return -ENOMEM;
    fd = host_socket(family, SOCK_STREAM, IPPROTO_TCP);
    a->starting = true; /* news that come with the descriptor are for later: they may end all of this */
    r = fd < 0 ? fd : host_attach(a->host, fd);
    if (r == 0)
        r = host_socket_connect(a->host->host_fd, &address.storage, address.length);
    a->starting = false;
    if (r < 0 && r != -EINPROGRESS)
        return r;
    wait_for(a, SERVER_NS);
    return host_net_look_again(a->host->host_fd, a->host);
}

/* false: the connection is to be left. */
static bool
next_server(struct asker *a)
{
    while (++a->server < resolver_server_count) {
        server_done(a);
        if (ask_server(a) == 0)
            return true;
    }
    server_done(a);
    wait_for(a, IDLE_NS);
    return give_code(a, DNS_SERVER_FAILURE);
}

static int
send_question(struct asker *a)
{
    uint8_t message[LENGTH + DNS_QUERY_MOST];
    struct iovec iov = {message, 0};
    struct host_message m = {.iov = &iov, .count = 1};
    ssize_t n;

    platform_random(&a->id, sizeof a->id);
    iov.iov_len = LENGTH + dns_make_query(&a->question, a->id, message + LENGTH);
    message[0] = (uint8_t)((iov.iov_len - LENGTH) >> 8);
    message[1] = (uint8_t)(iov.iov_len - LENGTH);
    n = host_socket_send(a->host->host_fd, &m);
    a->sent = n == (ssize_t)iov.iov_len;
    return a->sent || n == -EAGAIN ? 0 : -EIO;
}

/* 1: the answer is there; 0: not yet; negative: it will not be. */
static int
take_answer(struct asker *a)
{
    for (;;) {
        size_t size = a->out_size < LENGTH ? LENGTH : LENGTH + (size_t)(a->out[0] << 8 | a->out[1]);
        struct iovec iov = {a->out + a->out_size, size - a->out_size};
        struct host_message m = {.iov = &iov, .count = 1};
        ssize_t n;

        if (a->out_size >= LENGTH && a->out_size == size)
            return resolver_accepts(&a->question, a->id, a->out + LENGTH, size - LENGTH) ? 1 : -EIO;
        n = host_socket_receive(a->host->host_fd, &m);
        if (n <= 0)
            return n == -EAGAIN ? 0 : -EIO;
        a->out_size += (size_t)n;
    }
}

static void
server_ready(struct socket *s, short events)
{
    struct asker *a = NULL;
    bool good = true;
    int r = 0;

    LIST_EACH(p, &askers)
        if (list_entry(p, struct asker, link)->host == s)
            a = list_entry(p, struct asker, link);
    if (!a || a->starting)
        return;
    if (!a->sent && (events & (POLLOUT | POLLERR | POLLHUP)) && host_tcp_state(s->host_fd) != TCP_SYN_SENT)
        r = send_question(a);
    if (r == 0 && a->sent)
        r = take_answer(a);
    if (r == 1) {
        a->out[LENGTH] = (uint8_t)(a->question.id >> 8);
        a->out[LENGTH + 1] = (uint8_t)a->question.id;
        good = give(a, a->out, a->out_size - LENGTH);
        server_done(a);
        a->deadline = clock_monotonic_ns() + IDLE_NS;
        ktimer_start(&a->work, clock_monotonic_ns()); /* the next question may be there */
    } else if (r < 0) {
        good = next_server(a);
    }
    if (!good)
        asker_free(a);
}

static const struct socket_ops OPS_TABLE(socket_ops) server_ops = {.host_ready = server_ready};

/* --- the guest --- */

/* Of what has come the first question: 1, it is whole; 0, not yet; negative: nothing that gets an answer. */
static int
take_question(struct asker *a)
{
    for (;;) {
        size_t size = a->in_size < LENGTH ? LENGTH : LENGTH + (size_t)(a->in[0] << 8 | a->in[1]);
        struct iovec iov = {a->in + a->in_size, size - a->in_size};
        struct transfer t = {.flags = MSG_DONTWAIT};
        ssize_t n;

        if (size > sizeof a->in)
            return -EINVAL;
        if (a->in_size >= LENGTH && a->in_size == size) {
            a->in_size = 0;
            return dns_read_query(a->in + LENGTH, size - LENGTH, &a->question) < 0 ? -EINVAL : 1;
        }
        n = queue_recv(a->end, &iov, 1, &t);
        if (n <= 0)
            return n == -EAGAIN ? 0 : -EIO;
        a->in_size += (size_t)n;
    }
}

/* false: the connection is over. */
static bool
serve(struct asker *a)
{
    int r = take_question(a);

    if (r <= 0) {
        ktimer_start(&a->work, a->deadline);
        return r == 0;
    }
    wait_for(a, IDLE_NS);
    a->question.payload = DNS_PAYLOAD_MOST;
    if (!policy_allows_name(a->question.name)) {
        policy_refuse_name(a->question.name);
        return give_code(a, DNS_REFUSED);
    }
    a->server = (unsigned)-1;
    return next_server(a);
}

CALLBACK static void
asker_work(struct ktimer *k)
{
    struct asker *a = list_entry(k, struct asker, work);
    enum { AT_ONCE = 16 };
    static const uint64_t PAUSE_NS = 1000000;
    bool late = clock_monotonic_ns() >= a->deadline, good;
    unsigned left = AT_ONCE;

    if (a->host) {
        good = !a->end->peer_gone && (!late || next_server(a));
        if (good && !late)
            ktimer_start(&a->work, a->deadline);
    } else {
        good = !late;
        for (; good && !a->host && left; left--) {
            uint64_t before = a->deadline;

            good = serve(a);
            if (a->deadline == before) /* no question any more */
                break;
        }
        if (good && !a->host && !left) /* others have their turn before the rest */
            ktimer_start(&a->work, clock_monotonic_ns() + PAUSE_NS);
    }
    if (!good)
        asker_free(a);
}

static const struct socket_ops OPS_TABLE(socket_ops) asker_ops = {.poll = queue_poll};

int
resolver_connect(struct socket *s, const struct endpoint *to)
{
    struct asker *a = asker_count < ASKERS_MOST ? OBJECT_NEW(asker) : NULL;
    struct socket *end;
    struct endpoint me;

    if (!a)
        return -ECONNREFUSED;
    end = socket_new_of(user_network_owner, s->family, SOCK_STREAM, IPPROTO_TCP, &asker_ops);
    if (!end) {
        OBJECT_FREE(asker, a);
        return -ENOMEM;
    }
    inet_settle_local(s, to);
    me = inet_local(s);
    s->remote = end->local = inet_format(s->family, to);
    end->remote = inet_format(s->family, &me);
    end->bound = true;
    socket_pair_up(s, end);
    s->connecting = true; /* as with other guests (inet.c) */
    a->end = end;
    a->news.notify = on_news;
    a->work.fire = asker_work;
    list_init(&a->news.link);
    list_append(&askers, &a->link);
    asker_count++;
    wait_queue_listen(&end->in_queue, &a->news);
    wait_for(a, IDLE_NS);
    return -EINPROGRESS;
}
