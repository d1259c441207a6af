/* What sockets tell of datagrams that did not arrive (IP_RECVERR), control messages both ways, raw sockets and pings.
 * compat: variants=pie,musl-static */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct extended_error { unsigned error; unsigned char origin, type, code, pad; unsigned info, data; };

static const char *why(long r) { return r < 0 ? strerror(errno) : "ok"; }

static struct sockaddr_in local(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void errors(int v6) {
  int s = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), on = 1;
  int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? IPV6_RECVERR : IP_RECVERR;
  printf("recverr %s\n", why(setsockopt(s, level, option, &on, sizeof on)));
  struct sockaddr_in to4 = local(24799);
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(24799), .sin6_addr = in6addr_loopback};
  void *to = v6 ? (void *)&to6 : (void *)&to4;
  socklen_t len = v6 ? sizeof to6 : sizeof to4;
  /* Not connected, and told all the same. */
  printf("send %s\n", why(sendto(s, "hello", 5, 0, to, len)));
  struct pollfd p = {s, POLLIN, 0};
  printf("poll %d", poll(&p, 1, 1000));
  printf(" %#x\n", p.revents);
  char data[64], control[256];
  struct sockaddr_storage name;
  struct iovec v = {data, sizeof data};
  struct msghdr m = {&name, sizeof name, &v, 1, control, sizeof control, 0};
  ssize_t n = recvmsg(s, &m, MSG_ERRQUEUE);
  printf("recvmsg %zd %.*s flags %#x port %d\n", n, (int)(n > 0 ? n : 0), data, m.msg_flags,
         ntohs(((struct sockaddr_in *)&name)->sin_port));
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
    struct extended_error *e = (void *)CMSG_DATA(c);
    struct sockaddr *offender = (void *)(e + 1);
    char text[64] = "";
    inet_ntop(offender->sa_family, v6 ? (void *)&((struct sockaddr_in6 *)offender)->sin6_addr
                                      : (void *)&((struct sockaddr_in *)offender)->sin_addr, text, sizeof text);
    printf("level %d type %d: %s origin %d type %d code %d from %s\n", c->cmsg_level, c->cmsg_type, strerror(e->error),
           e->origin, e->type, e->code, text);
  }
  printf("again %s\n", why(recvmsg(s, &m, MSG_ERRQUEUE | MSG_DONTWAIT)));
  printf("recv %s\n", why(recv(s, data, sizeof data, MSG_DONTWAIT)));
  int error = -1;
  len = sizeof error;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len);
  printf("so_error %d\n", error);
  /* An error that nobody fetches comes out of the next call. */
  sendto(s, "x", 1, 0, to, v6 ? sizeof to6 : sizeof to4);
  poll(&p, 1, 1000);
  printf("recv %s\n", why(recv(s, data, sizeof data, MSG_DONTWAIT)));
  close(s);
}

static void control(void) {
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  struct sockaddr_in at = local(24798);
  at.sin_addr.s_addr = INADDR_ANY;
  bind(b, (void *)&at, sizeof at);
  setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  setsockopt(b, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
  setsockopt(b, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
  setsockopt(b, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
  at = local(24798);
  char out[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int)) * 2], in[512], data[16];
  memset(out, 0, sizeof out);
  struct iovec v = {"data", 4};
  struct msghdr m = {&at, sizeof at, &v, 1, out, sizeof out, 0};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
  struct in_pktinfo info = {0};
  inet_pton(AF_INET, "127.0.0.9", &info.ipi_spec_dst);
  memcpy(CMSG_DATA(c), &info, sizeof info);
  c = CMSG_NXTHDR(&m, c);
  *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
  *(int *)CMSG_DATA(c) = 9;
  c = CMSG_NXTHDR(&m, c);
  *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TOS};
  *(int *)CMSG_DATA(c) = 0x10;
  printf("sendmsg %s\n", why(sendmsg(a, &m, 0)));
  struct sockaddr_in from;
  v = (struct iovec){data, sizeof data};
  m = (struct msghdr){&from, sizeof from, &v, 1, in, sizeof in, 0};
  ssize_t got = recvmsg(b, &m, 0);
  printf("recvmsg %zd from %s\n", got, inet_ntoa(from.sin_addr));
  for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    printf("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo *i = (void *)CMSG_DATA(c);
      printf(" %s", inet_ntoa(i->ipi_spec_dst));
      printf(" %s", inet_ntoa(i->ipi_addr));
    } else if (c->cmsg_level == IPPROTO_IP)
      printf(" %d", c->cmsg_type == IP_TOS ? *(unsigned char *)CMSG_DATA(c) : *(int *)CMSG_DATA(c));
    puts("");
  }
  inet_pton(AF_INET, "203.0.113.1", &info.ipi_spec_dst);
  m = (struct msghdr){&at, sizeof at, &v, 1, out, CMSG_SPACE(sizeof info), 0};
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &info, sizeof info);
  printf("a foreign source: %s\n", why(sendmsg(a, &m, 0)));
  *(struct cmsghdr *)out = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
  *(int *)CMSG_DATA((struct cmsghdr *)out) = 0;
  m.msg_controllen = CMSG_SPACE(sizeof(int));
  printf("no time to live: %s\n", why(sendmsg(a, &m, 0)));
  ((struct cmsghdr *)out)->cmsg_type = 99;
  printf("unknown: %s\n", why(sendmsg(a, &m, 0)));
  close(a), close(b);
}

