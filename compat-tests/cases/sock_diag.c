/* What sockets there are, as NETLINK_SOCK_DIAG tells it (sock_diag(7)). Only the group's own sockets are shown. */
#include "case.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/un.h>

#define ANY 0xffffffffu
static char answer[1 << 16];

static int ask(int kind, int flags, const void *body, int size)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    struct nlmsghdr *header = calloc(1, NLMSG_SPACE(size));
    *header = (struct nlmsghdr){NLMSG_LENGTH(size), kind, NLM_F_REQUEST | flags, 1, 0};
    memcpy(NLMSG_DATA(header), body, size);
    MUST(send(fd, header, header->nlmsg_len, 0) == header->nlmsg_len);
    free(header);
    return fd;
}

/* The first answer's error, or 0; -1 for what is none. */
static int error_of(int kind, int flags, const void *body, int size)
{
    int fd = ask(kind, flags, body, size), n = recv(fd, answer, sizeof answer, 0);
    struct nlmsghdr *header = (void *)answer;
    close(fd);
    MUST(n >= (int)sizeof *header);
    if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE)
        return -*(int *)NLMSG_DATA(header);
    return -1;
}

/* Calls `see` for each answer of a dump, or the one answer; the error or 0. */
static int each(const void *body, int size, int dump, int (*see)(struct nlmsghdr *, void *), void *data)
{
    int fd = ask(SOCK_DIAG_BY_FAMILY, dump ? NLM_F_DUMP : 0, body, size), seen = 0;
    for (;;) {
        int n = recv(fd, answer, sizeof answer, 0);
        for (struct nlmsghdr *header = (void *)answer; NLMSG_OK(header, n); header = NLMSG_NEXT(header, n)) {
            if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
                close(fd);
                return seen;
            }
            seen += see(header, data);
            if (!dump) {
                close(fd);
                return seen;
            }
        }
    }
}

GROUP(sock_diag_errors)
{
    struct inet_diag_req_v2 inet = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1};
    struct unix_diag_req unix_ = {.sdiag_family = AF_UNIX, .udiag_states = -1};
    char none[64] = "";
    EQ("short", EINVAL, error_of(SOCK_DIAG_BY_FAMILY, 0, &inet, 1));
    EQ("another request", EINVAL, error_of(30, 0, &inet, sizeof inet));
    EQ("half of TCP's", EINVAL, error_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &inet, 40));
    EQ("half of AF_UNIX's", EINVAL, error_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &unix_, 12));
    EQ("no family", ENOENT, error_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, none, sizeof none));
    none[0] = 46;
    EQ("a family that cannot be", EINVAL, error_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, none, sizeof none));
    inet.sdiag_protocol = 0;
    EQ("no protocol", ENOENT, error_of(SOCK_DIAG_BY_FAMILY, 0, &inet, sizeof inet));
    EQ("no protocol, all", ENOENT, error_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &inet, sizeof inet));
    inet.sdiag_protocol = IPPROTO_TCP;
    EQ("nobody's", ENOENT, error_of(SOCK_DIAG_BY_FAMILY, 0, &inet, sizeof inet));
    EQ("AF_UNIX, nobody's", EINVAL, error_of(SOCK_DIAG_BY_FAMILY, 0, &unix_, sizeof unix_));
    unix_.udiag_ino = 0x7ffffff0;
    unix_.udiag_cookie[0] = unix_.udiag_cookie[1] = ANY;
    EQ("AF_UNIX, not there", ENOENT, error_of(SOCK_DIAG_BY_FAMILY, 0, &unix_, sizeof unix_));
}

static struct {
    unsigned inodes[4];
    const char *text;
} known;

static unsigned inode_of(int fd)
{
    struct stat status;
    MUST(fstat(fd, &status) == 0);
    return status.st_ino;
}

static int name_of(unsigned inode)
{
    for (int i = 0; i < 4; i++)
        if (known.inodes[i] == inode)
            return i;
    return -1;
}

