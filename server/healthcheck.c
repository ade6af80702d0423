#include "server/healthcheck.h"

#include "server/http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { HEALTHCHECK_SECONDS = 2 };

static const char healthcheck_request[] =
    "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char healthcheck_ready[] = "HTTP/1.1 200 ";

static void replace_wildcard(struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
}

/* The first bytes of the answer; false when they do not come. */
static bool ask(int fd, const struct sockaddr_storage *address, char *out, size_t size)
{
    const struct timeval limit = {.tv_sec = HEALTHCHECK_SECONDS};
    size_t have = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)address, listener_size(address)) ||
        send(fd, healthcheck_request, sizeof healthcheck_request - 1, MSG_NOSIGNAL) !=
            (ssize_t)sizeof healthcheck_request - 1)
        return false;
    while (have < size) {
        ssize_t got = recv(fd, out + have, size - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

int healthcheck_run(const char *listen, struct err *err)
{
    struct sockaddr_storage address;
    char start[sizeof healthcheck_ready - 1];
    int code = listener_parse(&address, listen, err);
    if (code)
        return code;
    replace_wildcard(&address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "", "No socket: %s.", strerror(errno));
    bool answered = ask(fd, &address, start, sizeof start);
    close(fd);
    if (!answered)
        return err_set(err, ERR_IO, "", "No answer from %s.", listen);
    if (memcmp(start, healthcheck_ready, sizeof start) != 0)
        return err_set(err, ERR_UNAVAILABLE, "", "The daemon at %s is not ready.", listen);
    return 0;
}