static unsigned short checksum(void *at, int len) {
  unsigned sum = 0;
  for (int i = 0; i < len; i += 2) sum += *(unsigned short *)((char *)at + i);
  sum = (sum >> 16) + (sum & 0xffff);
  return ~(sum + (sum >> 16));
}

static void raw(void) {
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  printf("raw %s\n", why(s));
  unsigned only_replies = ~(1u << ICMP_ECHOREPLY);
  printf("filter %s\n", why(setsockopt(s, SOL_RAW, 1 /* ICMP_FILTER */, &only_replies, sizeof only_replies)));
  char packet[16] = {0}, data[128];
  struct icmphdr *h = (void *)packet;
  h->type = ICMP_ECHO, h->un.echo.id = htons(4711), h->un.echo.sequence = htons(1);
  memcpy(packet + 8, "skiff!!!", 8);
  h->checksum = checksum(packet, sizeof packet);
  struct sockaddr_in to = local(0), from;
  socklen_t len = sizeof from;
  printf("ping %s\n", why(sendto(s, packet, sizeof packet, 0, (void *)&to, sizeof to)));
  ssize_t n = recvfrom(s, data, sizeof data, 0, (void *)&from, &len);
  struct iphdr *ip = (void *)data;
  struct icmphdr *r = (void *)(data + ip->ihl * 4);
  printf("%zd bytes from %s: version %d length %d protocol %d type %d id %d seq %d %.8s sum %d\n", n, inet_ntoa(from.sin_addr),
         ip->version, ntohs(ip->tot_len), ip->protocol, r->type, ntohs(r->un.echo.id), ntohs(r->un.echo.sequence),
         (char *)(r + 1), checksum(r, 16));
  printf("nothing else: %s\n", why(recv(s, data, sizeof data, MSG_DONTWAIT)));
  close(s);

  s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  printf("raw6 %s\n", why(s));
  struct icmp6_filter f;
  ICMP6_FILTER_SETBLOCKALL(&f);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
  printf("filter %s\n", why(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f)));
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  struct icmp6_hdr h6 = {.icmp6_type = ICMP6_ECHO_REQUEST};
  h6.icmp6_id = htons(99);
  printf("ping %s\n", why(sendto(s, &h6, sizeof h6, 0, (void *)&to6, sizeof to6)));
  n = recv(s, data, sizeof data, 0);
  printf("%zd bytes type %d id %d\n", n, data[0] & 255, ntohs(((struct icmp6_hdr *)data)->icmp6_id));
  close(s);

  /* A datagram with a header of our own. */
  int u = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in at = local(24797);
  bind(u, (void *)&at, sizeof at);
  s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  struct { struct iphdr ip; unsigned short from, to, len, sum; char text[4]; } own = {
      .ip = {.version = 4, .ihl = 5, .ttl = 5, .protocol = IPPROTO_UDP, .saddr = at.sin_addr.s_addr, .daddr = at.sin_addr.s_addr},
      .from = htons(7), .to = htons(24797), .len = htons(12), .text = "mine"};
  printf("own header %s\n", why(sendto(s, &own, sizeof own, 0, (void *)&to, sizeof to)));
  len = sizeof from;
  n = recvfrom(u, data, sizeof data, 0, (void *)&from, &len);
  printf("%zd %.4s from port %d\n", n, data, ntohs(from.sin_port));
  printf("no protocol %s\n", why(socket(AF_INET, SOCK_RAW, 0)));
  close(s), close(u);
}

int main(void) {
  errors(0);
  errors(1);
  control();
  raw();
}
