/*
 * relay LISTENPORT BACKENDHOST:PORT WORKERS
 *
 * What a TCP relay costs at least: accept, connect, copy both ways through one 64 KiB
 * buffer, with edge-triggered epoll and one process for each worker (SO_REUSEPORT). The
 * benches measure it beside the proxies as their floor.
 *
 * It is correct: partial writes, half-closes and slow readers lose no byte; what breaks
 * one side ends both. It is no proxy: it reads no HTTP, takes the first address of one
 * backend, has no timeouts, no limits, no logs. The only memory it has for a connection
 * that does not take its bytes is a copy of them, at most one buffer; until they are gone
 * the other side is not read.
 *
 * cc -O2 -o relay relay.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, BATCH = 256, ROUNDS = 16 };

/* One socket of a relayed pair. pair[0] and pair[1] are allocated together. */
struct side {
	struct side *other;
	struct side *next; /* of the pairs to be freed; used in pair[0] */
	char *held;        /* bytes this socket did not take yet */
	size_t from, to;   /* what of held is left */
	int fd, first, ended, hup, dead;
};

static struct addrinfo *backend;
static struct side *dead; /* freed behind the batch: events of it may still come */
static char buffer[BUFFER];
static int ep;

static int add(int op, struct side *s)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };
	return epoll_ctl(ep, op, s->fd, &e);
}

static void end(struct side *s)
{
	struct side *pair = s->first ? s : s->other;

	if (pair->dead)
		return;
	for (int i = 0; i < 2; i++) {
		pair[i].dead = 1;
		close(pair[i].fd);
		free(pair[i].held);
	}
	pair->next = dead;
	dead = pair;
}

/* put gives bytes to a socket and holds what it does not take; -1: it is broken. */
static int put(struct side *s, const char *b, size_t n)
{
	ssize_t sent = send(s->fd, b, n, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	if (sent < 0)
		sent = 0;
	if ((size_t)sent == n)
		return 0;
	if (!(s->held = malloc(n - sent)))
		return -1;
	memcpy(s->held, b + sent, n - sent);
	s->from = 0;
	s->to = n - sent;
	return 0;
}

/* drain sends what is held; 1: all is gone. */
static int drain(struct side *s)
{
	while (s->held) {
		ssize_t n = send(s->fd, s->held + s->from, s->to - s->from, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				end(s);
			return 0;
		}
		if ((s->from += n) == s->to) {
			free(s->held);
			s->held = NULL;
		}
	}
	return 1;
}

/* flow moves what has come to s on to the other side, as far as that takes it. */
static void flow(struct side *s)
{
	struct side *to = s->other;

	for (int i = 0; i < ROUNDS; i++) {
		if (s->ended || to->held)
			return;
		ssize_t n = recv(s->fd, buffer, BUFFER, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (n > 0 && put(to, buffer, n) < 0)) {
			end(s);
			return;
		}
		if (n == 0) {
			s->ended = 1;
			if (to->ended)
				end(s);
			else
				shutdown(to->fd, SHUT_WR);
			return;
		}
		if (n < BUFFER && !s->hup)
			return; /* it is empty: what comes next is an event */
	}
	add(EPOLL_CTL_MOD, s); /* the others first; this tells again what is left */
}

static void accept_all(int listener)
{
	int client, one = 1;

	while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED) {
		if (client < 0)
			continue;
		struct side *pair = calloc(2, sizeof *pair);
		int up = socket(backend->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (!pair || up < 0) {
			free(pair);
			if (up >= 0)
				close(up);
			close(client);
			continue;
		}
		setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		pair[0] = (struct side){ .other = &pair[1], .fd = client, .first = 1 };
		pair[1] = (struct side){ .other = &pair[0], .fd = up };
		/* Bytes that come before it is connected find EAGAIN and are held. */
		if ((connect(up, backend->ai_addr, backend->ai_addrlen) < 0 && errno != EINPROGRESS) ||
		    add(EPOLL_CTL_ADD, &pair[0]) < 0 || add(EPOLL_CTL_ADD, &pair[1]) < 0)
			end(pair);
	}
}

static void run(int listener)
{
	struct epoll_event events[BATCH], e = { .events = EPOLLIN, .data.ptr = NULL };

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e) < 0) {
		perror("epoll");
		exit(1);
	}
	for (;;) {
		int n = epoll_wait(ep, events, BATCH, -1);
		for (int i = 0; i < n; i++) {
			struct side *s = events[i].data.ptr;
			if (!s) {
				accept_all(listener);
				continue;
			}
			if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				s->hup = 1;
			if (!s->dead && s->held && drain(s))
				flow(s->other);
			if (!s->dead)
				flow(s);
		}
		while (dead) {
			struct side *pair = dead;
			dead = pair->next;
			free(pair);
		}
	}
}

static int listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || /* inherited */
	    bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0) {
		perror("listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct addrinfo want = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	char *port = argc == 4 ? strrchr(argv[2], ':') : NULL;
	pid_t parent = getpid();
	struct rlimit files;
	int workers;

	if (!port || (workers = atoi(argv[3])) < 1) {
		fprintf(stderr, "usage: relay LISTENPORT BACKENDHOST:PORT WORKERS\n");
		return 2;
	}
	*port++ = 0;
	if (getaddrinfo(argv[2], port, &want, &backend) != 0) {
		fprintf(stderr, "relay: no address for %s\n", argv[2]);
		return 1;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (int i = 0; i < workers; i++) {
		int fd = listen_on(atoi(argv[1]));
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM); /* the workers end with the first process */
			if (getppid() == parent)
				run(fd);
			exit(0);
		}
		close(fd);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