static int see_unix(struct nlmsghdr *header, void *data)
{
    struct unix_diag_msg *message = NLMSG_DATA(header);
    int who = name_of(message->udiag_ino);
    if (who < 0)
        return 0;
    char text[512];
    int at = sprintf(text, "family %d type %d state %d", message->udiag_family, message->udiag_type, message->udiag_state);
    char *end = (char *)header + header->nlmsg_len;
    for (struct nlattr *one = (void *)(message + 1); (char *)one < end; one = (void *)((char *)one + NLA_ALIGN(one->nla_len))) {
        unsigned *words = (void *)((char *)one + NLA_HDRLEN);
        switch (one->nla_type) {
        case UNIX_DIAG_NAME:
            at += sprintf(text + at, ", name %.*s", one->nla_len - NLA_HDRLEN, (char *)words);
            break;
        case UNIX_DIAG_PEER:
            at += sprintf(text + at, ", peer %d", words[0] ? name_of(words[0]) : -2);
            break;
        case UNIX_DIAG_ICONS:
            at += sprintf(text + at, ", %d wait", (one->nla_len - NLA_HDRLEN) / 4);
            break;
        case UNIX_DIAG_RQLEN:
            at += sprintf(text + at, ", queues %u %s", words[0], words[1] ? "some" : "none");
            break;
        case UNIX_DIAG_UID:
            at += sprintf(text + at, ", user %s", words[0] == getuid() ? "ours" : "others'");
            break;
        case UNIX_DIAG_SHUTDOWN:
            at += sprintf(text + at, ", shut %d", *(unsigned char *)words);
            break;
        case UNIX_DIAG_MEMINFO:
            at += sprintf(text + at, ", memory %d", one->nla_len - NLA_HDRLEN);
        }
    }
    SHOW(named("%s %d", (char *)data, who), "%s", text);
    return 1;
}

