// UDP-Lite (RFC 3828, udplite(7)): how much of a datagram the checksum covers, who decides, and what is dropped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_COVERAGE 10
#define RECEIVE_COVERAGE 11
#define SOL_UDP_ 17
#define LITE 136

static const char *say(int result) {
  static char text[32];
  if (result < 0) return strerrorname_np(errno);
  snprintf(text, sizeof text, "%d", result);
  return text;
}

static int lite(int family) { return socket(family, SOCK_DGRAM, LITE); }

static socklen_t loopback(int family, int port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (family == AF_INET) {
    struct sockaddr_in *v4 = (void *)out;
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (void *)out;
  *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  return sizeof *v6;
}

static int port_of(int fd) {
  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  getsockname(fd, (void *)&at, &len);
  return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

static int bound(int family) {
  struct sockaddr_storage at;
  socklen_t len = loopback(family, 0, &at);
  int fd = lite(family);
  if (bind(fd, (void *)&at, len)) perror("bind");
  return fd;
}

static void option(const char *what, int fd, int level, int name, int value) {
  int got = -1;
  socklen_t len = sizeof got;
  const char *set = say(setsockopt(fd, level, name, &value, sizeof value));
  printf("%s %d: %s", what, value, set);
  printf(", reads %s", say(getsockopt(fd, level, name, &got, &len)));
  printf(" %d\n", got);
}

static void options(void) {
  int fd = lite(AF_INET), udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0), number = 0;
  socklen_t len = sizeof number;
  getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &number, &len);
  printf("protocol %d\n", number);
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &number, &len);
  printf("type %d\n", number);
  int values[] = {0, 1, 7, 8, 9, 20, 65535, 65536, -1};
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
    option("send coverage", fd, LITE, SEND_COVERAGE, values[i]);
    option("receive coverage", fd, LITE, RECEIVE_COVERAGE, values[i]);
  }
  option("send coverage by UDP's level", fd, SOL_UDP_, SEND_COVERAGE, 12);
  option("of a UDP socket, send", udp, LITE, SEND_COVERAGE, 12);
  option("of a UDP socket, receive", udp, SOL_UDP_, RECEIVE_COVERAGE, 12);
  option("of a TCP socket", tcp, LITE, SEND_COVERAGE, 12);
  option("not an option", fd, LITE, 77, 12);
  option("at another level", fd, SOL_IP, SEND_COVERAGE + 900, 12);
  printf("too short: %s\n", say(setsockopt(fd, LITE, SEND_COVERAGE, &number, 3)));
  len = 2;
  number = -1;
  printf("read two bytes: %s", say(getsockopt(fd, LITE, SEND_COVERAGE, &number, &len)));
  printf(", %u %#x\n", len, number);
  close(fd), close(udp), close(tcp);
}

static void kinds(void) {
  printf("stream: %s\n", say(socket(AF_INET, SOCK_STREAM, LITE)));
  printf("seqpacket: %s\n", say(socket(AF_INET, SOCK_SEQPACKET, LITE)));
  int fd = bound(AF_INET);
  struct sockaddr_storage at;
  socklen_t len = loopback(AF_INET, port_of(fd), &at);
  printf("listen: %s\n", say(listen(fd, 1)));
  int udp = socket(AF_INET, SOCK_DGRAM, 0), other = lite(AF_INET);
  printf("the same port of UDP: %s\n", say(bind(udp, (void *)&at, len)));
  printf("the same port of UDP-Lite: %s\n", say(bind(other, (void *)&at, len)));
  // Datagrams of one do not come to the other.
  sendto(udp, "udp", 3, 0, (void *)&at, len);
  sendto(other, "lite", 4, 0, (void *)&at, len);
  char got[16] = "";
  printf("to UDP: %zd %.3s\n", recv(udp, got, sizeof got, MSG_DONTWAIT), got);
  printf("to UDP-Lite: %zd %.4s\n", recv(fd, got, sizeof got, MSG_DONTWAIT), got);
  printf("no more: %s\n", say(recv(fd, got, sizeof got, MSG_DONTWAIT)));
  close(fd), close(udp), close(other);
}

