#include "server/http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LISTENER_BACKLOG = 1024, PORT_DIGITS = 5 };

static bool parse_port(in_port_t *out, const char *text)
{
    unsigned long port = 0;
    size_t size = strlen(text);
    if (size == 0 || size > PORT_DIGITS)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    *out = htons((in_port_t)port);
    return port <= 65535;
}

static bool parse_address(struct sockaddr_storage *out, const char *host, in_port_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    size_t size = strlen(host);
    memset(out, 0, sizeof *out);
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        char inner[LISTENER_TEXT];
        snprintf(inner, sizeof inner, "%.*s", (int)size - 2, host + 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
        return inet_pton(AF_INET6, inner, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1;
}

int listener_parse(struct sockaddr_storage *out, const char *text, struct err *err)
{
    char host[LISTENER_TEXT];
    in_port_t port;
    const char *colon = strrchr(text, ':');
    if (colon && (size_t)(colon - text) < sizeof host) {
        snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
        if (parse_port(&port, colon + 1) && parse_address(out, host, port))
            return 0;
    }
    return err_set(err, ERR_INVALID, "listen",
                   "It must be a numeric ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:0.");
}

socklen_t listener_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

int listener_open(int *fd, const struct sockaddr_storage *address, struct err *err)
{
    int on = 1;
    int opened = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened >= 0 && setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(opened, (const struct sockaddr *)address, listener_size(address)) == 0 &&
        listen(opened, LISTENER_BACKLOG) == 0) {
        *fd = opened;
        return 0;
    }
    int why = errno;
    if (opened >= 0)
        close(opened);
    return err_set(err, ERR_IO, "listen", "The address cannot be listened on: %s.", strerror(why));
}

void listener_text(char *out, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    out[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return;
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, LISTENER_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, LISTENER_TEXT, "%s:%u", host, ntohs(v4->sin_port));
    }
}
