/* Groups over the loopback interface: joining and leaving, who hears what, and the errors of both.
 * compat: variants=pie,musl-static */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Of this process alone: sockets hear groups that others on the same host have joined, too.
static char group4[20], group6[20];
static int port4, port6;

static const char *why(int r) { return r < 0 ? strerror(errno) : "ok"; }

static struct sockaddr_in v4(const char *a, int port) {
  struct sockaddr_in s = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, a, &s.sin_addr);
  return s;
}

static int join4(int s, int option, const char *group, const char *interface) {
  struct ip_mreq m;
  inet_pton(AF_INET, group, &m.imr_multiaddr);
  inet_pton(AF_INET, interface, &m.imr_interface);
  return setsockopt(s, IPPROTO_IP, option, &m, sizeof m);
}

static void hear(const char *name, int s) {
  char b[64];
  struct pollfd p = {s, POLLIN, 0};
  int n = poll(&p, 1, 800);
  if (n == 1) {
    ssize_t got = recv(s, b, sizeof b, 0);
    printf("%s hears %.*s\n", name, (int)got, b);
  } else
    printf("%s hears nothing\n", name);
}

static int receiver(int port) {
  int s = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in any = v4("0.0.0.0", port);
  printf("bind %s\n", why(bind(s, (void *)&any, sizeof any)));
  return s;
}

static void ipv4(void) {
  const int port = port4;
  int a = receiver(port), b = receiver(port), c = receiver(port + 1);
  int sender = socket(AF_INET, SOCK_DGRAM, 0);
  struct in_addr lo = {htonl(INADDR_LOOPBACK)}, got;
  printf("multicast_if %s\n", why(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo)));
  socklen_t len = sizeof got;
  getsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &got, &len);
  printf("is %s\n", inet_ntoa(got));
  struct sockaddr_in group = v4(group4, port);

  printf("nobody: %s\n", why(sendto(sender, "one", 3, 0, (void *)&group, sizeof group)));
  hear("a", a);
  printf("join %s\n", why(join4(a, IP_ADD_MEMBERSHIP, group4, "127.0.0.1")));
  printf("again %s\n", why(join4(a, IP_ADD_MEMBERSHIP, group4, "127.0.0.1")));
  printf("send %s\n", why(sendto(sender, "two", 3, 0, (void *)&group, sizeof group)));
  hear("a", a);
  hear("c", c);
  struct ip_mreqn by_index = {.imr_ifindex = if_nametoindex("lo")};
  inet_pton(AF_INET, group4, &by_index.imr_multiaddr);
  printf("join by index %s\n", why(setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index)));
  sendto(sender, "three", 5, 0, (void *)&group, sizeof group);
  hear("a", a);
  hear("b", b);
  printf("leave %s\n", why(join4(a, IP_DROP_MEMBERSHIP, group4, "127.0.0.1")));
  printf("again %s\n", why(join4(a, IP_DROP_MEMBERSHIP, group4, "127.0.0.1")));
  close(b);
  sendto(sender, "four", 4, 0, (void *)&group, sizeof group);
  hear("a", a);

  printf("not a group %s\n", why(join4(a, IP_ADD_MEMBERSHIP, "10.1.1.1", "127.0.0.1")));
  printf("no such address %s\n", why(join4(a, IP_ADD_MEMBERSHIP, group4, "203.0.113.9")));
  struct ip_mreqn nowhere = {.imr_multiaddr = by_index.imr_multiaddr, .imr_ifindex = 999};
  printf("no such index %s\n", why(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &nowhere, sizeof nowhere)));
  printf("short %s\n", why(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &nowhere, 4)));
  int stream = socket(AF_INET, SOCK_STREAM, 0);
  printf("stream %s\n", why(join4(stream, IP_ADD_MEMBERSHIP, group4, "127.0.0.1")));
  int count = 0;
  for (int n = 1; n < 30; n++) {
    char g[32];
    sprintf(g, "239.8.0.%d", n);
    if (join4(a, IP_ADD_MEMBERSHIP, g, "127.0.0.1") < 0) {
      printf("after %d %s\n", count, strerror(errno));
      break;
    }
    count++;
  }
  int ttl = 7;
  unsigned char off = 0;
  len = sizeof ttl;
  printf("ttl %s\n", why(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl)));
  ttl = 0;
  getsockopt(sender, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, &len);
  printf("is %d\n", ttl);
  ttl = 256;
  printf("too far %s\n", why(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl)));
  printf("loop %s\n", why(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off)));
  close(a), close(c), close(sender), close(stream);
}

static void ipv6(void) {
  const int port = port6;
  int s = socket(AF_INET6, SOCK_DGRAM, 0), sender = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, group = any;
  printf("bind %s\n", why(bind(s, (void *)&any, sizeof any)));
  inet_pton(AF_INET6, group6, &group.sin6_addr);
  int lo = if_nametoindex("lo");
  printf("if %s\n", why(setsockopt(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, &lo, sizeof lo)));
  struct ipv6_mreq m = {group.sin6_addr, lo};
  printf("join %s\n", why(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m)));
  printf("again %s\n", why(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m)));
  printf("the loopback interface has no way to groups: %s\n",
         why(sendto(sender, "six", 3, 0, (void *)&group, sizeof group)));
  printf("leave %s\n", why(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m)));
  printf("again %s\n", why(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m)));
  struct group_req by_name = {.gr_interface = lo};
  memcpy(&by_name.gr_group, &group, sizeof group);
  printf("protocol-independent %s\n", why(setsockopt(s, IPPROTO_IPV6, MCAST_JOIN_GROUP, &by_name, sizeof by_name)));
  int hops = 3;
  socklen_t len = sizeof hops;
  printf("hops %s\n", why(setsockopt(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops)));
  hops = 0;
  getsockopt(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, &len);
  printf("is %d\n", hops);
  close(s), close(sender);
}

int main(void) {
  int own = getpid() % 5000;
  sprintf(group4, "239.7.%d.%d", own / 250, own % 250 + 1);
  sprintf(group6, "ff05::77:%x", own + 1);
  // Ports below those that are given out.
  port4 = 10000 + 3 * own;
  port6 = port4 + 2;
  ipv4();
  ipv6();
}