// What a coverage that was asked for does between two sockets.
static void pairs(int family) {
  int coverages[] = {-1, 0, 8, 12, 28, 100};
  for (unsigned s = 0; s < 6; s++) {
    printf("%s, send %d, receive", family == AF_INET ? "IPv4" : "IPv6", coverages[s]);
    for (unsigned r = 0; r < 6; r++) {
      int to = bound(family), from = lite(family);
      if (coverages[s] >= 0) setsockopt(from, LITE, SEND_COVERAGE, &coverages[s], sizeof(int));
      if (coverages[r] >= 0) setsockopt(to, LITE, RECEIVE_COVERAGE, &coverages[r], sizeof(int));
      struct sockaddr_storage at;
      socklen_t len = loopback(family, port_of(to), &at);
      sendto(from, "twenty bytes of this", 20, 0, (void *)&at, len);
      char got[64];
      printf(" %d:%s", coverages[r], say(recv(to, got, sizeof got, MSG_DONTWAIT)));
      close(to), close(from);
    }
    printf("\n");
  }
}

static unsigned add(unsigned sum, const unsigned char *bytes, int len) {
  for (int i = 0; i < len; i++) sum += i & 1 ? bytes[i] : bytes[i] << 8;
  return sum;
}

static unsigned finish(unsigned sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

static unsigned checksum(const unsigned char *packet, int len, int covered) {
  unsigned char pseudo[12] = {127, 0, 0, 1, 127, 0, 0, 1, 0, LITE, len >> 8, len};
  return finish(add(add(0, pseudo, sizeof pseudo), packet, covered));
}

// What is on the wire, and what is taken from there, as a raw socket sees and makes it.
static void wire(void) {
  int raw = socket(AF_INET, SOCK_RAW, LITE);
  if (raw < 0) {
    printf("no raw socket: %s\n", strerrorname_np(errno));
    return;
  }
  int to = bound(AF_INET), from = bound(AF_INET);
  struct sockaddr_storage at;
  socklen_t len = loopback(AF_INET, port_of(to), &at);
  int sent[] = {-1, 0, 8, 15, 28, 200};
  unsigned char packet[256];
  for (unsigned i = 0; i < 6; i++) {
    if (sent[i] >= 0) setsockopt(from, LITE, SEND_COVERAGE, &sent[i], sizeof(int));
    sendto(from, "twenty bytes of this", 20, 0, (void *)&at, len);
    ssize_t n = recv(raw, packet, sizeof packet, 0);
    unsigned char *lite = packet + 20;
    int coverage = lite[4] << 8 | lite[5], covered = coverage ? coverage : n - 20;
    printf("coverage %d: packet of %zd, field %d, checksum over %d is %s, over all %s\n", sent[i], n, coverage, covered,
           checksum(lite, n - 20, covered) ? "wrong" : "right", checksum(lite, n - 20, n - 20) ? "wrong" : "right");
    recv(to, packet, sizeof packet, MSG_DONTWAIT);
  }

  struct { const char *what; int field, covered, damage, zero; } made[] = {
      {"all covered", 28, 28, -1, 0}, {"field 0 is all", 0, 28, -1, 0}, {"half covered", 14, 14, -1, 0},
      {"damage in the covered half", 14, 14, 10, 0}, {"damage in the other half", 14, 14, 20, 0},
      {"damage at the last covered byte", 14, 14, 13, 0}, {"damage at the first other byte", 14, 14, 14, 0},
      {"damage, all covered", 28, 28, 27, 0}, {"damage, field 0", 0, 28, 27, 0}, {"header alone", 8, 8, 8, 0},
      {"field 7", 7, 7, -1, 0}, {"field 1", 1, 1, -1, 0}, {"field longer than the packet", 29, 28, -1, 0},
      {"field 65535", 65535, 28, -1, 0}, {"no checksum", 28, 28, -1, 1}, {"no checksum, half covered", 14, 14, -1, 1},
      {"odd coverage", 13, 13, 14, 0},
  };
  for (unsigned i = 0; i < sizeof made / sizeof *made; i++) {
    unsigned char out[28] = {0};
    int port = port_of(to), source = port_of(from);
    out[0] = source >> 8, out[1] = source, out[2] = port >> 8, out[3] = port;
    out[4] = made[i].field >> 8, out[5] = made[i].field;
    memcpy(out + 8, "twenty bytes of this", 20);
    unsigned sum = checksum(out, 28, made[i].covered);
    if (sum == 0) sum = 0xffff;
    if (!made[i].zero) out[6] = sum >> 8, out[7] = sum;
    if (made[i].damage >= 0) out[made[i].damage] ^= 0x5a;
    sendto(raw, out, sizeof out, 0, (void *)&at, len);
    struct pollfd ready = {.fd = to, .events = POLLIN};
    int n = poll(&ready, 1, 50);
    printf("%s: poll %d", made[i].what, n);
    printf(", %s\n", say(recv(to, packet, sizeof packet, MSG_DONTWAIT)));
  }
  close(raw), close(to), close(from);
}

static void errors(void) {
  int to = bound(AF_INET), from = lite(AF_INET);
  struct sockaddr_storage at;
  socklen_t len = loopback(AF_INET, port_of(to), &at);
  close(to);
  printf("connect: %s\n", say(connect(from, (void *)&at, len)));
  printf("send to nobody: %s\n", say(send(from, "x", 1, 0)));
  printf("then: %s\n", say(send(from, "x", 1, 0)));
  char got[8];
  recv(from, got, sizeof got, MSG_DONTWAIT);
  static char big[65536];
  int cover = 8;
  setsockopt(from, LITE, SEND_COVERAGE, &cover, sizeof cover);
  printf("65508 bytes: %s\n", say(send(from, big, 65508, 0)));
  int again = bound(AF_INET);
  len = loopback(AF_INET, port_of(again), &at);
  printf("65507 bytes: %s\n", say(sendto(from, big, 65507, 0, (void *)&at, len)));
  printf("received: %s\n", say(recv(again, big, sizeof big, MSG_DONTWAIT)));
  printf("nothing: %s\n", say(sendto(from, big, 0, 0, (void *)&at, len)));
  printf("received: %s\n", say(recv(again, big, sizeof big, MSG_DONTWAIT)));
  close(from), close(again);
}

// An IPv6 socket takes IPv4 too, and a table of its own tells of all.
static void mixed(void) {
  int to = lite(AF_INET6), from = lite(AF_INET), cover = 8;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  bind(to, (void *)&any, sizeof any);
  struct sockaddr_storage at;
  socklen_t len = loopback(AF_INET, port_of(to), &at);
  setsockopt(from, LITE, SEND_COVERAGE, &cover, sizeof cover);
  sendto(from, "mapped", 6, 0, (void *)&at, len);
  char got[16];
  struct sockaddr_in6 who;
  socklen_t size = sizeof who;
  printf("IPv4 to IPv6: %s", say(recvfrom(to, got, sizeof got, MSG_DONTWAIT, (void *)&who, &size)));
  printf(", mapped %d\n", IN6_IS_ADDR_V4MAPPED(&who.sin6_addr));
  printf("and back: %s\n", say(sendto(to, "back", 4, 0, (void *)&who, size)));
  printf("received: %s\n", say(recv(from, got, sizeof got, MSG_DONTWAIT)));
  const char *tables[] = {"udplite", "udplite6", "udp", "udp6"};
  for (int i = 0; i < 4; i++) {
    char path[32], line[512], port[8];
    snprintf(path, sizeof path, "/proc/net/%s", tables[i]);
    snprintf(port, sizeof port, ":%04X ", port_of(to));
    FILE *file = fopen(path, "r");
    int found = 0, heading = 0;
    while (file && fgets(line, sizeof line, file)) heading += strstr(line, "sl") != NULL, found += strstr(line, port) != NULL;
    printf("%s: heading %d, listed %d\n", path, heading, found > 0);
    if (file) fclose(file);
  }
  close(to), close(from);
}

int main(void) {
  kinds();
  options();
  pairs(AF_INET);
  pairs(AF_INET6);
  wire();
  errors();
  mixed();
  return 0;
}
