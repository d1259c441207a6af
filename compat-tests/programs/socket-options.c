// Options of socket(7), ip(7), ipv6(7) and tcp(7) that need no privilege: what each is at first, what setting it to various values
// answers, and what it is then; on sockets of all kinds. What depends on a machine's settings is left out.
// compat: variants=pie,musl-static
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct option {
	const char *name;
	int level, number;
	// The value at first, and for large ones, depends on the machine.
	int varies;
};

#define SOL_TCP_ 6
#define SOL_UDP_ 17
#define O(level, name, number) { #name, level, number, 0 }
#define V(level, name, number) { #name, level, number, 1 }

// Numbers from Linux's headers: those of the C libraries are not complete.
static const struct option OPTIONS[] = {
	O(SOL_SOCKET, SO_REUSEADDR, 2), O(SOL_SOCKET, SO_TYPE, 3), O(SOL_SOCKET, SO_ERROR, 4), O(SOL_SOCKET, SO_DONTROUTE, 5),
	O(SOL_SOCKET, SO_BROADCAST, 6), V(SOL_SOCKET, SO_SNDBUF, 7), V(SOL_SOCKET, SO_RCVBUF, 8), O(SOL_SOCKET, SO_KEEPALIVE, 9),
	O(SOL_SOCKET, SO_OOBINLINE, 10), O(SOL_SOCKET, SO_LINGER, 13), O(SOL_SOCKET, SO_REUSEPORT, 15), V(SOL_SOCKET, SO_RCVLOWAT, 18), O(SOL_SOCKET, SO_SNDLOWAT, 19),
	O(SOL_SOCKET, SO_RCVTIMEO, 20), O(SOL_SOCKET, SO_SNDTIMEO, 21), O(SOL_SOCKET, SO_TIMESTAMP, 29),
	O(SOL_SOCKET, SO_ACCEPTCONN, 30), O(SOL_SOCKET, SO_TIMESTAMPNS, 35),
	O(SOL_SOCKET, SO_PROTOCOL, 38), O(SOL_SOCKET, SO_DOMAIN, 39),
	O(SOL_SOCKET, NO_SUCH_SO, 9999),
	O(IPPROTO_IP, IP_TOS, 1), O(IPPROTO_IP, IP_TTL, 2), O(IPPROTO_IP, IP_PKTINFO, 8), O(IPPROTO_IP, IP_MTU_DISCOVER, 10),
	O(IPPROTO_IP, IP_RECVERR, 11), O(IPPROTO_IP, IP_RECVTTL, 12), O(IPPROTO_IP, IP_RECVTOS, 13), O(IPPROTO_IP, IP_MTU, 14),
	O(IPPROTO_IP, IP_FREEBIND, 15),
	O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 24), O(IPPROTO_IP, IP_MULTICAST_IF, 32),
	O(IPPROTO_IP, IP_MULTICAST_TTL, 33), O(IPPROTO_IP, IP_MULTICAST_LOOP, 34), O(IPPROTO_IP, IP_MULTICAST_ALL, 49), O(IPPROTO_IP, NO_SUCH_IP, 60),
	O(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 16), O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 18),
	O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 19), O(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 23),
	O(IPPROTO_IPV6, IPV6_RECVERR, 25), O(IPPROTO_IPV6, IPV6_V6ONLY, 26), O(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 29),
	O(IPPROTO_IPV6, IPV6_RECVPKTINFO, 49), O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 51),
	O(IPPROTO_IPV6, IPV6_DONTFRAG, 62), O(IPPROTO_IPV6, IPV6_RECVTCLASS, 66), O(IPPROTO_IPV6, IPV6_TCLASS, 67), O(IPPROTO_IPV6, IPV6_FREEBIND, 78),
	O(IPPROTO_IPV6, NO_SUCH_IPV6, 41),
	O(SOL_TCP_, TCP_NODELAY, 1), O(SOL_TCP_, TCP_MAXSEG, 2), O(SOL_TCP_, TCP_CORK, 3), O(SOL_TCP_, TCP_KEEPIDLE, 4),
	O(SOL_TCP_, TCP_KEEPINTVL, 5), O(SOL_TCP_, TCP_KEEPCNT, 6), O(SOL_TCP_, TCP_SYNCNT, 7), O(SOL_TCP_, TCP_LINGER2, 8),
	O(SOL_TCP_, TCP_DEFER_ACCEPT, 9), O(SOL_TCP_, TCP_WINDOW_CLAMP, 10), O(SOL_TCP_, TCP_QUICKACK, 12), O(SOL_TCP_, TCP_USER_TIMEOUT, 18),
	V(SOL_TCP_, TCP_NOTSENT_LOWAT, 25), O(SOL_TCP_, NO_SUCH_TCP, 99), O(SOL_UDP_, NO_SUCH_UDP, 99),
	O(9999, NO_SUCH_LEVEL, 1),
};

