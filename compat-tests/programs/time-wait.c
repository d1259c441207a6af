// Connections that a server has ended wait in TIME_WAIT, but no more of them than tcp(7) says: the others are gone at once, and all
// are served. With 64 MiB of memory there is room for 256.
// compat: variants=pie memory=64M
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 700 };

static int listener;

static void *serve(void *unused) {
	for (int i = 0; i < CONNECTIONS; i++) {
		int s = accept(listener, NULL, NULL);
		if (s < 0 || write(s, "x", 1) != 1)
			exit(3);
		close(s);
	}
	return unused;
}

// Lines of /proc/net/tcp with this local port, in TIME_WAIT or anything else but listening.
static int lines(unsigned port, int waiting) {
	FILE *f = fopen("/proc/net/tcp", "r");
	char line[256];
	int count = 0;
	if (!f)
		exit(4);
	while (fgets(line, sizeof line, f)) {
		unsigned local, state;
		if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &local, &state) == 2 && local == port && state != 0x0a)
			count += (state == 0x06) == waiting;
	}
	fclose(f);
	return count;
}

int main(void) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&address, len) < 0 || listen(listener, 16) < 0 ||
		getsockname(listener, (void *)&address, &len) < 0)
		return 1;
	pthread_t thread;
	pthread_create(&thread, NULL, serve, NULL);
	int served = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		char bytes[2];
		int s = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(s, (void *)&address, sizeof address) < 0)
			return 2;
		served += read(s, bytes, 1) == 1 && read(s, bytes, 1) == 0;
		close(s);
	}
	pthread_join(thread, NULL);
	printf("served: %d\n", served);

	long most = 0;
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_max_tw_buckets", "r");
	if (!f || fscanf(f, "%ld", &most) != 1)
		return 5;
	int port = ntohs(address.sin_port), waiting = lines(port, 1), others = lines(port, 0);
	long expected = most < CONNECTIONS ? most : CONNECTIONS;
	// Other programs' connections count too.
	printf("waiting: %s\n", waiting > 0 && waiting <= expected ? "as many as may" : "wrong");
	if (waiting <= 0 || waiting > expected)
		printf("%d of %ld\n", waiting, most);
	printf("not closed: %d\n", others);
	// The address is taken while they wait, but not for those who share.
	close(listener);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	printf("bind: %d\n", bind(listener, (void *)&address, sizeof address));
	int on = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	printf("bind with SO_REUSEADDR: %d, listen: %d\n", bind(listener, (void *)&address, sizeof address), listen(listener, 1));
	return 0;
}