GROUP(unix_diag)
{
    struct sockaddr_un name = {AF_UNIX, "listener"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
    MUST(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 5) == 0);
    MUST(connect(client, (void *)&name, sizeof name) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    MUST(send(pair[0], "four", 4, 0) == 4 && shutdown(pair[0], SHUT_WR) == 0);
    int all[] = {listener, client, pair[0], pair[1]};
    struct unix_diag_req request = {.sdiag_family = AF_UNIX, .udiag_states = -1};
    request.udiag_cookie[0] = request.udiag_cookie[1] = ANY;
    for (int i = 0; i < 4; i++)
        known.inodes[i] = inode_of(all[i]);
    /* Each alone, so that the order is ours. */
    for (int i = 0; i < 4; i++) {
        request.udiag_ino = known.inodes[i];
        request.udiag_show = 0;
        each(&request, sizeof request, 0, see_unix, "bare");
        request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_MEMINFO | 0x40;
        each(&request, sizeof request, 0, see_unix, "whole");
    }
    request.udiag_cookie[0] = 12345;
    EQ("another cookie", ESTALE, error_of(SOCK_DIAG_BY_FAMILY, 0, &request, sizeof request));
    request.udiag_show = 0;
    request.udiag_states = 1 << 10;
    each(&request, sizeof request, 1, see_unix, "listening");
    request.udiag_states = 0;
    EQ("in no state", 0, each(&request, sizeof request, 1, see_unix, "none"));
}

static int port;

static int see_inet(struct nlmsghdr *header, void *data)
{
    struct inet_diag_msg *message = NLMSG_DATA(header);
    int source = ntohs(message->id.idiag_sport), target = ntohs(message->id.idiag_dport);
    if (source != port && target != port)
        return 0;
    char from[64], to[64];
    inet_ntop(message->idiag_family, message->id.idiag_src, from, sizeof from);
    inet_ntop(message->idiag_family, message->id.idiag_dst, to, sizeof to);
    SHOW((char *)data, "family %d state %d, %s %s to %s %s, %u to read, %s, user %s", message->idiag_family, message->idiag_state, from,
         source == port ? "port" : "other", to, target == port ? "port" : target ? "other" : "none", message->idiag_rqueue,
         message->id.idiag_if ? "bound" : "everywhere", message->idiag_uid == getuid() ? "ours" : "others'");
    return 1;
}

static int ask_inet(const char *name, int family, int protocol, int states, const void *filter, int size)
{
    struct {
        struct inet_diag_req_v2 request;
        struct nlattr attribute;
        char filter[64];
    } whole = {.request = {.sdiag_family = family, .sdiag_protocol = protocol, .idiag_states = states}};
    whole.attribute = (struct nlattr){NLA_HDRLEN + size, INET_DIAG_REQ_BYTECODE};
    memcpy(whole.filter, filter, size);
    return each(&whole, size ? sizeof whole.request + NLA_HDRLEN + size : sizeof whole.request, 1, see_inet, (void *)name);
}

GROUP(inet_diag)
{
    struct sockaddr_in name = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, other;
    socklen_t len = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(listener, (void *)&name, sizeof name) == 0 && listen(listener, 5) == 0);
    MUST(getsockname(listener, (void *)&name, &len) == 0);
    port = ntohs(name.sin_port);
    MUST(connect(client, (void *)&name, sizeof name) == 0);
    int accepted = accept(listener, 0, 0);
    MUST(accepted >= 0 && send(client, "seven!!", 7, 0) == 7);
    pause_ms(20);
    len = sizeof other;
    MUST(getsockname(client, (void *)&other, &len) == 0);
    EQ("listeners", 1, ask_inet("listener", AF_INET, IPPROTO_TCP, 1 << 10, 0, 0));
    struct inet_diag_bc_op same[] = {{INET_DIAG_BC_S_EQ, 8, 12}, {0, 0, port}};
    EQ("connections from here", 1, ask_inet("filtered by port", AF_INET, IPPROTO_TCP, 1 << 1, same, sizeof same));
    same[0].code = INET_DIAG_BC_D_EQ;
    EQ("connections to here", 1, ask_inet("filtered by the other port", AF_INET, IPPROTO_TCP, 1 << 1, same, sizeof same));
    struct {
        struct inet_diag_bc_op op;
        struct inet_diag_hostcond host;
        unsigned address;
    } host = {{INET_DIAG_BC_S_COND, 16, 20}, {AF_INET, 8, port}, htonl(0x7f636363)};
    EQ("within a network", 1, ask_inet("filtered by network", AF_INET, IPPROTO_TCP, 1 << 1, &host, sizeof host));
    host.host.prefix_len = 32;
    EQ("not that address", 0, ask_inet("filtered by address", AF_INET, IPPROTO_TCP, 1 << 1, &host, sizeof host));
    struct inet_diag_bc_op bad[] = {{INET_DIAG_BC_S_GE, 4, 8}};
    EQ("half a filter", 0, ask_inet("bad", AF_INET, IPPROTO_TCP, -1, bad, sizeof bad));
    EQ("of IPv6", 0, ask_inet("none", AF_INET6, IPPROTO_TCP, -1, 0, 0));
    struct inet_diag_req_v2 one = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1};
    one.id.idiag_cookie[0] = one.id.idiag_cookie[1] = ANY;
    one.id.idiag_sport = other.sin_port;
    one.id.idiag_dport = name.sin_port;
    one.id.idiag_src[0] = one.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
    EQ("one", 1, each(&one, sizeof one, 0, see_inet, "one"));
    one.id.idiag_sport = name.sin_port;
    one.id.idiag_dport = 0;
    one.id.idiag_dst[0] = 0;
    EQ("who hears", 1, each(&one, sizeof one, 0, see_inet, "who hears"));

    int udp = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    MUST(bind(udp, (void *)&six, sizeof six) == 0);
    len = sizeof six;
    MUST(getsockname(udp, (void *)&six, &len) == 0);
    port = ntohs(six.sin6_port);
    EQ("UDP", 1, ask_inet("UDP", AF_INET6, IPPROTO_UDP, 1 << 7, 0, 0));
    EQ("UDP, connected", 0, ask_inet("UDP", AF_INET6, IPPROTO_UDP, 1 << 1, 0, 0));
}