static const struct kind {
	const char *name;
	int family, type;
} KINDS[] = {
	{ "tcp4", AF_INET, SOCK_STREAM },
	{ "tcp6", AF_INET6, SOCK_STREAM },
	{ "udp4", AF_INET, SOCK_DGRAM },
	{ "udp6", AF_INET6, SOCK_DGRAM },
};

static const char *error(void) {
	switch (errno) {
#define E(name) case name: return #name
	E(ENOPROTOOPT); E(EOPNOTSUPP); E(EINVAL); E(EFAULT); E(EPERM); E(ENODEV); E(EADDRNOTAVAIL); E(ENOTCONN); E(EDOM);
	E(EPROTO); E(ENOENT); E(ENOTSOCK); E(ERANGE); E(EACCES); E(EBUSY); E(EADDRINUSE); E(EISCONN); E(ENOSYS);
	}
	static char other[24];
	snprintf(other, sizeof other, "error %d", errno);
	return other;
}

static void get(int s, const struct option *o, socklen_t room) {
	unsigned char value[64];
	memset(value, 0xee, sizeof value);
	socklen_t len = room;
	if (getsockopt(s, o->level, o->number, value, &len) < 0) {
		printf(" %s", error());
		return;
	}
	printf(" %u:", len);
	for (socklen_t i = 0; i < len && i < 16; i++)
		printf("%02x", value[i]);
}

static void set(int s, const struct option *o, const void *value, socklen_t len, const char *label) {
	printf("  %s:", label);
	if (setsockopt(s, o->level, o->number, value, len) < 0)
		printf(" %s", error());
	else
		printf(" ok");
	get(s, o, 16);
	printf("\n");
}

int main(void) {
	static const int VALUES[] = { 0, 1, -1, 2, 3, 5, 30, 64, 255, 256, 1000, 32768, 200000 };
	for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
		for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
			const struct option *o = &OPTIONS[i];
			int s = socket(KINDS[k].family, KINDS[k].type, 0);
			if (s < 0)
				return 1;
			printf("%s %s\n  first:", KINDS[k].name, o->name);
			if (!o->varies) {
				get(s, o, 16);
				get(s, o, 4);
				get(s, o, 1);
				get(s, o, 0);
			}
			printf("\n");
			for (size_t v = 0; v < sizeof VALUES / sizeof *VALUES; v++) {
				if (o->varies && (VALUES[v] < 0 || VALUES[v] > 100000))
					continue;
				char label[16];
				snprintf(label, sizeof label, "%d", VALUES[v]);
				set(s, o, &VALUES[v], sizeof(int), label);
			}
			// A byte, nothing, and eight bytes: a struct linger that is on.
			set(s, o, "\1", 1, "byte");
			set(s, o, "", 0, "nothing");
			set(s, o, "\1\0\0\0\7\0\0\0", 8, "eight bytes");
			int one = 1;
			if (setsockopt(s, o->level, o->number, &one, sizeof one) == 0)
				printf("  bad address: %s\n", setsockopt(s, o->level, o->number, (void *)8, 4) < 0 ? error() : "ok");
			close(s);
		}
	}
	return 0;
}
